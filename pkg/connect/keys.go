package connect

import (
	"context"
	"net/http"
	"strings"

	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/auth"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// Keys are those of an app, as its user hands them over without a page.
type Keys struct {
	// Token says whose account it is to be, and where.
	Token secret.String
	App   behalf.AppSlug
	// Account is to be connected again. Empty for whichever it is.
	Account behalf.AccountID
	// Name is what the account is to be called. Empty for what the service says.
	Name   string
	Fields map[string]secret.String
}

// Connect does for a program what the form does for a person: the keys are tried at their service, and kept, and the token
// is used up. After a failure it is good again. Errors: Invalid; NotFound for an account that is none of the user's and app's;
// Conflict for a token that is no longer good; Exhausted, Unavailable, Timeout, after which nothing is connected.
func (s *Server) Connect(ctx context.Context, k Keys) (behalf.Account, error) {
	v, err := s.visitBy(ctx, k)
	if err != nil {
		return behalf.Account{}, err
	}
	if err := v.knows(k.Fields); err != nil {
		return behalf.Account{}, err
	}
	values, err := v.filled(k.Fields)
	if err != nil {
		return behalf.Account{}, err
	}
	account, err := s.tryKeys(ctx, v, values, k.Name)
	if err != nil {
		return behalf.Account{}, refusal(err)
	}
	return account, nil
}

// visitBy is visitOf for a program.
func (s *Server) visitBy(ctx context.Context, k Keys) (*visit, error) {
	const op = "connect.Connect"
	v := &visit{text: k.Token, account: k.Account}
	if err := s.findToken(ctx, v, auth.Hash(v.text)); err != nil {
		return nil, refusal(err)
	}
	known, ok := s.deps.Apps.App(k.App)
	v.app = known
	switch {
	case !v.token.Good(s.cfg.Now()):
		return nil, refusal(usedLink())
	case !ok, v.token.App != "" && v.token.App != k.App:
		return nil, fault.New(fault.Invalid, op, "app_slug names no app that can be connected with this connect token")
	case known.Auth.Type != app.Keys:
		return nil, fault.Newf(fault.Invalid, op, "%s asks for a consent: open the link of the connect token", known.Name)
	case k.Account == "":
		return v, nil
	}
	_, _, err := v.again(ctx)
	if _, strange := asProblem(err); strange {
		return nil, fault.New(fault.NotFound, op, "no such account")
	}
	return v, err
}

// knows refuses fields that the app has not, because they would be lost. Kind Invalid.
func (v *visit) knows(given map[string]secret.String) error {
	names := map[string]bool{}
	var list []string
	for _, f := range v.fields() {
		names[f.Name] = true
		list = append(list, f.Name)
	}
	for name := range given {
		if !names[name] {
			return fault.Newf(fault.Invalid, "connect.Connect", "cfmap_json has a field that %s has not; there are %s", v.app.Name, strings.Join(list, ", "))
		}
	}
	return nil
}

// refusal is for a program why its user's keys were not kept. What the service says of them is no word about the caller.
func refusal(err error) error {
	const op = "connect.Connect"
	if _, ok := asProblem(err); ok {
		return fault.New(fault.Conflict, op, "this connect token was used, or has expired: make another").Because(err)
	}
	if fault.Is(err, fault.Forbidden) || fault.Is(err, fault.Unauthenticated) || fault.Is(err, fault.NotFound) || fault.Is(err, fault.StepFailed) {
		return fault.New(fault.Invalid, op, fault.Safe(err)).Because(err)
	}
	return err
}

// tryKeys tries keys at their service before it keeps them.
func (s *Server) tryKeys(ctx context.Context, v *visit, values map[string]secret.String, name string) (behalf.Account, error) {
	return s.connectBy(ctx, v, func(ctx context.Context) (found, error) {
		identity, err := s.test(ctx, v.app, values)
		return found{credential: credential.Credential{Fields: values}, identity: identity, name: name}, err
	})
}

// keys takes a form with keys. What is wrong is told beside the form, which then has again all that is no secret.
func (s *Server) keys(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(r)
	if err != nil {
		return err
	}
	v, err := s.visitOf(r.Context(), form)
	if err != nil {
		s.fail(w, v, err)
		return nil
	}
	if v.app.Auth.Type != app.Keys {
		s.fail(w, v, badLink("It is for an app that asks for a consent."))
		return nil
	}
	values, err := v.filled(typed(form))
	if err != nil {
		s.showEntry(w, v, entry{public: v.publicOf(values), problem: shown(err)})
		return nil
	}
	account, err := s.tryKeys(r.Context(), v, values, "")
	if err != nil && v.token.Use.State == "" {
		s.log(err)
		s.showEntry(w, v, entry{public: v.publicOf(values), problem: shown(err)})
		return nil
	}
	s.answer(w, v, account, err)
	return nil
}
