package api_test

import (
	"context"
	"time"

	"github.com/behalf-dev/behalf/pkg/api"
	"github.com/behalf-dev/behalf/pkg/auth"
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

// keeper stands for pkg/connect, which tries keys at their service: here they are kept as they are.
type keeper []*memory

func (k keeper) Connect(ctx context.Context, keys api.Keys) (behalf.Account, error) {
	for _, m := range k {
		token, err := m.ConnectToken(ctx, auth.Hash(keys.Token))
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return behalf.Account{}, err
		}
		return m.connect(token, keys)
	}
	return behalf.Account{}, fault.New(fault.Conflict, "keeper", "no such token")
}

func (m *memory) connect(token behalf.ConnectToken, keys api.Keys) (behalf.Account, error) {
	err := m.enter("PutConnected")
	defer m.mu.Unlock()
	a := behalf.Account{ID: behalf.NewAccountID(), Project: token.Project, App: keys.App, User: token.User, Name: keys.Name}
	if keys.Account != "" {
		a = m.accounts[key(token.Project, keys.Account)]
	}
	switch {
	case err != nil:
		return a, err
	case !m.connects[token.Hash].Good(time.Now()):
		return a, fault.New(fault.Conflict, "keeper", "it was used")
	case a.User != token.User || a.App != keys.App:
		return a, fault.New(fault.NotFound, "keeper", "no such account")
	}
	m.accounts[key(a.Project, a.ID)] = a
	m.credentials[secretOf(a)] = keys.Fields["token"].Reveal()
	token.Use = behalf.TokenUse{State: behalf.TokenUsed, Account: a.ID}
	m.connects[token.Hash] = token
	return a, nil
}

// bearer is a connect token of a user of mine, who exists by it.
func (w *world) bearer(m *memory, user behalf.ExternalUserID, change ...func(*behalf.ConnectToken)) string {
	text := auth.NewConnectToken()
	token := behalf.ConnectToken{Hash: auth.Hash(text), Project: mine, User: user, ExpiresAt: time.Now().Add(time.Hour)}
	for _, f := range change {
		f(&token)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.connects[token.Hash] = token
	if k := key(token.Project, token.User); m.users[k].ID == "" {
		m.users[k] = behalf.ExternalUser{ID: behalf.NewUserRecordID(), Project: token.Project, External: token.User}
	}
	return text.Reveal()
}

// as calls with a connect token, as a browser does: without an environment.
func (w *world) as(token, method, target, body string, headers ...string) answer {
	return w.call("", method, target, body, append([]string{"Authorization", "Bearer " + token, "X-Pd-Environment", ""}, headers...)...)
}
