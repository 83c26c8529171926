//go:build integration

package test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// chromium is a headless browser, driven over a pipe by its own DevTools protocol.
type chromium struct {
	t   *testing.T
	in  io.Writer
	dir string // of screenshots

	mu      sync.Mutex
	last    int
	answers map[int]chan protocol
	urls    map[string]string // of targets
	targets map[string]string // of sessions
}

type protocol struct {
	ID      int             `json:"id"`
	Method  string          `json:"method"`
	Session string          `json:"sessionId"`
	Params  json.RawMessage `json:"params"`
	Result  json.RawMessage `json:"result"`
	Error   *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// browserPatience is how long a page may take on a machine that has much else to do.
const browserPatience = 60 * time.Second

// newChromium starts a browser that ends with the test. Screenshots go to BEHALF_SCREENSHOTS, if that names a folder.
func newChromium(t *testing.T) *chromium {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("there is no chromium: apt-get install chromium")
	}
	theirIn, ourOut := pipe(t)
	ourIn, theirOut := pipe(t)
	profile, err := os.MkdirTemp("", "behalf-chromium-") //nolint:usetesting // it still writes while it dies, and TempDir would fail the test
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-proxy-server",
		"--disable-background-networking", "--site-per-process", "--remote-debugging-pipe", "--window-size=900,700", "--user-data-dir="+profile)
	cmd.ExtraFiles = []*os.File{theirIn, theirOut} // 3 and 4
	cmd.Env = append(foreign(os.Environ()), "HOME="+profile)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = theirIn.Close(), theirOut.Close()
	c := &chromium{
		t: t, in: ourOut, dir: os.Getenv("BEHALF_SCREENSHOTS"),
		answers: map[int]chan protocol{}, urls: map[string]string{}, targets: map[string]string{},
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		c.listen(ourIn)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = ourOut.Close()
		<-read
		_ = ourIn.Close()
		_ = os.RemoveAll(profile)
	})
	c.call("", "Target.setDiscoverTargets", map[string]any{"discover": true})
	c.call("", "Target.setAutoAttach", map[string]any{"autoAttach": true, "waitForDebuggerOnStart": false, "flatten": true})
	return c
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return r, w
}

// listen reads what the browser says until it ends.
func (c *chromium) listen(from io.Reader) {
	lines := bufio.NewReaderSize(from, 1<<20)
	for {
		line, err := lines.ReadBytes(0)
		if err != nil {
			return
		}
		var p protocol
		if json.Unmarshal(bytes.TrimSuffix(line, []byte{0}), &p) != nil {
			continue
		}
		if p.ID != 0 {
			c.mu.Lock()
			answer := c.answers[p.ID]
			delete(c.answers, p.ID)
			c.mu.Unlock()
			if answer != nil {
				answer <- p
			}
			continue
		}
		c.heard(p)
	}
}

func (c *chromium) heard(p protocol) {
	var params struct {
		Session string `json:"sessionId"`
		Target  string `json:"targetId"`
		Info    struct {
			ID  string `json:"targetId"`
			URL string `json:"url"`
		} `json:"targetInfo"`
	}
	if json.Unmarshal(p.Params, &params) != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch p.Method {
	case "Target.attachedToTarget":
		c.targets[params.Session], c.urls[params.Info.ID] = params.Info.ID, params.Info.URL
		// Frames of this target are told only to who asks; nobody waits for the answer.
		c.last++
		c.send(map[string]any{
			"id": c.last, "method": "Target.setAutoAttach", "sessionId": params.Session,
			"params": map[string]any{"autoAttach": true, "waitForDebuggerOnStart": false, "flatten": true},
		})
	case "Target.detachedFromTarget":
		delete(c.targets, params.Session)
	case "Target.targetInfoChanged", "Target.targetCreated":
		c.urls[params.Info.ID] = params.Info.URL
	case "Target.targetDestroyed":
		delete(c.urls, params.Target)
	}
}

// send writes a message. Its caller holds mu.
func (c *chromium) send(message map[string]any) {
	data, err := json.Marshal(message)
	if err == nil {
		_, _ = c.in.Write(append(data, 0)) // a browser that is gone answers nothing, which is noticed
	}
}

// call asks the browser, or one of its targets.
func (c *chromium) call(session, method string, params map[string]any) json.RawMessage {
	c.t.Helper()
	p, err := c.ask(session, method, params)
	if err != nil {
		c.t.Fatalf("%s: %v", method, err)
	}
	return p
}

func (c *chromium) ask(session, method string, params map[string]any) (json.RawMessage, error) {
	answer := make(chan protocol, 1)
	c.mu.Lock()
	c.last++
	message := map[string]any{"id": c.last, "method": method, "params": params}
	if session != "" {
		message["sessionId"] = session
	}
	c.answers[c.last] = answer
	c.send(message)
	c.mu.Unlock()
	select {
	case p := <-answer:
		if p.Error != nil {
			return nil, fmt.Errorf("%s", p.Error.Message)
		}
		return p.Result, nil
	case <-time.After(browserPatience):
		return nil, fmt.Errorf("no answer")
	}
}

// open opens a page in a new tab and gives its session.
func (c *chromium) open(url string) string {
	c.t.Helper()
	var made struct {
		Target string `json:"targetId"`
	}
	if err := json.Unmarshal(c.call("", "Target.createTarget", map[string]any{"url": url}), &made); err != nil {
		c.t.Fatal(err)
	}
	return c.sessionOf("the new tab", func(target, _ string) bool { return target == made.Target })
}

// at waits for a target, a tab or a frame, whose address has this in it.
func (c *chromium) at(part string) string {
	c.t.Helper()
	return c.sessionOf(part, func(_, url string) bool { return strings.Contains(url, part) })
}

func (c *chromium) sessionOf(what string, is func(target, url string) bool) (found string) {
	c.t.Helper()
	eventually(c.t, browserPatience, "no target is "+what, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		for session, target := range c.targets {
			if is(target, c.urls[target]) {
				found = session
				return true
			}
		}
		return false
	})
	return found
}

// eval evaluates an expression as if the user had done something, and gives its value as JSON. Empty where there is none
// yet, as while a page changes.
func (c *chromium) eval(session, expression string) string {
	result, err := c.ask(session, "Runtime.evaluate", map[string]any{
		"expression": expression, "returnByValue": true, "userGesture": true, "awaitPromise": true,
	})
	var value struct {
		Result struct {
			Value json.RawMessage `json:"value"`
		} `json:"result"`
		Exception json.RawMessage `json:"exceptionDetails"`
	}
	if err != nil || json.Unmarshal(result, &value) != nil || value.Exception != nil {
		return ""
	}
	return string(value.Result.Value)
}

// until waits until an expression is true in a page.
func (c *chromium) until(session, expression string) {
	c.t.Helper()
	eventually(c.t, browserPatience, "never "+expression, func() bool { return c.eval(session, "!!("+expression+")") == "true" })
}

// somewhere says whether an expression is true in some target.
func (c *chromium) somewhere(expression string) bool {
	c.mu.Lock()
	sessions := slices.Collect(maps.Keys(c.targets))
	c.mu.Unlock()
	return slices.ContainsFunc(sessions, func(session string) bool { return c.eval(session, "!!("+expression+")") == "true" })
}

// anywhere waits until an expression is true in some target.
func (c *chromium) anywhere(expression string) {
	c.t.Helper()
	eventually(c.t, browserPatience, "nowhere "+expression, func() bool { return c.somewhere(expression) })
}

// says waits until a page shows a text.
func (c *chromium) says(session, text string) {
	c.t.Helper()
	quoted, _ := json.Marshal(text)
	eventually(c.t, browserPatience, "the page never says "+text, func() bool {
		return c.eval(session, "document.body.innerText.includes("+string(quoted)+")") == "true"
	})
}

// shoot takes a screenshot, where somebody wants to look at it. It is an error for a page to be empty.
func (c *chromium) shoot(session, name string) {
	c.t.Helper()
	var shot struct {
		Data string `json:"data"`
	}
	if err := json.Unmarshal(c.call(session, "Page.captureScreenshot", map[string]any{"format": "png"}), &shot); err != nil {
		c.t.Fatal(err)
	}
	png, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil || len(png) < 2000 {
		c.t.Errorf("the screenshot of %s has %d bytes: %v", name, len(png), err)
	}
	if c.dir != "" {
		if err := os.WriteFile(filepath.Join(c.dir, name+".png"), png, 0o600); err != nil {
			c.t.Error(err)
		}
	}
}
