package api

import (
	"net/http"
	"strings"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/web"
)

// Catalog tells of the apps and actions that this API knows, in the order in which they are shown.
type Catalog interface {
	Apps() []AppView
	Actions() []ActionView
	// Action finds one by what a workflow file writes under `uses`. Errors: NotFound, Invalid without a version.
	Action(uses string) (ActionView, error)
}

// AppView is an app as the API shows it, with the names of the Connect API. No field of it is a secret.
type AppView struct {
	Slug        behalf.AppSlug `json:"name_slug"`
	Name        string         `json:"name"`
	Description string         `json:"description,omitempty"`
	Docs        string         `json:"docs,omitempty"`
	// AuthType is oauth or keys.
	AuthType string `json:"auth_type"`
	// Image, Categories and Weight are what clients of the Connect API ask for. We have none.
	Image      string   `json:"img_src"`
	Categories []string `json:"categories"`
	Weight     int      `json:"featured_weight"`
	// CustomFields is a JSON array of the fields that a person fills in, as a text. Null where there are none.
	CustomFields *string `json:"custom_fields_json"`
	// BaseURL has {field} where an account's own field stands. Empty for an app without an HTTP API.
	BaseURL string `json:"base_url,omitempty"`
	// Hosts are where the credential may be sent.
	Hosts []string `json:"hosts,omitempty"`
	// AuthFields are the names that a step sees under $auth, and Fields what they are.
	AuthFields []string    `json:"auth_fields"`
	Fields     []FieldView `json:"fields"`
	// Own says that a team has added the app.
	Own bool `json:"own,omitempty"`
}

// FieldView is one field of $auth.
type FieldView struct {
	Name        string `json:"name"`
	From        string `json:"from"`
	Label       string `json:"label,omitempty"`
	Description string `json:"description,omitempty"`
	Optional    bool   `json:"optional,omitempty"`
	Default     string `json:"default,omitempty"`
	Secret      bool   `json:"secret,omitempty"`
}

// ActionView is an action as the API shows it.
type ActionView struct {
	Uses        string         `json:"uses"`
	Name        string         `json:"name"`
	Description string         `json:"description"`
	Docs        string         `json:"docs,omitempty"`
	App         behalf.AppSlug `json:"app,omitempty"`
	AnyApp      bool           `json:"any_app,omitempty"`
	Scopes      []string       `json:"scopes,omitempty"`
	Repeat      string         `json:"repeat,omitempty"`
	Props       []PropView     `json:"props"`
}

// PropView is one prop of an action.
type PropView struct {
	Name        string   `json:"name"`
	Type        string   `json:"type"`
	Required    bool     `json:"required,omitempty"`
	Description string   `json:"description,omitempty"`
	Default     any      `json:"default,omitempty"`
	Options     []string `json:"options,omitempty"`
	Aliases     []string `json:"aliases,omitempty"`
}

// one is the shape of a single app or action.
type one[T any] struct {
	Data T `json:"data"`
}

// apps lists the apps in the shape of our other lists.
func (a *API) apps(w http.ResponseWriter, r *http.Request, _ call) error {
	data, cursor, err := a.listApps(r)
	if err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, newPage(data, cursor))
	return nil
}

func (a *API) app(w http.ResponseWriter, r *http.Request, _ call) error {
	if _, err := parseQuery(r.URL); err != nil {
		return err
	}
	for _, v := range a.deps.Catalog.Apps() {
		if string(v.Slug) == r.PathValue("app") {
			web.WriteJSON(w, http.StatusOK, one[AppView]{v})
			return nil
		}
	}
	return notFound("no such app")
}

func (a *API) actions(w http.ResponseWriter, r *http.Request, _ call) error {
	q, err := parseQuery(r.URL, "app", "q", "after", "limit")
	if err != nil {
		return err
	}
	var found []ActionView
	for _, v := range a.deps.Catalog.Actions() {
		if !q.has("app") || string(v.App) == q.text("app") {
			found = append(found, v)
		}
	}
	return listed(w, q, found, func(v ActionView) (string, string) { return v.Uses, v.Name + "\n" + v.Description })
}

func (a *API) action(w http.ResponseWriter, r *http.Request, _ call) error {
	if _, err := parseQuery(r.URL); err != nil {
		return err
	}
	v, err := a.deps.Catalog.Action(r.PathValue("action"))
	if err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, one[ActionView]{v})
	return nil
}

// listed answers with the page that picked finds.
func listed[T any](w http.ResponseWriter, q query, all []T, names func(T) (id, text string)) error {
	data, cursor, err := picked(q, all, names)
	if err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, newPage(data, cursor))
	return nil
}

// picked is one page of what has the text of `q` in it, and the cursor of the next. What an entry is called is its cursor.
func picked[T any](q query, all []T, names func(T) (id, text string)) ([]T, string, error) {
	limit, err := q.limit()
	if err != nil {
		return nil, "", err
	}
	wanted, after := strings.ToLower(q.text("q")), q.text("after")
	skipping := after != ""
	var data []T
	cursor := ""
	for _, v := range all {
		id, text := names(v)
		switch {
		case skipping:
			skipping = id != after
		case !strings.Contains(strings.ToLower(id+"\n"+text), wanted):
		case len(data) == limit:
			return data, cursor, nil
		default:
			data, cursor = append(data, v), id
		}
	}
	if skipping {
		return nil, "", invalid("after must be a cursor that a page before gave")
	}
	return data, "", nil
}
