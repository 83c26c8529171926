package refresh_test

import (
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/credential/credentialtest"
	"github.com/behalf-dev/behalf/pkg/credential/refresh"
	"github.com/behalf-dev/behalf/pkg/oauth/oauthtest"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// What a token that is in memory costs a run, and what it costs beside that to look whether it is due.
func BenchmarkFresh(b *testing.B) {
	vendor := oauthtest.New(b, oauthtest.Config{})
	store := credentialtest.NewMemory()
	account := behalf.Account{ID: "apn_1", Project: "proj_1", App: oauthtest.Slug, User: "jane"}
	path := credential.PathOf(behalf.Development, account)
	now := time.Now()
	_, err := store.Put(b.Context(), path, credential.Credential{
		Fields:       map[string]secret.String{credential.FieldAccessToken: secret.New("t")},
		RefreshToken: secret.New("r"), IssuedAt: now, ExpiresAt: now.Add(24 * time.Hour),
	}, 0)
	if err != nil {
		b.Fatal(err)
	}
	cached := credential.NewCached(store, credential.CacheConfig{TTL: 24 * time.Hour})
	source := refresh.New(refresh.Config{Environment: behalf.Development}, refresh.Deps{
		Store: store, Cached: cached, Apps: only(vendor.App()),
		Leases: &table{values: map[string]value{}}, Accounts: &one{account: account}, Clients: client{vendor}, HTTP: vendor.HTTP(),
	}, zerolog.Nop())
	b.Run("from memory, as it is", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := cached.Get(b.Context(), path); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("from memory, looked at", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := source.Fresh(b.Context(), account); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("by many at once", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := source.Fresh(b.Context(), account); err != nil {
					b.Error(err)
				}
			}
		})
	})
	if store.Reads() != 1 || vendor.Counts().Tokens != 0 {
		b.Errorf("%d reads, %+v", store.Reads(), vendor.Counts())
	}
}
