package cli

import (
	"encoding/json"

	"github.com/behalf-dev/behalf/pkg/action"
	"github.com/behalf-dev/behalf/pkg/api"
	"github.com/behalf-dev/behalf/pkg/app"
)

// catalogView is the catalogues as the API shows them.
type catalogView struct {
	apps     app.Catalog
	prebuilt action.Catalog
}

func newCatalogView(apps app.Catalog) (catalogView, error) {
	actions, err := action.Standard(apps)
	return catalogView{apps, actions}, err
}

// Apps lists them by slug.
func (c catalogView) Apps() []api.AppView {
	slugs := c.apps.Slugs()
	views := make([]api.AppView, 0, len(slugs))
	for _, slug := range slugs {
		known, _ := c.apps.App(slug)
		views = append(views, viewOfApp(known))
	}
	return views
}

// Actions lists them by key and version.
func (c catalogView) Actions() []api.ActionView {
	all := c.prebuilt.List()
	views := make([]api.ActionView, 0, len(all))
	for _, a := range all {
		views = append(views, viewOfAction(a))
	}
	return views
}

// Action finds one by what a workflow file writes.
func (c catalogView) Action(uses string) (api.ActionView, error) {
	found, err := c.prebuilt.Find(uses)
	if err != nil {
		return api.ActionView{}, err
	}
	return viewOfAction(found), nil
}

func viewOfApp(a app.App) api.AppView {
	v := api.AppView{
		Slug: a.Slug, Name: a.Name, Description: a.Description, Docs: a.Docs, AuthType: string(a.Auth.Type),
		Categories: []string{}, BaseURL: a.BaseURL, Hosts: a.Hosts, CustomFields: customFields(a), Own: a.Own,
		Fields: make([]api.FieldView, 0, len(a.Fields)), AuthFields: make([]string, 0, len(a.Fields)),
	}
	if a.Auth.Type == app.OAuth2 {
		v.AuthType = "oauth"
	}
	for _, f := range a.Fields {
		v.AuthFields = append(v.AuthFields, f.Name)
		v.Fields = append(v.Fields, api.FieldView{
			Name: f.Name, From: string(f.From), Label: f.Label, Description: f.Description, Optional: f.Optional, Default: f.Default,
			Secret: f.From == app.FromCredential && !f.Public,
		})
	}
	return v
}

// customField is what a person fills in to connect an account of an app with keys.
type customField struct {
	Name        string `json:"name"`
	Label       string `json:"label"`
	Description string `json:"description,omitempty"`
	Type        string `json:"type"`
	Optional    bool   `json:"optional"`
	Default     string `json:"default,omitempty"`
}

// customFields is the fields of an app with keys as a JSON text, as clients of the Connect API read it. Nil for others.
func customFields(a app.App) *string {
	if a.Auth.Type != app.Keys {
		return nil
	}
	fields := []customField{}
	for _, f := range a.Fields {
		if f.From != app.FromCredential {
			continue
		}
		kind := "password"
		if f.Public {
			kind = "string"
		}
		label := f.Label
		if label == "" {
			label = f.Name
		}
		fields = append(fields, customField{f.Name, label, f.Description, kind, f.Optional, f.Default})
	}
	data, err := json.Marshal(fields)
	if err != nil { // texts and flags: there is nothing that cannot be encoded
		return nil
	}
	text := string(data)
	return &text
}

func viewOfAction(a *action.Action) api.ActionView {
	view := api.ActionView{
		Uses: a.Ref(), Name: a.Name, Description: a.Description, Docs: a.Docs, App: a.App, AnyApp: a.AnyApp, Scopes: a.Scopes,
		Repeat: a.Repeat, Props: make([]api.PropView, 0, len(a.Props)),
	}
	for _, p := range a.Props {
		view.Props = append(view.Props, api.PropView{
			Name: p.Name, Type: string(p.Type), Required: p.Required, Description: p.Description, Default: p.Default,
			Options: p.Options, Aliases: p.Aliases,
		})
	}
	return view
}

// appOf says in a word whose account an action takes.
func appOf(a api.ActionView) string {
	switch {
	case a.AnyApp:
		return "any app"
	case a.App == "":
		return "-"
	}
	return string(a.App)
}
