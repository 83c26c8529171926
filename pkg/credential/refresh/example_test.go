package refresh_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/credential/credentialtest"
	"github.com/behalf-dev/behalf/pkg/credential/refresh"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/oauth"
	"github.com/behalf-dev/behalf/pkg/oauth/oauthtest"
	"github.com/behalf-dev/behalf/pkg/secret"
)

func Example() {
	ctx := context.Background()
	vendor := oauthtest.Start(oauthtest.Config{})
	defer vendor.Close()
	account := behalf.Account{ID: "apn_1", Project: "proj_1", App: oauthtest.Slug, User: "jane"}
	store := credentialtest.NewMemory()
	granted := vendor.Grant("jane")
	_, err := store.Put(ctx, credential.PathOf(behalf.Development, account), credential.Credential{
		Fields:       map[string]secret.String{credential.FieldAccessToken: secret.New(granted.Access)},
		RefreshToken: secret.New(granted.Refresh), ExpiresAt: time.Now().Add(-time.Minute),
	}, 0)
	if err != nil {
		fmt.Println(err)
		return
	}

	source := refresh.New(refresh.Config{Environment: behalf.Development}, refresh.Deps{
		Store: store, Cached: credential.NewCached(store, credential.CacheConfig{}), Apps: only(vendor.App()),
		Leases: &table{values: map[string]value{}}, Accounts: &one{account: account}, Clients: client{vendor}, HTTP: vendor.HTTP(),
	}, zerolog.Nop())
	var runs sync.WaitGroup
	for range 100 {
		runs.Go(func() {
			c, err := source.Fresh(ctx, account)
			if err != nil || !vendor.Good(c.AccessToken().Reveal()) {
				fmt.Println(err)
			}
		})
	}
	runs.Wait()
	fmt.Println(vendor.Counts().Refreshes, "refresh")
	// Output:
	// 1 refresh
}

// only is a catalogue of one app.
type only app.App

func (o only) App(behalf.AppSlug) (app.App, bool) { return app.App(o), true }

type client struct{ vendor *oauthtest.Vendor }

func (c client) Client(context.Context, behalf.ProjectID, behalf.Environment, behalf.AppSlug, behalf.OAuthAppID) (oauth.Registration, error) {
	id, word := c.vendor.Client()
	return oauth.Registration{ID: id, Secret: word}, nil
}

// table is leases in memory, of one process.
type table struct {
	mu     sync.Mutex
	last   uint64
	values map[string]value
}

type value struct {
	data     []byte
	revision uint64
}

func (l *table) Get(_ context.Context, key string) ([]byte, uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v, ok := l.values[key]
	if !ok {
		return nil, 0, fault.New(fault.NotFound, "example", "no such key")
	}
	return v.data, v.revision, nil
}

func (l *table) PutFor(_ context.Context, key string, data []byte, revision uint64, _ time.Duration) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.values[key].revision != revision {
		return 0, fault.Wrap(fault.Conflict, "example", errors.New("another revision"))
	}
	l.last++
	l.values[key] = value{data, l.last}
	return l.last, nil
}

func (l *table) Delete(_ context.Context, key string, _ uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.values, key)
	return nil
}

// one is the record of one account.
type one struct {
	mu       sync.Mutex
	account  behalf.Account
	revision uint64
}

func (o *one) Account(context.Context, behalf.ProjectID, behalf.AccountID) (behalf.Account, uint64, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.account, o.revision, nil
}

func (o *one) SetAccount(_ context.Context, a behalf.Account, _ uint64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.account = a
	o.revision++
	return nil
}
