package store

import (
	"context"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// OAuthApp reads a project's own client at a service, as it is right now. Errors: NotFound, Unavailable.
func (s *Store) OAuthApp(ctx context.Context, project behalf.ProjectID, id behalf.OAuthAppID) (Versioned[behalf.OAuthApp], error) {
	if err := checkOAuthApp(project, id); err != nil {
		return Versioned[behalf.OAuthApp]{}, err
	}
	e, err := s.versions.bucket.last(ctx, oauthAppKey(project, id))
	if err != nil {
		return Versioned[behalf.OAuthApp]{}, noSuch("OAuth app", err)
	}
	found, err := decode[behalf.OAuthApp](e.value)
	return Versioned[behalf.OAuthApp]{Value: found, Revision: e.revision}, err
}

// OAuthApps lists a project's own clients at services, by id. Errors: Unavailable.
func (s *Store) OAuthApps(ctx context.Context, project behalf.ProjectID) ([]behalf.OAuthApp, error) {
	if _, err := behalf.ParseProjectID(string(project)); err != nil {
		return nil, err
	}
	entries, err := s.versions.bucket.all(ctx, subject.OAuthAppsOf(project)+"*")
	if err != nil {
		return nil, err
	}
	return decodeAll(entries, decode[behalf.OAuthApp])
}

// PutOAuthApp creates a client (revision 0) or changes it. Its secret is the caller's to keep elsewhere. Errors: Invalid,
// Conflict, Unavailable.
func (s *Store) PutOAuthApp(ctx context.Context, a behalf.OAuthApp, revision uint64) (uint64, error) {
	if err := checkOAuthApp(a.Project, a.ID); err != nil {
		return 0, err
	}
	a.V = behalf.FormatVersion
	data, err := encode(a)
	if err != nil {
		return 0, err
	}
	return s.versions.bucket.put(ctx, oauthAppKey(a.Project, a.ID), data, revision)
}

// DeleteOAuthApp removes a client. Its secret is the caller's to delete. Errors: NotFound, Conflict, Unavailable.
func (s *Store) DeleteOAuthApp(ctx context.Context, project behalf.ProjectID, id behalf.OAuthAppID) error {
	found, err := s.OAuthApp(ctx, project, id)
	if err != nil {
		return err
	}
	_, err = s.versions.bucket.delete(ctx, oauthAppKey(project, id), found.Revision)
	return err
}

func oauthAppKey(project behalf.ProjectID, id behalf.OAuthAppID) string {
	return subject.OAuthAppsOf(project) + string(id)
}

func checkOAuthApp(project behalf.ProjectID, id behalf.OAuthAppID) error {
	if _, err := behalf.ParseProjectID(string(project)); err != nil {
		return err
	}
	_, err := behalf.ParseOAuthAppID(string(id))
	return err
}
