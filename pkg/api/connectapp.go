package api

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/web"
)

// connectApps lists the apps in the shape of the Connect API.
func (a *API) connectApps(w http.ResponseWriter, r *http.Request, _ call) error {
	data, cursor, err := a.listApps(r)
	if err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, newConnectPage(data, cursor, !r.URL.Query().Has("after")))
	return nil
}

// listApps is the page of apps that a request asks for, and the cursor of the next.
func (a *API) listApps(r *http.Request) ([]AppView, string, error) {
	q, err := parseQuery(r.URL, "q", "after", "limit", "has_components", "has_actions", "has_triggers", "category_ids", "sort_key", "sort_direction")
	if err != nil {
		return nil, "", err
	}
	found := slices.Clone(a.deps.Catalog.Apps())
	wanted, err := a.appFilter(q)
	if err != nil {
		return nil, "", err
	}
	found = slices.DeleteFunc(found, func(v AppView) bool { return !wanted(v) })
	if err := sortApps(q, found); err != nil {
		return nil, "", err
	}
	return picked(q, found, func(v AppView) (string, string) { return string(v.Slug), v.Name + "\n" + v.Description })
}

// appFilter says which apps are asked for: our components are actions alone, and we sort nothing into categories.
func (a *API) appFilter(q query) (func(AppView) bool, error) {
	asked := map[string]bool{}
	for _, name := range []string{"has_components", "has_actions", "has_triggers"} {
		flag, err := q.flag(name)
		if err != nil {
			return nil, err
		}
		asked[name] = flag
	}
	acting := map[behalf.AppSlug]bool{}
	for _, v := range a.deps.Catalog.Actions() {
		acting[v.App] = true
	}
	categories := strings.FieldsFunc(strings.Join(q.values["category_ids"], ","), func(r rune) bool { return r == ',' })
	return func(v AppView) bool {
		if asked["has_triggers"] || (asked["has_components"] || asked["has_actions"]) && !acting[v.Slug] {
			return false
		}
		return len(categories) == 0 || slices.ContainsFunc(v.Categories, func(c string) bool { return slices.Contains(categories, c) })
	}, nil
}

// sortApps puts them into the order that is asked for; without one they stay in that of the catalogue.
func sortApps(q query, apps []AppView) error {
	keys := map[string]func(x, y AppView) int{
		"":                func(x, y AppView) int { return 0 },
		"name":            func(x, y AppView) int { return cmp.Compare(strings.ToLower(x.Name), strings.ToLower(y.Name)) },
		"name_slug":       func(x, y AppView) int { return cmp.Compare(x.Slug, y.Slug) },
		"featured_weight": func(x, y AppView) int { return cmp.Compare(x.Weight, y.Weight) },
	}
	key, known := keys[q.text("sort_key")]
	if !known {
		return invalid("sort_key must be name, name_slug or featured_weight")
	}
	switch q.text("sort_direction") {
	case "", "asc":
		slices.SortStableFunc(apps, key)
	case "desc":
		slices.SortStableFunc(apps, func(x, y AppView) int { return key(y, x) })
	default:
		return invalid("sort_direction must be asc or desc")
	}
	return nil
}
