package credential

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// MaxVariable is the most that the value of an environment variable may have, in bytes of UTF-8, escaped as JSON.
const MaxVariable = 64 << 10

// VariablePath is where the value of a project's environment variable lies: {project}/_env/{name}. It is no path where
// the project or the name is none.
func VariablePath(env behalf.Environment, project behalf.ProjectID, name behalf.VariableName) Path {
	_, projectErr := behalf.ParseProjectID(string(project))
	_, nameErr := behalf.ParseVariableName(string(name))
	if projectErr != nil || nameErr != nil {
		return Path{Environment: env}
	}
	return Path{Environment: env, reserved: string(project) + variables + string(name)}
}

// VariableNames keeps the names of a project's environment variables, which are no secret.
type VariableNames interface {
	// VariableNames reads the list as it is right now; one that was never written is empty, at revision 0.
	VariableNames(ctx context.Context, project behalf.ProjectID) (behalf.Variables, Revision, error)
	// PutVariableNames writes a list that must still be at the revision. Errors: Conflict, Unavailable.
	PutVariableNames(ctx context.Context, list behalf.Variables, r Revision) error
}

// Variables are the environment variables of the projects of one environment: the values in a store of credentials, one
// by one, the names beside it.
type Variables struct {
	env   behalf.Environment
	store Store
	names VariableNames
	now   func() time.Time
}

// NewVariables puts the two together.
func NewVariables(env behalf.Environment, store Store, names VariableNames) Variables {
	return Variables{env, store, names, time.Now}
}

// Value is the value of an environment variable.
type Value struct {
	Text secret.String
	// Plain says that it is no secret.
	Plain bool
}

// Variable reads the value of an environment variable from a store. Errors: Invalid, NotFound, Unavailable.
func Variable(ctx context.Context, store Store, env behalf.Environment, project behalf.ProjectID, name behalf.VariableName) (Value, error) {
	found, _, err := store.Get(ctx, VariablePath(env, project, name))
	if err != nil {
		return Value{}, err
	}
	_, plain := found.Fields[fieldPlain]
	return Value{found.Fields[fieldValue], plain}, nil
}

const (
	fieldValue = "value"
	fieldPlain = "plain"
)

// List lists the variables of a project by name, without their values. Errors: Invalid, Unavailable.
func (v Variables) List(ctx context.Context, project behalf.ProjectID) ([]behalf.Variable, error) {
	list, _, err := v.names.VariableNames(ctx, project)
	return list.Variables, err
}

// Set gives a variable a value, whether or not it has one. The value is there before the name is. Errors: Invalid (the
// name, the value, or one variable too many), Conflict when others change it all the time, Unavailable.
func (v Variables) Set(ctx context.Context, project behalf.ProjectID, name behalf.VariableName, value Value) (behalf.Variable, error) {
	if _, err := behalf.ParseVariableName(string(name)); err != nil {
		return behalf.Variable{}, err
	}
	if err := checkValue(value.Text); err != nil {
		return behalf.Variable{}, err
	}
	variable := behalf.Variable{Name: name, Plain: value.Plain}
	err := again(func() error {
		variable.UpdatedAt = v.now().UTC().Truncate(time.Millisecond)
		return v.set(ctx, project, variable, value)
	})
	return variable, err
}

func (v Variables) set(ctx context.Context, project behalf.ProjectID, variable behalf.Variable, value Value) error {
	list, listed, err := v.names.VariableNames(ctx, project)
	if err != nil {
		return err
	}
	next := list.With(variable)
	if len(next.Variables) > behalf.MaxVariables {
		return fault.Newf(fault.Invalid, "credential.Set", "a project may have at most %d environment variables", behalf.MaxVariables)
	}
	path := VariablePath(v.env, project, variable.Name)
	_, revision, err := v.store.Get(ctx, path)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	fields := map[string]secret.String{fieldValue: value.Text}
	if value.Plain {
		fields[fieldPlain] = secret.New("true")
	}
	if _, err := v.store.Put(ctx, path, Credential{Fields: fields}, revision); err != nil {
		return err
	}
	return v.names.PutVariableNames(ctx, next, listed)
}

// Unset removes a variable: the value first, so that whoever finds the name gone finds the value gone. Errors: Invalid,
// NotFound, Conflict when others change it all the time, Unavailable.
func (v Variables) Unset(ctx context.Context, project behalf.ProjectID, name behalf.VariableName) error {
	if _, err := behalf.ParseVariableName(string(name)); err != nil {
		return err
	}
	return again(func() error {
		list, listed, err := v.names.VariableNames(ctx, project)
		if err != nil {
			return err
		}
		// Also where there is no such name: a Set that broke off may have left a value.
		if err := v.store.Delete(ctx, VariablePath(v.env, project, name)); err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		if _, ok := list.Find(name); !ok {
			return fault.New(fault.NotFound, "credential.Unset", "no such environment variable")
		}
		return v.names.PutVariableNames(ctx, list.Without(name), listed)
	})
}

// again does once more what lost a race, for it reads anew before it writes.
func again(once func() error) error {
	const tries = 10
	var err error
	for range tries {
		if err = once(); !fault.Is(err, fault.Conflict) {
			return err
		}
	}
	return err
}

func checkValue(value secret.String) error {
	text := value.Reveal()
	switch {
	case text == "":
		return fault.New(fault.Invalid, "credential.Set", "the value is empty; to remove the variable, unset it")
	case !utf8.ValidString(text):
		return fault.New(fault.Invalid, "credential.Set", "the value must be valid UTF-8")
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(text); err != nil || out.Len() > MaxVariable {
		return fault.New(fault.Invalid, "credential.Set", fmt.Sprintf("the value may have at most %d KiB", MaxVariable>>10))
	}
	return nil
}

// Secrets lists what no log may hold of the value: it, and where it is a JSON document every text in it. Nothing of a
// plain one.
func (v Value) Secrets() []secret.String {
	if v.Plain {
		return nil
	}
	all := []secret.String{v.Text}
	text := v.Text.Reveal()
	var doc any
	if len(text) == 0 || text[0] != '{' && text[0] != '[' || json.Unmarshal([]byte(text), &doc) != nil {
		return all
	}
	return append(all, texts(doc)...)
}

func texts(doc any) []secret.String {
	var all []secret.String
	switch d := doc.(type) {
	case string:
		all = append(all, secret.New(d))
	case []any:
		for _, item := range d {
			all = append(all, texts(item)...)
		}
	case map[string]any:
		for _, item := range d {
			all = append(all, texts(item)...)
		}
	}
	return all
}
