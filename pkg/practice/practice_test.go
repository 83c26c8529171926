package practice_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/practice"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// clock is a time that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func open(t *testing.T, cfg practice.Config) *practice.Practice {
	t.Helper()
	p, err := practice.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func connect(t *testing.T, p *practice.Practice, user string) practice.Token {
	t.Helper()
	token, err := p.Connect(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func call(t *testing.T, p http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w
}

func post(t *testing.T, p http.Handler, token secret.String, text, key string) *httptest.ResponseRecorder {
	t.Helper()
	body, err := json.Marshal(map[string]string{"text": text})
	if err != nil {
		t.Fatal(err)
	}
	headers := []string{"Authorization", "Bearer " + token.Reveal()}
	if key != "" {
		headers = append(headers, "Idempotency-Key", key)
	}
	return call(t, p, http.MethodPost, "/messages", string(body), headers...)
}

type inboxes struct {
	Calls   int `json:"calls"`
	Effects int `json:"effects"`
	Users   []struct {
		User     string `json:"user"`
		Messages []struct {
			ID   string `json:"id"`
			Text string `json:"text"`
		} `json:"messages"`
	} `json:"users"`
}

func read(t *testing.T, p http.Handler) inboxes {
	t.Helper()
	return decode[inboxes](t, call(t, p, http.MethodGet, "/inbox.json", ""))
}

func decode[T any](t *testing.T, w *httptest.ResponseRecorder) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	return v
}

// texts is who has what, as one line.
func (i inboxes) texts() string {
	var all []string
	for _, u := range i.Users {
		var texts []string
		for _, m := range u.Messages {
			texts = append(texts, m.Text)
		}
		all = append(all, u.User+"="+strings.Join(texts, ","))
	}
	return strings.Join(all, " ")
}

func TestEachTokenPostsToItsOwnUsersInbox(t *testing.T) {
	t.Parallel()
	p := open(t, practice.Config{})
	one, two := connect(t, p, "abc-123"), connect(t, p, "xyz-9")

	if w := post(t, p, one.Access, "for abc", ""); w.Code != http.StatusCreated {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	w := post(t, p, two.Access, "for xyz", "")
	message := decode[map[string]string](t, w)
	if message["user"] != "xyz-9" || message["text"] != "for xyz" || !strings.HasPrefix(message["id"], "msg_") {
		t.Errorf("got %v", message)
	}
	if got, want := read(t, p).texts(), "abc-123=for abc xyz-9=for xyz"; got != want {
		t.Errorf("inboxes are %q, want %q", got, want)
	}
	me := call(t, p, http.MethodGet, "/me", "", "Authorization", "bearer "+two.Access.Reveal())
	if got := strings.TrimSpace(me.Body.String()); got != `{"user":"xyz-9"}` {
		t.Errorf("/me says %s", got)
	}
}

func TestCallsThatAreRefused(t *testing.T) {
	t.Parallel()
	p := open(t, practice.Config{})
	token := connect(t, p, "u")
	bearer := "Bearer " + token.Access.Reveal()
	for name, c := range map[string]struct {
		authorization, body, key string
		status                   int
	}{
		"no token":                     {"", `{"text":"x"}`, "", 401},
		"a wrong token":                {"Bearer nope", `{"text":"x"}`, "", 401},
		"a refresh token":              {"Bearer " + token.Refresh.Reveal(), `{"text":"x"}`, "", 401},
		"another scheme":               {"Basic " + token.Access.Reveal(), `{"text":"x"}`, "", 401},
		"no text":                      {bearer, `{}`, "", 400},
		"an empty text":                {bearer, `{"text":""}`, "", 400},
		"not JSON":                     {bearer, `text`, "", 400},
		"two documents":                {bearer, `{"text":"x"} {"text":"y"}`, "", 400},
		"an unknown field":             {bearer, `{"text":"x","to":"somebody else"}`, "", 400},
		"a wrong type":                 {bearer, `{"text":1}`, "", 400},
		"more than 16 KiB":             {bearer, `{"text":"` + strings.Repeat("x", 16<<10) + `"}`, "", 413},
		"a missing value for a key":    {bearer, `{"text":"x"}`, "undefined", 400},
		"a key longer than any has to": {bearer, `{"text":"x"}`, strings.Repeat("k", 256), 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := call(t, p, http.MethodPost, "/messages", c.body, "Authorization", c.authorization, "Idempotency-Key", c.key)
			if w.Code != c.status || decode[map[string]string](t, w)["error"] == "" {
				t.Errorf("%d %s, want %d", w.Code, w.Body, c.status)
			}
		})
	}
	t.Cleanup(func() {
		if got := read(t, p); got.Effects != 0 || got.Calls != 0 {
			t.Errorf("a refused call counts: %+v", got)
		}
	})
}

func TestTheSameKeyMakesOneMessage(t *testing.T) {
	t.Parallel()
	p := open(t, practice.Config{})
	one, two := connect(t, p, "one"), connect(t, p, "two")

	first := post(t, p, one.Access, "hello", "k1")
	again := post(t, p, one.Access, "hello", "k1")
	if first.Code != 201 || again.Code != 200 || again.Header().Get("Idempotent-Replayed") != "true" || first.Body.String() != again.Body.String() {
		t.Errorf("first %d %s, again %d %s", first.Code, first.Body, again.Code, again.Body)
	}
	if w := post(t, p, one.Access, "another text", "k1"); w.Code != 422 {
		t.Errorf("another text under the key: %d %s", w.Code, w.Body)
	}
	if w := post(t, p, two.Access, "hello", "k1"); w.Code != 201 {
		t.Errorf("the key of another user: %d %s", w.Code, w.Body)
	}
	if got := read(t, p); got.Calls != 4 || got.Effects != 2 {
		t.Errorf("calls %d, effects %d, want 4 and 2", got.Calls, got.Effects)
	}
}

func TestConcurrentCallsLoseNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "practice.jsonl")
	p := open(t, practice.Config{StatePath: path})
	token := connect(t, p, "u")
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			if w := post(t, p, token.Access, "hello", fmt.Sprint(i%20)); w.Code/100 != 2 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
	all.Wait()
	for _, p := range []*practice.Practice{p, open(t, practice.Config{StatePath: path})} {
		if got := read(t, p); got.Calls != 60 || got.Effects != 20 || len(got.Users[0].Messages) != 20 {
			t.Errorf("calls %d, effects %d, want 60 and 20", got.Calls, got.Effects)
		}
	}
}

func TestAllIsKeptOverARestart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "practice.jsonl")
	// No Close: this is how a kill leaves it.
	before, err := practice.New(practice.Config{StatePath: path})
	if err != nil {
		t.Fatal(err)
	}
	token := connect(t, before, "u")
	for i := range 205 {
		post(t, before, token.Access, fmt.Sprintf("m%d", i), fmt.Sprintf("k%d", i))
	}

	after := open(t, practice.Config{StatePath: path})
	if w := post(t, after, token.Access, "m0", "k0"); w.Code != 200 {
		t.Errorf("a key from before the restart makes a second message: %d %s", w.Code, w.Body)
	}
	got := read(t, after)
	if got.Calls != 206 || got.Effects != 205 || len(got.Users) != 1 || len(got.Users[0].Messages) != 200 {
		t.Errorf("calls %d, effects %d, users %d", got.Calls, got.Effects, len(got.Users))
	}
	if newest := got.Users[0].Messages[0].Text; newest != "m204" {
		t.Errorf("the newest message is %s", newest)
	}
	third := open(t, practice.Config{StatePath: path})
	if w := post(t, third, token.Access, "m1", "k1"); w.Code != 200 {
		t.Errorf("a key from before two restarts: %d %s", w.Code, w.Body)
	}
}

func TestTheStateFileIsPrivateAndHasNoTokenInClear(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "practice.jsonl")
	p := open(t, practice.Config{StatePath: path, ClientSecret: secret.New("very-secret")})
	token := connect(t, p, "u")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, clear := range []string{token.Access.Reveal(), token.Refresh.Reveal(), "very-secret"} {
		if strings.Contains(string(text), clear) {
			t.Errorf("the file has %q in clear", clear)
		}
	}
}

func TestATornLastLineIsForgottenAndGarbageRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "practice.jsonl")
	whole := `{"message":{"n":1,"id":"msg_a","user":"u","text":"kept","at":"2026-11-24T12:00:00Z"}}` + "\n"
	if err := os.WriteFile(path, []byte(whole+whole+`{"message":{"n":2,"id`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := read(t, open(t, practice.Config{StatePath: path})).texts(); got != "u=kept" {
		t.Errorf("inboxes are %q", got)
	}
	if err := os.WriteFile(path, []byte("garbage\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := practice.New(practice.Config{StatePath: path}); !fault.Is(err, fault.Invalid) {
		t.Errorf("got %v", err)
	}
}

func TestAMessageThatCannotBeWrittenDownIsNotAnsweredFor(t *testing.T) {
	t.Parallel()
	p, err := practice.New(practice.Config{StatePath: filepath.Join(t.TempDir(), "practice.jsonl")})
	if err != nil {
		t.Fatal(err)
	}
	token := connect(t, p, "u")
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if w := post(t, p, token.Access, "hello", ""); w.Code != http.StatusServiceUnavailable {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestThePageShowsEachMessageUnderItsUserAndEscapesAll(t *testing.T) {
	t.Parallel()
	p := open(t, practice.Config{})
	token := connect(t, p, `<script>alert("user")</script>`)
	connect(t, p, "xyz-9")
	post(t, p, token.Access, `</p><script>alert("text")</script>`, "")
	for _, path := range []string{"/", "/practice"} {
		w := call(t, p, http.MethodGet, path, "")
		page := w.Body.String()
		if w.Code != 200 || strings.Count(page, "<script") != 1 || strings.Count(page, "<section") != 2 {
			t.Errorf("%s: %d\n%s", path, w.Code, page)
		}
		for _, want := range []string{"alert(&#34;user&#34;)", "alert(&#34;text&#34;)", "Nothing yet.", `lang="en"`, "1 message<"} {
			if !strings.Contains(page, want) {
				t.Errorf("%s lacks %q", path, want)
			}
		}
		if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("policy is %q", policy)
		}
	}
}

func TestASlowVendorPostsNothingForACallerWhoLeft(t *testing.T) {
	t.Parallel()
	p := open(t, practice.Config{Delay: time.Hour})
	token := connect(t, p, "u")
	ctx, leave := context.WithCancel(t.Context())
	leave()
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/messages", strings.NewReader(`{"text":"x"}`))
	r.Header.Set("Authorization", "Bearer "+token.Access.Reveal())
	p.ServeHTTP(httptest.NewRecorder(), r)
	if got := read(t, p); got.Effects != 0 {
		t.Errorf("effects %d", got.Effects)
	}
	slow := open(t, practice.Config{Delay: time.Millisecond})
	if w := post(t, slow, connect(t, slow, "u").Access, "x", ""); w.Code != 201 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func ExamplePractice() {
	p, err := practice.New(practice.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(p)
	defer server.Close()

	token, err := p.Connect(context.Background(), "abc-123")
	if err != nil {
		fmt.Println(err)
		return
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, server.URL+"/me", http.NoBody)
	if err != nil {
		fmt.Println(err)
		return
	}
	req.Header.Set("Authorization", "Bearer "+token.Access.Reveal())
	resp, err := server.Client().Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	fmt.Println(resp.Status, strings.TrimSpace(string(body)), err)
	// Output: 200 OK {"user":"abc-123"} <nil>
}
