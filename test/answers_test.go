//go:build integration

package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
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

// judge looks up what was accepted, in the queues, the journals, the dead letters and the vendor's ledger, and prints the
// table.
func (tb *table) judge(w *world) {
	w.t.Helper()
	w.idle()
	keeps, calls := w.kept(), w.vendor.runsByEvent()
	var b strings.Builder
	slices.SortFunc(tb.rows, func(a, c row) int { return a.answer.status - c.answer.status })
	for _, r := range tb.rows {
		kept, called, run := keeps[r.event], calls[r.event], r.answer.run()
		r.accepted = len(kept)+len(called) > 0
		fmt.Fprintf(&b, "\n%-56s %3d %-24s accepted %t", r.situation, r.answer.status, r.answer.code(), r.accepted)
		switch {
		case r.answer.err != nil:
			w.t.Errorf("%s: no answer: %v", r.situation, r.answer.err)
		case r.answer.repeatable() && (r.accepted || run != ""):
			w.t.Errorf("%s: %v, and it was accepted", r.situation, r.answer)
		case r.answer.status/100 == 2 && !kept[run]:
			w.t.Errorf("%s: %v, and run %q is not kept", r.situation, r.answer, run)
		case r.accepted && !kept[run]:
			w.t.Errorf("%s: %v names run %q, and %v are kept", r.situation, r.answer, run, kept)
		case len(kept) > 1, len(called) > 1:
			w.t.Errorf("%s: runs %v are kept, %v called the vendor", r.situation, kept, called)
		}
	}
	w.t.Log("answer × was anything accepted?" + b.String())
	tb.complete(w.t)
}

// complete fails for a code that no row has, but for three that have tests of their own: a request with an Idempotency-Key,
// one whose answer was not to be kept, and one above a rate.
func (tb *table) complete(t *testing.T) {
	t.Helper()
	missing := behalf.Codes()
	for _, r := range tb.rows {
		missing = slices.DeleteFunc(missing, func(c behalf.Code) bool { return string(c) == r.answer.code() })
	}
	if !slices.Equal(missing, []behalf.Code{behalf.CodeIdempotencyConflict, behalf.CodeAnswerNotKept, behalf.CodeThrottled}) {
		t.Errorf("no row has the codes %v", missing)
	}
}

// kept gives the runs that are kept for each event of the test: those that wait in a queue, are finished, or were given up.
func (w *world) kept() map[string]map[string]bool {
	w.t.Helper()
	all := map[string]map[string]bool{}
	note := func(data []byte) {
		var e behalf.Event
		var trigger struct {
			Body struct {
				Event string `json:"event"`
			} `json:"body"`
		}
		if err := errors.Join(json.Unmarshal(data, &e), json.Unmarshal(e.Trigger, &trigger)); err != nil {
			w.t.Fatalf("%v: no event: %s", err, data)
		}
		if all[trigger.Body.Event] == nil {
			all[trigger.Body.Event] = map[string]bool{}
		}
		all[trigger.Body.Event][string(e.Run)] = true
	}
	for _, env := range behalf.Environments() {
		_, js := w.servers.connect(w.t, env)
		for _, m := range messages(w.t, js, subject.Events(env), ">") {
			note(m.Data)
		}
		for _, m := range messages(w.t, js, subject.Runs(env), "run.*.*.*.*.finish.>") {
			note(read[behalf.Record](w.t, m).Finish.Event)
		}
		for _, m := range messages(w.t, js, subject.DeadLetters(env), ">") {
			note(read[bus.DeadLetter](w.t, m).Original)
		}
	}
	return all
}

// read decodes a message.
func read[T any](t *testing.T, m *stored) (value T) {
	t.Helper()
	if err := json.Unmarshal(m.Data, &value); err != nil {
		t.Fatalf("%s: %v: %s", m.Subject, err, m.Data)
	}
	return value
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
	full(t, w, tb, &side)
	ordinary(t, w, tb, custom, immediate)
	failing(t, w, tb, &side)
	credentials(t, w, tb)
	evicted(t, w, tb)
	broken(t, w, tb, &side, custom, immediate)
	side.Wait()
	emptied(t, w)
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
	tb.expect(t, "a body too large", "413", w.post(url, `{"event":"413","x":"`+strings.Repeat("x", 11<<20)+`"}`), 413, behalf.CodeBodyTooLarge)

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
}

// credentials are the answers to users of whom only the credential is the matter, which no ingress can see.
func credentials(t *testing.T, w *world, tb *table) {
	t.Helper()
	held := w.deploy("held", map[string]string{
		"workflow.yaml": flow("oauth", "custom", "", "only , accounts: { practice: end_user }"),
		"only.mjs":      `export default defineComponent({ props: { practice: { type: "app", app: "practice" } }, async run({ $ }) { $.respond({ body: "x" }) } });`,
	})
	w.account(development, "lost", "token-of-lost")
	kv, key := w.sealed("lost")
	if err := kv.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	tb.expect(t, "the credential is gone", "lost", w.post(held.PathURL, event("lost"), as("lost")), 400, behalf.CodeAccountNeedsReauth)

	w.account(development, "shut", "token-of-shut")
	kv, key = w.sealed("shut")
	intact := must(kv.Get(t.Context(), key))(t)
	must(kv.PutString(t.Context(), key, "no sealed value"))(t)
	a := w.post(held.PathURL, event("shut"), as("shut"))
	tb.expect(t, "the credential cannot be opened for a while", "shut", a, 202, behalf.CodeWaiting)
	if a.header.Get("Location") != w.apiURL+"/v1/runs/"+a.run()+"/result" || a.body != behalf.FailWaiting().Message {
		t.Errorf("a run that waits answers %v, its result will be at %q", a, a.header.Get("Location"))
	}
	if j := w.journal()[a.run()]; len(j.records) == 0 || j.records[0] != "wait 1" || j.finishes != 0 {
		t.Errorf("the journal of a run that waits: %v", j.records)
	}
	if later := w.result(a.run()); later.status != http.StatusAccepted {
		t.Errorf("the result of a run that waits: %v", later)
	}
	must(kv.Put(t.Context(), key, intact.Value()))(t)
	eventually(t, asLongAsItTakes, "the run that waited does not end", func() bool { return w.result(a.run()).status == http.StatusOK })
}

// sealed finds where the credential of a user's one account lies.
func (w *world) sealed(user string) (jetstream.KeyValue, string) {
	w.t.Helper()
	kv := must(w.js.KeyValue(w.t.Context(), subject.Sealed(development)))(w.t)
	for _, key := range must(kv.Keys(w.t.Context()))(w.t) {
		if strings.Contains(strings.ToLower(key), strings.ToLower(subject.Encode(user))) {
			return kv, key
		}
	}
	w.t.Fatalf("%s has no credential", user)
	return nil, ""
}

// evicted is a run whose records vanish from the journal while its second step runs: it can never be finished.
func evicted(t *testing.T, w *world, tb *table) {
	t.Helper()
	d := w.deploy("evicted", map[string]string{
		"workflow.yaml": flow("oauth", "custom", "", "first", "second"),
		"first.mjs":     calling(0, "return event;"), "second.mjs": calling(3000, respond),
	})
	answers := w.postAsync(d.PathURL, event("evicted"))
	var run string
	eventually(t, asLongAsItTakes, "the second step does not begin", func() bool {
		calls, _ := w.vendor.of("evicted")
		if len(calls) == 2 {
			run = calls[1].run()
		}
		return len(calls) == 2
	})
	records := must(w.js.Stream(t.Context(), subject.Runs(development)))(t)
	if err := records.Purge(t.Context(), jetstream.WithPurgeSubject("run.*.*.*."+run+".>")); err != nil {
		t.Fatal(err)
	}
	a := soon(t, answers)
	tb.expect(t, "the journal lost the run's records", "evicted", a, 400, behalf.CodePlatformError)
	if a.run() != run || a.body != behalf.FailPlatform(behalf.RunID(run)).Message {
		t.Errorf("run %s was given up, and its caller told %v", run, a)
	}
	eventually(t, 10*time.Second, "the run is not among the dead letters", func() bool {
		return slices.ContainsFunc(messages(t, w.js, subject.DeadLetters(development), ">"), func(m *stored) bool {
			letter := read[bus.DeadLetter](t, m)
			return string(letter.Run) == run && letter.Reason == bus.ReasonJournalEvicted
		})
	})
	if calls, _ := w.vendor.of("evicted"); len(calls) != 2 {
		t.Errorf("a run that was given up made %d calls", len(calls))
	}
}

// broken are the answers while the way to NATS is broken, each at an ingress of its own.
func broken(t *testing.T, w *world, tb *table, side *sync.WaitGroup, custom, immediate deployed) {
	t.Helper()
	const forGood = 18 * time.Second // longer than a publish is tried
	both := map[string]deployed{"custom": custom, "immediate": immediate}
	for name, c := range map[string]struct {
		before bustest.Mode
		after  func(p *bustest.Proxy)
		status []int
	}{
		"the PubAck is delayed by a second":     {bustest.HoldAnswers, func(p *bustest.Proxy) { pause(time.Second); p.Set(bustest.Pass) }, []int{200}},
		"the PubAck is lost, then NATS is back": {bustest.DropAnswers, func(p *bustest.Proxy) { pause(time.Second); p.Cut(bustest.Pass) }, []int{200}},
		"the PubAck is lost for good":           {bustest.DropAnswers, func(p *bustest.Proxy) { pause(forGood); p.Cut(bustest.Pass) }, []int{200, 409}},
		"the event is lost, then NATS is back":  {bustest.DropRequests, func(p *bustest.Proxy) { pause(time.Second); p.Cut(bustest.Pass) }, []int{200}},
		"the event is lost for good":            {bustest.DropRequests, func(p *bustest.Proxy) { pause(forGood); p.Cut(bustest.Pass) }, []int{409}},
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
