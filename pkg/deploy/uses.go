package deploy

import (
	"maps"
	"slices"

	"github.com/behalf-dev/behalf/pkg/action"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/deploy/strict"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// readUses finds the action that a step is. Nil for a code step, and where there is none of that name.
func (l *loader) readUses(fields strict.Fields) *action.Action {
	value := fields.Field("uses")
	if !value.Given() {
		return nil
	}
	if fields.Field("run").Given() {
		value.Mistake("a step has run: or uses:, not both", "make two steps of it")
	}
	text, ok := value.Text("write uses: slack-send-message@1")
	if !ok {
		return nil
	}
	found, err := l.actions.Find(text)
	if err != nil {
		value.Mistake(fault.Safe(err), "behalf actions list shows them all")
		return nil
	}
	return found
}

// readOne reads `account`, the one account of an action. The app is the action's, and so is the name of the prop.
func (l *loader) readOne(value strict.Value, used *action.Action, step *behalf.Step) {
	switch {
	case !value.Given():
	case used == nil:
		value.Mistake("account is for actions (uses:)", "write accounts: { APP: end_user }")
	case len(step.Accounts) > 0:
		value.Mistake("a step has account or accounts, not both", "keep one of them")
	case used.AnyApp:
		value.Mistake(used.Key+" takes an account of any app, and this does not say which", "write accounts: { APP: end_user }")
	case used.App == "":
		value.Mistake(used.Key+" uses no account", "leave it out")
	default:
		if ref, ok := l.readAccount(value, string(used.App)); ok {
			step.Accounts = map[string]behalf.AccountRef{string(used.App): ref}
		}
	}
}

// checkAction holds the accounts and props of a step against what its action takes.
func checkAction(fields strict.Fields, used *action.Action, step behalf.Step) {
	if account := fields.Field("account"); !account.Given() || len(step.Accounts) > 0 { // else it has its mistake already
		var apps []behalf.AppSlug
		for _, prop := range slices.Sorted(maps.Keys(step.Accounts)) {
			apps = append(apps, step.Accounts[prop].App)
		}
		for _, m := range used.CheckApps(apps...) {
			fields.Field("uses").Mistake(m.What, m.Hint)
		}
	}
	props, _ := fields.Field("props").Fields("")
	for _, m := range used.Check(step.Props) {
		at := fields.Field("uses")
		if p := props.Field(m.Prop); m.Prop != "" && p.Given() {
			at = p
		}
		at.Mistake(m.What, m.Hint)
	}
}
