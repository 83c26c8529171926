package api_test

import (
	"context"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

func (m *memory) ConnectToken(_ context.Context, hash string) (behalf.ConnectToken, error) {
	err := m.enter("ConnectToken")
	defer m.mu.Unlock()
	return find(m.connects, hash, err)
}

func (m *memory) PutConnectToken(_ context.Context, t behalf.ConnectToken) error {
	err := m.enter("PutConnectToken")
	defer m.mu.Unlock()
	if err == nil {
		m.connects[t.Hash] = t
	}
	return err
}

func (m *memory) OAuthApp(_ context.Context, p behalf.ProjectID, id behalf.OAuthAppID) (behalf.OAuthApp, uint64, error) {
	err := m.enter("OAuthApp")
	defer m.mu.Unlock()
	a, err := find(m.oauthApps, key(p, id), err)
	return a, m.revisions[string(id)], err
}

func (m *memory) OAuthApps(_ context.Context, p behalf.ProjectID) ([]behalf.OAuthApp, error) {
	err := m.enter("OAuthApps")
	defer m.mu.Unlock()
	var list []behalf.OAuthApp
	for _, a := range m.oauthApps {
		if a.Project == p {
			list = append(list, a)
		}
	}
	return list, err
}

func (m *memory) PutOAuthApp(_ context.Context, a behalf.OAuthApp, revision uint64) (uint64, error) {
	err := m.enter("PutOAuthApp")
	defer m.mu.Unlock()
	if err == nil && m.revisions[string(a.ID)] != revision {
		err = fault.New(fault.Conflict, "memory", "another revision")
	}
	if err == nil {
		m.oauthApps[key(a.Project, a.ID)] = a
		m.revisions[string(a.ID)]++
	}
	return m.revisions[string(a.ID)], err
}

func (m *memory) DeleteOAuthApp(_ context.Context, p behalf.ProjectID, id behalf.OAuthAppID) error {
	err := m.enter("DeleteOAuthApp")
	defer m.mu.Unlock()
	if err == nil {
		delete(m.oauthApps, key(p, id))
	}
	return err
}

func (m *memory) PutOAuthSecret(_ context.Context, a behalf.OAuthApp, word secret.String) error {
	err := m.enter("PutOAuthSecret")
	defer m.mu.Unlock()
	if err == nil {
		m.oauthWords[a.ID] = word.Reveal()
	}
	return err
}

func (m *memory) DeleteOAuthSecret(_ context.Context, a behalf.OAuthApp) error {
	err := m.enter("DeleteOAuthSecret")
	defer m.mu.Unlock()
	if err == nil {
		delete(m.oauthWords, a.ID)
	}
	return err
}
