package connect

import (
	"context"
	"net/http"

	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/credential"
)

// keys takes a form with keys. They are tried at the service before they are kept; what is wrong is told beside the form,
// which then has again all that is no secret.
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
	values, err := v.filled(form)
	if err != nil {
		s.showEntry(w, v, entry{public: v.publicOf(values), problem: shown(err)})
		return nil
	}
	account, err := s.connectBy(r.Context(), v, func(ctx context.Context) (found, error) {
		identity, err := s.test(ctx, v.app, values)
		return found{credential: credential.Credential{Fields: values}, identity: identity}, err
	})
	if err != nil && v.token.Use.State == "" {
		s.showEntry(w, v, entry{public: v.publicOf(values), problem: shown(err)})
		return nil
	}
	s.answer(w, v, account, err)
	return nil
}
