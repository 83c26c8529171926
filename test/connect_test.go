//go:build integration

package test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// connectToken asks a running dev for a link on which a user connects an account.
func (h *home) connectToken(body string) (token, link string) {
	h.t.Helper()
	var made struct {
		Token string `json:"token"`
		Link  string `json:"connect_link_url"`
	}
	a := h.post("http://"+h.addr+"/v1/connect/"+string(h.file.ProjectID)+"/tokens", body, in("development"))
	if err := json.Unmarshal([]byte(a.body), &made); err != nil || made.Link == "" {
		h.t.Fatalf("%v", a)
	}
	return made.Token, made.Link
}

// accountsOf are a user's accounts, as the command line lists them.
func (h *home) accountsOf(user string) string {
	h.t.Helper()
	return h.mustRun("", "accounts", "list", "--user", user, "--env", "development", "--json")
}

// framing is a page of an application that shows ours in a frame, and writes down what it hears.
func framing(t *testing.T) (origin string) {
	t.Helper()
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	mux.HandleFunc("GET /app", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprintf(w, `<!doctype html><title>Application</title><script>
			window.heard = [];
			addEventListener("message", (e) => heard.push({ origin: e.origin, data: e.data }));
		</script><iframe src="%s" width="860" height="640"></iframe>`, strings.ReplaceAll(r.URL.Query().Get("src"), "&", "&amp;"))
	})
	return "http://localhost:" + port
}

const consentAs = `document.getElementById("user").value = %q, document.querySelector("button.yes").click()`

// A user clicks through a connect link in a real browser; then another application shows the same page in a frame.
func TestAUserConnectsInABrowser(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.serve("--app-url", "stripe="+stripe(t))
	c := newChromium(t)
	t.Run("at the end of a link", func(t *testing.T) { connectsUnframed(t, h, c) })
	t.Run("in a frame", func(t *testing.T) { connectsFramed(t, h, c) })
	t.Run("not in a frame of a stranger", func(t *testing.T) { refusesStrangersFrame(t, h, c) })
	t.Run("with keys, which are tried", func(t *testing.T) { connectsByKeys(t, h, c) })
	t.Run("by pages of the application", func(t *testing.T) { callsByPages(t, h, c) })
	t.Run("by the command line", func(t *testing.T) { connectsByCommand(t, h, c) })
	if log := h.dev.output(); strings.Contains(log, "ctok_") {
		t.Error("a connect token is in the log")
	}
}

func connectsUnframed(t *testing.T, h *home, c *chromium) {
	t.Helper()
	done := framing(t)
	_, link := h.connectToken(`{"external_user_id":"linked","success_redirect_uri":"` + done + `/app?done=1"}`)
	page := c.open(link + "&app=practice")
	c.says(page, "Connect Practice")
	c.until(page, `document.querySelectorAll("h1").length === 1 && document.documentElement.lang === "en"`)
	c.shoot(page, "link")
	c.eval(page, `document.getElementById("go").click()`)
	c.says(page, "Allow Behalf to post for you?")
	c.eval(page, fmt.Sprintf(consentAs, "linked"))
	c.until(page, `location.href.startsWith("`+done+`/app?done=1")`)
	if all := h.accountsOf("linked"); !strings.Contains(all, `"name":"linked"`) || strings.Count(all, "\n") != 1 {
		t.Errorf("accounts %s", all)
	}
	again := c.open(link + "&app=practice")
	c.says(again, "This link was used already")
	c.shoot(again, "used")
	// Without a script, and without anywhere to go on to.
	_, link = h.connectToken(`{"external_user_id":"plain","app_id":"practice"}`)
	plain := c.open("about:blank")
	c.call(plain, "Emulation.setScriptExecutionDisabled", map[string]any{"value": true})
	c.call(plain, "Page.navigate", map[string]any{"url": link})
	c.says(plain, "Connect Practice")
	c.eval(plain, `document.getElementById("go").click()`)
	c.says(plain, "Allow Behalf to post for you?")
	c.eval(plain, fmt.Sprintf(consentAs, "plain"))
	c.says(plain, "Practice is connected")
	c.shoot(plain, "connected")
}

func connectsFramed(t *testing.T, h *home, c *chromium) {
	t.Helper()
	application := framing(t)
	token, _ := h.connectToken(`{"external_user_id":"framed","allowed_origins":["` + application + `"]}`)
	src := "http://" + h.addr + "/_static/connect.html?token=" + token + "&app=practice&oauthAppId="
	page := c.open(application + "/app?src=" + url.QueryEscape(src))
	frame := c.at("/_static/connect.html?token=" + token)
	c.says(frame, "in a new window")
	c.shoot(page, "framed")
	c.eval(frame, `document.getElementById("go").click()`)
	popup := c.at("/oauth/authorize?")
	c.says(frame, "Waiting for you to finish")
	c.eval(popup, `document.querySelector("button[value=deny]").click()`)
	c.says(popup, "The account was not connected")
	c.shoot(popup, "denied")
	c.says(frame, "consent was refused")
	c.shoot(page, "framed-denied")
	c.eval(frame, `document.getElementById("go").click()`)
	second := c.at("/oauth/authorize?")
	c.says(second, "Allow Behalf to post for you?")
	c.eval(second, fmt.Sprintf(consentAs, "framed"))
	c.says(second, "You can close this window")
	c.until(page, `heard.some((m) => m.data.type === "close")`)
	account := h.accountsOf("framed")
	var made struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal([]byte(account), &made); err != nil {
		t.Fatalf("accounts %s", account)
	}
	heard := c.eval(page, `JSON.stringify(heard.map((m) => [m.origin, m.data.type, m.data.authProvisionId || m.data.error || ""]))`)
	at := "http://" + h.addr
	want, _ := json.Marshal([][]string{{at, "error", "The consent was refused at Practice."}, {at, "success", made.ID}, {at, "close", ""}})
	quoted, _ := json.Marshal(string(want))
	if heard != string(quoted) {
		t.Errorf("the application heard %s, want %s", heard, quoted)
	}
}

func refusesStrangersFrame(t *testing.T, h *home, c *chromium) {
	t.Helper()
	stranger := framing(t)
	token, _ := h.connectToken(`{"external_user_id":"stolen","allowed_origins":["https://app.example.com"]}`)
	page := c.open(stranger + "/app?src=" + url.QueryEscape("http://"+h.addr+"/_static/connect.html?token="+token+"&app=practice"))
	c.until(page, `document.readyState === "complete"`)
	// The browser puts a page of its own where ours would be: one into which the stranger cannot look either.
	c.anywhere(`location.href === "chrome-error://chromewebdata/"`)
	if c.somewhere(`document.title === "Connect Practice" && location.search.includes("` + token + `")`) {
		t.Error("a stranger's frame shows our page")
	}
	if heard := c.eval(page, "heard.length"); heard != "0" {
		t.Errorf("a stranger heard %s messages", heard)
	}
}

func connectsByKeys(t *testing.T, h *home, c *chromium) {
	t.Helper()
	application := framing(t)
	token, _ := h.connectToken(`{"external_user_id":"keyed","app_id":"stripe","allowed_origins":["` + application + `"]}`)
	page := c.open(application + "/app?src=" + url.QueryEscape("http://"+h.addr+"/_static/connect.html?token="+token+"&app=stripe&hideClose=true"))
	frame := c.at("/_static/connect.html?token=" + token)
	c.says(frame, "Secret key")
	c.until(frame, `[...document.querySelectorAll("input:not([type=hidden])")].every((i) => i.labels.length === 1 && i.required && i.type === "password")`)
	send := func(key string) {
		c.eval(frame, `document.getElementById("field_api_key").value = "`+key+`", document.getElementById("go").click()`)
	}
	send("sk_wrong")
	c.says(frame, "Stripe does not accept this credential")
	c.shoot(page, "keys")
	if c.eval(frame, `document.getElementById("field_api_key").value`) != `""` || h.accountsOf("keyed") != "" {
		t.Error("a key that does not work is shown or kept")
	}
	send("sk_good")
	c.until(page, `heard.some((m) => m.data.type === "close")`)
	c.shoot(page, "keys-connected")
	if kinds := c.eval(page, `heard.map((m) => m.data.type).join()`); kinds != `"error,success,close"` {
		t.Errorf("the application heard %s", kinds)
	}
	if all := h.accountsOf("keyed"); !strings.Contains(all, `"name":"Acme"`) || strings.Contains(all, "sk_good") {
		t.Errorf("accounts %s", all)
	}
}

// stripe is a service that takes one key.
func stripe(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path != "/v1/account" || r.Header.Get("Authorization") != "Bearer sk_good" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte(`{"id":"acct_1","business_profile":{"name":"Acme"}}`))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func connectsByCommand(t *testing.T, h *home, c *chromium) {
	t.Helper()
	p := start(t, h.dir, "connect", h.env, program(t, behalfProgram), "accounts", "connect", "practice", "--user", "typed", "--env", "development", "--json")
	link := ""
	p.until(t, "print a link", func() bool {
		for line := range strings.SplitSeq(p.output(), "\n") {
			if at := strings.Index(line, "http://"); at >= 0 && strings.Contains(line, "/_static/connect.html?token=") {
				link = strings.TrimSpace(line[at:])
			}
		}
		return link != ""
	})
	page := c.open(link)
	c.says(page, "Connect Practice")
	c.eval(page, `document.getElementById("go").click()`)
	c.says(page, "Allow Behalf to post for you?")
	c.eval(page, fmt.Sprintf(consentAs, "typed"))
	c.says(page, "Practice is connected")
	<-p.ended
	if out := p.output(); p.cmd.ProcessState.ExitCode() != 0 || !strings.Contains(out, `"app":"practice"`) || !strings.Contains(out, `"user":"typed"`) {
		t.Errorf("%s", out)
	}
}
