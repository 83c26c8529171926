//go:build integration

package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// The load of an outage: so many users whose token is in memory when it begins, and as many whose is not.
const (
	loadUsers = 10
	loadRate  = 50 // events a second, by turns of each kind of user
)

// outageFor is how long Vault is away: BEHALF_TEST_OUTAGE, such as 2m, or what CI has time for.
func outageFor(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("BEHALF_TEST_OUTAGE")
	if text == "" {
		return 12 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		t.Fatalf("BEHALF_TEST_OUTAGE must be a duration such as 2m, not %q", text)
	}
	return d
}

// loaded is one event of the load.
type loaded struct {
	event, user string
	cached      bool
	run         string
	accepted    time.Time
}

// load sends events until it is told to stop, and keeps those that were accepted.
type load struct {
	*vaultWorld

	tokens map[string]string
	stop   <-chan struct{}
	halt   func()
	over   sync.WaitGroup

	mu      sync.Mutex
	events  []loaded
	refused int
}

// newLoad gives the users accounts. Those that are served once are in the memory of the worker then, the others are not.
func newLoad(v *vaultWorld) *load {
	v.t.Helper()
	stop := make(chan struct{})
	l := &load{vaultWorld: v, tokens: map[string]string{}, stop: stop, halt: sync.OnceFunc(func() { close(stop) })}
	v.t.Cleanup(l.end) // where the test breaks off
	for i := range loadUsers {
		for _, kind := range []string{"cached", "uncached"} {
			name := fmt.Sprintf("%s-%d", kind, i)
			l.tokens[name], _ = v.user(name)
			if kind == "cached" {
				v.served(name, l.tokens[name])
			}
		}
	}
	v.flow = v.deploy("load", map[string]string{
		"workflow.yaml": flow("oauth", "immediate", "", "only , accounts: { practice: end_user }"), "only.mjs": presenting,
	})
	return l
}

// begin sends the load in the background.
func (l *load) begin() {
	l.over.Go(func() {
		tick := time.NewTicker(time.Second / loadRate)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-l.stop:
				return
			case <-tick.C:
			}
			l.over.Go(func() { l.send(n) })
		}
	})
}

// end stops the load, and waits for the answers that are on their way.
func (l *load) end() {
	l.halt()
	l.over.Wait()
}

func (l *load) send(n int) {
	kind := []string{"cached", "uncached"}[n%2]
	one := loaded{event: fmt.Sprintf("load-%d", n), user: fmt.Sprintf("%s-%d", kind, n/2%loadUsers), cached: n%2 == 0}
	a := l.post(l.flow.PathURL, fmt.Sprintf(`{"event":%q}`, one.event), as(one.user))
	l.mu.Lock()
	defer l.mu.Unlock()
	if a.status != http.StatusOK {
		l.refused++
		l.t.Errorf("%s: %v", one.event, a)
		return
	}
	one.run, one.accepted = a.run(), time.Now()
	l.events = append(l.events, one)
}

// waits reads how often each run has waited, and the retries that all of them have spent.
func (l *load) waits() (of map[string]int, spent int) {
	l.t.Helper()
	of = map[string]int{}
	for _, m := range messages(l.t, l.js, subject.Runs(development), "run.development.>") {
		var record behalf.Record
		if err := json.Unmarshal(m.Data, &record); err != nil {
			l.t.Fatal(err)
		}
		if record.Wait == nil {
			continue
		}
		of[string(record.Run)]++
		spent += record.Wait.Retries
		if record.Wait.Outages == 0 {
			l.t.Errorf("%s waits for something else: %s", record.Run, record.Wait.Why)
		}
	}
	return of, spent
}

// figures are what came of the load.
type figures struct {
	events                             int           // accepted while Vault was away
	served                             int           // of users in memory, finished while Vault was away
	waited, most                       int           // runs that waited, and how often one did
	lost, twice, wrong, delayed, spent int           // none of which may be
	slowest                            time.Duration // of those that were served
	recovered                          time.Duration // from the end of the outage to the last run's
}

// judge holds each event to one effect with its user's token, and to one finish. A run of a user in memory never waits.
func (l *load) judge(began, ended time.Time) (f figures) {
	l.t.Helper()
	journal, calls := l.journal(), map[string][]vendorCall{}
	for _, c := range l.vendor.all() {
		calls[c.Event] = append(calls[c.Event], c)
	}
	waits, spent := l.waits()
	f.spent, f.waited = spent, len(waits)
	for _, n := range waits {
		f.most = max(f.most, n)
	}
	for _, e := range l.events {
		run, effects := journal[e.run], calls[e.event]
		if run.finishes != 1 || run.state != "ok" || len(effects) == 0 {
			f.lost++
			continue
		}
		f.recovered = max(f.recovered, run.at.Sub(ended))
		f.twice += len(effects) - 1
		if effects[0].Token != l.tokens[e.user] {
			f.wrong++
		}
		if e.cached && waits[e.run] > 0 {
			f.delayed++
		}
		if e.accepted.Before(began) || e.accepted.After(ended) {
			continue
		}
		f.events++
		if e.cached && run.at.Before(ended) {
			f.served++
			f.slowest = max(f.slowest, run.at.Sub(e.accepted))
		}
	}
	return f
}

// Vault is stopped under load, for BEHALF_TEST_OUTAGE: users in memory are served all the time, the others' runs wait and
// spend nothing, nothing is lost and nothing runs twice.
func TestVaultIsStoppedUnderLoad(t *testing.T) {
	t.Parallel()
	v := newVaultWorld(t)
	l, away := newLoad(v), outageFor(t)
	v.vault.stop()
	began := time.Now()
	l.begin()
	<-time.After(away) // the outage itself
	ended := time.Now()
	v.vault.start()
	v.vault.unseal()
	back := time.Since(ended)
	l.end()

	eventually(t, away+3*time.Minute, "the runs do not end", func() bool { return v.vendor.effects() >= len(l.events)+loadUsers })
	v.idle()
	f := l.judge(began, ended)
	t.Logf("away for %s and unsealed %s later: %d events at %d a second, %d refused; %d accepted while Vault was away, of which %d of users in memory were served then, "+
		"the slowest after %s; %d runs waited, one at most %d times, and spent %d retries; all done %s after Vault was unsealed; lost %d, twice %d, another's token %d, "+
		"in memory and waited %d, dead letters %d",
		away, back.Round(time.Millisecond), len(l.events), loadRate, l.refused, f.events, f.served, f.slowest.Round(time.Millisecond),
		f.waited, f.most, f.spent, (f.recovered - back).Round(time.Millisecond), f.lost, f.twice, f.wrong, f.delayed, v.dead())
	if f.lost+f.twice+f.wrong+f.delayed+f.spent+l.refused+v.dead() > 0 {
		t.Error("something was lost, doubled, mixed up, delayed, spent or refused")
	}
	if f.served == 0 || f.waited == 0 {
		t.Errorf("%d were served, %d waited", f.served, f.waited)
	}
	for name, token := range l.tokens {
		if strings.Contains(v.worker.output(), token) {
			t.Errorf("the worker's log has the token of %s", name)
		}
	}
}
