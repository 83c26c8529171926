package cli

import (
	"context"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/store"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// connectRecords is the store as the API asks for what belongs to connecting.
type connectRecords struct{ *store.Store }

func (r connectRecords) ConnectToken(ctx context.Context, hash string) (behalf.ConnectToken, error) {
	found, err := r.Store.ConnectToken(ctx, hash)
	return found.Value, err
}

func (r connectRecords) PutConnectToken(ctx context.Context, t behalf.ConnectToken) error {
	_, err := r.Store.PutConnectToken(ctx, t, 0)
	return err
}

func (r connectRecords) OAuthApp(ctx context.Context, project behalf.ProjectID, id behalf.OAuthAppID) (behalf.OAuthApp, uint64, error) {
	found, err := r.Store.OAuthApp(ctx, project, id)
	return found.Value, found.Revision, err
}

// oauthSecrets is the credential store as the API asks for the secrets of OAuth apps.
type oauthSecrets struct {
	env         behalf.Environment
	credentials credential.Store
}

func (s oauthSecrets) PutOAuthSecret(ctx context.Context, app behalf.OAuthApp, word secret.String) error {
	at := credential.OAuthAppPath(s.env, app.Project, app.ID)
	_, revision, err := s.credentials.Get(ctx, at)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	_, err = s.credentials.Put(ctx, at, credential.Credential{Fields: map[string]secret.String{credential.FieldClientSecret: word}}, revision)
	return err
}

func (s oauthSecrets) DeleteOAuthSecret(ctx context.Context, app behalf.OAuthApp) error {
	err := s.credentials.Delete(ctx, credential.OAuthAppPath(s.env, app.Project, app.ID))
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}
