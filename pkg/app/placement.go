package app

import (
	"net/http"
	"net/textproto"
	"regexp"
	"slices"
	"strings"

	"github.com/behalf-dev/behalf/pkg/app/braces"
	"github.com/behalf-dev/behalf/pkg/deploy/strict"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// Placement is one place of a request to which a part of the credential goes. In Name and Value, {field} stands for a
// field of the credential; a placement of which the account lacks a field is left out.
type Placement struct {
	In Spot
	// Name is that of the header or of the query's parameter. Empty for InBasic.
	Name  string
	Value string
	// Unless are fields: with one of them in the account, the placement is left out.
	Unless []string
}

// Spot is a part of a request.
type Spot string

// The spots.
const (
	InHeader Spot = "header"
	InQuery  Spot = "query"
	// InBasic is the Authorization header as HTTP Basic; Value is user:password.
	InBasic Spot = "basic"
)

// Authorize puts an account's credential into a request, where the app says. A request to any place that is not the
// app's own is refused before anything is put into it, kind Forbidden; an account that lacks what is needed, or has what
// no request can carry, is Invalid. No message shows a value. Whoever sends the request must not follow redirects.
func (a App) Authorize(req *http.Request, credential map[string]secret.String) error {
	const op = "app.Authorize"
	base, err := a.Base(credential)
	if err != nil {
		return err
	}
	if !a.allows(req.URL, base) || req.Host != "" && req.Host != req.URL.Host {
		return fault.Newf(fault.Forbidden, op, "the credential of an account of %s is not sent to this URL: only by https, to %s", a.Slug, a.places(base.Host))
	}
	if missing := a.missing(credential); missing != "" {
		return fault.Newf(fault.Invalid, op, "the account of %s has no %s", a.Slug, missing)
	}
	placed := 0
	for _, p := range a.Auth.Send {
		name, value, ok := a.fill(p, credential)
		if !ok {
			continue
		}
		if !p.put(req, name, value) {
			return fault.Newf(fault.Invalid, op, "the credential of the account of %s has a sign in it that no request can carry", a.Slug)
		}
		placed++
	}
	if placed == 0 {
		return fault.Newf(fault.Invalid, op, "the catalogue does not say where the credential of an account of %s goes", a.Slug)
	}
	return nil
}

// HeaderNames lists the headers that Authorize sets for an account, in their canonical form.
func (a App) HeaderNames(credential map[string]secret.String) []string {
	var names []string
	for _, p := range a.Auth.Send {
		name, _, ok := a.fill(p, credential)
		switch {
		case ok && p.In == InHeader:
			names = append(names, textproto.CanonicalMIMEHeaderKey(name))
		case ok && p.In == InBasic:
			names = append(names, "Authorization")
		}
	}
	return names
}

func (a App) places(host string) string {
	hosts := slices.Concat([]string{host}, a.Hosts)
	slices.Sort(hosts)
	return strict.Alternatives(slices.Compact(hosts))
}

func (a App) missing(credential map[string]secret.String) string {
	for _, f := range a.Fields {
		if f.required() && a.value(credential, f.Name) == "" {
			return f.Name
		}
	}
	return ""
}

// fill makes the name and the value of a placement for an account. It is not ok where the placement is left out.
func (a App) fill(p Placement, credential map[string]secret.String) (name, value string, ok bool) {
	has := func(field string) bool { return a.value(credential, field) != "" }
	if slices.ContainsFunc(p.Unless, has) {
		return "", "", false
	}
	name, named := a.fillText(p.Name, credential)
	value, valued := a.fillText(p.Value, credential)
	return name, value, named && valued
}

func (a App) fillText(text string, credential map[string]secret.String) (string, bool) {
	parts, err := braces.Split(text)
	if err != nil {
		return "", false // Load refused it
	}
	var filled strings.Builder
	for _, p := range parts {
		piece := p.Text
		if p.IsName {
			if piece = a.value(credential, p.Text); piece == "" {
				return "", false
			}
		}
		filled.WriteString(piece)
	}
	return filled.String(), true
}

// put sets the value in its place. It is not ok for what cannot stand there.
func (p Placement) put(req *http.Request, name, value string) bool {
	switch p.In {
	case InHeader:
		if !validHeader(name) || !validHeaderValue(value) {
			return false
		}
		req.Header.Set(name, value)
	case InQuery:
		query := req.URL.Query()
		query.Set(name, value)
		req.URL.RawQuery = query.Encode()
	case InBasic:
		user, password, _ := strings.Cut(value, ":")
		req.SetBasicAuth(user, password)
	}
	return true
}

// validHeader says whether a header may hold a credential: those that steer the connection itself may not.
func validHeader(name string) bool {
	steering := []string{"Host", "Connection", "Content-Length", "Transfer-Encoding", "Te", "Trailer", "Upgrade", "Expect"}
	return regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$").MatchString(name) &&
		!slices.Contains(steering, textproto.CanonicalMIMEHeaderKey(name))
}

func validHeaderValue(value string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f })
}

func readPlacements(value strict.Value) []Placement {
	if !value.Given() {
		return nil
	}
	const hint = `write send: and a list: - { header: Authorization, value: "Bearer {oauth_access_token}" }`
	items, ok := value.Items(hint)
	if ok && len(items) == 0 {
		value.Mistake("the credential must go somewhere", hint)
	}
	placements := make([]Placement, 0, len(items))
	for _, item := range items {
		placements = append(placements, readPlacement(item))
	}
	return placements
}

func readPlacement(value strict.Value) Placement {
	var p Placement
	const hint = `write { header: Authorization, value: "Bearer {field}" }, { query: api_key, value: "{field}" } or { basic: "{user}:{password}" }`
	fields, ok := value.Shaped(strict.Shape{Known: []string{"header", "query", "basic", "value", "unless"}}, hint)
	if !ok {
		return p
	}
	for _, spot := range []Spot{InHeader, InQuery, InBasic} {
		field := fields.Field(string(spot))
		if !field.Given() {
			continue
		}
		if p.In != "" {
			field.Mistake("there is a "+string(p.In)+" here already", "write another entry of the list")
		}
		p.In, p.Name = spot, readFilled(field)
	}
	p.Unless = fields.Field("unless").Texts()
	switch p.In {
	case "":
		value.Mistake("this says no place", hint)
	case InBasic:
		p.Name, p.Value = "", p.Name
		checkBasic(fields, p.Value)
	case InHeader, InQuery:
		p.Value = readFilled(fields.Required("value", hint))
	}
	if p.In == InHeader && !strings.Contains(p.Name, "{") && !validHeader(p.Name) {
		fields.Field("header").Mistake("this is no header for a credential", "write header: Authorization")
	}
	return p
}

func checkBasic(fields strict.Fields, pair string) {
	if fields.Field("value").Given() {
		fields.Field("value").Mistake("value is not for basic", `write basic: "{user}:{password}"`)
	}
	if !strings.Contains(pair, ":") {
		fields.Field("basic").Mistake("a colon must stand between user and password", `write basic: "{user}:{password}"`)
	}
}

func readFilled(value strict.Value) string {
	text, ok := given(value)
	if !ok {
		return ""
	}
	if _, err := braces.Split(text); err != nil {
		value.Mistake(err.Error(), "write {field} for a field of the credential")
	}
	return text
}

// names lists the fields that a placement speaks of.
func (p Placement) names() []string {
	names := slices.Clone(p.Unless)
	for _, text := range []string{p.Name, p.Value} {
		if parts, err := braces.Split(text); err == nil {
			names = append(names, braces.Names(parts)...)
		}
	}
	return names
}
