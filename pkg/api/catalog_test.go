package api_test

import (
	"testing"
)

func TestAppsAndActions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, c := range map[string]struct {
		target, field string
		want          any
	}{
		"all apps":              {"/v1/apps", "page_info.count", 2.0},
		"the last page":         {"/v1/apps", "page_info.end_cursor", nil},
		"a page of one":         {"/v1/apps?limit=1", "page_info.end_cursor", "github"},
		"the page after":        {"/v1/apps?limit=1&after=github", "data.0.name_slug", "slack"},
		"nothing after":         {"/v1/apps?after=slack", "page_info.count", 0.0},
		"apps by name":          {"/v1/apps?q=HUB", "data.0.name_slug", "github"},
		"apps by description":   {"/v1/apps?q=messages", "data.0.name_slug", "slack"},
		"no apps":               {"/v1/apps?q=trello", "page_info.count", 0.0},
		"one app":               {"/v1/apps/github", "data.auth_type", "oauth"},
		"its fields":            {"/v1/apps/github", "data.fields.0.secret", true},
		"all actions":           {"/v1/actions", "page_info.count", 2.0},
		"the actions of an app": {"/v1/actions?app=slack", "data.0.uses", "slack-send-message@1"},
		"one action":            {"/v1/actions/http-request@1", "data.any_app", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := w.call(backend, "GET", c.target, "")
			if got := a.field(t, c.field); a.status != 200 || got != c.want {
				t.Errorf("%d, %s is %v, want %v", a.status, c.field, got, c.want)
			}
		})
	}
	flat(t, w.call(backend, "GET", "/v1/apps/trello", ""), 404, "not_found")
	flat(t, w.call(backend, "GET", "/v1/actions/frobnicate@1", ""), 404, "not_found")
	flat(t, w.call(backend, "GET", "/v1/apps?after=trello", ""), 400, "invalid")
	flat(t, w.call(backend, "GET", "/v1/apps?limit=0", ""), 400, "invalid")
	flat(t, w.call(backend, "GET", "/v1/actions?frobnicate=1", ""), 400, "invalid")
}
