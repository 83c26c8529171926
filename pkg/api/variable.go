package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
	"github.com/behalf-dev/behalf/pkg/web"
)

// maxVariable bounds the body of a new value, in bytes: every character may come escaped.
const maxVariable = 512 << 10

// CodeVariableRequired is the code of a deploy whose steps need environment variables that are not set.
const CodeVariableRequired = "variable_required"

// Variables are the environment variables of one environment. The API writes their values and cannot read them.
type Variables interface {
	// Variables lists those of a project by name, as they are right now.
	Variables(ctx context.Context, project behalf.ProjectID) ([]behalf.Variable, error)
	// SetVariable gives a variable a value. Errors: Invalid for a value that cannot be one, or one variable too many;
	// Conflict, Unavailable.
	SetVariable(ctx context.Context, project behalf.ProjectID, name behalf.VariableName, value secret.String, plain bool) (behalf.Variable, error)
	// UnsetVariable removes a variable. Errors: NotFound, Conflict, Unavailable.
	UnsetVariable(ctx context.Context, project behalf.ProjectID, name behalf.VariableName) error
}

// variableView is an environment variable as the API shows it: never with its value.
type variableView struct {
	Name        behalf.VariableName `json:"name"`
	Plain       bool                `json:"plain"`
	Environment behalf.Environment  `json:"environment"`
	UpdatedAt   time.Time           `json:"updated_at"`
}

func viewVariable(v behalf.Variable, env behalf.Environment) variableView {
	return variableView{v.Name, v.Plain, env, v.UpdatedAt}
}

func (a *API) variables(w http.ResponseWriter, r *http.Request, c call) error {
	if _, err := parseQuery(r.URL); err != nil {
		return err
	}
	found, err := c.Variables.Variables(r.Context(), c.Project)
	if err != nil {
		return err
	}
	views := make([]variableView, len(found))
	for i, v := range found {
		views[i] = viewVariable(v, c.environment)
	}
	web.WriteJSON(w, http.StatusOK, newPage(views, ""))
	return nil
}

// variableRequest is a new value.
type variableRequest struct {
	Value secret.String `json:"value"`
	Plain bool          `json:"plain"`
}

func (a *API) setVariable(w http.ResponseWriter, r *http.Request, c call) error {
	if _, err := parseQuery(r.URL); err != nil {
		return err
	}
	var req variableRequest
	if err := web.DecodeJSON(w, r, maxVariable, &req); err != nil {
		return err
	}
	name, err := behalf.ParseVariableName(r.PathValue("variable"))
	if err != nil {
		return err
	}
	set, err := c.Variables.SetVariable(r.Context(), c.Project, name, req.Value, req.Plain)
	if err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, viewVariable(set, c.environment))
	return nil
}

func (a *API) unsetVariable(w http.ResponseWriter, r *http.Request, c call) error {
	if _, err := parseQuery(r.URL); err != nil {
		return err
	}
	name, err := behalf.ParseVariableName(r.PathValue("variable"))
	if err != nil {
		return noVariable()
	}
	err = c.Variables.UnsetVariable(r.Context(), c.Project, name)
	if fault.Is(err, fault.NotFound) {
		return noVariable()
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func noVariable() error { return notFound("no such environment variable") }

// checkNeeds refuses a version that names own accounts or environment variables which the environment does not have.
func checkNeeds(ctx context.Context, stores Env, v behalf.Version, env behalf.Environment) error {
	if err := checkOwnAccounts(ctx, stores.Accounts, v, env); err != nil {
		return err
	}
	return checkVariables(ctx, stores.Variables, v, env)
}

// checkVariables names each missing variable with the first step that needs it.
func checkVariables(ctx context.Context, variables Variables, v behalf.Version, env behalf.Environment) error {
	needed := neededVariables(v)
	if len(needed) == 0 {
		return nil
	}
	set, err := variables.Variables(ctx, v.Project)
	if err != nil {
		return err
	}
	there := behalf.Variables{Variables: set}
	var missing []string
	for _, need := range needed {
		if _, ok := there.Find(need.name); !ok {
			missing = append(missing, "step "+string(need.step)+" needs the environment variable "+string(need.name))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return invalid(strings.Join(missing, "; ") + "; not set in " + string(env)).WithCode(CodeVariableRequired)
}

// neededVariable is a variable, and the first step that needs it.
type neededVariable struct {
	name behalf.VariableName
	step behalf.StepName
}

func neededVariables(v behalf.Version) []neededVariable {
	var needed []neededVariable
	seen := map[behalf.VariableName]bool{}
	for _, s := range v.Steps {
		for _, name := range s.Variables {
			if !seen[name] {
				seen[name] = true
				needed = append(needed, neededVariable{name, s.Name})
			}
		}
	}
	return needed
}
