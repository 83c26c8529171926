package store_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/bustest"
	"github.com/behalf-dev/behalf/pkg/bus/store"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

func TestAUserExistsFromTheFirstAccountUntilDeleted(t *testing.T) {
	t.Parallel()
	s := newLab(t).running(t, store.Config{})
	_, err := s.User(t.Context(), project, user)
	wantKind(t, err, fault.NotFound)
	if got := must[[]behalf.Account](t)(s.Accounts(t.Context(), project, user)); len(got) != 0 {
		t.Fatalf("accounts of nobody: %v", got)
	}
	a := account(user)
	must[uint64](t)(s.PutAccount(t.Context(), a, 0))
	made := must[behalf.ExternalUser](t)(s.User(t.Context(), project, user))
	if made.External != user || !strings.HasPrefix(string(made.ID), "exu_") || made.V != 1 {
		t.Errorf("made %+v", made)
	}
	found := must[store.Versioned[behalf.Account]](t)(s.FindAccount(t.Context(), project, a.ID))
	found.Value.State = behalf.AccountNeedsReauth
	must[uint64](t)(s.PutAccount(t.Context(), found.Value, found.Revision))
	_, err = s.PutAccount(t.Context(), found.Value, found.Revision)
	wantKind(t, err, fault.Conflict)
	if got := must[[]behalf.Account](t)(s.Accounts(t.Context(), project, user)); len(got) != 1 || got[0].Usable() {
		t.Errorf("accounts %+v", got)
	}

	if err := s.DeleteAccount(t.Context(), project, a.ID); err != nil {
		t.Fatal(err)
	}
	wantKind(t, s.DeleteAccount(t.Context(), project, a.ID), fault.NotFound)
	if again := must[behalf.ExternalUser](t)(s.EnsureUser(t.Context(), project, user)); again.ID != made.ID {
		t.Error("losing the last account made another user")
	}
	must[uint64](t)(s.PutAccount(t.Context(), account(user), 0))
	if gone := must[[]behalf.Account](t)(s.DeleteUser(t.Context(), project, user)); len(gone) != 1 {
		t.Errorf("deleted accounts %v", gone)
	}
	_, err = s.User(t.Context(), project, user)
	wantKind(t, err, fault.NotFound)
	if left := must[[]behalf.Account](t)(s.Accounts(t.Context(), project, user)); len(left) != 0 {
		t.Errorf("left are %v", left)
	}
	_, err = s.DeleteUser(t.Context(), project, user)
	wantKind(t, err, fault.NotFound)
}

func TestTheProjectsOwnAccountsAreNoUsers(t *testing.T) {
	t.Parallel()
	s := newLab(t).running(t, store.Config{})
	own := account("")
	own.Name = "main"
	must[uint64](t)(s.PutAccount(t.Context(), own, 0))
	must[uint64](t)(s.PutAccount(t.Context(), account("_own"), 0))
	if got := must[[]behalf.Account](t)(s.Accounts(t.Context(), project, "")); len(got) != 1 || got[0].Name != "main" {
		t.Errorf("got %+v", got)
	}
	if got := must[[]behalf.Account](t)(s.AccountsFromLeader(t.Context(), project, "_own")); len(got) != 1 || got[0].User != "_own" {
		t.Errorf("got %+v", got)
	}
	if got := must[store.UserPage](t)(s.Users(t.Context(), project, "", 0, 10)); len(got.Users) != 1 {
		t.Errorf("users %+v", got)
	}
}

func TestUsersWithOddNamesNeverMeet(t *testing.T) {
	t.Parallel()
	s := newLab(t).running(t, store.Config{})
	names := []behalf.ExternalUserID{
		"a.b", "a b", "a_b", "a/b", "A.B", "ü", "u\u0308", ">", "*", ".", "..", "a", "aa", "_own", "-", "%2e", `\`, "$JS.API.>",
		"👩‍👩‍👧", behalf.ExternalUserID(strings.Repeat("x", 250)), behalf.ExternalUserID(strings.Repeat("€", 250)),
		behalf.ExternalUserID(strings.Repeat("𝄞", 250)),
	}
	ids := map[behalf.ExternalUserID]behalf.AccountID{}
	for _, name := range names {
		a := account(name)
		ids[name] = a.ID
		must[uint64](t)(s.PutAccount(t.Context(), a, 0))
	}
	for _, name := range names {
		for range 2 { // from the leader, then from memory
			if got := must[behalf.ExternalUser](t)(s.User(t.Context(), project, name)); got.External != name {
				t.Errorf("%q is told %q", name, got.External)
			}
			if got := must[[]behalf.Account](t)(s.Accounts(t.Context(), project, name)); len(got) != 1 || got[0].ID != ids[name] {
				t.Errorf("%q has %v", name, got)
			}
		}
	}
	must[[]behalf.Account](t)(s.DeleteUser(t.Context(), project, ">"))
	for _, name := range names {
		if got := must[[]behalf.Account](t)(s.Accounts(t.Context(), project, name)); (len(got) == 0) != (name == ">") {
			t.Errorf("after deleting >, %q has %v", name, got)
		}
	}
	for _, bad := range []behalf.ExternalUserID{"", "\xff", "a\nb", behalf.ExternalUserID(strings.Repeat("x", 251))} {
		_, err := s.EnsureUser(t.Context(), project, bad)
		wantKind(t, err, fault.Invalid)
	}
}

func TestUsersAreListedInPages(t *testing.T) {
	t.Parallel()
	s := newLab(t).store(t, store.Config{})
	for i := range 7 {
		must[behalf.ExternalUser](t)(s.EnsureUser(t.Context(), project, behalf.ExternalUserID(fmt.Sprintf("u%d", i))))
	}
	must[behalf.ExternalUser](t)(s.EnsureUser(t.Context(), "proj_other", "u0"))
	must[[]behalf.Account](t)(s.DeleteUser(t.Context(), project, "u3"))
	var names []string
	for after, pages := uint64(0), 0; ; pages++ {
		page := must[store.UserPage](t)(s.Users(t.Context(), project, "", after, 3))
		for _, u := range page.Users {
			names = append(names, string(u.External))
		}
		if after = page.Next; after == 0 {
			if pages != 1 {
				t.Errorf("%d pages", pages+1)
			}
			break
		}
	}
	if got := strings.Join(names, " "); got != "u0 u1 u2 u4 u5 u6" {
		t.Errorf("listed %s", got)
	}
}

func TestWhatAnotherChangedIsForgotten(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	reader, writer := l.running(t, store.Config{}), l.running(t, store.Config{})
	must[uint64](t)(writer.PutAccount(t.Context(), account(user), 0))
	for n := 2; n < 40; n++ {
		must[[]behalf.Account](t)(reader.Accounts(t.Context(), project, user)) // now it is remembered
		must[uint64](t)(writer.PutAccount(t.Context(), account(user), 0))
		if got := must[[]behalf.Account](t)(writer.Accounts(t.Context(), project, user)); len(got) != n {
			t.Fatalf("the writer itself sees %d of %d", len(got), n)
		}
		if got := must[[]behalf.Account](t)(reader.AccountsFromLeader(t.Context(), project, user)); len(got) != n {
			t.Fatalf("the leader shows %d of %d", len(got), n)
		}
		bustest.Eventually(t, "the reader sees the new account", func() bool {
			return len(must[[]behalf.Account](t)(reader.Accounts(t.Context(), project, user))) == n
		})
		if n%7 == 0 {
			reader.Reset()
		}
	}
	must[behalf.ExternalUser](t)(reader.User(t.Context(), project, user))
	must[[]behalf.Account](t)(writer.DeleteUser(t.Context(), project, user))
	bustest.Eventually(t, "the reader forgets the user", func() bool {
		_, err := reader.User(t.Context(), project, user)
		return fault.Is(err, fault.NotFound)
	})
}

// Readers fill the memory all the while it is being changed: in the end it must hold the last state.
func TestAReadThatOverlapsAChangeIsNotKept(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	reader, writer := l.running(t, store.Config{}), l.store(t, store.Config{})
	a := account(user)
	rev := must[uint64](t)(writer.PutAccount(t.Context(), a, 0))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := reader.Accounts(t.Context(), project, user); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 300 {
		a.Name = fmt.Sprint(i)
		rev = must[uint64](t)(writer.PutAccount(t.Context(), a, rev))
		if i%100 == 50 {
			reader.Reset()
		}
	}
	bustest.Eventually(t, "the last state is seen", func() bool {
		return must[[]behalf.Account](t)(reader.Accounts(t.Context(), project, user))[0].Name == "299"
	})
	close(stop)
	wg.Wait()
	for range 100 {
		if got := must[[]behalf.Account](t)(reader.Accounts(t.Context(), project, user)); got[0].Name != "299" {
			t.Fatalf("an older state came back: %s", got[0].Name)
		}
	}
}

func TestADeletedUsersNameIsGoneWithItsMarker(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	s := l.store(t, store.Config{KeepMarkers: time.Second})
	must[uint64](t)(s.PutAccount(t.Context(), account(user), 0))
	must[[]behalf.Account](t)(s.DeleteUser(t.Context(), project, user))
	js, err := jetstream.New(l.connect(t))
	if err != nil {
		t.Fatal(err)
	}
	bustest.Eventually(t, "the bucket holds no message", func() bool {
		stream, err := js.Stream(t.Context(), "KV_"+subject.Users(behalf.Development))
		if err != nil {
			t.Fatal(err)
		}
		return stream.CachedInfo().State.Msgs == 0
	})
}

func TestConfigOfAUserIsMergedAndBounded(t *testing.T) {
	t.Parallel()
	s := newLab(t).running(t, store.Config{})
	set := func(name, value string) error {
		_, err := s.ConfigureUser(t.Context(), project, user, map[string]json.RawMessage{name: json.RawMessage(value)})
		return err
	}
	var writers sync.WaitGroup
	for i := range 4 { // at the same time, and each is kept
		writers.Go(func() {
			if err := set(fmt.Sprint("key", i), `"v"`); err != nil {
				t.Error(err)
			}
		})
	}
	writers.Wait()
	if err := set("large", `"`+strings.Repeat("x", 60<<10)+`"`); err != nil {
		t.Fatal(err)
	}
	wantKind(t, set("larger", `"`+strings.Repeat("x", 6<<10)+`"`), fault.Invalid)
	if err := set("key0", "null"); err != nil {
		t.Fatal(err)
	}
	got := must[behalf.ExternalUser](t)(s.User(t.Context(), project, user)).Config
	if len(got) != 4 || got["key0"] != nil || string(got["key1"]) != `"v"` {
		t.Errorf("config has %d names", len(got))
	}
}

func TestATombstoneStaysUntilTheUserIsForgottenAgain(t *testing.T) {
	t.Parallel()
	s := newLab(t).running(t, store.Config{})
	_, err := s.Forgotten(t.Context(), project, user)
	wantKind(t, err, fault.NotFound)
	first := must[behalf.Tombstone](t)(s.ForgetUser(t.Context(), project, user))
	if again := must[behalf.Tombstone](t)(s.ForgetUser(t.Context(), project, user)); !again.At.Equal(first.At) {
		t.Errorf("a repetition moved the tombstone from %v to %v", first.At, again.At)
	}
	if made := must[behalf.ExternalUser](t)(s.EnsureUser(t.Context(), project, user)); !made.ForgottenAt.Equal(first.At) {
		t.Errorf("the new user does not know of the old one: %+v", made)
	}
	if second := must[behalf.Tombstone](t)(s.ForgetUser(t.Context(), project, user)); !second.At.After(first.At) {
		t.Errorf("what was sent for the new user since %v may still run: %v", first.At, second.At)
	}
}
