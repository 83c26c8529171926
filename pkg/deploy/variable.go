package deploy

import (
	"slices"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/deploy/strict"
	"github.com/behalf-dev/behalf/pkg/expr"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// readEnv reads the names of the environment variables that a code step gets, and sorts them.
func readEnv(value strict.Value, action bool) []behalf.VariableName {
	const hint = "write env: [STRIPE_KEY]"
	if !value.Given() {
		return nil
	}
	if action {
		value.Mistake("env is for code (run:)", "write {{env.NAME}} in the props of an action")
		return nil
	}
	items, ok := value.Items(hint)
	if !ok {
		return nil
	}
	var env []behalf.VariableName
	for _, item := range items {
		text, ok := item.Text(hint)
		if !ok {
			continue
		}
		name, err := behalf.ParseVariableName(text)
		switch {
		case err != nil:
			item.Mistake(fault.Safe(err), hint)
		case slices.Contains(env, name):
			item.Mistake("the variable "+text+" is named twice", "leave one of them out")
		default:
			env = append(env, name)
		}
	}
	if len(env) > behalf.MaxVariables {
		value.Mistake("a step may have at most 256 environment variables", "name those that it reads")
	}
	slices.Sort(env)
	return env
}

// checkVariables checks the names of the environment variables that an expression reads.
func checkVariables(value strict.Value, names []string) {
	for _, name := range names {
		if _, err := behalf.ParseVariableName(name); err != nil {
			value.Mistake(fault.Safe(err), "write {{env.STRIPE_KEY}}")
		}
	}
}

// variables are those that a step names, and those that its props read. What cannot be read has its mistake already.
func variables(step behalf.Step) []behalf.VariableName {
	all := slices.Clone(step.Env)
	template, err := expr.Parse(step.Props)
	if err != nil {
		return all
	}
	for _, name := range template.Variables() {
		all = append(all, behalf.VariableName(name))
	}
	slices.Sort(all)
	return slices.Compact(all)
}
