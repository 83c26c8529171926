package app

import (
	"regexp"

	"github.com/behalf-dev/behalf/pkg/deploy/strict"
)

// Field is one name of the $auth object.
type Field struct {
	Name string
	From Origin
	// Label and Description are for the person who fills the field in. May be empty.
	Label       string
	Description string
	// Optional says that an account may lack it. One with a default is.
	Optional bool
	Default  string
	// Public says that it is no secret, as a host or a user's name: it may be shown, and is not taken out of logs.
	Public bool
}

// Origin is where a field's value comes from.
type Origin string

// The origins.
const (
	// FromCredential is a field of the account's credential.
	FromCredential Origin = "credential"
	// FromApp is the app's own base URL, so that a step need not know it.
	FromApp Origin = "app"
)

// accessToken is the field of what OAuth gives, which no file makes public.
const accessToken = "oauth_access_token" //nolint:gosec // G101: the name of a field, no value

func (f Field) secret() bool { return f.From == FromCredential && !f.Public }

func (f Field) required() bool { return f.From == FromCredential && !f.Optional }

// validFieldName is what vendors' components read from $auth.
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
		fields = append(fields, readField(entry, name))
	}
	return fields
}

func readField(value strict.Value, name string) Field {
	const hint = "write { from: credential } or { from: app }"
	f := Field{Name: name}
	shape := strict.Shape{Known: []string{"from", "label", "description", "optional", "default", "public"}}
	fields, ok := value.Shaped(shape, hint)
	if !ok {
		return f
	}
	f.From = readOrigin(fields.Required("from", hint))
	f.Label, _ = given(fields.Field("label"))
	f.Description, _ = given(fields.Field("description"))
	f.Default, _ = given(fields.Field("default"))
	f.Optional = readFlag(fields.Field("optional")) || f.Default != ""
	f.Public = readFlag(fields.Field("public"))
	if f.Public && name == accessToken {
		fields.Field("public").Mistake("an access token is a secret", "leave public out")
	}
	if f.From == FromApp && len(fields.Names()) > 1 {
		value.Mistake("a field from: app has nothing else to say", "write { from: app }")
	}
	return f
}

func readOrigin(value strict.Value) Origin {
	text, ok := given(value)
	if ok && text != string(FromCredential) && text != string(FromApp) {
		value.Mistake("this is no origin of a field", "write from: credential or from: app")
	}
	return Origin(text)
}

func readFlag(value strict.Value) bool {
	if !value.Given() {
		return false
	}
	flag, _ := value.Bool()
	return flag
}
