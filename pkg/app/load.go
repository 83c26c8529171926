package app

import (
	"errors"
	"io/fs"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/deploy/strict"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// atStart is what a file gives as base_url where the address is known only once the service runs.
const atStart = "at_start"

// Load reads a catalogue: one .yaml file an app, named after its slug. Every mistake of every file is told at once, as
// strict.Mistakes of kind Invalid; a folder that cannot be read is Unavailable.
func Load(files fs.FS) (Catalog, error) {
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		return Catalog{}, fault.Wrap(fault.Unavailable, "app.Load", err)
	}
	apps := make(map[behalf.AppSlug]App, len(names))
	var mistakes strict.Mistakes
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return Catalog{}, fault.Wrap(fault.Unavailable, "app.Load", err)
		}
		read, wrong := readApp(name, text)
		mistakes = append(mistakes, wrong...)
		apps[read.Slug] = read
	}
	if err := mistakes.Err(); err != nil {
		return Catalog{}, err
	}
	return Catalog{apps}, nil
}

func readApp(file string, text []byte) (App, strict.Mistakes) {
	var a App
	mistakes := strict.Read(file, text, func(root strict.Value) {
		fields, ok := root.Shaped(strict.Shape{Known: appFields()}, "")
		if !ok {
			return
		}
		a.Slug = readSlug(fields, strings.TrimSuffix(path.Base(file), ".yaml"))
		a.Name, _ = fields.Required("name", "write name: and how people call the service").Text("")
		a.Docs = readHTTPS(fields.Field("docs"))
		a.BaseURL = readBaseURL(fields.Required("base_url", "write base_url: https://… , or base_url: at_start"))
		a.Auth = readAuth(fields.Required("auth", "write auth: { type: oauth2, … } or auth: { type: keys }"), a.BaseURL)
		a.Fields = readFields(fields.Required("fields", "write fields: and the names of the $auth object"))
		a.Hosts = readHosts(fields.Field("hosts"), a.BaseURL)
	})
	return a, mistakes
}

func appFields() []string {
	return []string{"slug", "name", "docs", "base_url", "hosts", "auth", "fields"}
}

func readSlug(fields strict.Fields, fileName string) behalf.AppSlug {
	value := fields.Required("slug", "write slug: "+fileName)
	text, ok := given(value)
	if !ok {
		return ""
	}
	slug, err := behalf.ParseAppSlug(text)
	switch {
	case err != nil:
		value.Mistake(fault.Safe(err), "")
	case text != fileName:
		value.Mistake("the slug is not the file's name", "write slug: "+fileName+", or rename the file")
	}
	return slug
}

// given reads a text that may be missing.
func given(value strict.Value) (string, bool) {
	if !value.Given() {
		return "", false
	}
	return value.Text("")
}

func readHTTPS(value strict.Value) string {
	text, ok := given(value)
	if !ok {
		return ""
	}
	if u, err := parseBase(text); err != nil || u.Scheme != "https" {
		value.Mistake("this must be an https URL without query or fragment", "write https://…")
	}
	return text
}

func readBaseURL(value strict.Value) string {
	if text, ok := given(value); ok && text == atStart {
		return ""
	}
	return strings.TrimSuffix(readHTTPS(value), "/")
}

func readAuth(value strict.Value, base string) Auth {
	if !value.Given() {
		return Auth{}
	}
	fields, ok := value.Shaped(strict.Shape{Known: []string{"type", "authorize", "token", "scopes", "pkce"}}, "")
	if !ok {
		return Auth{}
	}
	kind := fields.Required("type", "write type: oauth2 or type: keys")
	text, ok := given(kind)
	switch auth := (Auth{Type: AuthType(text)}); {
	case !ok:
	case auth.Type == OAuth2:
		return auth.readOAuth2(fields, base)
	case auth.Type == Keys:
		auth.refuseOAuth2(fields)
		return auth
	default:
		kind.Mistake("this is no way of authentication", "write type: oauth2 or type: keys")
	}
	return Auth{}
}

func (a Auth) readOAuth2(fields strict.Fields, base string) Auth {
	a.authorize = readEndpoint(fields.Required("authorize", "write authorize: https://… , or a path of the base URL"))
	a.token = readEndpoint(fields.Required("token", "write token: https://… , or a path of the base URL"))
	a.AuthorizeURL, a.TokenURL = joined(base, a.authorize), joined(base, a.token)
	if scopes := fields.Field("scopes"); scopes.Given() {
		a.Scopes = readTexts(scopes)
	}
	if pkce := fields.Field("pkce"); pkce.Given() {
		a.PKCE, _ = pkce.Bool()
	}
	return a
}

func (a Auth) refuseOAuth2(fields strict.Fields) {
	for _, name := range fields.Names() {
		if name != "type" {
			fields.Field(name).Mistake(name+" is only for type: oauth2", "leave it out")
		}
	}
}

func readEndpoint(value strict.Value) string {
	text, ok := given(value)
	if !ok {
		return ""
	}
	if strings.HasPrefix(text, "/") {
		if u, err := url.Parse(text); err != nil || u.Host != "" || u.RawQuery != "" || u.Fragment != "" {
			value.Mistake("this is not a path", "write a path such as /oauth/token")
		}
		return text
	}
	return readHTTPS(value)
}

func readTexts(value strict.Value) []string {
	items, _ := value.Items("write a list: [one, two]")
	texts := make([]string, 0, len(items))
	for _, item := range items {
		if text, ok := item.Text(""); ok {
			texts = append(texts, text)
		}
	}
	return texts
}

// fieldName is what vendors' components read from $auth.
func validFieldName(s string) bool {
	return regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`).MatchString(s)
}

func readFields(value strict.Value) []Field {
	if !value.Given() {
		return nil
	}
	entries, ok := value.Fields("write a name and { from: credential } on each line")
	if ok && len(entries.Names()) == 0 {
		value.Mistake("there must be at least one field", "write oauth_access_token: { from: credential }")
	}
	fields := make([]Field, 0, len(entries.Names()))
	for _, name := range entries.Names() {
		entry := entries.Field(name)
		if !validFieldName(name) {
			entry.Mistake("a field's name must be lower-case letters, digits and _, at most 64", "")
		}
		fields = append(fields, Field{Name: name, From: readOrigin(entry)})
	}
	return fields
}

func readOrigin(value strict.Value) Origin {
	fields, ok := value.Shaped(strict.Shape{Known: []string{"from"}}, "write { from: credential } or { from: app }")
	if !ok {
		return ""
	}
	from := fields.Required("from", "write { from: credential } or { from: app }")
	text, ok := given(from)
	if ok && text != string(FromCredential) && text != string(FromApp) {
		from.Mistake("this is no origin of a field", "write from: credential or from: app")
	}
	return Origin(text)
}

func readHosts(value strict.Value, base string) []string {
	var hosts []string
	if u, err := url.Parse(base); err == nil && u.Hostname() != "" {
		hosts = append(hosts, u.Hostname())
	}
	if !value.Given() {
		return hosts
	}
	for _, host := range readTexts(value) {
		if !regexp.MustCompile(`^([a-z0-9-]{1,63}\.)+[a-z]{2,63}$`).MatchString(host) {
			value.Mistake("a host must be a full name in lower case, without scheme, port or path", "write hosts: [api.example.com]")
		}
		hosts = append(hosts, host)
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// parseBase reads an address to which paths can be added.
func parseBase(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return nil, errors.New("the URL must be http:// or https:// with a host")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("the URL must have no user, query or fragment")
	}
	return u, nil
}
