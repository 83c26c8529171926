//go:build integration

package test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/bustest"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// front is an ingress of its own behind a proxy to NATS.
type front struct {
	*process
	proxy *bustest.Proxy
	url   string
}

func (w *world) front(name string) front {
	w.t.Helper()
	proxy, addr := bustest.NewProxy(w.t, w.nats.addr), freeAddr(w.t)
	p := w.start("ingress-"+name, []string{"BEHALF_NATS_URL=nats://" + proxy.Addr(), "BEHALF_ADDR=" + addr, "BEHALF_METRICS_ADDR=" + freeAddr(w.t)}, "ingress")
	f := front{p, proxy, "http://" + addr}
	p.serves(w.t, f.url+"/readyz")
	return f
}

func (f front) of(d deployed) string { return f.url + "/e/" + string(d.EndpointID) }

// row is one line of the table: what was answered, and whether anything was accepted.
type row struct {
	situation, event string
	answer           answer
	accepted         bool
}

// table collects rows from tests that run side by side.
type table struct {
	mu   sync.Mutex
	rows []row
}

func (tb *table) add(situation, event string, a answer) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.rows = append(tb.rows, row{situation: situation, event: event, answer: a})
}

// judge looks up what was accepted, in the journal and in the vendor's ledger, and prints the table.
func (tb *table) judge(w *world) {
	w.t.Helper()
	w.idle()
	journal, events := w.journal(), w.vendor.runsByEvent()
	var b strings.Builder
	slices.SortFunc(tb.rows, func(a, c row) int { return a.answer.status - c.answer.status })
	for _, r := range tb.rows {
		_, journaled := journal[r.answer.run()]
		r.accepted = journaled || len(events[r.event]) > 0
		fmt.Fprintf(&b, "\n%-52s %3d %-24s accepted %t", r.situation, r.answer.status, r.answer.code(), r.accepted)
		switch {
		case r.answer.err != nil:
			w.t.Errorf("%s: no answer: %v", r.situation, r.answer.err)
		case r.answer.repeatable() && (r.accepted || r.answer.run() != ""):
			w.t.Errorf("%s: %v, and it was accepted", r.situation, r.answer)
		case r.answer.status/100 == 2 && !r.accepted:
			w.t.Errorf("%s: %v, and nothing was accepted", r.situation, r.answer)
		case r.accepted && r.answer.run() == "":
			w.t.Errorf("%s: %v names no run", r.situation, r.answer)
		case len(events[r.event]) > 1:
			w.t.Errorf("%s: %d runs", r.situation, len(events[r.event]))
		}
	}
	w.t.Log("answer × was anything accepted?" + b.String())
}

// expect checks one answer and puts it into the table.
func (tb *table) expect(t *testing.T, situation, event string, a answer, status int, code behalf.Code) {
	t.Helper()
	tb.add(situation, event, a)
	if a.status != status || a.code() != string(code) {
		t.Errorf("%s: answered %v", situation, a)
	}
}

// Every answer that the ingress can give, beside whether anything was accepted.
func TestEveryAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker()
	custom, immediate := w.deploy("custom", oneStep("custom", 0)), w.deploy("immediate", oneStep("immediate", 0))
	tb := &table{}
	var side sync.WaitGroup
	ordinary(t, w, tb, custom, immediate)
	failing(t, w, tb, &side)
	broken(t, w, tb, &side, custom, immediate)
	side.Wait()
	full(t, w, tb)
	draining(t, w, tb)
	tb.judge(w)
}

// ordinary are the answers of a Behalf in health.
func ordinary(t *testing.T, w *world, tb *table, custom, immediate deployed) {
	t.Helper()
	url := custom.PathURL
	public := w.deploy("public", map[string]string{"workflow.yaml": flow("none", "custom", "", "only"), "only.mjs": calling(0, respond)})
	account := w.deploy("account", map[string]string{
		"workflow.yaml": flow("oauth", "custom", "", "only , accounts: { practice: end_user }"),
		"only.mjs":      `export default defineComponent({ props: { practice: { type: "app", app: "practice" } }, async run({ $ }) { $.respond({ body: "x" }) } });`,
	})
	static := w.deploy("static", map[string]string{"workflow.yaml": flow("oauth", "{ status: 204 }", "", "only"), "only.mjs": calling(0, "")})
	w.account(development, "connected", "token-of-connected")
	lacking := w.client(behalf.Client{Scopes: []behalf.Scope{behalf.ScopeManage}, Environments: behalf.Environments()})
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	tb.expect(t, "answered by the workflow", "ok", w.post(url, event("ok")), 200, "")
	tb.expect(t, "immediate", "now", w.post(immediate.PathURL, event("now")), 200, "")
	tb.expect(t, "a static response", "static", w.post(static.PathURL, event("static")), 204, "")
	tb.expect(t, "no bearer", "401", w.post(url, event("401"), func(r *http.Request) { r.Header.Del("Authorization") }), 401, behalf.CodeUnauthenticated)
	tb.expect(t, "a bad bearer", "401b", w.post(url, event("401b"), header("Authorization", "Bearer x")), 401, behalf.CodeUnauthenticated)
	tb.expect(t, "a client without the scope", "403", w.post(url, event("403"), header("Authorization", "Bearer "+lacking)), 403, behalf.CodeForbidden)
	tb.expect(t, "no such endpoint", "404", w.post(w.file.IngressURL+"/e/en1234567890abcdefghijklmn", event("404")), 404, behalf.CodeEndpointNotFound)
	tb.expect(t, "not deployed in production", "404p", w.post(url, event("404p"), in(production)), 404, behalf.CodeEndpointNotFound)
	tb.expect(t, "public, in development", "404d", w.post(public.PathURL, event("404d")), 404, behalf.CodeEndpointNotFound)
	tb.expect(t, "no such environment", "400e", w.post(url, event("400e"), header("X-Pd-Environment", "staging")), 400, behalf.CodeEnvironmentInvalid)
	tb.expect(t, "two users named", "400u", w.post(url, event("400u"), as("a"), header("X-Behalf-External-User-Id", "b")), 400, behalf.CodeRequestInvalid)
	tb.expect(t, "no user, and one is needed", "400n", w.post(account.PathURL, event("400n")), 400, behalf.CodeUserRequired)
	tb.expect(t, "an unknown user", "404u", w.post(account.PathURL, event("404u"), as("nobody")), 404, behalf.CodeUserNotFound)
	tb.expect(t, "a body too large", "413", w.post(url, `{"event":"413","x":"`+strings.Repeat("x", 300<<10)+`"}`), 413, behalf.CodeBodyTooLarge)

	accounts := w.mustRun("", "accounts", "list", "--user", "connected", "--env", "development", "--json")
	_, id, _ := strings.Cut(accounts, `"id":"`)
	id, _, _ = strings.Cut(id, `"`)
	w.mustRun("", "accounts", "delete", id, "--env", "development")
	eventually(t, 10*time.Second, "the deleted account is still known", func() bool { return w.post(account.PathURL, event("x"), as("connected")).status != 200 })
	tb.expect(t, "a user without the account", "400a", w.post(account.PathURL, event("400a"), as("connected")), 400, behalf.CodeAccountRequired)
}

// failing are the answers of runs that end badly.
func failing(t *testing.T, w *world, tb *table, side *sync.WaitGroup) {
	t.Helper()
	throws := w.deploy("throws", map[string]string{"workflow.yaml": flow("oauth", "custom", "", "only"), "only.mjs": calling(0, `throw new Error("no");`)})
	slow := w.deploy("slow", map[string]string{"workflow.yaml": flow("oauth", "custom", "settings: { timeout: 1s }\n", "only"), "only.mjs": calling(5000, respond)})
	mute := w.deploy("mute", map[string]string{"workflow.yaml": flow("oauth", "custom", "", "only"), "only.mjs": calling(0, "")})
	long := w.deploy("long", map[string]string{"workflow.yaml": flow("oauth", "custom", "settings: { timeout: 60s }\n", "only"), "only.mjs": calling(32_000, respond)})
	side.Go(func() {
		tb.expect(t, "not finished within the caller's wait", "long", w.post(long.PathURL, event("long")), 202, behalf.CodeRunning)
	})
	tb.expect(t, "a step throws", "throws", w.post(throws.PathURL, event("throws")), 400, behalf.CodeStepFailed)
	tb.expect(t, "the run's own timeout", "slow", w.post(slow.PathURL, event("slow")), 400, behalf.CodeRunTimeout)
	tb.expect(t, "no answer in the workflow", "mute", w.post(mute.PathURL, event("mute")), 400, behalf.CodeNoResponse)

	gone := w.deploy("gone", oneStep("custom", 0))
	kv := must(w.js.KeyValue(t.Context(), subject.Definitions(development)))(t)
	if err := kv.Delete(t.Context(), subject.VersionKey(w.file.ProjectID, gone.Version)); err != nil {
		t.Fatal(err)
	}
	tb.expect(t, "the version is gone", "gone", w.post(gone.PathURL, event("gone")), 400, behalf.CodeVersionUnavailable)

	// A user whose credential is lost, and one whose credential cannot be opened.
	held := w.deploy("held", map[string]string{
		"workflow.yaml": flow("oauth", "custom", "", "only , accounts: { practice: end_user }"),
		"only.mjs":      `export default defineComponent({ props: { practice: { type: "app", app: "practice" } }, async run({ $ }) { $.respond({ body: "x" }) } });`,
	})
	w.account(development, "lost", "token-of-lost")
	sealed := must(w.js.KeyValue(t.Context(), subject.Sealed(development)))(t)
	keys := must(sealed.Keys(t.Context()))(t)
	for _, key := range keys {
		if strings.Contains(key, subject.Encode("lost")) || strings.Contains(strings.ToLower(key), subject.Encode("lost")) {
			if err := sealed.Delete(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
	}
	tb.expect(t, "the credential is gone", "lost", w.post(held.PathURL, event("lost"), as("lost")), 400, behalf.CodeAccountNeedsReauth)
}

// broken are the answers while the way to NATS is broken, each at an ingress of its own.
func broken(t *testing.T, w *world, tb *table, side *sync.WaitGroup, custom, immediate deployed) {
	t.Helper()
	both := map[string]deployed{"custom": custom, "immediate": immediate}
	for name, c := range map[string]struct {
		before bustest.Mode
		after  func(p *bustest.Proxy)
		status []int
	}{
		"the PubAck is delayed by a second":     {bustest.HoldAnswers, func(p *bustest.Proxy) { pause(time.Second); p.Set(bustest.Pass) }, []int{200}},
		"the PubAck is lost, then NATS is back": {bustest.DropAnswers, func(p *bustest.Proxy) { pause(time.Second); p.Cut(bustest.Pass) }, []int{200}},
		"the PubAck is lost for good":           {bustest.DropAnswers, func(p *bustest.Proxy) { pause(8 * time.Second); p.Cut(bustest.Pass) }, []int{200, 409}},
		"the event is lost, then NATS is back":  {bustest.DropRequests, func(p *bustest.Proxy) { pause(time.Second); p.Cut(bustest.Pass) }, []int{200}},
		"the event is lost for good":            {bustest.DropRequests, func(p *bustest.Proxy) { pause(8 * time.Second); p.Cut(bustest.Pass) }, []int{409}},
		"the connection is cut under the call":  {bustest.HoldAnswers, func(p *bustest.Proxy) { pause(300 * time.Millisecond); p.Cut(bustest.Pass) }, []int{200}},
		"NATS is away":                          {bustest.Refuse, func(p *bustest.Proxy) { pause(8 * time.Second); p.Set(bustest.Pass) }, []int{503}},
	} {
		f := w.front(strings.ReplaceAll(name, " ", "-"))
		for mode, d := range both {
			if a := w.post(f.of(d), event("warm")); a.status != http.StatusOK { // its copies are filled, its connection stands
				t.Fatalf("%s: %v", name, a)
			}
			_ = mode
		}
		side.Go(func() {
			var calls sync.WaitGroup
			if c.before == bustest.Refuse {
				f.proxy.Cut(c.before)
				pause(200 * time.Millisecond) // until the ingress has seen it
			} else {
				f.proxy.Set(c.before)
			}
			for mode, d := range both {
				calls.Go(func() {
					label := name + ", " + mode
					a := w.post(f.of(d), event(label))
					tb.add(label, label, a)
					if !slices.Contains(c.status, a.status) {
						t.Errorf("%s: answered %v", label, a)
					}
				})
			}
			c.after(f.proxy)
			calls.Wait()
			f.kill()
		})
	}
}

// pause lets time pass while something is broken: how long it stays broken is the case.
func pause(d time.Duration) { <-time.After(d) }

// full is a queue without room, of production, where no worker is.
func full(t *testing.T, w *world, tb *table) {
	t.Helper()
	d := w.deployTo(production, "queued", oneStep("immediate", 0))
	_, js := w.nats.connect(t, production)
	s := must(js.Stream(t.Context(), subject.Events(production)))(t)
	cfg := s.CachedInfo().Config
	cfg.MaxMsgsPerSubject = 3
	must(js.UpdateStream(t.Context(), cfg))(t)
	accepted := uint64(0)
	for i := range 6 {
		a := w.post(d.PathURL, event("queued"), in(production))
		switch {
		case i < 3 && a.status == http.StatusOK:
			accepted++
		case i < 3 || a.status != http.StatusServiceUnavailable || a.code() != string(behalf.CodeQueueFull) || a.header.Get("Retry-After") == "":
			t.Errorf("request %d of a queue of 3: %v", i+1, a)
		}
		if i == 5 {
			tb.add("the queue is full", "", a)
		}
	}
	if n := w.waiting(production); n != accepted {
		t.Errorf("%d accepted, and %d in the queue", accepted, n)
	}
}

// draining is an ingress that was told to stop: who waits has an answer, who comes is not taken.
func draining(t *testing.T, w *world, tb *table) {
	t.Helper()
	d := w.deploy("drained", oneStep("custom", 1500))
	f := w.front("draining")
	answers := w.postAsync(f.of(d), event("waiting at the stop"))
	f.until(t, "have the call", func() bool { calls, _ := w.vendor.of("waiting at the stop"); return len(calls) > 0 })
	f.signal(t, syscall.SIGTERM)
	pause(200 * time.Millisecond)
	late := w.post(f.of(d), event("came too late"))
	if late.err == nil {
		tb.expect(t, "draining", "came too late", late, 503, behalf.CodeUnavailable)
	}
	tb.expect(t, "waited while the ingress was told to stop", "waiting at the stop", soon(t, answers), 200, "")
	select {
	case <-f.ended:
	case <-time.After(10 * time.Second):
		t.Error("the ingress does not end")
	}
	if calls, _ := w.vendor.of("came too late"); len(calls) > 0 {
		t.Error("a request that came too late was accepted")
	}
	t.Logf("draining: a late request got %v", late)
}

// A client like theirs repeats 408, 429 and 5xx by itself, without a key. Whatever breaks, no event may run twice, and
// none that was accepted is lost.
func TestAClientThatRepeats(t *testing.T) {
	t.Parallel()
	const clients, lasts, repeats = 16, 15 * time.Second, 3
	w := newWorld(t)
	w.worker("--slots", "8")
	urls := []deployed{w.deploy("custom", oneStep("custom", 5)), w.deploy("immediate", oneStep("immediate", 5))}
	f := w.front("faulty")
	ctx, cancel := context.WithTimeout(t.Context(), lasts)
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() { torment(ctx, f.proxy) })
	var sent, repeated atomic.Int64
	var mu sync.Mutex
	last := map[string]answer{}
	for range clients {
		running.Go(func() {
			for ctx.Err() == nil {
				n := sent.Add(1)
				name := fmt.Sprintf("event-%d", n)
				a := w.post(f.of(urls[int(n)%2]), event(name))
				for i := 0; i < repeats && a.repeatable(); i++ {
					pause(time.Duration(20<<i) * time.Millisecond)
					repeated.Add(1)
					a = w.post(f.of(urls[int(n)%2]), event(name))
				}
				mu.Lock()
				last[name] = a
				mu.Unlock()
			}
		})
	}
	running.Wait()
	f.proxy.Cut(bustest.Pass)
	w.idle()
	journal, events := w.journal(), w.vendor.runsByEvent()
	statuses := map[int]int{}
	twice, lost := 0, 0
	for name, a := range last {
		statuses[a.status]++
		runs := len(events[name])
		if runs > 1 {
			twice++
			t.Errorf("%s has %d runs; its last answer was %v", name, runs, a)
		}
		if a.status/100 == 2 && (runs != 1 || journal[a.run()].finishes != 1) {
			lost++
			t.Errorf("%s: %d runs, records %v, after %v", name, runs, journal[a.run()].records, a)
		}
		if a.repeatable() && runs > 0 {
			t.Errorf("%s ran, after %v", name, a)
		}
	}
	if repeated.Load() == 0 {
		t.Error("nothing was ever refused")
	}
	t.Logf("%d events, %d repeats by the client, last answers %v: %d ran twice, %d lost; calls %d, effects %d",
		sent.Load(), repeated.Load(), statuses, twice, lost, len(w.vendor.all()), w.vendor.effects())
}

// torment breaks the way to NATS, in all manners, again and again.
func torment(ctx context.Context, p *bustest.Proxy) {
	manners := []func(){
		func() { p.Cut(bustest.Refuse) },
		func() { p.Set(bustest.DropAnswers) },
		func() { p.Cut(bustest.Pass) },
		func() { p.Set(bustest.DropRequests) },
		func() { p.Set(bustest.HoldAnswers) },
	}
	for i := 0; ctx.Err() == nil; i++ {
		manners[i%len(manners)]()
		pause(time.Duration(50+rand.IntN(350)) * time.Millisecond)
		p.Cut(bustest.Pass)
		pause(time.Duration(600+rand.IntN(600)) * time.Millisecond)
	}
}
