//go:build integration

package test

import (
	"net/http"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/auth"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/store"
)

// stores opens the definitions of every environment from the side.
func (w *world) stores() map[behalf.Environment]*store.Store {
	w.t.Helper()
	all := make(map[behalf.Environment]*store.Store, 2)
	for _, env := range behalf.Environments() {
		nc, _ := w.servers.connect(w.t, env)
		all[env] = must(store.New(w.t.Context(), nc, env, store.Config{}, zerolog.Nop()))(w.t)
	}
	return all
}

func (w *world) putClient(c behalf.Client) {
	w.t.Helper()
	for _, s := range w.stores() {
		revision := uint64(0)
		if known, err := s.ClientForChange(w.t.Context(), c.ID); err == nil {
			revision = known.Revision
		}
		must(s.PutClient(w.t.Context(), c, revision))(w.t)
	}
}

// client makes a client like this one, and returns a token of it.
func (w *world) client(c behalf.Client) string {
	w.t.Helper()
	secret := auth.NewSecret()
	c.V, c.ID, c.Project, c.SecretHash, c.Generation = behalf.FormatVersion, behalf.NewClientID(), w.file.ProjectID, auth.Hash(secret), 1
	w.putClient(c)
	return w.newToken(c.ID, secret.Reveal())
}

// A client that was revoked, or rotated, is refused everywhere within five seconds.
func TestAClientDies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker()
	one := w.deploy("one", oneStep("custom", 0))
	for name, kill := range map[string]func(*behalf.Client){
		"revoked": func(c *behalf.Client) { c.Revoked = true; c.Generation++ },
		"rotated": func(c *behalf.Client) { c.Generation++ },
	} {
		secret := auth.NewSecret()
		c := behalf.Client{
			V: behalf.FormatVersion, ID: behalf.NewClientID(), Project: w.file.ProjectID, SecretHash: auth.Hash(secret), Generation: 1,
			Scopes: []behalf.Scope{behalf.ScopeInvoke, behalf.ScopeManage}, Environments: behalf.Environments(),
		}
		w.putClient(c)
		bearer := "Bearer " + w.newToken(c.ID, secret.Reveal())
		ingress := func() int {
			return w.post(one.PathURL, event(name), func(r *http.Request) { r.Header.Set("Authorization", bearer) }).status
		}
		api := func() int {
			return w.result("run_00000000000000000000000000000000", func(r *http.Request) {
				r.URL.Path = "/v1/runs"
				r.Header.Set("Authorization", bearer)
			}).status
		}
		if i, a := ingress(), api(); i != http.StatusOK || a != http.StatusOK {
			t.Fatalf("%s: before, the ingress answers %d, the api %d", name, i, a)
		}
		kill(&c)
		w.putClient(c)
		began := time.Now()
		eventually(t, 5*time.Second, "a client that was "+name+" still passes", func() bool {
			return ingress() == http.StatusUnauthorized && api() == http.StatusUnauthorized
		})
		t.Logf("%s: refused at ingress and api after %s", name, time.Since(began).Round(time.Millisecond))
	}
}
