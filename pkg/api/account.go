package api

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
	"github.com/behalf-dev/behalf/pkg/web"
)

// maxAccount bounds the body of a new account, in bytes.
const maxAccount = 256 << 10

// accountView is an account as the API shows it: never with its credential.
type accountView struct {
	ID          behalf.AccountID      `json:"id"`
	App         behalf.AppSlug        `json:"app"`
	User        behalf.ExternalUserID `json:"user,omitempty"`
	Own         bool                  `json:"own,omitempty"`
	Name        string                `json:"name,omitempty"`
	Environment behalf.Environment    `json:"environment"`
	Healthy     bool                  `json:"healthy"`
	State       behalf.AccountState   `json:"state"`
	Reason      string                `json:"reason,omitempty"`
	ExpiresAt   time.Time             `json:"expires_at,omitzero"` // its token
	RefreshedAt time.Time             `json:"last_refreshed_at,omitzero"`
	RefreshAt   time.Time             `json:"next_refresh_at,omitzero"`
	CreatedAt   time.Time             `json:"created_at"`
	UpdatedAt   time.Time             `json:"updated_at"`
}

func viewAccount(a behalf.Account, env behalf.Environment) accountView {
	return accountView{
		ID: a.ID, App: a.App, User: a.User, Own: a.Own(), Name: a.Name, Environment: env,
		Healthy: a.Usable(), State: cmp.Or(a.State, behalf.AccountActive), Reason: a.Reason,
		ExpiresAt: a.ExpiresAt, RefreshedAt: a.RefreshedAt, RefreshAt: a.RefreshAt, CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt,
	}
}

// viewAccounts lists them newest first.
func viewAccounts(accounts []behalf.Account, env behalf.Environment) []accountView {
	views := make([]accountView, len(accounts))
	for i, a := range accounts {
		views[i] = viewAccount(a, env)
	}
	slices.SortStableFunc(views, func(a, b accountView) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return views
}

// accounts lists those of one user, or the project's own.
func (a *API) accounts(w http.ResponseWriter, r *http.Request, c call) error {
	q, err := parseQuery(r.URL, "user", "own", "app")
	if err != nil {
		return err
	}
	user, err := q.user()
	if err != nil {
		return err
	}
	if own := q.has("own") && q.text("own") == "true"; own == (user != "") || q.has("own") && !own {
		return invalid("say whose accounts: user=ID, or own=true for the project's own")
	}
	found, err := c.Accounts.Accounts(r.Context(), c.Project, user)
	if err != nil {
		return err
	}
	if app := q.text("app"); app != "" {
		found = slices.DeleteFunc(slices.Clone(found), func(f behalf.Account) bool { return string(f.App) != app })
	}
	web.WriteJSON(w, http.StatusOK, newPage(viewAccounts(found, c.environment), ""))
	return nil
}

func (a *API) account(w http.ResponseWriter, r *http.Request, c call) error {
	account, err := a.ownAccount(r, c)
	if err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, viewAccount(account, c.environment))
	return nil
}

func (a *API) deleteAccount(w http.ResponseWriter, r *http.Request, c call) error {
	account, err := a.ownAccount(r, c)
	if err != nil {
		return err
	}
	if err := dropAccount(r.Context(), c, account); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// dropAccount deletes the credential first: when that is all that was done, the record still leads a second try to the
// rest, and no secret is left behind a 204.
func dropAccount(ctx context.Context, c call, account behalf.Account) error {
	if err := c.Credentials.DeleteCredential(ctx, account); err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	if err := c.Accounts.DeleteAccount(ctx, account); err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	return nil
}

func (a *API) ownAccount(r *http.Request, c call) (behalf.Account, error) {
	if _, err := parseQuery(r.URL); err != nil {
		return behalf.Account{}, err
	}
	return a.findOwn(r, c)
}

func (a *API) findOwn(r *http.Request, c call) (behalf.Account, error) {
	id, err := behalf.ParseAccountID(r.PathValue("account"))
	if err != nil {
		return behalf.Account{}, noAccount()
	}
	account, err := c.Accounts.FindAccount(r.Context(), c.Project, id)
	if fault.Is(err, fault.NotFound) || err == nil && (account.Project != c.Project || c.user != "" && account.User != c.user) {
		return behalf.Account{}, noAccount()
	}
	return account, err
}

// accountRequest is a new account: a user's, or with own and a name the project's own.
type accountRequest struct {
	App        string          `json:"app"`
	User       string          `json:"user"`
	Own        bool            `json:"own"`
	Name       string          `json:"name"`
	Credential json.RawMessage `json:"credential"`
}

// givenAccount reads an account that a backend brings, with its credential.
func (a *API) givenAccount(w http.ResponseWriter, r *http.Request, c call) (behalf.Account, secret.String, error) {
	var req accountRequest
	if err := web.DecodeJSON(w, r, maxAccount, &req); err != nil {
		return behalf.Account{}, secret.String{}, err
	}
	account, err := a.newAccount(req, c.Project)
	if err != nil {
		return behalf.Account{}, secret.String{}, err
	}
	word := secret.New(string(req.Credential))
	account.Grant, err = grantOf(r.Context(), c, account.App, word)
	return account, word, err
}

func (a *API) createAccount(w http.ResponseWriter, r *http.Request, c call) error {
	if _, err := parseQuery(r.URL); err != nil {
		return err
	}
	account, word, err := a.givenAccount(w, r, c)
	if err != nil {
		return err
	}
	if err := storeAccount(r.Context(), c, account, word); err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, viewAccount(account, c.environment))
	return nil
}

// grantOf reads what is known of a credential. An OAuth client that it names must be there: nobody else could ever refresh it.
func grantOf(ctx context.Context, c call, app behalf.AppSlug, word secret.String) (behalf.Grant, error) {
	grant, err := c.Credentials.Grant(word)
	if err == nil && grant.OAuthApp != "" {
		_, err = c.oauthAppFor(ctx, app, string(grant.OAuthApp))
	}
	return grant, err
}

// newAccount checks a request and makes the account of it.
func (a *API) newAccount(req accountRequest, project behalf.ProjectID) (behalf.Account, error) {
	app, err := behalf.ParseAppSlug(req.App)
	if err != nil {
		return behalf.Account{}, err
	}
	if !a.deps.Apps.Known(app) {
		return behalf.Account{}, fault.Newf(fault.Invalid, "api.newAccount", "no such app: %s", app)
	}
	if len(req.Credential) == 0 || req.Credential[0] != '{' {
		return behalf.Account{}, invalid("credential must be a JSON object")
	}
	user, err := owner(req, app)
	if err != nil {
		return behalf.Account{}, err
	}
	now := time.Now().UTC()
	return behalf.Account{
		V: behalf.FormatVersion, ID: behalf.NewAccountID(), Project: project, App: app, User: user, Name: req.Name,
		CreatedAt: now, UpdatedAt: now,
	}, nil
}

// owner reads whose account it is to be: the user's, or nobody's for the project's own.
func owner(req accountRequest, app behalf.AppSlug) (behalf.ExternalUserID, error) {
	switch {
	case req.Own && req.User != "":
		return "", invalid("an account is a user's or the project's own: send user, or own and name")
	case req.Own:
		if _, err := behalf.ParseAccountRef(app, "own/"+req.Name); err != nil {
			return "", invalid("an own account needs a name of letters, digits, - and _, at most 64")
		}
		return "", nil
	case req.User == "":
		return "", invalid("say whose account it is: user, or own and name")
	case !validLabel(req.Name):
		return "", invalid("name may have 250 characters, none of them a control character")
	}
	return behalf.ParseExternalUserID(req.User)
}

// validLabel says whether a name can be shown to people.
func validLabel(s string) bool {
	if !utf8.ValidString(s) || utf8.RuneCountInString(s) > 250 {
		return false
	}
	for _, r := range s {
		if unicode.IsControl(r) {
			return false
		}
	}
	return true
}

// storeAccount keeps the credential before the record, and the user before both can be found: whoever sees the account
// can use it.
func storeAccount(ctx context.Context, c call, account behalf.Account, credential secret.String) error {
	if err := c.Credentials.PutCredential(ctx, account, credential); err != nil {
		return err
	}
	err := storeRecord(ctx, c, account)
	if err != nil && !mayBeStored(err) {
		// The record is not there and will not be, so the secret must not stay either. Where even that fails, the
		// first error is the one to tell: the secret is sealed, and nothing points to it.
		_ = c.Credentials.DeleteCredential(context.WithoutCancel(ctx), account)
	}
	return err
}

func storeRecord(ctx context.Context, c call, account behalf.Account) error {
	if !account.Own() {
		if _, err := c.Users.EnsureUser(ctx, c.Project, account.User); err != nil {
			return err
		}
	}
	return c.Accounts.PutAccount(ctx, account)
}

// mayBeStored says whether the failure leaves it open what was done.
func mayBeStored(err error) bool {
	return fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Timeout) || fault.Is(err, fault.Canceled) || fault.Is(err, fault.Internal)
}

func noAccount() error { return notFound("no such account") }
