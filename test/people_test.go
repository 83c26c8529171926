//go:build integration

package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/subject"
)

// asks reads what the API answers.
func (w *world) asks(path string, into any) {
	w.t.Helper()
	req := must(http.NewRequest(http.MethodGet, w.apiURL+path, http.NoBody))(w.t)
	req.Header.Set("Authorization", "Bearer "+w.token)
	req.Header.Set("X-Pd-Environment", string(development))
	res := must(w.http.Do(req))(w.t) //nolint:bodyclose // closed below; the linter loses it in must
	defer res.Body.Close()           //nolint:errcheck // it was only read
	if err := json.NewDecoder(res.Body).Decode(into); err != nil || res.StatusCode != http.StatusOK {
		w.t.Fatalf("%s: %s %v", path, res.Status, err)
	}
}

// accountsOf lists all accounts as clients of the Connect API do, and counts how often each user has one.
func (w *world) accountsOf(query string) map[string]int {
	w.t.Helper()
	users := map[string]int{}
	for after := ""; ; {
		var page struct {
			Data []struct {
				User string `json:"external_id"`
			} `json:"data"`
			Info struct {
				Cursor string `json:"end_cursor"`
			} `json:"page_info"`
		}
		w.asks("/v1/connect/"+string(w.file.ProjectID)+"/accounts?limit=100&"+query+"&after="+url.QueryEscape(after), &page)
		for _, a := range page.Data {
			users[a.User]++
		}
		if after = page.Info.Cursor; after == "" {
			return users
		}
	}
}

// TestAnImportIsResumed kills the import twice, and runs it a third time: each account is there
// once. BEHALF_TEST_ACCOUNTS says how many, so that 100,000 can be tried and timed.
func TestAnImportIsResumed(t *testing.T) {
	t.Parallel()
	n := 600
	if text := os.Getenv("BEHALF_TEST_ACCOUNTS"); text != "" {
		n = must(strconv.Atoi(text))(t)
	}
	w := newWorld(t)
	var lines bytes.Buffer
	for i := range n {
		_, _ = fmt.Fprintf(&lines, `{"app":"practice","user":"user-%06d","credential":{"oauth_access_token":"canary-%d","scopes":["inbox"]}}`+"\n", i, i)
	}
	file := filepath.Join(w.folder("import"), "accounts.jsonl")
	write(t, file, lines.String())
	args := []string{"accounts", "import", file, "--env", string(development), "--json"}

	began := time.Now()
	first := w.start("import", w.env, args...)
	patience := time.Minute + time.Duration(n)*20*time.Millisecond
	eventually(t, patience, "a third is not imported", func() bool { return strings.Count(first.output(), "\n") > n/3 })
	first.kill()
	second := w.start("import-again", w.env, args...)
	eventually(t, patience, "two thirds are not imported", func() bool { return strings.Count(second.output(), "\n") > n*2/3 })
	second.kill()
	resumed := time.Now()
	third := w.start("import-third", w.env, args...)
	eventually(t, patience, "the import does not end", func() bool {
		select {
		case <-third.ended:
			return true
		default:
			return false
		}
	})
	out := third.output()
	t.Logf("%d accounts: two imports cut short %v, the third %v", n, resumed.Sub(began).Round(time.Millisecond), time.Since(resumed).Round(time.Millisecond))

	if kept := strings.Count(out, `"outcome":"kept"`); kept < n*2/3 || kept+strings.Count(out, `"outcome":"created"`) != n {
		t.Errorf("%d of %d were kept", kept, n)
	}
	if strings.Contains(out+first.output()+second.output(), "canary") {
		t.Error("an import printed a credential")
	}
	users := w.accountsOf("")
	if len(users) != n {
		t.Errorf("%d users have accounts, want %d", len(users), n)
	}
	for user, count := range users {
		if count != 1 {
			t.Errorf("%s has %d accounts", user, count)
		}
	}
}

// TestWhoIsForgottenLeavesNothing forgets a user of whom one event ran and others wait: they end without running, and no
// stream has a word of the user's.
func TestWhoIsForgottenLeavesNothing(t *testing.T) {
	t.Parallel()
	const canary = "words-of-jane"
	w := newWorld(t)
	d := w.deploy("note", map[string]string{
		"workflow.yaml": flow("oauth", "immediate", "", "only"),
		"only.mjs": `export default defineComponent({ async run({ steps }) {
  await fetch("VENDOR/call", { method: "POST", body: JSON.stringify({ event: steps.trigger.event.body.text }), headers: { "idempotency-key": "x" } });
  return steps.trigger.event.body;
} });`,
	})
	w.account(development, "jane-7", "token-of-jane")
	w.account(development, "xyz-9", "token-of-xyz")
	body := func(text string) string { return `{"text":"` + text + `"}` }
	worker := w.worker("--slots", "2")
	for _, user := range []string{"jane-7", "xyz-9"} {
		if a := w.post(d.PathURL, body(canary+" of "+user), as(user)); a.status/100 != 2 {
			t.Fatal(a)
		}
	}
	w.idle()
	ran := len(w.vendor.all())
	worker.kill()
	for range 5 { // nobody takes them before the user is forgotten
		if a := w.post(d.PathURL, body(canary+" of jane-7"), as("jane-7")); a.status/100 != 2 {
			t.Fatal(a)
		}
	}

	var receipt struct {
		Accounts int `json:"accounts"`
		Erased   struct {
			History int      `json:"history"`
			Kept    []string `json:"kept"`
		} `json:"erased"`
	}
	out := w.mustRun("", "users", "forget", "jane-7", "--env", string(development), "--json")
	if err := json.Unmarshal([]byte(out), &receipt); err != nil || receipt.Accounts != 1 || receipt.Erased.History != 1 || len(receipt.Erased.Kept) != 0 {
		t.Errorf("the receipt is %s: %v", out, err)
	}
	w.worker("--slots", "2")
	w.idle()
	if again := len(w.vendor.all()); again != ran || ran != 2 {
		t.Errorf("the vendor was called %d times before, and %d after", ran, again)
	}
	for _, stream := range []string{
		subject.Runs(development), subject.Keyed(development), subject.History(development), subject.Events(development),
		subject.Timers(development), subject.DeadLetters(development), "KV_" + subject.Users(development), "KV_" + subject.Sealed(development),
	} {
		w.tellsNothing(stream, canary+" of jane-7", "jane-7", "token-of-jane")
	}
	if users := w.accountsOf("app=practice"); len(users) != 1 || users["xyz-9"] != 1 {
		t.Errorf("left are the accounts of %v", users)
	}
	if runs := w.mustRun("", "runs", "list", "--user", "xyz-9", "--env", string(development), "--json"); !strings.Contains(runs, "run_") {
		t.Errorf("another user's history is %q", runs)
	}
}

// tellsNothing reads a stream whole.
func (w *world) tellsNothing(stream string, words ...string) {
	w.t.Helper()
	s := must(w.js.Stream(w.t.Context(), stream))(w.t)
	for seq := s.CachedInfo().State.FirstSeq; seq <= s.CachedInfo().State.LastSeq; seq++ {
		m, err := s.GetMsg(w.t.Context(), seq)
		if err != nil { // it is gone
			continue
		}
		for _, word := range words {
			if strings.Contains(string(m.Data), word) {
				w.t.Errorf("%s has at %s: %s", stream, m.Subject, m.Data)
			}
		}
	}
}
