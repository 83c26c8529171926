package action

import (
	"fmt"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/app/braces"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/deploy/strict"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// reader reads one file of an action.
type reader struct {
	action *Action
	// known are the names that templates may use, used those that some do.
	known, used []string
}

func readAction(file string, text []byte, apps app.Catalog) (*Action, strict.Mistakes) {
	r := &reader{action: &Action{apps: apps}, known: []string{runName, keyName}}
	mistakes := strict.Read(file, text, func(root strict.Value) {
		shape := strict.Shape{Known: []string{
			"key", "version", "name", "description", "docs", "app", "any_app", "scopes", "repeat", "props",
			"lookups", "request", "respond", "answer", "errors",
		}}
		fields, ok := root.Shaped(shape, "")
		if !ok {
			return
		}
		r.head(fields, strings.TrimSuffix(path.Base(file), ".yaml"))
		r.needs(fields)
		r.props(fields.Field("props"))
		r.plan(fields)
		r.unused(fields.Field("props"))
	})
	return r.action, mistakes
}

// head reads what names and describes the action.
func (r *reader) head(fields strict.Fields, fileName string) {
	a := r.action
	key := fields.Required("key", "write key: and the file's name up to its @")
	a.Key, _ = given(key)
	if version := fields.Required("version", "write version: 1"); version.Given() {
		a.Version, _ = version.Int(1, 1000)
	}
	switch {
	case a.Key == "":
	case !regexp.MustCompile(`^[a-z][a-z0-9_]*(-[a-z0-9_]+)*$`).MatchString(a.Key):
		key.Mistake("a key must be lower-case words with - between them", "write key: slack-send-message")
	case a.Version > 0 && a.Ref() != fileName:
		key.Mistake("the file is not called after its key and version", "rename it to "+a.Ref()+".yaml")
	}
	a.Name, _ = given(fields.Required("name", "write name: and what people call it"))
	a.Description, _ = given(fields.Required("description", "write description: and what it does"))
	a.Repeat, _ = given(fields.Required("repeat", "write repeat: and what a second call does"))
	docs := fields.Required("docs", "write docs: and where the service describes the call")
	a.Docs, _ = given(docs)
	if docs.Given() && !strings.HasPrefix(a.Docs, "https://") {
		docs.Mistake("this is no https URL", "write https://…")
	}
}

// needs reads which account the action needs.
func (r *reader) needs(fields strict.Fields) {
	a := r.action
	a.Scopes = fields.Field("scopes").Texts()
	if flag := fields.Field("any_app"); flag.Given() {
		a.AnyApp, _ = flag.Bool()
	}
	value := fields.Field("app")
	text, ok := given(value)
	if !ok {
		return
	}
	slug, err := behalf.ParseAppSlug(text)
	known, found := a.apps.App(slug)
	switch {
	case err != nil:
		value.Mistake(fault.Safe(err), "")
	case !found:
		value.Mistake("there is no app "+text, "write a file for it in configs/apps")
	case len(known.Auth.Send) == 0:
		value.Mistake(text+" has no HTTP API", "")
	case a.AnyApp:
		value.Mistake("any_app says another thing", "keep one of them")
	}
	a.App = slug
}

// plan reads what the action does.
func (r *reader) plan(fields strict.Fields) {
	request, respondField := fields.Field("request"), fields.Field("respond")
	if request.Given() == respondField.Given() {
		request.Mistake("an action has either a request or a respond", "write request: { method: …, url: … }")
		return
	}
	if respondField.Given() {
		r.action.plan.respond = r.respond(respondField)
		for _, name := range []string{"lookups", "answer", "errors"} {
			if fields.Field(name).Given() {
				fields.Field(name).Mistake(name+" is for a request", "leave it out")
			}
		}
		return
	}
	paths := r.errors(fields.Required("errors", "write errors: { message: [message] }"))
	r.lookups(fields.Field("lookups"), paths)
	c := r.request(request)
	c.errors = paths
	c.answer = r.answer(fields.Field("answer"))
	for i := range r.action.plan.lookups {
		r.action.plan.lookups[i].answer.ok = c.answer.ok
	}
	r.action.plan.request = &c
}

func (r *reader) respond(value strict.Value) *respond {
	fields, ok := value.Shaped(strict.Shape{Known: []string{"status", "headers", "body"}}, `write respond: { status: "{status}" }`)
	if !ok {
		return nil
	}
	const hint = `write status: "{status}", headers: "{headers}" and body: "{body}"`
	return &respond{
		status:  r.template(fields.Required("status", hint)),
		headers: r.template(fields.Required("headers", hint)),
		body:    r.template(fields.Required("body", hint)),
	}
}

func (r *reader) lookups(value strict.Value, paths errorPaths) {
	if !value.Given() {
		return
	}
	items, _ := value.Items("write a list: - { name: contact, url: /contacts/{email} }")
	for _, item := range items {
		fields, ok := item.Shaped(strict.Shape{Known: []string{"name", "unless_integer", "url", "query", "missing"}}, "")
		if !ok {
			continue
		}
		c := call{errors: paths, method: template{constant: http.MethodGet}}
		c.url = r.url(fields.Required("url", "write url: /path"))
		c.query = r.template(fields.Field("query"))
		c.missing = r.parts(fields.Field("missing"))
		c.unlessInteger = r.name(fields.Field("unless_integer"))
		name := fields.Required("name", "write name: and the name under which what follows finds the answer")
		c.name, _ = given(name)
		if slices.Contains(r.known, c.name) || c.name == answerName {
			name.Mistake("there is something called "+c.name+" already", "give it another name")
		}
		r.known = slices.Compact(slices.Sorted(slices.Values(append(r.known, c.name))))
		r.action.plan.lookups = append(r.action.plan.lookups, c)
	}
}

func (r *reader) request(value strict.Value) call {
	var c call
	fields, ok := value.Shaped(strict.Shape{Known: []string{"method", "url", "headers", "query", "body", "timeout"}}, "write request: { method: …, url: … }")
	if !ok {
		return c
	}
	if method := r.template(fields.Required("method", "write method: POST")); method != nil {
		c.method = *method
	}
	c.url = r.url(fields.Required("url", "write url: and a path below the app's address"))
	c.headers = r.template(fields.Field("headers"))
	c.query = r.template(fields.Field("query"))
	c.body = r.template(fields.Field("body"))
	c.timeout = r.template(fields.Field("timeout"))
	return c
}

func (r *reader) answer(value strict.Value) answer {
	var a answer
	if !value.Given() {
		return a
	}
	fields, ok := value.Shaped(strict.Shape{Known: []string{"as", "ok", "empty", "exports", "summary"}}, "")
	if !ok {
		return a
	}
	if as := fields.Field("as"); as.Given() {
		word, _ := as.Text("")
		if a.any = word == "any"; !a.any && word != "json" {
			as.Mistake("this word is not known here", "write as: json or as: any")
		}
	}
	a.ok, _ = given(fields.Field("ok"))
	a.empty = fields.Field("empty").Texts()
	exports := fields.Field("exports")
	a.exports = exports.Texts()
	for _, name := range a.exports {
		if name != "status" && name != "headers" {
			exports.Mistake("there is no "+name+" to export", "write exports: [status, headers]")
		}
	}
	known := r.known
	r.known = append(slices.Clone(known), answerName)
	a.summary = r.parts(fields.Field("summary"))
	r.known = known
	return a
}

func (r *reader) errors(value strict.Value) errorPaths {
	var paths errorPaths
	if !value.Given() {
		return paths
	}
	fields, ok := value.Shaped(strict.Shape{Known: []string{"message", "details"}}, "write errors: { message: [message] }")
	if !ok {
		return paths
	}
	paths.message = fields.Required("message", "write message: and the places of it in an answer").Texts()
	paths.details = fields.Field("details").Texts()
	return paths
}

// url reads a path, or the one prop that is the URL.
func (r *reader) url(value strict.Value) []braces.Part {
	parts := r.parts(value)
	whole := len(parts) == 1 && parts[0].IsName
	if value.Given() && !whole && (len(parts) == 0 || parts[0].IsName || !strings.HasPrefix(parts[0].Text, "/")) {
		value.Mistake("this is no path below the app's address", "write url: /path")
	}
	return parts
}

func (r *reader) parts(value strict.Value) []braces.Part {
	text, ok := given(value)
	if !ok {
		return nil
	}
	r.check(value, text)
	parts, err := braces.Split(text)
	if err != nil {
		return nil // told by check
	}
	return parts
}

// template reads a value of any form. Nil where none is given.
func (r *reader) template(value strict.Value) *template {
	if !value.Given() {
		return nil
	}
	tree, _ := value.JSON(r.check)
	for _, name := range whens(tree) {
		r.use(value, name)
	}
	t := compile(tree)
	return &t
}

// whens lists the names that stand under $if anywhere in a value.
func whens(tree any) []string {
	var names []string
	switch v := tree.(type) {
	case []any:
		for _, item := range v {
			names = append(names, whens(item)...)
		}
	case map[string]any:
		for key, member := range v {
			if name, ok := member.(string); ok && key == whenKey {
				names = append(names, name)
			}
			names = append(names, whens(member)...)
		}
	}
	return names
}

func (r *reader) check(value strict.Value, text string) {
	parts, err := braces.Split(text)
	if err != nil {
		value.Mistake(err.Error(), "write {name} for a prop, or for what a lookup answered")
		return
	}
	for _, name := range braces.Names(parts) {
		for _, root := range rootsOf(name) {
			r.use(value, root)
		}
	}
}

// name reads the name of something known.
func (r *reader) name(value strict.Value) string {
	name, ok := given(value)
	if ok {
		r.use(value, name)
	}
	return name
}

func (r *reader) use(value strict.Value, name string) {
	r.used = append(r.used, name)
	if !slices.Contains(r.known, name) {
		value.Mistake(fmt.Sprintf("nothing is called %.80q here", name), "write "+strict.Alternatives(r.known))
	}
}

// unused tells props that do nothing: a workflow that gives one would believe that they do.
func (r *reader) unused(props strict.Value) {
	for _, p := range r.action.Props {
		if !slices.Contains(r.used, p.Name) {
			props.Mistake("nothing uses the prop "+p.Name, "write {"+p.Name+"} where it goes")
		}
	}
}

// given reads a text that may be missing.
func given(value strict.Value) (string, bool) {
	if !value.Given() {
		return "", false
	}
	return value.Text("")
}
