package api_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/behalf-dev/behalf/pkg/auth"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// madeClient is what the API tells of a client that was made, or has a new secret.
type madeClient struct {
	ID           behalf.ClientID `json:"id"`
	Scopes       []string        `json:"scopes"`
	Environments []string        `json:"environments"`
	Revoked      bool            `json:"revoked"`
	Secret       string          `json:"client_secret"`
}

func (w *world) clientOf(a answer) madeClient {
	w.t.Helper()
	var made madeClient
	if err := json.Unmarshal([]byte(a.body), &made); err != nil || a.status != 200 {
		w.t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	return made
}

// granted asks for a token, and gives the status.
func (w *world) granted(id behalf.ClientID, word string) int {
	w.t.Helper()
	body := `{"grant_type":"client_credentials","client_id":"` + string(id) + `","client_secret":"` + word + `"}`
	return w.call("", "POST", "/v1/oauth/token", body).status
}

func TestAClientIsMadeRotatedAndRevoked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.clientOf(w.call(ours, "POST", "/v1/clients", `{"name":"backend"}`))
	if strings.Join(made.Scopes, " ") != "connect invoke" || strings.Join(made.Environments, " ") != "development" {
		t.Errorf("made %+v", made)
	}
	if kept := w.dev.clients[made.ID]; !auth.Matches(secret.New(made.Secret), kept.SecretHash) || w.prod.clients[made.ID].ID != "" {
		t.Errorf("kept %+v", kept)
	}
	if w.granted(made.ID, made.Secret) != 200 {
		t.Error("the secret that was told is refused")
	}
	shown := w.call(ours, "GET", "/v1/clients/"+string(made.ID), "")
	listed := w.call(ours, "GET", "/v1/clients", "")
	if strings.Contains(shown.body+listed.body, "secret") || !strings.Contains(listed.body, string(made.ID)) {
		t.Errorf("shown %s, listed %s", shown.body, listed.body)
	}

	token := w.clientToken(made.ID, made.Secret)
	again := w.clientOf(w.call(ours, "POST", "/v1/clients/"+string(made.ID)+"/secret", ""))
	if w.granted(made.ID, made.Secret) != 401 || w.granted(made.ID, again.Secret) != 200 {
		t.Error("after a rotation, the old secret is good or the new one is not")
	}
	flat(t, w.call("", "GET", "/v1/users", "", "Authorization", "Bearer "+token), 401, "unauthenticated")

	token = w.clientToken(made.ID, again.Secret)
	if a := w.call(ours, "DELETE", "/v1/clients/"+string(made.ID), ""); a.status != 204 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if w.granted(made.ID, again.Secret) != 401 {
		t.Error("a revoked client gets a token")
	}
	flat(t, w.call("", "GET", "/v1/users", "", "Authorization", "Bearer "+token), 401, "unauthenticated")
	if gone := w.clientOf(w.call(ours, "GET", "/v1/clients/"+string(made.ID), "")); !gone.Revoked {
		t.Error("it is not said that the client is revoked")
	}
	flat(t, w.call(ours, "POST", "/v1/clients/"+string(made.ID)+"/secret", ""), 400, "invalid")
	if strings.Contains(w.log.String(), "behalf_cs_") {
		t.Error("a secret is in the log")
	}
}

// clientToken gets a token for a client.
func (w *world) clientToken(id behalf.ClientID, word string) string {
	w.t.Helper()
	body := `{"grant_type":"client_credentials","client_id":"` + string(id) + `","client_secret":"` + word + `"}`
	var told struct {
		Token string `json:"access_token"`
	}
	if a := w.call("", "POST", "/v1/oauth/token", body); json.Unmarshal([]byte(a.body), &told) != nil || told.Token == "" {
		w.t.Fatalf("%d %s", a.status, a.body)
	}
	return told.Token
}

// What spans both environments is written to both, production first.
func TestAClientOfBothEnvironments(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.clientOf(w.call(ours, "POST", "/v1/clients", `{"scopes":["manage","invoke"],"environments":["development","production"]}`))
	if strings.Join(made.Environments, " ") != "production development" || strings.Join(made.Scopes, " ") != "invoke manage" {
		t.Errorf("made %+v", made)
	}
	delete(w.dev.clients, made.ID) // a run before was cut short
	again := w.clientOf(w.call(ours, "POST", "/v1/clients/"+string(made.ID)+"/secret", "", "X-Pd-Environment", "production"))
	for name, m := range map[string]*memory{"production": w.prod, "development": w.dev} {
		if kept := m.clients[made.ID]; !auth.Matches(secret.New(again.Secret), kept.SecretHash) || kept.Generation != 2 {
			t.Errorf("%s has %+v", name, kept)
		}
	}
	if a := w.call(ours, "DELETE", "/v1/clients/"+string(made.ID), ""); a.status != 204 || !w.prod.clients[made.ID].Revoked || !w.dev.clients[made.ID].Revoked {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// Nobody makes a client that may more than they, gets the secret of one, or ends one where they may not act.
func TestNobodyGivesWhatTheyLack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.client(behalf.Client{ID: "oac_manager", Project: mine, Scopes: []behalf.Scope{behalf.ScopeManage}, Environments: behalf.Environments()})
	for _, c := range []struct {
		who                        behalf.ClientID
		method, path, body, lacked string
	}{
		{"oac_manager", "POST", "/v1/clients", `{}`, "connect"},
		{"oac_manager", "POST", "/v1/clients/" + string(ours) + "/secret", "", "connect"},
		{developer, "POST", "/v1/clients", `{"environments":["production"]}`, "production"},
		{developer, "POST", "/v1/clients/" + string(ours) + "/secret", "", "production"},
		{developer, "DELETE", "/v1/clients/" + string(ours), "", "production"},
	} {
		a := w.call(c.who, c.method, c.path, c.body)
		if flat(t, a, 403, "forbidden"); !strings.Contains(a.body, c.lacked) {
			t.Errorf("%s %s by %s: %s", c.method, c.path, c.who, a.body)
		}
	}
	if w.dev.clients[ours].Revoked || w.prod.clients[ours].Generation != w.dev.clients[ours].Generation {
		t.Error("something was changed")
	}
	flat(t, w.call(ours, "DELETE", "/v1/clients/"+string(ours), ""), 400, "invalid")
	for _, body := range []string{`{"scopes":["*"]}`, `{"scopes":["invoke","invoke"]}`, `{"environments":["staging"]}`, `{"name":"` + strings.Repeat("x", 129) + `"}`, `{"secret":"x"}`} {
		flat(t, w.call(ours, "POST", "/v1/clients", body), 400, "invalid")
	}
}
