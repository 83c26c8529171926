// Package action is the prebuilt steps: each one call to a service, as data in configs/actions.
//
// It never follows a redirect, never sends a credential to a place that its app does not name, never tries again and
// never logs: whether a failed call is repeated is the worker's to decide, and what it sent is nobody's to read.
package action

import (
	"slices"
	"strconv"

	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/deploy/strict"
)

// Action is one major version of a prebuilt step. It is safe for concurrent use.
type Action struct {
	Key     string
	Version int
	// Name and Description are for people, and Docs is where the service describes the call.
	Name        string
	Description string
	Docs        string
	// App is the app of which the action needs an account. Empty for none.
	App behalf.AppSlug
	// AnyApp says that an account may be given, of whatever app.
	AnyApp bool
	// Scopes are what the account must have been granted.
	Scopes []string
	// Repeat says what a second call does, where a worker dies between the call and its record.
	Repeat string
	Props  []Prop

	plan plan
	apps app.Catalog
}

// plan is what an action does: a request, with calls before it that look things up, or an answer to the caller.
type plan struct {
	lookups []call
	request *call
	respond *respond
}

// Ref is how a workflow names the action: its key, @ and its major version. A deploy pins it.
func (a *Action) Ref() string { return a.Key + "@" + strconv.Itoa(a.Version) }

// Mistake is what is wrong with one prop of a step, or with its account.
type Mistake struct {
	// Prop is the prop's name as it was written, or as it is missing. Empty where the account is meant.
	Prop string
	What string
	// Hint says what to write instead. Empty where What says it all.
	Hint string
}

// CheckApps holds the apps of a step's accounts against what the action needs, for deploy.
func (a *Action) CheckApps(apps ...behalf.AppSlug) []Mistake {
	switch {
	case a.AnyApp && len(apps) > 1:
		return []Mistake{{What: a.Key + " takes one account at most", Hint: "keep one of them"}}
	case a.AnyApp:
		return nil
	case a.App == "" && len(apps) > 0:
		return []Mistake{{What: a.Key + " uses no account", Hint: "leave it out"}}
	case a.App != "" && !slices.Equal(apps, []behalf.AppSlug{a.App}):
		return []Mistake{{What: a.Key + " needs one account, of the app " + string(a.App), Hint: "write account: end_user, or account: own/NAME for one of your own"}}
	}
	return nil
}

// names lists the props of the action, for a hint.
func (a *Action) names() string {
	names := make([]string, 0, len(a.Props))
	for _, p := range a.Props {
		names = append(names, p.Name)
	}
	return strict.Alternatives(names)
}
