package behalf

import (
	"maps"
	"slices"
)

// Bindings tells for each step, and each of its props, which account it uses.
type Bindings map[StepName]map[string]Account

// Resolve finds every account that the run of this event needs, before its first step, so that a missing one has no
// half effects. Accounts are those of the event's user and the project's own, of this environment.
//
// The newest healthy account of user and app wins, unless the event names one; one that is not this user's counts as
// not found. The first thing missing, in the order of the steps, is the failure.
func Resolve(v Version, e Event, accounts []Account) (Bindings, *Failure) {
	bindings := Bindings{}
	for _, step := range v.Steps {
		for _, prop := range sortedKeys(step.Accounts) {
			account, failure := resolveOne(step.Name, step.Accounts[prop], e, accounts)
			if failure != nil {
				return nil, failure
			}
			if bindings[step.Name] == nil {
				bindings[step.Name] = map[string]Account{}
			}
			bindings[step.Name][prop] = account
		}
	}
	return bindings, nil
}

func resolveOne(step StepName, ref AccountRef, e Event, accounts []Account) (Account, *Failure) {
	if ref.Own == "" && e.User == "" {
		return Account{}, FailUserRequired(step)
	}
	found := newest(accounts, func(a Account) bool {
		switch named, ok := e.Origin.Accounts[ref.App]; {
		case a.App != ref.App || a.Project != e.Project:
			return false
		case ref.Own != "":
			return a.Own() && a.Name == ref.Own
		case ok:
			return a.User == e.User && a.ID == named
		}
		return a.User == e.User
	})
	switch {
	case found == nil && ref.Own != "":
		return Account{}, FailOwnAccountRequired(step, ref, e.Environment)
	case found == nil:
		failure := FailAccountRequired(ref.App, e.User, e.Environment)
		failure.Step = step
		return Account{}, failure
	case !found.Usable() && ref.Own != "":
		return Account{}, FailOwnAccountNeedsReauth(step, ref, e.Environment)
	case !found.Usable():
		failure := FailAccountNeedsReauth(ref.App, e.User, e.Environment)
		failure.Step = step
		return Account{}, failure
	}
	return *found, nil
}

// newest finds the newest healthy match, or the newest of all where none is healthy.
func newest(accounts []Account, match func(Account) bool) *Account {
	var best *Account
	for i, a := range accounts {
		if !match(a) {
			continue
		}
		better := best == nil || !best.Usable() && a.Usable() ||
			best.Usable() == a.Usable() && a.CreatedAt.After(best.CreatedAt)
		if better {
			best = &accounts[i]
		}
	}
	return best
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
