package refresh_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/credential/credentialtest"
	"github.com/behalf-dev/behalf/pkg/credential/refresh"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/oauth/oauthtest"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// day is an environment in memory, in which time passes as it is told: many accounts, and a service that answers at once.
type day struct {
	t      *testing.T
	vendor *oauthtest.Vendor
	store  *credentialtest.Memory

	mu      sync.Mutex
	records map[behalf.AccountID]versioned
	order   []behalf.AccountID // the last changed last; one that changed again comes again
	away    bool
	asked   []time.Time
}

type versioned struct {
	account  behalf.Account
	revision uint64
}

func newDay(t *testing.T, vendor *oauthtest.Vendor, n int, due func(i int) time.Time) *day {
	t.Helper()
	d := &day{t: t, vendor: vendor, store: credentialtest.NewMemory(), records: map[behalf.AccountID]versioned{}}
	for i := range n {
		a := behalf.Account{
			ID: behalf.AccountID(fmt.Sprintf("apn_%06d", i)), Project: "proj_1", App: oauthtest.Slug, User: "jane",
			Grant: behalf.Grant{ExpiresAt: due(i).Add(9 * time.Minute), RefreshAt: due(i)},
		}
		if err := d.SetAccount(t.Context(), a, 0); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// grant stores the credential of an account, as it was when its record was made.
func (d *day) grant(i int) {
	d.t.Helper()
	a := d.record(i)
	_, err := d.store.Put(d.t.Context(), credential.PathOf(behalf.Development, a), credential.Credential{
		Fields: fields("old"), RefreshToken: secret.New(string(a.ID)), ExpiresAt: a.ExpiresAt, IssuedAt: a.ExpiresAt.Add(-time.Hour),
	}, 0)
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *day) record(i int) behalf.Account {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.records[behalf.AccountID(fmt.Sprintf("apn_%06d", i))].account
}

func (d *day) Account(_ context.Context, _ behalf.ProjectID, id behalf.AccountID) (behalf.Account, uint64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	v, ok := d.records[id]
	if !ok {
		return behalf.Account{}, 0, fault.New(fault.NotFound, "test", "no such account")
	}
	return v.account, v.revision, nil
}

func (d *day) SetAccount(_ context.Context, a behalf.Account, revision uint64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.records[a.ID].revision != revision {
		return fault.New(fault.Conflict, "test", "another revision")
	}
	d.order = append(d.order, a.ID)
	d.records[a.ID] = versioned{a, uint64(len(d.order))}
	return nil
}

func (d *day) ChangedAccounts(_ context.Context, after uint64, each func(behalf.Account, bool)) (uint64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for ; after < uint64(len(d.order)); after++ {
		if v := d.records[d.order[after]]; v.revision == after+1 {
			each(v.account, false)
		}
	}
	return after, nil
}

// RoundTrip is the service: it gives tokens for an hour.
func (d *day) RoundTrip(*http.Request) (*http.Response, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, time.Now())
	status, body := http.StatusOK, `{"access_token":"new","refresh_token":"next","token_type":"bearer","expires_in":3600}`
	if d.away {
		status, body = http.StatusServiceUnavailable, `{"error":"temporarily_unavailable"}`
	}
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)),
	}, nil
}

func (d *day) set(away bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.away = away
}

// since counts the requests of a span of time, up to now.
func (d *day) since(began time.Time) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for _, at := range d.asked {
		if !at.Before(began) {
			n++
		}
	}
	return n
}

// busiest is the most requests within so long.
func (d *day) busiest(span time.Duration) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	most, from := 0, 0
	for i, at := range d.asked {
		for at.Sub(d.asked[from]) >= span {
			from++
		}
		most = max(most, i-from+1)
	}
	return most
}

// run runs n processes of the environment until the test says that it is over.
func (d *day) run(n int, reg prometheus.Registerer) (over func()) {
	leases := &table{values: map[string]value{}}
	ctx, cancel := context.WithCancel(d.t.Context())
	var group sync.WaitGroup
	for range n {
		source := refresh.New(refresh.Config{Environment: behalf.Development, Registerer: reg}, refresh.Deps{
			Store: d.store, Cached: credential.NewCached(d.store, credential.CacheConfig{}), Leases: leases, Accounts: d, Changes: d,
			Apps: only(d.app()), Clients: client{d.vendor}, HTTP: &http.Client{Transport: d},
		}, zerolog.Nop())
		group.Go(func() {
			if err := source.Run(ctx); err != nil {
				d.t.Error(err)
			}
		})
	}
	return func() {
		cancel()
		group.Wait()
	}
}

func (d *day) app() app.App { return d.vendor.App() }

// 600 accounts are all due at once, as after an import or a long outage: they are refreshed at a pace, each once, and on
// the next day not all at once again.
func TestAStormIsSpread(t *testing.T) {
	t.Parallel()
	vendor := oauthtest.New(t, oauthtest.Config{})
	synctest.Test(t, func(t *testing.T) {
		const n = 600
		d := newDay(t, vendor, n, func(int) time.Time { return time.Now().Add(-time.Hour) })
		for i := range n {
			d.grant(i)
		}
		over := d.run(3, nil)
		defer over()
		began := time.Now()
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		if got := d.since(began); got != n {
			t.Errorf("%d refreshes, want %d", got, n)
		}
		if most := d.busiest(time.Second); most > 6 {
			t.Errorf("%d refreshes in a second", most)
		}
		for i := range n {
			if next := d.record(i).RefreshAt; next.Before(began.Add(21*time.Hour)) || next.After(time.Now().Add(24*time.Hour)) {
				t.Fatalf("the next is at %v, of %v", next, time.Now())
			}
		}
		second := time.Now()
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if got := d.since(second); got != n {
			t.Errorf("%d refreshes on the second day, want %d", got, n)
		}
	})
}

// Of 100,000 accounts few are due within the hour. The others are not read from where credentials lie.
func TestAHundredThousandAccountsCostNoReadOfTheirCredentials(t *testing.T) {
	t.Parallel()
	vendor := oauthtest.New(t, oauthtest.Config{})
	synctest.Test(t, func(t *testing.T) {
		const n, soon = 100_000, 50
		d := newDay(t, vendor, n, func(i int) time.Time {
			if i < soon {
				return time.Now().Add(time.Duration(i) * time.Minute)
			}
			return time.Now().Add(12 * time.Hour)
		})
		for i := range soon {
			d.grant(i)
		}
		over := d.run(2, nil)
		defer over()
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := d.since(time.Time{}); got != soon {
			t.Errorf("%d refreshes, want %d", got, soon)
		}
		if reads := d.store.Reads(); reads > 3*soon {
			t.Errorf("%d reads of credentials for %d refreshes", reads, soon)
		}
	})
}

// A service that fails is asked seldom, however many accounts there are, and all are refreshed when it is back.
func TestAServiceThatFailsIsLeftAlone(t *testing.T) {
	t.Parallel()
	vendor := oauthtest.New(t, oauthtest.Config{})
	synctest.Test(t, func(t *testing.T) {
		const n = 500
		reg := prometheus.NewRegistry()
		d := newDay(t, vendor, n, func(int) time.Time { return time.Now() })
		for i := range n {
			d.grant(i)
		}
		d.set(true)
		over := d.run(1, reg)
		defer over()
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if got := d.since(time.Time{}); got < 3 || got > 100 {
			t.Errorf("it was asked %d times in three hours", got)
		}
		if late := gauge(t, reg, "behalf_credential_overdue_accounts"); late != n {
			t.Errorf("%v accounts are overdue, want %d", late, n)
		}
		d.set(false)
		time.Sleep(8 * time.Hour)
		synctest.Wait()
		for i := range n {
			if a := d.record(i); a.RefreshedAt.IsZero() || !a.Usable() {
				t.Fatalf("the record says %+v", a)
			}
		}
		if late := gauge(t, reg, "behalf_credential_overdue_accounts"); late != 0 {
			t.Errorf("%v accounts are overdue", late)
		}
		if active := gauge(t, reg, "behalf_credential_accounts"); active != n {
			t.Errorf("%v accounts are active", active)
		}
	})
}

// gauge is the largest value of a metric.
func gauge(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	most := -1.0
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				most = max(most, m.GetGauge().GetValue())
			}
		}
	}
	return most
}
