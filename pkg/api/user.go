package api

import (
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
	// Accounts are told of one user, not in lists.
	Accounts []accountView `json:"accounts,omitempty"`
}

func viewUser(u behalf.ExternalUser) userView {
	return userView{ID: u.ID, User: u.External, CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt}
}

func (a *API) users(w http.ResponseWriter, r *http.Request, c call) error {
	q, err := parseQuery(r.URL, "limit", "after")
	if err != nil {
		return err
	}
	limit, err := q.limit()
	if err != nil {
		return err
	}
	found, err := c.Users.Users(r.Context(), c.Project, q.text("after"), limit)
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

func (a *API) user(w http.ResponseWriter, r *http.Request, c call) error {
	if _, err := parseQuery(r.URL); err != nil {
		return err
	}
	id, err := behalf.ParseExternalUserID(r.PathValue("user"))
	if err != nil {
		return noUser()
	}
	user, err := c.Users.User(r.Context(), c.Project, id)
	if fault.Is(err, fault.NotFound) {
		return noUser()
	}
	if err != nil {
		return err
	}
	accounts, err := c.Accounts.Accounts(r.Context(), c.Project, id)
	if err != nil {
		return err
	}
	view := viewUser(user)
	view.Accounts = viewAccounts(accounts, c.environment)
	web.WriteJSON(w, http.StatusOK, view)
	return nil
}

func noUser() error { return notFound("no such user") }
