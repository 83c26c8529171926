package cli

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/behalf-dev/behalf/pkg/bus/bustest"
)

// A backend's client is made, loses its first secret, and is ended; its token ends with it.
func TestClients(t *testing.T) {
	dir := t.TempDir()
	file := startDev(t, dir)
	s := terminal{t, dir}
	made := func(args ...string) (line clientLine) {
		t.Helper()
		if err := json.Unmarshal([]byte(s.must(append(args, "--json")...)), &line); err != nil || !strings.HasPrefix(line.Secret, "behalf_cs_") {
			t.Fatalf("%v: %+v, %v", args, line, err)
		}
		return line
	}
	token := func(line clientLine) (status int, bearer string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, file.APIURL+"/v1/oauth/token",
			strings.NewReader(`{"grant_type":"client_credentials","client_id":"`+string(line.ID)+`","client_secret":"`+line.Secret+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		status, body := exchange(t, request)
		var told struct {
			Token string `json:"access_token"`
		}
		_ = json.Unmarshal([]byte(body), &told)
		return status, told.Token
	}
	users := func(bearer string) int {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, file.APIURL+"/v1/users", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header = http.Header{"Authorization": {"Bearer " + bearer}, "X-Pd-Environment": {"development"}}
		status, _ := exchange(t, request)
		return status
	}

	first := made("clients", "create", "--name", "backend", "--env", "development")
	second := made("clients", "rotate", string(first.ID), "--env", "development")
	if status, _ := token(first); status != http.StatusUnauthorized {
		t.Errorf("the first secret is answered %d", status)
	}
	status, bearer := token(second)
	if status != http.StatusOK || users(bearer) != http.StatusOK {
		t.Errorf("the second secret is answered %d", status)
	}
	listed := s.must("clients", "list", "--env", "development")
	if !strings.Contains(listed, string(first.ID)) || !strings.Contains(listed, "connect invoke") || strings.Contains(listed, "behalf_cs_") {
		t.Errorf("listed %s", listed)
	}
	s.must("clients", "revoke", string(first.ID), "--env", "development")
	bustest.Eventually(t, "the token of a revoked client is refused", func() bool { return users(bearer) == http.StatusUnauthorized })
	if shown := s.must("clients", "show", string(first.ID), "--env", "development"); !strings.Contains(shown, `"revoked": true`) {
		t.Errorf("shown %s", shown)
	}
	if _, stderr, code := s.run("", "clients", "revoke", string(file.ClientID), "--env", "development"); code == 0 || !strings.Contains(stderr, "the client that asks") {
		t.Errorf("%d %s", code, stderr)
	}
}
