package api

import (
	"context"
	"net/http"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
	"github.com/behalf-dev/behalf/pkg/web"
)

// importedView is an account that is now there, and whether it was before.
type importedView struct {
	accountView
	// Outcome is created or kept. What is there is never changed: its tokens may have been made anew since.
	Outcome string `json:"outcome"`
}

// importAccount makes an account under an id of the caller's, once: whoever asks again, also after a try that was cut short,
// finds one account.
func (a *API) importAccount(w http.ResponseWriter, r *http.Request, c call) error {
	if _, err := parseQuery(r.URL); err != nil {
		return err
	}
	id, err := behalf.ParseAccountID(r.PathValue("account"))
	if err != nil {
		return noAccount()
	}
	account, word, err := a.givenAccount(w, r, c)
	if err != nil {
		return err
	}
	account.ID = id
	view, err := importOnce(r.Context(), c, account, word)
	if err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, view)
	return nil
}

func importOnce(ctx context.Context, c call, account behalf.Account, word secret.String) (importedView, error) {
	there, err := c.Accounts.AccountAt(ctx, account)
	switch {
	case err == nil:
		return importedView{viewAccount(there, c.environment), "kept"}, nil
	case !fault.Is(err, fault.NotFound):
		return importedView{}, err
	}
	// A credential without an account is what a try before this one left behind: nobody has it.
	err = c.Credentials.PutCredential(ctx, account, word)
	if fault.Is(err, fault.Conflict) {
		if err := c.Credentials.DeleteCredential(ctx, account); err != nil {
			return importedView{}, err
		}
		err = c.Credentials.PutCredential(ctx, account, word)
	}
	if err != nil {
		return importedView{}, err
	}
	err = storeRecord(ctx, c, account)
	if fault.Is(err, fault.Conflict) {
		if there, readErr := c.Accounts.AccountAt(ctx, account); readErr == nil { // the same import, at the same moment
			return importedView{viewAccount(there, c.environment), "kept"}, nil
		}
	}
	if err != nil {
		if !mayBeStored(err) {
			_ = c.Credentials.DeleteCredential(context.WithoutCancel(ctx), account) // the first error is the one to tell
		}
		return importedView{}, err
	}
	return importedView{viewAccount(account, c.environment), "created"}, nil
}
