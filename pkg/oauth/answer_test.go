package oauth_test

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/oauth"
	"github.com/behalf-dev/behalf/pkg/oauth/oauthtest"
	"github.com/behalf-dev/behalf/pkg/secret"
)

func TestOddLifetimesAreRead(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		expires any
		file    string
		want    time.Duration
	}{
		"a number":                 {600, fileWith(""), 10 * time.Minute},
		"a text":                   {"600", fileWith(""), 10 * time.Minute},
		"a fraction":               {600.9, fileWith(""), 10 * time.Minute},
		"none, and nobody knows":   {nil, fileWith(""), 0},
		"none, but the file knows": {nil, wordy(), time.Hour},
		"zero":                     {0, wordy(), time.Hour},
		"less than nothing":        {-1, fileWith(""), 0},
		"a million years":          {1e12, fileWith(""), 3650 * 24 * time.Hour},
		"words":                    {"soon", wordy(), time.Hour},
		"not a number":             {"NaN", fileWith(""), 0},
		"infinity":                 {"Inf", fileWith(""), 3650 * 24 * time.Hour},
		"an object":                {map[string]any{"seconds": 5}, fileWith(""), 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := oauthtest.New(t, oauthtest.Config{File: tc.file})
			id, word := v.Client()
			c, err := oauth.New(v.HTTP(), v.App(), oauth.Registration{ID: id, Secret: word}, oauth.Config{Now: func() time.Time { return now }})
			if err != nil {
				t.Fatal(err)
			}
			v.Fail(oauthtest.AtToken, oauthtest.Set("expires_in", tc.expires))
			token, err := c.Refresh(t.Context(), secret.New(v.Grant("jane").Refresh))
			if err != nil {
				t.Fatal(err)
			}
			want := time.Time{}
			if tc.want != 0 {
				want = now.Add(tc.want)
			}
			if !token.ExpiresAt.Equal(want) {
				t.Errorf("got %s, want %s", token.ExpiresAt, want)
			}
		})
	}
}

func TestARefreshTokenThatIsLeftOutIsKept(t *testing.T) {
	t.Parallel()
	v := oauthtest.New(t, oauthtest.Config{Keeps: true})
	c, tokens := clientOf(t, v), v.Grant("jane")
	for _, fault := range []oauthtest.Fault{oauthtest.NoRefreshToken(), oauthtest.Set("refresh_token", ""), {}} {
		v.Fail(oauthtest.AtToken, fault)
		token, err := c.Refresh(t.Context(), secret.New(tokens.Refresh))
		if err != nil || token.Refresh.Reveal() != tokens.Refresh || !v.Good(token.Access.Reveal()) {
			t.Fatalf("got %+v, %v", token, err)
		}
	}
	if got := v.Counts(); got.Refreshes != 3 || got.Reuses != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestScopesAreReadInEveryForm(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		scope any
		want  []string
	}{
		"spaces":  {"a b", []string{"a", "b"}},
		"commas":  {"a,b", []string{"a", "b"}},
		"a list":  {[]string{"a", "b"}, []string{"a", "b"}},
		"nothing": {nil, nil},
		"empty":   {"", nil},
		"number":  {5, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := oauthtest.New(t, oauthtest.Config{})
			v.Fail(oauthtest.AtToken, oauthtest.Set("scope", tc.scope))
			token, err := clientOf(t, v).Refresh(t.Context(), secret.New(v.Grant("jane").Refresh))
			if err != nil || !slices.Equal(token.Scopes, tc.want) {
				t.Errorf("got %v, %v", token.Scopes, err)
			}
		})
	}
}

func TestAnExchangeThatNamesNoScopesGaveThoseThatWereAskedFor(t *testing.T) {
	t.Parallel()
	v := oauthtest.New(t, oauthtest.Config{})
	v.Fail(oauthtest.AtToken, oauthtest.Set("scope", nil))
	if token := connect(t, v, clientOf(t, v), "jane"); !slices.Equal(token.Scopes, []string{"read", "write"}) {
		t.Errorf("got %v", token.Scopes)
	}
}

func TestATokenInAFormIsRead(t *testing.T) {
	t.Parallel()
	v := oauthtest.New(t, oauthtest.Config{})
	v.Fail(oauthtest.AtToken, oauthtest.Fault{
		Undone: true, Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}},
		Body: "access_token=at-1&refresh_token=rt-2&expires_in=28800&scope=repo%2Cgist&token_type=bearer",
	})
	token, err := clientOf(t, v).Refresh(t.Context(), secret.New("rt-1"))
	if err != nil || token.Access.Reveal() != "at-1" || token.Refresh.Reveal() != "rt-2" || !slices.Equal(token.Scopes, []string{"repo", "gist"}) || token.ExpiresAt.IsZero() {
		t.Errorf("got %+v, %v", token, err)
	}
}

// Whatever a token endpoint writes, there is a token that fits into a header, or an error that shows nothing of it.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		`{"access_token":"a","expires_in":"3600","scope":["a"]}`, `{"ok":false,"error":{"code":5}}`, "access_token=a&error=", "<html>", "\uFEFF{}", `{"access_token":"a\n"}`,
		`{"error":"invalid_grant"}`, `{"access_token":"a","expires_in":1e400,"user":{"id":[1]}}`,
	} {
		f.Add(200, "application/json", body)
		f.Add(400, "application/x-www-form-urlencoded", body)
	}
	f.Add(200, "application/json", packed(`{"access_token":"a","refresh_token":"b"}`))
	f.Add(200, "application/json", "\x1f\x8b\x08\x00a")
	vendor := oauthtest.AppAt(f, "", "https://vendor.example")
	f.Fuzz(func(t *testing.T, status int, kind, body string) {
		reply := roundTrip(func(r *http.Request) (*http.Response, error) {
			header := http.Header{"Content-Type": {kind}, "Retry-After": {kind}}
			return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
		})
		c, err := oauth.New(&http.Client{Transport: reply}, vendor, oauth.Registration{ID: "a"}, oauth.Config{})
		if err != nil {
			t.Fatal(err)
		}
		token, err := c.Refresh(t.Context(), secret.New("rt"))
		if err == nil {
			if value := token.Access.Reveal(); value == "" || strings.ContainsAny(value, "\r\n\x00") || token.Refresh.IsZero() || status >= 300 {
				t.Errorf("status %d gave %q", status, value)
			}
			return
		}
		e, ok := errors.AsType[oauth.Error](err)
		if !ok || e.Reason == "" || e.RetryAfter < 0 || e.RetryAfter > 24*time.Hour || len(e.Code) > 64 {
			t.Errorf("got %+v, %v", e, err)
		}
	})
}
