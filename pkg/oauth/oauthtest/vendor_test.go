package oauthtest_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/behalf-dev/behalf/pkg/oauth"
	"github.com/behalf-dev/behalf/pkg/oauth/oauthtest"
	"github.com/behalf-dev/behalf/pkg/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func client(tb testing.TB, v *oauthtest.Vendor) *oauth.Client {
	tb.Helper()
	id, word := v.Client()
	c, err := oauth.New(v.HTTP(), v.App(), oauth.Registration{ID: id, Secret: word}, oauth.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func refresh(tb testing.TB, v *oauthtest.Vendor, token string) (oauth.Token, error) {
	tb.Helper()
	return client(tb, v).Refresh(tb.Context(), secret.New(token))
}

func TestASpentTokenThatComesAgainRevokesItsWholeFamily(t *testing.T) {
	t.Parallel()
	v := oauthtest.New(t, oauthtest.Config{})
	first, other := v.Grant("jane"), v.Grant("jane")
	second, err := refresh(t, v, first.Refresh)
	if err != nil {
		t.Fatal(err)
	}
	third, err := refresh(t, v, second.Refresh.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := refresh(t, v, first.Refresh); err == nil {
		t.Fatal("the spent token was taken")
	}
	if _, err := refresh(t, v, third.Refresh.Reveal()); err == nil || v.Live(third.Refresh.Reveal()) || v.Good(third.Access.Reveal()) {
		t.Error("the family lives on")
	}
	if !v.Live(other.Refresh) || !v.Good(other.Access) {
		t.Error("another consent of the same user died with it")
	}
	if got, want := v.Counts(), (oauthtest.Counts{Tokens: 4, Refreshes: 2, Reuses: 1, Refused: 2}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestOfManyAtOnceOneIsServedAndTheGrantIsGone(t *testing.T) {
	t.Parallel()
	v := oauthtest.New(t, oauthtest.Config{})
	tokens := v.Grant("jane")
	c := client(t, v)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { _, _ = c.Refresh(t.Context(), secret.New(tokens.Refresh)) })
	}
	all.Wait()
	if got := v.Counts(); got.Refreshes != 1 || got.Reuses != 1 || got.Refused != 19 || v.Good(tokens.Access) {
		t.Errorf("got %+v", got)
	}
}

func TestWithinItsGraceASpentTokenIsTaken(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	v := oauthtest.New(t, oauthtest.Config{Grace: 30 * time.Second, Now: func() time.Time { return now }})
	tokens := v.Grant("jane")
	if _, err := refresh(t, v, tokens.Refresh); err != nil {
		t.Fatal(err)
	}
	now = now.Add(30 * time.Second)
	again, err := refresh(t, v, tokens.Refresh)
	if err != nil || !v.Good(again.Access.Reveal()) || v.Counts().Reuses != 1 {
		t.Fatalf("got %v", err)
	}
	now = now.Add(time.Second)
	if _, err := refresh(t, v, tokens.Refresh); err == nil || v.Good(again.Access.Reveal()) {
		t.Error("it was taken after its grace")
	}
}

func TestACutAfterTheDeedSpendsTheTokenAndOneBeforeDoesNot(t *testing.T) {
	t.Parallel()
	v := oauthtest.New(t, oauthtest.Config{})
	tokens := v.Grant("jane")
	v.Fail(oauthtest.AtToken, oauthtest.CutBefore(), oauthtest.Limited("1"), oauthtest.HTML(), oauthtest.CutAfter())
	for i, live := range []bool{true, true, true, false} {
		if _, err := refresh(t, v, tokens.Refresh); err == nil || v.Live(tokens.Refresh) != live {
			t.Errorf("fault %d: %v, and the token is good: %v", i, err, !live)
		}
	}
	if got, want := v.Counts(), (oauthtest.Counts{Tokens: 4, Refreshes: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestARequestIsHeldAsLongAsTheTestWants(t *testing.T) {
	t.Parallel()
	v := oauthtest.New(t, oauthtest.Config{})
	tokens := v.Grant("jane")
	release := make(chan struct{})
	v.Fail(oauthtest.AtToken, oauthtest.Slow(release))
	done := make(chan error, 1)
	go func() {
		_, err := client(t, v).Refresh(t.Context(), secret.New(tokens.Refresh))
		done <- err
	}()
	eventually(t, func() bool { return v.Counts().Tokens == 1 })
	if v.Counts().Refreshes != 0 || !v.Live(tokens.Refresh) {
		t.Error("it was not held")
	}
	close(release)
	if err := <-done; err != nil || v.Counts().Refreshes != 1 {
		t.Errorf("got %v", err)
	}
}

func TestAFaultStaysUntilItIsHealed(t *testing.T) {
	t.Parallel()
	v := oauthtest.New(t, oauthtest.Config{})
	tokens := v.Grant("jane")
	v.FailAlways(oauthtest.AtToken, oauthtest.Away(""))
	for range 3 {
		if _, err := refresh(t, v, tokens.Refresh); err == nil {
			t.Fatal("it is not away")
		}
	}
	v.Heal(oauthtest.AtToken)
	if _, err := refresh(t, v, tokens.Refresh); err != nil {
		t.Error(err)
	}
}

func TestTheAPITakesOnlyGoodTokens(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	v := oauthtest.New(t, oauthtest.Config{Plain: true, Lifetime: time.Minute, Now: func() time.Time { return now }})
	tokens := v.Grant("jane")
	call := func(token string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, v.URL()+"/api/me", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := v.HTTP().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return errorless(t, resp)
	}
	if got := call(tokens.Access); got != 200 {
		t.Errorf("got %d", got)
	}
	now = now.Add(time.Minute)
	if got := call(tokens.Access); got != 401 {
		t.Errorf("at its end: %d", got)
	}
	fresh, err := refresh(t, v, tokens.Refresh)
	if err != nil {
		t.Fatal(err)
	}
	v.EndAccess()
	if got := call(fresh.Access.Reveal()); got != 401 {
		t.Errorf("ended early: %d", got)
	}
	v.Withdraw("jane")
	if v.Live(fresh.Refresh.Reveal()) {
		t.Error("the refresh token lives on")
	}
	if got := v.Counts(); got.Calls != 3 || got.Unauthorized != 2 {
		t.Errorf("got %+v", got)
	}
}

func errorless(t *testing.T, resp *http.Response) int {
	t.Helper()
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

func TestAConsentThatIsWrongGetsNoPage(t *testing.T) {
	t.Parallel()
	v := oauthtest.New(t, oauthtest.Config{})
	for _, query := range []string{
		"", "client_id=x", "client_id=client-1", "client_id=client-1&response_type=code&redirect_uri=/cb&state=s",
		"client_id=client-1&response_type=code&redirect_uri=https://a.example/cb",
		"client_id=client-1&response_type=code&redirect_uri=https://a.example/cb&state=s&code_challenge=c&code_challenge_method=plain",
	} {
		if back, err := v.Consent(context.WithoutCancel(t.Context()), v.URL()+"/authorize?"+query, "jane"); err == nil {
			t.Errorf("%q goes to %s", query, back)
		}
	}
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	for !ok() {
		select {
		case <-deadline:
			t.Fatal("it never came to it")
		case <-time.After(time.Millisecond):
		}
	}
}
