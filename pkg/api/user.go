package api

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/web"
)

// userView is an external user as the API shows it.
type userView struct {
	ID        behalf.UserRecordID   `json:"id"`
	User      behalf.ExternalUserID `json:"user"`
	CreatedAt time.Time             `json:"created_at"`
	UpdatedAt time.Time             `json:"updated_at"`
	// Config is what is stored beside the user.
	Config map[string]json.RawMessage `json:"config,omitempty"`
	// Accounts are told of one user, not in lists.
	Accounts []accountView `json:"accounts,omitempty"`
}

func viewUser(u behalf.ExternalUser) userView {
	return userView{ID: u.ID, User: u.External, CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt, Config: u.Config}
}

func (a *API) users(w http.ResponseWriter, r *http.Request, c call) error {
	found, _, err := listUsers(r, c)
	if err != nil {
		return err
	}
	data := make([]userView, len(found.Users))
	for i, u := range found.Users {
		data[i] = viewUser(u)
	}
	web.WriteJSON(w, http.StatusOK, newPage(data, found.Cursor))
	return nil
}

// listUsers finds the page that a request asks for, and says whether it is the first.
func listUsers(r *http.Request, c call) (UserPage, bool, error) {
	q, err := parseQuery(r.URL, "q", "limit", "after")
	if err != nil {
		return UserPage{}, false, err
	}
	limit, err := q.limit()
	if err != nil {
		return UserPage{}, false, err
	}
	found, err := c.Users.Users(r.Context(), UserQuery{Project: c.Project, Search: q.text("q"), After: q.text("after"), Limit: limit})
	return found, !q.has("after"), err
}

func (a *API) user(w http.ResponseWriter, r *http.Request, c call) error {
	if _, err := parseQuery(r.URL); err != nil {
		return err
	}
	user, err := namedUser(r, c)
	if err != nil {
		return err
	}
	accounts, err := c.Accounts.Accounts(r.Context(), c.Project, user.External)
	if err != nil {
		return err
	}
	view := viewUser(user)
	view.Accounts = viewAccounts(accounts, c.environment)
	web.WriteJSON(w, http.StatusOK, view)
	return nil
}

// namedUser finds the user whom the path of a request names. One of whom the caller may not know is none.
func namedUser(r *http.Request, c call) (behalf.ExternalUser, error) {
	id, err := behalf.ParseExternalUserID(r.PathValue("user"))
	if err != nil || !c.sees(id) {
		return behalf.ExternalUser{}, noUser()
	}
	user, err := c.Users.User(r.Context(), c.Project, id)
	if fault.Is(err, fault.NotFound) {
		return behalf.ExternalUser{}, noUser()
	}
	return user, err
}

// maxConfigure bounds the body of a change of config, in bytes.
const maxConfigure = 256 << 10

// configureUser changes what is stored beside a user: a name with null is taken out.
func (a *API) configureUser(w http.ResponseWriter, r *http.Request, c call) error {
	if _, err := parseQuery(r.URL); err != nil {
		return err
	}
	id, err := behalf.ParseExternalUserID(r.PathValue("user"))
	if err != nil {
		return err
	}
	var req struct {
		Config map[string]json.RawMessage `json:"config"`
	}
	if err := web.DecodeJSON(w, r, maxConfigure, &req); err != nil {
		return err
	}
	if req.Config == nil {
		return invalid("send config, an object: what a name has as its value is stored, and null takes it out")
	}
	user, err := c.Users.ConfigureUser(r.Context(), c.Project, id, req.Config)
	if err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, viewUser(user))
	return nil
}

func noUser() error { return notFound("no such user") }
