package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
	"github.com/behalf-dev/behalf/pkg/web"
)

// Connector keeps what users hand over without a page.
type Connector interface {
	// Connect tries keys at their service, keeps them, and uses the connect token up. Errors: Invalid, NotFound for an account
	// that is none of the user's and app's, Conflict for a token that is no longer good, Exhausted, Unavailable, Timeout.
	Connect(ctx context.Context, k Keys) (behalf.Account, error)
}

// Keys are those of an app, as its user hands them over.
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

// connectRequest is what the Connect API sends for a new account of an app with keys. Its fields are a text.
type connectRequest struct {
	App    string  `json:"app_slug"`
	Fields string  `json:"cfmap_json"`
	Name   *string `json:"name"`
	// Account is to be connected again, which needs a connect token.
	Account string `json:"account_id"`
	// Token is the connect token to use up. Nothing means the one that is borne, where one is.
	Token secret.String `json:"connect_token"`
}

func (r connectRequest) name() string {
	if r.Name == nil {
		return ""
	}
	return *r.Name
}

// connectCreate makes an account of an app with keys: by a connect token for its user, as the page with the form does, or
// for a user whom a backend names.
func (a *API) connectCreate(w http.ResponseWriter, r *http.Request, c call) error {
	q, err := parseQuery(r.URL, "external_user_id", "oauth_app_id")
	if err != nil {
		return err
	}
	var req connectRequest
	if err := web.DecodeTolerantJSON(w, r, maxAccount, &req); err != nil {
		return err
	}
	if q.has("oauth_app_id") {
		return invalid("oauth_app_id is for accounts that a user connects: make a connect token, and open its link")
	}
	keep := a.backendAccount
	if c.user != "" || !req.Token.IsZero() {
		keep = a.userAccount
	}
	account, err := keep(r, q, req, c)
	if err != nil {
		return err
	}
	view, err := a.shower(c, false).one(r.Context(), account)
	if err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, view)
	return nil
}

// backendAccount keeps what a backend says of a user, untried.
func (a *API) backendAccount(r *http.Request, q query, req connectRequest, c call) (behalf.Account, error) {
	switch {
	case req.Account != "":
		return behalf.Account{}, invalid("an account is connected again by its user: send a connect token, or open its link")
	case !q.has("external_user_id"):
		return behalf.Account{}, invalid("external_user_id must say whose account it is to be")
	}
	given := accountRequest{App: req.App, User: q.text("external_user_id"), Credential: json.RawMessage(req.Fields), Name: req.name()}
	account, err := a.newAccount(given, c.Project)
	if err != nil {
		return behalf.Account{}, err
	}
	word := secret.New(req.Fields)
	if account.Grant, err = grantOf(r.Context(), c, account.App, word); err != nil {
		return behalf.Account{}, err
	}
	return account, storeAccount(r.Context(), c, account, word)
}

// userAccount has the keys of a connect token's user tried and kept.
func (a *API) userAccount(r *http.Request, q query, req connectRequest, c call) (behalf.Account, error) {
	none := behalf.Account{}
	keys := Keys{Token: req.Token, Name: req.name()}
	if keys.Token.IsZero() {
		keys.Token, _ = web.Bearer(r) // it is one, or nobody would be here
	}
	user, err := a.userOfToken(r.Context(), keys.Token, c)
	if err != nil {
		return none, err
	}
	if q.has("external_user_id") && q.text("external_user_id") != string(user) {
		return none, noUser()
	}
	if keys.App, err = behalf.ParseAppSlug(req.App); err != nil {
		return none, err
	}
	if req.Account != "" {
		if keys.Account, err = behalf.ParseAccountID(req.Account); err != nil {
			return none, noAccount()
		}
	}
	if !validLabel(keys.Name) {
		return none, invalid("name may have 250 characters, none of them a control character")
	}
	if keys.Fields, err = fieldsOf(req.Fields); err != nil {
		return none, err
	}
	return a.deps.Connector.Connect(r.Context(), keys)
}

// userOfToken is whose account is made with a connect token. It must be of the caller's project and environment, and of the
// caller's user where there is one; any other is as unknown as one that never was.
func (a *API) userOfToken(ctx context.Context, text secret.String, c call) (behalf.ExternalUserID, error) {
	token, env, err := a.findConnectToken(ctx, text)
	strange := err == nil && (token.Project != c.Project || env != c.environment || !c.sees(token.User))
	switch {
	case strange, fault.Is(err, fault.NotFound):
		return "", invalid("connect_token is unknown, or has expired: make another")
	case err != nil:
		return "", err
	case !token.Good(time.Now()):
		return "", fault.New(fault.Conflict, "api.userOfToken", "this connect token was used, or is being used: make another")
	}
	return token.User, nil
}

// fieldsOf reads cfmap_json: an object of texts, in a text. Numbers and truths are taken as they are written, and null is
// nothing.
func fieldsOf(text string) (map[string]secret.String, error) {
	var given map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &given); err != nil || given == nil {
		return nil, invalid("cfmap_json must be a JSON object, written as a text")
	}
	fields := make(map[string]secret.String, len(given))
	for name, raw := range given {
		switch raw[0] {
		case 'n':
		case '{', '[':
			return nil, invalid("cfmap_json must be an object of texts, with none inside of another")
		case '"':
			var value string
			if err := json.Unmarshal(raw, &value); err != nil {
				return nil, invalid("cfmap_json must be a JSON object, written as a text")
			}
			fields[name] = secret.New(value)
		default:
			fields[name] = secret.New(string(raw))
		}
	}
	return fields, nil
}
