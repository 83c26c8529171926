package store

import (
	"context"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// Variables reads the names of a project's environment variables from the leader. A project without any has an empty
// list at revision 0. Errors: Invalid, Unavailable.
func (s *Store) Variables(ctx context.Context, project behalf.ProjectID) (Versioned[behalf.Variables], error) {
	if _, err := behalf.ParseProjectID(string(project)); err != nil {
		return Versioned[behalf.Variables]{}, err
	}
	e, err := s.versions.bucket.last(ctx, subject.VariablesKey(project))
	if fault.Is(err, fault.NotFound) {
		return Versioned[behalf.Variables]{Value: behalf.Variables{V: behalf.FormatVersion, Project: project}}, nil
	}
	if err != nil {
		return Versioned[behalf.Variables]{}, err
	}
	list, err := decode[behalf.Variables](e.value)
	return Versioned[behalf.Variables]{Value: list, Revision: e.revision}, err
}

// PutVariables writes the names of a project's environment variables: the first list at revision 0. Errors: Invalid,
// Conflict, Unavailable.
func (s *Store) PutVariables(ctx context.Context, list behalf.Variables, revision uint64) (uint64, error) {
	if _, err := behalf.ParseProjectID(string(list.Project)); err != nil {
		return 0, err
	}
	list.V = behalf.FormatVersion
	data, err := encode(list)
	if err != nil {
		return 0, err
	}
	return s.versions.bucket.put(ctx, subject.VariablesKey(list.Project), data, revision)
}
