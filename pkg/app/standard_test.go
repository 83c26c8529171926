package app_test

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// each calls a test for every app of ours that speaks to a service out there.
func each(t *testing.T, check func(t *testing.T, a app.App)) {
	t.Helper()
	apps := standard(t)
	for _, slug := range apps.Slugs() {
		if slug == "practice" {
			continue
		}
		a, _ := apps.App(slug)
		t.Run(string(slug), func(t *testing.T) {
			t.Parallel()
			check(t, a)
		})
	}
}

func TestEveryAddressIsHTTPS(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, a app.App) {
		t.Helper()
		addresses := []string{a.Docs, a.Auth.Docs, a.Auth.AuthorizeURL, a.Auth.TokenURL, strings.ReplaceAll(a.Auth.Revoke.URL, "{client_id}", "c")}
		addresses = slices.AppendSeq(addresses, maps.Values(a.Evidence.Sources))
		if !strings.HasPrefix(a.BaseURL, "{") {
			addresses = append(addresses, a.BaseURL)
		}
		for _, address := range addresses {
			if u, err := url.Parse(address); address != "" && (err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil) {
				t.Errorf("%q is not https", address)
			}
		}
	})
}

// A credential goes to the app's own hosts: to that of its base and of its test request, among others.
func TestEveryHostIsAllowed(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, a app.App) {
		t.Helper()
		switch base, err := url.Parse(a.BaseURL); {
		case a.BaseURL == "":
			if a.Slug != "postgresql" || len(a.Hosts) != 0 {
				t.Errorf("it has hosts %v and no base", a.Hosts)
			}
		case strings.HasPrefix(a.BaseURL, "{"):
			if a.Slug != "custom" && len(a.Within) == 0 {
				t.Error("an account may give any address")
			}
		case err != nil || !slices.Contains(a.Hosts, base.Host):
			t.Errorf("the host of %s is not among %v", a.BaseURL, a.Hosts)
		}
		if a.Test.URL == "" {
			return
		}
		account := map[string]secret.String{"oauth_access_token": secret.New("at-1"), "api_key": secret.New("k-1"), "instance_url": secret.New("https://acme.my.salesforce.com")}
		if req, err := a.TestRequest(t.Context(), account); err != nil || req.Header.Get("Authorization") == "" {
			t.Errorf("the test request: %v", err)
		}
	})
}

// Every fact of an app whose users connect by OAuth has the address of its public documentation, or is told to be
// unverified. What is unverified is left empty, so that nobody builds on it; only `refresh` must have a value, and has the
// one that is safe either way.
func TestEveryFactHasASourceOrIsToldToBeUnverified(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, a app.App) {
		t.Helper()
		given := facts(a)
		for _, fact := range slices.Sorted(maps.Keys(given)) {
			_, known := a.Evidence.Sources[fact]
			why, unverified := a.Evidence.Unverified[fact]
			switch {
			case !known && !unverified && (a.Auth.Type == app.OAuth2 || given[fact]):
				t.Errorf("%s has no source", fact)
			case unverified && len(why) < 15:
				t.Errorf("%s is unverified because of %q", fact, why)
			case unverified && given[fact] && (fact != "refresh" || a.Auth.Refresh != app.RefreshRotates):
				t.Errorf("%s is unverified, and there all the same", fact)
			}
		}
	})
}

// facts says which facts of a file have a value.
func facts(a app.App) map[string]bool {
	tokens := a.Auth.Tokens
	all := map[string]bool{"test": a.Test.URL != ""}
	if a.BaseURL != "" && !strings.HasPrefix(a.BaseURL, "{") {
		all["base_url"] = true
	}
	if len(a.Hosts) > 1 { // beside that of the base
		all["hosts"] = true
	}
	if a.Auth.Type != app.OAuth2 {
		all["fields"] = a.Slug != "custom" // whose fields are ours
		return all
	}
	maps.Copy(all, map[string]bool{
		"authorize": true, "token": true, "client": true, "refresh": true,
		"scopes": len(a.Auth.Scopes) > 0, "pkce": a.Auth.PKCE, "revoke": a.Auth.Revoke.URL != "",
		"lifetime": tokens.Lifetime != 0, "grace": tokens.Grace != 0, "idle": tokens.Idle != 0, "refresh_lifetime": tokens.RefreshLifetime != 0,
	})
	for fact, there := range map[string]bool{
		"format": tokens.Format != app.FormatForm, "headers": len(tokens.Headers) > 0, "answer": len(tokens.Answer) > 0,
		"authorize_params": len(a.Auth.AuthorizeParams) > 0, "errors": len(tokens.Errors.Grant)+len(tokens.Errors.Client)+len(tokens.Errors.Later) > 0,
	} {
		if there {
			all[fact] = true
		}
	}
	return all
}

// A refresh token is none of the fields, and steps find the token by the name that components read.
func TestStepsSeeTheTokenAndNoRefreshToken(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, a app.App) {
		t.Helper()
		names := make([]string, 0, len(a.Fields))
		for _, f := range a.Fields {
			names = append(names, f.Name)
		}
		if slices.Contains(names, "oauth_refresh_token") || slices.Contains(names, "refresh_token") {
			t.Errorf("steps would see %v", names)
		}
		if (a.Auth.Type == app.OAuth2) != slices.Contains(names, "oauth_access_token") {
			t.Errorf("it has %v", names)
		}
	})
}

func TestTheAppsThatConnectAreThese(t *testing.T) {
	t.Parallel()
	apps := standard(t)
	var connect []behalf.AppSlug
	for _, slug := range apps.Slugs() {
		if a, _ := apps.App(slug); a.Auth.Type == app.OAuth2 {
			connect = append(connect, slug)
		}
	}
	want := []behalf.AppSlug{
		"airtable_oauth", "github", "gmail", "google_calendar", "google_sheets", "hubspot", "jira", "linear", "microsoft_teams", "notion", "practice",
		"salesforce_rest_api", "slack",
	}
	if !slices.Equal(connect, want) {
		t.Errorf("got %v", connect)
	}
}
