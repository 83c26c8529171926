package store_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/bustest"
	"github.com/behalf-dev/behalf/pkg/bus/store"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

func hashOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func connectToken(life time.Duration) behalf.ConnectToken {
	now := time.Now().UTC()
	return behalf.ConnectToken{Hash: hashOf("ctok_1"), Project: project, User: user, CreatedAt: now, ExpiresAt: now.Add(life)}
}

func TestAConnectTokenIsClaimedOnce(t *testing.T) {
	t.Parallel()
	s := newLab(t).running(t, store.Config{})
	token := connectToken(time.Hour)
	must[uint64](t)(s.PutConnectToken(t.Context(), token, 0))
	_, err := s.PutConnectToken(t.Context(), token, 0)
	wantKind(t, err, fault.Conflict)
	found := must[store.Versioned[behalf.ConnectToken]](t)(s.ConnectToken(t.Context(), token.Hash))
	if found.Value.User != user || found.Value.V != behalf.FormatVersion {
		t.Errorf("found %+v", found.Value)
	}
	var claims atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			mine := found.Value
			mine.Use.State = behalf.TokenClaimed
			if _, err := s.PutConnectToken(t.Context(), mine, found.Revision); err == nil {
				claims.Add(1)
			} else {
				wantKind(t, err, fault.Conflict)
			}
		})
	}
	all.Wait()
	if n := claims.Load(); n != 1 {
		t.Errorf("claimed %d times", n)
	}
	for _, hash := range []string{"", "*", ">", hashOf("ctok_2"), "token." + token.Hash, token.Hash[:63] + "Z"} {
		_, err := s.ConnectToken(t.Context(), hash)
		wantKind(t, err, fault.NotFound)
	}
}

func TestAConnectTokenEndsAndIsForgotten(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	s := l.running(t, store.Config{})
	past := connectToken(-time.Minute)
	_, err := s.PutConnectToken(t.Context(), past, 0)
	wantKind(t, err, fault.Conflict)
	token := connectToken(time.Second)
	must[uint64](t)(s.PutConnectToken(t.Context(), token, 0))
	js := must[jetstream.JetStream](t)(jetstream.New(l.connect(t)))
	kv := must[jetstream.KeyValue](t)(js.KeyValue(t.Context(), subject.Connecting(behalf.Development)))
	ctx, cancel := context.WithTimeout(t.Context(), bustest.Patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		_, ours := s.ConnectToken(ctx, token.Hash)
		_, theirs := kv.Get(ctx, subject.ConnectTokenKey(token.Hash))
		if fault.Is(ours, fault.NotFound) && errors.Is(theirs, jetstream.ErrKeyNotFound) {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("it is still there: %v, %v", ours, theirs)
		case <-tick.C:
		}
	}
}

func TestAConsentIsTakenOnce(t *testing.T) {
	t.Parallel()
	s := newLab(t).running(t, store.Config{})
	consent := behalf.Consent{Hash: hashOf("state"), Browser: hashOf("cookie"), Token: hashOf("ctok_1"), App: "slack", ExpiresAt: time.Now().Add(time.Minute)}
	if err := s.PutConsent(t.Context(), consent); err != nil {
		t.Fatal(err)
	}
	var taken atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if got, err := s.TakeConsent(t.Context(), consent.Hash); err == nil && got.App == "slack" {
				taken.Add(1)
			} else {
				wantKind(t, err, fault.NotFound)
			}
		})
	}
	all.Wait()
	if n := taken.Load(); n != 1 {
		t.Errorf("taken %d times", n)
	}
}

func TestOAuthAppsAreOfTheirProject(t *testing.T) {
	t.Parallel()
	s := newLab(t).running(t, store.Config{})
	app := behalf.OAuthApp{ID: "oa_1", Project: project, App: "slack", ClientID: "123", CreatedAt: time.Now().UTC()}
	rev := must[uint64](t)(s.PutOAuthApp(t.Context(), app, 0))
	app.Name = "ours"
	must[uint64](t)(s.PutOAuthApp(t.Context(), app, rev))
	_, err := s.PutOAuthApp(t.Context(), app, rev)
	wantKind(t, err, fault.Conflict)
	if found := must[store.Versioned[behalf.OAuthApp]](t)(s.OAuthApp(t.Context(), project, "oa_1")); found.Value.Name != "ours" {
		t.Errorf("found %+v", found)
	}
	if all := must[[]behalf.OAuthApp](t)(s.OAuthApps(t.Context(), project)); len(all) != 1 {
		t.Errorf("%d of mine", len(all))
	}
	if all := must[[]behalf.OAuthApp](t)(s.OAuthApps(t.Context(), "proj_other")); len(all) != 0 {
		t.Errorf("%d of another project", len(all))
	}
	_, err = s.OAuthApp(t.Context(), "proj_other", "oa_1")
	wantKind(t, err, fault.NotFound)
	_, err = s.OAuthApp(t.Context(), project, "oa_*")
	wantKind(t, err, fault.Invalid)
	if err := s.DeleteOAuthApp(t.Context(), project, "oa_1"); err != nil {
		t.Fatal(err)
	}
	wantKind(t, s.DeleteOAuthApp(t.Context(), project, "oa_1"), fault.NotFound)
}
