package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// visitor is somebody with a browser that runs no script.
type visitor struct {
	t    *testing.T
	http *http.Client
}

func newVisitor(t *testing.T) visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return visitor{t, &http.Client{Jar: jar}}
}

// page opens a page, or sends a form, and gives what it shows.
func (v visitor) page(address string, form url.Values) string {
	v.t.Helper()
	method := http.MethodGet
	if form != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(v.t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := v.http.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		v.t.Fatal(err)
	}
	return string(body)
}

// part is what a pattern finds in a page.
func (v visitor) part(page, pattern string) string {
	v.t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(page)
	if m == nil {
		v.t.Fatalf("no %s in %s", pattern, page)
	}
	return html.UnescapeString(m[1])
}

// connect clicks through our page and the practice app's, as this user there.
func (v visitor) connect(link, as string) string {
	v.t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		v.t.Fatal(err)
	}
	if page := v.page(link, nil); !strings.Contains(page, "Continue to Practice") {
		v.t.Fatalf("our page: %s", page)
	}
	going := v.page("http://"+u.Host+"/connect/start", url.Values{"token": {u.Query().Get("token")}, "app": {"practice"}, "connectLink": {"true"}})
	consent := v.part(going, `http-equiv="refresh" content="0;url=([^"]+)"`)
	asked := v.part(v.page(consent, nil), `name="request" value="([A-Z2-7]+)"`)
	at, _, _ := strings.Cut(consent, "?")
	return v.page(at, url.Values{"request": {asked}, "user": {as}, "answer": {"allow"}})
}

// A user connects an account by a link that the command line gives, and again, which makes no second account.
func TestAccountsConnect(t *testing.T) {
	dir := t.TempDir()
	startDev(t, dir)
	s := terminal{t, dir}
	for _, format := range [][]string{{"--json"}, nil} {
		var out bytes.Buffer
		read, write := io.Pipe()
		over := make(chan int, 1)
		go func() {
			over <- run(t.Context(), append([]string{"accounts", "connect", "practice", "--user", "typed", "--env", "development"}, format...), world{
				lookupEnv: func(name string) (string, bool) { return dir, name == "BEHALF_DATA_DIR" },
				stdin:     strings.NewReader(""), stdout: &out, stderr: write,
			})
			_ = write.Close()
		}()
		lines := bufio.NewScanner(read)
		link := ""
		for link == "" && lines.Scan() {
			if text := strings.TrimSpace(lines.Text()); strings.HasPrefix(text, "http") {
				link = text
			}
		}
		go func() { _, _ = io.Copy(io.Discard, read) }()
		if done := newVisitor(t).connect(link, "somebody"); !strings.Contains(done, "Practice is connected") || !strings.Contains(done, "somebody") {
			t.Fatalf("the last page: %s", done)
		}
		if code := <-over; code != 0 || !strings.Contains(out.String(), "somebody") || !strings.Contains(out.String(), "apn_") || strings.Contains(out.String(), "prac_") {
			t.Errorf("exit %d: %s", code, out.String())
		}
	}
	list := s.must("accounts", "list", "--user", "typed", "--env", "development", "--json")
	if strings.Count(list, "\n") != 1 {
		t.Errorf("accounts %s", list)
	}
	for want, args := range map[string][]string{
		"external user ID must have 1 to 250 characters":    {"accounts", "connect", "practice"},
		"app_id names no app that is known here":            {"accounts", "connect", "nothing", "--user", "u"},
		"oauth_app_id names no OAuth app of this project":   {"accounts", "connect", "slack", "--user", "u", "--oauth-app", "oa_none"},
		"a secret never comes by argument\nhint: pass --se": {"oauth-apps", "create", "slack", "--client-id", "1", "--secret", "hunter2"},
		"standard input is empty":                           {"oauth-apps", "create", "slack", "--client-id", "1", "--secret", "-"},
		"client_id is missing":                              {"oauth-apps", "create", "slack"},
		"there is nothing to change":                        {"oauth-apps", "change", "oa_1"},
	} {
		if out, stderr, code := s.run("", append(args, "--env", "development")...); code != 2 || out != "" || !strings.Contains(stderr, want) {
			t.Errorf("%v: %d %s%s", args, code, out, stderr)
		}
	}
}

// A link that was used up by tries that failed is not waited for until it ends.
func TestALinkThatIsUsedUpIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		_, _ = fmt.Fprintf(w, `{"success":%v,"project_id":"proj_1"}`, asked == 1)
	}))
	t.Cleanup(server.Close)
	r := &remote{base: server.URL, http: server.Client(), token: secret.New("bearer")}
	id, err := connecting{app: "practice"}.wait(t.Context(), r, "ctok_1", time.Millisecond)
	if !fault.Is(err, fault.Conflict) || id != "" || !strings.Contains(fault.Safe(err), "run this again") || asked != 2 {
		t.Errorf("%q after %d questions: %v", id, asked, err)
	}
}

func TestOAuthApps(t *testing.T) {
	dir := t.TempDir()
	startDev(t, dir)
	s := terminal{t, dir}
	env := []string{"--env", "development", "--json"}
	made, stderr, code := s.run("word-canary\n", append([]string{"oauth-apps", "create", "slack", "--client-id", "123.456", "--name", "Acme", "--secret", "-"}, env...)...)
	var app struct {
		ID       string `json:"id"`
		Redirect string `json:"redirect_uri"`
	}
	if err := json.Unmarshal([]byte(made), &app); err != nil || code != 0 || !strings.HasSuffix(app.Redirect, "/connect/callback") {
		t.Fatalf("%d %s%s", code, made, stderr)
	}
	changed := s.must(append([]string{"oauth-apps", "change", app.ID, "--scopes", "chat:write,users:read"}, env...)...)
	all := made + changed + s.must(append([]string{"oauth-apps", "list", "--app", "slack"}, env...)...) + s.must("oauth-apps", "show", app.ID, "--env", "development")
	if strings.Count(all, app.ID) != 4 || !strings.Contains(changed, `"scopes":["chat:write","users:read"]`) || strings.Contains(all, "word-canary") {
		t.Errorf("%s", all)
	}
	if plain := s.must("oauth-apps", "list", "--env", "development"); !strings.Contains(plain, "123.456") {
		t.Errorf("%s", plain)
	}
	if elsewhere := s.must("oauth-apps", "list", "--env", "production", "--json"); elsewhere != "" {
		t.Errorf("in production there is %s", elsewhere)
	}
	s.must("oauth-apps", "delete", app.ID, "--env", "development")
	if out, stderr, code := s.run("", append([]string{"oauth-apps", "show", app.ID}, env...)...); code != 1 || out != "" || !strings.Contains(stderr, "no such OAuth app") {
		t.Errorf("%d %s%s", code, out, stderr)
	}
}
