package app

import (
	"fmt"
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

// Load reads a catalogue: one .yaml file an app, named after its slug. More folders than one add to each other, as when
// a team has apps of its own; none may have an app that one before it has, so that nobody turns a known app's credentials
// to another place by a file. Every mistake of every file is told at once, as strict.Mistakes of kind Invalid; a folder
// that cannot be read is Unavailable.
func Load(folders ...fs.FS) (Catalog, error) {
	apps := map[behalf.AppSlug]App{}
	var mistakes strict.Mistakes
	for i, folder := range folders {
		wrong, err := loadFolder(folder, apps, i > 0)
		if err != nil {
			return Catalog{}, fault.Wrap(fault.Unavailable, "app.Load", err)
		}
		mistakes = append(mistakes, wrong...)
	}
	if err := mistakes.Err(); err != nil {
		return Catalog{}, err
	}
	return Catalog{apps}, nil
}

func loadFolder(files fs.FS, apps map[behalf.AppSlug]App, own bool) (strict.Mistakes, error) {
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return nil, err
	}
	var mistakes strict.Mistakes
	for _, entry := range entries {
		name := entry.Name()
		if plain, short := strings.CutSuffix(name, ".yml"); short {
			mistakes = append(mistakes, strict.Mistake{File: name, What: "the file of an app ends in .yaml", Hint: "rename it to " + plain + ".yaml"})
		}
		if !strings.HasSuffix(name, ".yaml") || strings.HasPrefix(name, ".") {
			continue
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		read, wrong := readApp(name, text)
		if _, twice := apps[read.Slug]; twice {
			wrong = append(wrong, strict.Mistake{
				File: name, Line: 1, What: fmt.Sprintf("there is an app %s already", read.Slug), Hint: "give yours another slug, and its file the same name",
			})
		}
		if mistakes = append(mistakes, wrong...); len(wrong) == 0 {
			read.Own = own
			apps[read.Slug] = read
		}
	}
	return mistakes, nil
}

func readApp(file string, text []byte) (App, strict.Mistakes) {
	var a App
	mistakes := strict.Read(file, text, func(root strict.Value) {
		fields, ok := root.Shaped(strict.Shape{Known: appFields()}, "")
		if !ok {
			return
		}
		a.Slug = readSlug(fields, strings.TrimSuffix(path.Base(file), ".yaml"))
		a.Name, _ = given(fields.Required("name", "write name: and how people call the service"))
		a.Description, _ = given(fields.Field("description"))
		a.Docs = readHTTPS(fields.Field("docs"))
		base := fields.Required("base_url", "write base_url: https://… , at_start, or none where there is no HTTP API")
		a.BaseURL = readBaseURL(base)
		auth := fields.Required("auth", "write auth: { type: oauth2, … } or auth: { type: keys, … }")
		a.Auth = readAuth(auth, a.BaseURL)
		a.Fields = readFields(fields.Required("fields", "write fields: and the names of the $auth object"))
		a.Hosts = readHosts(fields.Field("hosts"), a.BaseURL)
		a.Within = readDomains(fields.Field("within"))
		a.Test = readTest(fields.Field("test"), a.Hosts)
		a.Evidence = readEvidence(fields.Field("sources"), fields.Field("unverified"))
		a.checkWithin(fields.Field("within"))
		a.checkSend(base, auth)
		checkAnswer(auth, a.Auth.Tokens.Answer, a.Fields)
		mustBeFields(base, baseFields(a.BaseURL), a.Fields)
	})
	return a, mistakes
}

func appFields() []string {
	return []string{"slug", "name", "description", "docs", "base_url", "hosts", "auth", "fields", "within", "test", "sources", "unverified"}
}

// checkSend holds the places of the credential against the rest of the file.
func (a App) checkSend(base, auth strict.Value) {
	if !base.Given() || !auth.IsMapping() {
		return
	}
	word, _ := base.Text("")
	fields, _ := auth.Fields("")
	send := fields.Field("send")
	switch {
	case word == noBase && send.Given():
		send.Mistake("an app with base_url: none gets no requests", "leave send out, or write the base_url")
	case word != noBase && !send.Given():
		auth.Mistake("auth.send is missing", `write send: and where the credential goes: - { header: Authorization, value: "Bearer {oauth_access_token}" }`)
	}
	for _, p := range a.Auth.Send {
		mustBeFields(send, p.names(), a.Fields)
	}
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
	if ok && !isHTTPS(text) {
		value.Mistake("this must be an https URL without query or fragment", "write https://…")
	}
	return text
}

func readHosts(value strict.Value, base string) []string {
	var hosts []string
	if u, err := url.Parse(base); err == nil && !strings.Contains(base, "{") && u.Hostname() != "" {
		hosts = append(hosts, u.Hostname())
	}
	if !value.Given() {
		return hosts
	}
	hosts = append(hosts, readDomains(value)...)
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

func readDomains(value strict.Value) []string {
	domains := value.Texts()
	for _, domain := range domains {
		if !regexp.MustCompile(`^([a-z0-9-]{1,63}\.)+[a-z]{2,63}$`).MatchString(domain) {
			value.Mistake("a host must be a full name in lower case, without scheme, port or path", "write hosts: [api.example.com]")
		}
	}
	return domains
}

// checkWithin refuses domains where no account could leave them.
func (a App) checkWithin(value strict.Value) {
	if value.Given() && !wholeField(a.BaseURL) {
		value.Mistake("within is only for a base_url that is a field of the account", `write base_url: "{instance_url}", or leave within out`)
	}
}
