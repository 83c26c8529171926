package store

import (
	"bytes"
	"context"
	"strings"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// Project is a team's project.
type Project struct {
	V         int              `json:"v"`
	ID        behalf.ProjectID `json:"id"`
	Name      string           `json:"name,omitempty"`
	CreatedAt time.Time        `json:"created_at"`
}

// Project finds a project in the copy. Errors: NotFound, Exhausted, Unavailable.
func (s *Store) Project(ctx context.Context, id behalf.ProjectID) (Project, error) {
	if _, err := behalf.ParseProjectID(string(id)); err != nil {
		return Project{}, err
	}
	return s.copies.projects.find(ctx, subject.ProjectKey(id))
}

// Projects lists the projects, by id. Errors: Unavailable.
func (s *Store) Projects(ctx context.Context) ([]Project, error) {
	return s.copies.projects.list(ctx, "project.*")
}

// PutProject creates a project (revision 0) or changes it. Errors: Invalid, Conflict, Unavailable.
func (s *Store) PutProject(ctx context.Context, p Project, revision uint64) (uint64, error) {
	if _, err := behalf.ParseProjectID(string(p.ID)); err != nil {
		return 0, err
	}
	p.V = behalf.FormatVersion
	return putCopied(ctx, s.copies.projects, subject.ProjectKey(p.ID), p, revision)
}

// WatchProjects tells of the projects that are there, then of each that comes, until ctx ends. It needs Run.
func (s *Store) WatchProjects(ctx context.Context, tell func(added []behalf.ProjectID)) error {
	known := map[string]bool{}
	for {
		keys, more := s.copies.projects.keys()
		var added []behalf.ProjectID
		for _, key := range keys {
			if !known[key] {
				known[key] = true
				added = append(added, behalf.ProjectID(strings.TrimPrefix(key, subject.ProjectKey(""))))
			}
		}
		if len(added) > 0 {
			tell(added)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-more:
		}
	}
}

// Workflow finds a workflow in the copy. Errors: NotFound, Exhausted, Unavailable.
func (s *Store) Workflow(ctx context.Context, project behalf.ProjectID, id behalf.WorkflowID) (behalf.Workflow, error) {
	if err := checkWorkflow(project, id); err != nil {
		return behalf.Workflow{}, err
	}
	return s.copies.workflows.find(ctx, subject.WorkflowKey(project, id))
}

// WorkflowFromLeader reads a workflow with its revision, for a change. Errors: NotFound, Unavailable.
func (s *Store) WorkflowFromLeader(ctx context.Context, project behalf.ProjectID, id behalf.WorkflowID) (Versioned[behalf.Workflow], error) {
	if err := checkWorkflow(project, id); err != nil {
		return Versioned[behalf.Workflow]{}, err
	}
	return s.copies.workflows.fromLeader(ctx, subject.WorkflowKey(project, id))
}

// Workflows lists a project's workflows, by id. Errors: Unavailable.
func (s *Store) Workflows(ctx context.Context, project behalf.ProjectID) ([]behalf.Workflow, error) {
	if _, err := behalf.ParseProjectID(string(project)); err != nil {
		return nil, err
	}
	return s.copies.workflows.list(ctx, subject.WorkflowKey(project, "*"))
}

// PutWorkflow creates a workflow (revision 0) or changes it. Errors: Invalid, Conflict, Unavailable.
func (s *Store) PutWorkflow(ctx context.Context, w behalf.Workflow, revision uint64) (uint64, error) {
	if err := checkWorkflow(w.Project, w.ID); err != nil {
		return 0, err
	}
	w.V = behalf.FormatVersion
	return putCopied(ctx, s.copies.workflows, subject.WorkflowKey(w.Project, w.ID), w, revision)
}

// Endpoint finds an endpoint in the copy. Errors: NotFound, Exhausted, Unavailable.
func (s *Store) Endpoint(ctx context.Context, id behalf.EndpointID) (behalf.Endpoint, error) {
	id, err := behalf.ParseEndpointID(string(id))
	if err != nil {
		return behalf.Endpoint{}, err
	}
	return s.copies.endpoints.find(ctx, subject.EndpointKey(id))
}

// EndpointFromLeader reads an endpoint with its revision, for a change. Errors: NotFound, Unavailable.
func (s *Store) EndpointFromLeader(ctx context.Context, id behalf.EndpointID) (Versioned[behalf.Endpoint], error) {
	id, err := behalf.ParseEndpointID(string(id))
	if err != nil {
		return Versioned[behalf.Endpoint]{}, err
	}
	return s.copies.endpoints.fromLeader(ctx, subject.EndpointKey(id))
}

// PutEndpoint creates an endpoint (revision 0) or changes it. Errors: Invalid, Conflict, Unavailable.
func (s *Store) PutEndpoint(ctx context.Context, e behalf.Endpoint, revision uint64) (uint64, error) {
	id, err := behalf.ParseEndpointID(string(e.ID))
	if err != nil {
		return 0, err
	}
	e.ID, e.V = id, behalf.FormatVersion
	return putCopied(ctx, s.copies.endpoints, subject.EndpointKey(id), e, revision)
}

// DeleteEndpoint removes an endpoint. Errors: NotFound, Conflict, Unavailable.
func (s *Store) DeleteEndpoint(ctx context.Context, id behalf.EndpointID) error {
	e, err := s.EndpointFromLeader(ctx, id)
	if err != nil {
		return err
	}
	return s.copies.endpoints.delete(ctx, subject.EndpointKey(e.Value.ID), e.Revision)
}

func checkWorkflow(project behalf.ProjectID, id behalf.WorkflowID) error {
	if _, err := behalf.ParseProjectID(string(project)); err != nil {
		return err
	}
	_, err := behalf.ParseWorkflowID(string(id))
	return err
}

func putCopied[T any](ctx context.Context, c *copied[T], key string, value T, revision uint64) (uint64, error) {
	data, err := encode(value)
	if err != nil {
		return 0, err
	}
	return c.put(ctx, key, value, data, revision)
}

// versions are named by their content, so that one that was read once holds for ever.
type versions struct {
	bucket *bucket
	memory *remembered[behalf.Version]
}

func newVersions(b *bucket, cfg Config) *versions {
	v := &versions{b, newRemembered(cfg.RememberVersions, func(behalf.Version) int { return 1 })}
	v.memory.empty(true)
	return v
}

// Version finds a version of a workflow. Errors: NotFound, Unavailable.
func (s *Store) Version(ctx context.Context, project behalf.ProjectID, id behalf.VersionID) (behalf.Version, error) {
	if err := checkVersion(project, id); err != nil {
		return behalf.Version{}, err
	}
	key := subject.VersionKey(project, id)
	return s.versions.memory.find(ctx, key, func(ctx context.Context) (behalf.Version, error) {
		e, err := s.versions.bucket.last(ctx, key)
		if err != nil {
			return behalf.Version{}, noSuch("version", err)
		}
		return decode[behalf.Version](e.value)
	})
}

// PutVersion stores a version. To store the same again changes nothing. Errors: Invalid (too large), Conflict (other
// content under the same id), Unavailable.
func (s *Store) PutVersion(ctx context.Context, v behalf.Version) error {
	if err := checkVersion(v.Project, v.ID); err != nil {
		return err
	}
	v.V = behalf.FormatVersion
	data, err := encode(v)
	if err != nil {
		return err
	}
	return s.versions.bucket.putOnce(ctx, subject.VersionKey(v.Project, v.ID), data)
}

func checkVersion(project behalf.ProjectID, id behalf.VersionID) error {
	if _, err := behalf.ParseProjectID(string(project)); err != nil {
		return err
	}
	_, err := behalf.ParseVersionID(string(id))
	return err
}

// putOnce creates a key. That it is there with the same value is as good.
func (b *bucket) putOnce(ctx context.Context, key string, value []byte) error {
	_, err := b.put(ctx, key, value, 0)
	if !fault.Is(err, fault.Conflict) {
		return err
	}
	there, readErr := b.last(ctx, key)
	if readErr == nil && bytes.Equal(there.value, value) {
		return nil
	}
	return err
}

// noSuch says of a NotFound what was not found.
func noSuch(what string, err error) error {
	if fault.Is(err, fault.NotFound) {
		return fault.New(fault.NotFound, "store.find", "no such "+what).Because(err)
	}
	return err
}
