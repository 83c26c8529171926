package deploy

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/deploy/strict"
	"github.com/behalf-dev/behalf/pkg/expr"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// steps reads the list, in which each name stands once.
func (l *loader) steps(value strict.Value) []behalf.Step {
	if !value.Given() {
		return nil
	}
	const hint = "write a list of steps: - name: hello"
	items, ok := value.Items(hint)
	if !ok {
		return nil
	}
	if n := len(items); n == 0 || n > MaxSteps {
		value.Mistake(fmt.Sprintf("a workflow has 1 to %d steps, this one %d", MaxSteps, n), "")
		return nil
	}
	steps := make([]behalf.Step, 0, len(items))
	lines := map[behalf.StepName]int{}
	for _, item := range items {
		step := l.step(item)
		l.before = append(l.before, step.Name)
		if first, twice := lines[step.Name]; twice && step.Name != "" {
			item.Mistake(fmt.Sprintf("there is a step %s on line %d already", step.Name, first), "give it another name")
		} else {
			lines[step.Name] = item.Line()
		}
		steps = append(steps, step)
	}
	return steps
}

func (l *loader) step(value strict.Value) behalf.Step {
	var step behalf.Step
	fields, ok := value.Shaped(stepShape(), "write - name: hello")
	if !ok {
		return step
	}
	step.Name = readStepName(fields.Required("name", "write name: and a name under which later steps find what this one returns"))
	used := l.readUses(fields)
	if used == nil {
		step.Source = l.readRun(fields)
	}
	step.Accounts = l.readAccounts(fields.Field("accounts"))
	l.readOne(fields.Field("account"), used, &step)
	step.Env = readEnv(fields.Field("env"), used != nil)
	step.Props = l.readProps(fields.Field("props"), step.Accounts)
	step.Variables = variables(step)
	if used != nil {
		step.Uses = used.Ref()
		checkAction(fields, used, step)
	}
	return step
}

func readStepName(value strict.Value) behalf.StepName {
	text, ok := given(value, "write name: hello")
	if !ok {
		return ""
	}
	name, err := behalf.ParseStepName(text)
	if err != nil {
		value.Mistake(fault.Safe(err), "write name: hello")
	}
	return name
}

// readRun reads the file of a code step.
func (l *loader) readRun(fields strict.Fields) *behalf.Source {
	value := fields.Field("run")
	if !value.Given() {
		if !fields.Field("uses").Given() { // that one has its mistake already
			value.Mistake("the step says nothing to run", "write run: and a .mjs file of this folder, or uses: and an action such as slack-send-message@1")
		}
		return nil
	}
	text, ok := value.Text("write run: hello.mjs")
	if !ok {
		return nil
	}
	file := strings.TrimPrefix(text, "./")
	if !checkPath(value, file) || !checkRuntime(value, file) {
		return nil
	}
	code, ok := l.files[file]
	if !ok {
		value.Mistake("there is no file "+text+" in the folder", "write it, or correct the name; links are not followed")
		return nil
	}
	if !checkSource(value, text, code) {
		return nil
	}
	return l.source(file, behalf.RuntimeNode, code)
}

// checkPath keeps a file within its folder.
func checkPath(value strict.Value, file string) bool {
	inside := file != "" && utf8.ValidString(file) && path.Clean(file) == file && !path.IsAbs(file) &&
		file != ".." && !strings.HasPrefix(file, "../") && !strings.ContainsAny(file, "\\:\x00") && len(file) <= 200
	if !inside || strings.ContainsFunc(file, func(r rune) bool { return r < ' ' }) {
		value.Mistake("run must be a file of this folder or of one below it", "write it as hello.mjs or lib/hello.mjs, with / and without ..")
		return false
	}
	return true
}

func checkRuntime(value strict.Value, file string) bool {
	switch path.Ext(file) {
	case ".mjs":
		return true
	case ".js", ".cjs":
		value.Mistake("a Node step is an ES module", "rename the file to .mjs, with export default defineComponent({ … })")
	case ".ts", ".mts":
		value.Mistake("TypeScript steps are not built yet", "write run: and a .mjs file; TypeScript comes in a later release")
	case ".py":
		value.Mistake("Python steps are not built yet", "write run: and a .mjs file; Python comes in a later release")
	case ".go":
		value.Mistake("Go steps are not built yet", "write run: and a .mjs file; Go comes in a later release")
	case ".sh":
		value.Mistake("Bash steps are not built yet", "write run: and a .mjs file; Bash comes in a later release")
	default:
		value.Mistake("the language of this file is not known", "write run: and a .mjs file")
	}
	return false
}

func checkSource(value strict.Value, name string, code []byte) bool {
	switch {
	case len(code) > MaxSource:
		value.Mistake(fmt.Sprintf("%s is larger than %d KiB", name, MaxSource>>10), "bundle less, or load data at run time")
	case len(strings.TrimSpace(string(code))) == 0:
		value.Mistake(name+" is empty", "write export default defineComponent({ async run({ steps, $ }) { … } })")
	case !utf8.Valid(code):
		value.Mistake(name+" is not valid UTF-8", "save it as UTF-8")
	default:
		return true
	}
	return false
}

// readAccounts reads whose account each prop is. The prop's name is the app's.
func (l *loader) readAccounts(value strict.Value) map[string]behalf.AccountRef {
	if !value.Given() {
		return nil
	}
	fields, _ := value.Fields("write accounts: { practice: end_user }")
	var accounts map[string]behalf.AccountRef
	for _, prop := range fields.Names() {
		if ref, ok := l.readAccount(fields.Field(prop), prop); ok {
			if accounts == nil {
				accounts = map[string]behalf.AccountRef{}
			}
			accounts[prop] = ref
		}
	}
	return accounts
}

func (l *loader) readAccount(value strict.Value, prop string) (behalf.AccountRef, bool) {
	const hint = "write end_user, or own/main for an account of your own"
	slug, err := behalf.ParseAppSlug(prop)
	if err != nil || !l.catalog.Known(slug) {
		value.Mistake(fmt.Sprintf("there is no app %q", prop), l.appHint(prop))
	}
	text, ok := value.Text(hint)
	if !ok {
		return behalf.AccountRef{}, false
	}
	ref, err := behalf.ParseAccountRef(slug, text)
	switch {
	case err != nil:
		value.Mistake(fault.Safe(err), hint)
	case ref.Own == "" && l.version.Trigger.Auth == behalf.AuthNone && !l.version.Trigger.PublicUsers:
		value.Mistake("with auth: none anyone could act as any end user", "write auth: oauth at the trigger, or public_users: true there if that is what you want")
	}
	return ref, err == nil
}

func (l *loader) appHint(written string) string {
	slugs := l.catalog.Slugs()
	words := make([]string, 0, len(slugs))
	for _, slug := range slugs {
		words = append(words, string(slug))
	}
	if word, ok := strict.Nearest(written, words); ok {
		return "did you mean " + word + "?"
	}
	return "write the name of an app: " + strict.Alternatives(words)
}

// readProps reads the configured values, with their expressions as they are written, as one JSON object with its names
// in order.
func (l *loader) readProps(value strict.Value, accounts map[string]behalf.AccountRef) json.RawMessage {
	if !value.Given() {
		return nil
	}
	fields, ok := value.Fields("write props: { text: Hello }")
	if !ok {
		return nil
	}
	for _, name := range fields.Names() {
		checkProp(fields.Field(name), name, accounts)
	}
	data, ok := value.JSON(l.checkExpressions)
	if !ok {
		return nil
	}
	props, err := json.Marshal(data)
	switch {
	case err != nil:
		value.Mistake("the props cannot be written as JSON", "")
	case len(props) > MaxProps:
		value.Mistake(fmt.Sprintf("the step's props are larger than %d KiB as JSON", MaxProps>>10), "put large values into the step's code")
	}
	return props
}

// checkExpressions checks one text of the props.
func (l *loader) checkExpressions(value strict.Value, text string) {
	quoted, err := json.Marshal(text)
	if err != nil { // a string always can
		return
	}
	template, err := expr.Parse(quoted)
	if mistakes, ok := errors.AsType[expr.Mistakes](err); ok {
		for _, m := range mistakes {
			what := m.What
			if m.Column > 0 {
				what = fmt.Sprintf("the expression cannot be read at column %d of the text: %s", m.Column, m.What)
			}
			value.Mistake(what, m.Hint)
		}
		return
	}
	checkVariables(value, template.Variables())
	for _, name := range template.Steps() {
		if name != "trigger" && !slices.Contains(l.before, behalf.StepName(name)) {
			value.Mistake(fmt.Sprintf("the expression reads steps.%s, and no step before this one has that name", name), "a step reads steps.trigger and the steps above it")
		}
	}
}

func checkProp(value strict.Value, name string, accounts map[string]behalf.AccountRef) {
	switch {
	case !propName(name):
		value.Mistake("the name of a prop must be a letter or _, then letters, digits and _, at most 64", "")
	case slices.Contains([]string{"__proto__", "constructor", "prototype", "run"}, name):
		value.Mistake("a prop cannot be called "+name, "give it another name")
	case accounts[name] != behalf.AccountRef{}:
		value.Mistake(name+" is an account of this step already", "give the prop another name")
	}
}

func propName(s string) bool {
	const longest = 64
	if s == "" || len(s) > longest || s[0] >= '0' && s[0] <= '9' {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_'
	})
}
