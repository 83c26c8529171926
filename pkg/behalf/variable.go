package behalf

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// VariableName names an environment variable of a project.
type VariableName string

// MaxVariables is how many environment variables a project may have in one environment.
const MaxVariables = 256

// Variable is an environment variable of a project in one environment. Its value lies in the credential store, never
// here.
type Variable struct {
	Name VariableName `json:"name"`
	// Plain says that the value is no secret: it is not taken out of what runs leave behind.
	Plain     bool      `json:"plain,omitempty"`
	UpdatedAt time.Time `json:"updated_at"`
}

// Variables are all the environment variables of a project in one environment, by name.
type Variables struct {
	V         int        `json:"v"`
	Project   ProjectID  `json:"project"`
	Variables []Variable `json:"variables"`
}

// ParseVariableName checks the name of an environment variable: a letter or underscore, then letters, digits and
// underscores, at most 64. Names that begin with BEHALF_ or PIPEDREAM_ are not free.
func ParseVariableName(s string) (VariableName, error) {
	const op = "behalf.ParseVariableName"
	ok := s != "" && len(s) <= maxID && (s[0] < '0' || s[0] > '9') && all(s, func(c byte) bool { return alphanumeric(c) || c == '_' })
	if !ok {
		return "", fault.New(fault.Invalid, op, "an environment variable's name must be a letter or _, then letters, digits and _, at most 64")
	}
	upper := strings.ToUpper(s)
	if strings.HasPrefix(upper, "BEHALF_") || strings.HasPrefix(upper, "PIPEDREAM_") || slices.Contains([]string{"__proto__", "constructor", "prototype"}, s) {
		return "", fault.Newf(fault.Invalid, op, "an environment variable cannot be called %s", s)
	}
	return VariableName(s), nil
}

// Find finds a variable by its name.
func (v Variables) Find(name VariableName) (Variable, bool) {
	at, ok := v.search(name)
	if !ok {
		return Variable{}, false
	}
	return v.Variables[at], true
}

// With is the list with this variable in it, in place of one of the same name.
func (v Variables) With(variable Variable) Variables {
	at, ok := v.search(variable.Name)
	v.Variables = slices.Clone(v.Variables)
	if ok {
		v.Variables[at] = variable
	} else {
		v.Variables = slices.Insert(v.Variables, at, variable)
	}
	return v
}

// Without is the list without the variable of this name.
func (v Variables) Without(name VariableName) Variables {
	if at, ok := v.search(name); ok {
		v.Variables = slices.Delete(slices.Clone(v.Variables), at, at+1)
	}
	return v
}

func (v Variables) search(name VariableName) (int, bool) {
	return slices.BinarySearchFunc(v.Variables, name, func(a Variable, b VariableName) int { return cmp.Compare(a.Name, b) })
}

// FailVariableMissing is for a step that names an environment variable which is not set in this environment.
func FailVariableMissing(step StepName, name VariableName, env Environment) *Failure {
	return FailStep(step, fmt.Sprintf("the environment variable %s is not set in %s; set it with behalf env set %s --env %s", name, env, name, env))
}
