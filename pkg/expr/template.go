package expr

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// Template is the props of a step with their expressions parsed. It never changes, and may be used by many at once.
type Template struct {
	props json.RawMessage
	root  part // nil where there is no expression
	steps []string
	// variables are sorted, as steps are.
	variables []string
}

// Variables finds the text of an environment variable by its name.
type Variables func(name string) (text string, ok bool)

// Parse reads the expressions in props: any JSON value, of which it keeps a reference. What is wrong with it is one
// error, Mistakes, of kind Invalid, which names every mistake with its prop and place, one for each expression.
func Parse(props json.RawMessage) (*Template, error) {
	if len(props) > MaxProps {
		return nil, Mistakes{{What: fmt.Sprintf("the props are larger than %d KiB", MaxProps>>10), Hint: "put large values into the step's code"}}
	}
	if len(props) == 0 {
		return &Template{}, nil
	}
	if !json.Valid(props) {
		return nil, Mistakes{{What: "the props are not JSON"}}
	}
	r := reader{names: names{map[string]bool{}, map[string]bool{}}}
	root := r.part(trimJSON(props), "", 0)
	if len(r.mistakes) > 0 {
		return nil, r.mistakes
	}
	return &Template{
		props: props, root: root,
		steps: slices.Sorted(maps.Keys(r.names.steps)), variables: slices.Sorted(maps.Keys(r.names.variables)),
	}, nil
}

// Steps are the names that the expressions read under steps, sorted, each once: of steps, and "trigger" where they read
// the event or its context.
func (t *Template) Steps() []string { return slices.Clone(t.steps) }

// Variables are the names of the environment variables that the expressions read, sorted, each once.
func (t *Template) Variables() []string { return slices.Clone(t.variables) }

// Eval fills in the expressions as EvalWith does, where there are no environment variables.
func (t *Template) Eval(steps json.RawMessage) (json.RawMessage, error) {
	return t.EvalWith(steps, nil)
}

// EvalWith fills in the expressions. Props without any are given back as they are. The object steps has what each step
// exported, and the trigger. The environment variables are found by name; one that is not there is undefined.
//
// It fails with kind StepFailed where an expression reads through null or undefined, a function is called on what it is
// not for, or a limit is passed; the message names the prop and the path as its author wrote it, and no value. It fails
// with kind Internal where steps is not a JSON object, as far as it had to be read.
func (t *Template) EvalWith(steps json.RawMessage, variables Variables) (json.RawMessage, error) {
	if t.root == nil {
		return t.props, nil
	}
	out := &output{scope: newScope(steps)}
	out.scope.variables = variables
	if !bytes.HasPrefix(out.scope.steps.raw, []byte("{")) {
		return nil, broken()
	}
	defined, err := t.root.write(out)
	switch {
	case err != nil:
		return nil, err
	case !defined:
		return json.RawMessage("null"), nil
	}
	if out.buf.Len() > MaxProps {
		return nil, tooLarge()
	}
	return out.buf.Bytes(), nil
}

func tooLarge() error {
	return fault.Newf(fault.StepFailed, "expr.Eval",
		"the props are larger than %d KiB after evaluation; hint: let a code step read large values from steps itself", MaxProps>>10)
}
