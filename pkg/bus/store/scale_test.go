package store_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/store"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// crowd is a store with so many accounts, two of each user, of which every hundredth is of a rare app.
type crowd struct {
	tb    testing.TB
	store *store.Store
	n     int
	// deleted counts what was taken out, from the end.
	deleted int
}

func newCrowd(tb testing.TB, n int) *crowd {
	tb.Helper()
	l := newLab(tb)
	js := must[jetstream.JetStream](tb)(jetstream.New(l.connect(tb), jetstream.WithPublishAsyncMaxPending(4096)))
	put := func(key string, value any) {
		data, err := json.Marshal(value)
		if err == nil {
			_, err = js.PublishMsgAsync(&nats.Msg{Subject: "$KV." + subject.Users(behalf.Development) + "." + key, Data: data}, jetstream.WithStallWait(time.Minute))
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	now := time.Now().UTC()
	tb.Cleanup(js.CleanupPublisher) // else a goroutine of it is left
	for i := range n {
		a := crowded(i)
		a.CreatedAt, a.UpdatedAt = now, now
		put(subject.AccountKey(a.Project, a.User, a.App, a.ID), a)
		put(subject.PlaceKey(a.Project, a.ID), behalf.AccountPlace{V: 1, App: a.App, User: a.User})
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-time.After(5 * time.Minute):
		tb.Fatal("the accounts are not stored")
	}
	return &crowd{tb: tb, store: l.store(tb, store.Config{}), n: n}
}

func crowded(i int) behalf.Account {
	app := behalf.AppSlug("slack")
	if i%100 == 0 {
		app = "rare"
	}
	return behalf.Account{
		V: 1, ID: behalf.AccountID(fmt.Sprintf("apn_%08d", i)), Project: project, App: app, User: behalf.ExternalUserID(fmt.Sprintf("user-%06d", i/2)),
	}
}

func (c *crowd) page(q store.AccountQuery, after uint64, want int) {
	c.tb.Helper()
	if got := must[store.AccountPage](c.tb)(c.store.ListAccounts(c.tb.Context(), project, q, after, 20)); len(got.Accounts) != want {
		c.tb.Fatalf("%d accounts of %+v, want %d", len(got.Accounts), q, want)
	}
}

// operations are what must not get dearer with the number of accounts.
func (c *crowd) operations() map[string]func() {
	middle := crowded(c.n/2 + 1)
	return map[string]func(){
		"list":           func() { c.page(store.AccountQuery{}, 0, 20) },
		"page":           func() { c.page(store.AccountQuery{}, uint64(c.n), 20) },
		"filter by app":  func() { c.page(store.AccountQuery{App: "rare"}, 0, min(20, c.n/100)) },
		"filter by user": func() { c.page(store.AccountQuery{User: middle.User}, 0, 2) },
		"find": func() {
			must[store.Versioned[behalf.Account]](c.tb)(c.store.FindAccount(c.tb.Context(), project, middle.ID))
		},
		"delete": func() {
			c.deleted++
			if err := c.store.DeleteAccount(c.tb.Context(), project, crowded(c.n-c.deleted).ID); err != nil {
				c.tb.Fatal(err)
			}
		},
	}
}

// fastest is the best time of several, in which a busy machine shows least.
func fastest(do func()) time.Duration {
	var times []time.Duration
	for range 30 {
		began := time.Now()
		do()
		times = append(times, time.Since(began))
	}
	return slices.Min(times)
}

// BenchmarkManyAccounts tells what each operation costs among 100,000 accounts, as a multiple of what it costs among 1,000,
// and fails above three times.
func BenchmarkManyAccounts(b *testing.B) {
	few, many := newCrowd(b, 1_000), newCrowd(b, 100_000)
	for name, do := range few.operations() {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				ratio := float64(fastest(many.operations()[name])) / float64(fastest(do))
				b.ReportMetric(ratio, "times-as-dear")
				if ratio > 3 {
					b.Errorf("%s costs %.1f times as much among a hundred times as many accounts", name, ratio)
				}
			}
		})
	}
}

// TestEveryAccountIsListedOnce pages through a crowd in every way, with accounts of the project's own and deleted ones between.
func TestEveryAccountIsListedOnce(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 300)
	must[uint64](t)(c.store.PutAccount(t.Context(), account(""), 0))
	for i := range 3 {
		if err := c.store.DeleteAccount(t.Context(), project, crowded(i*7).ID); err != nil {
			t.Fatal(err)
		}
	}
	for _, each := range []struct {
		query store.AccountQuery
		want  int
	}{
		{store.AccountQuery{}, 297},
		{store.AccountQuery{App: "rare"}, 2},
		{store.AccountQuery{User: crowded(20).User}, 2},
		{store.AccountQuery{User: crowded(7).User}, 1},
		{store.AccountQuery{User: crowded(20).User, App: "rare"}, 0},
		{store.AccountQuery{OAuthApp: "oa_none"}, 0},
		{store.AccountQuery{User: "nobody"}, 0},
	} {
		seen := map[behalf.AccountID]bool{}
		for after := uint64(0); ; {
			page := must[store.AccountPage](t)(c.store.ListAccounts(t.Context(), project, each.query, after, 7))
			for _, a := range page.Accounts {
				if seen[a.ID] || a.Own() {
					t.Errorf("%+v: %s comes where it should not", each.query, a.ID)
				}
				seen[a.ID] = true
			}
			if after = page.Next; after == 0 {
				break
			}
		}
		if len(seen) != each.want {
			t.Errorf("%+v: %d accounts, want %d", each.query, len(seen), each.want)
		}
	}
}

// TestAnAccountIsFoundWithoutItsPlace has accounts of before there were places, and an id that two users claim.
func TestAnAccountIsFoundWithoutItsPlace(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	s := l.store(t, store.Config{})
	a := account(user)
	must[uint64](t)(s.PutAccount(t.Context(), a, 0))
	js := must[jetstream.JetStream](t)(jetstream.New(l.connect(t)))
	kv := must[jetstream.KeyValue](t)(js.KeyValue(t.Context(), subject.Users(behalf.Development)))
	if err := kv.Purge(t.Context(), subject.PlaceKey(a.Project, a.ID)); err != nil {
		t.Fatal(err)
	}
	if found := must[store.Versioned[behalf.Account]](t)(s.FindAccount(t.Context(), a.Project, a.ID)); found.Value.User != a.User {
		t.Errorf("found %+v", found)
	}
	b := account("somebody-else")
	must[uint64](t)(s.PutAccount(t.Context(), b, 0))
	claimed := b
	claimed.User = "a-third"
	_, err := s.PutAccount(t.Context(), claimed, 0)
	wantKind(t, err, fault.Conflict)
	_, err = s.AccountAt(t.Context(), claimed)
	wantKind(t, err, fault.NotFound)
	must[store.Versioned[behalf.Account]](t)(s.AccountAt(t.Context(), b))
}
