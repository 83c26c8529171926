package api

import (
	"context"
	"net/http"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/web"
)

// connectUserView is an external user in the shape of the Connect API.
type connectUserView struct {
	ID        behalf.UserRecordID   `json:"id"`
	User      behalf.ExternalUserID `json:"external_id"`
	CreatedAt time.Time             `json:"created_at"`
	UpdatedAt time.Time             `json:"updated_at"`
}

// connectPage is the shape of lists of the Connect API.
type connectPage[T any] struct {
	Data     []T             `json:"data"`
	PageInfo connectPageInfo `json:"page_info"`
}

// connectPageInfo has a total only where the list is one page: to count is to read all.
type connectPageInfo struct {
	Total       *int    `json:"total_count,omitempty"`
	Count       int     `json:"count"`
	StartCursor *string `json:"start_cursor"`
	EndCursor   *string `json:"end_cursor"`
}

func newConnectPage[T any](data []T, cursor string, first bool) connectPage[T] {
	if data == nil {
		data = []T{}
	}
	p := connectPage[T]{Data: data, PageInfo: connectPageInfo{Count: len(data), EndCursor: unlessZero(cursor)}}
	if first && cursor == "" {
		n := len(data)
		p.PageInfo.Total = &n
	}
	return p
}

func (a *API) connectUsers(w http.ResponseWriter, r *http.Request, c call) error {
	found, first, err := listUsers(r, c)
	if err != nil {
		return err
	}
	data := make([]connectUserView, len(found.Users))
	for i, u := range found.Users {
		data[i] = connectUserView{u.ID, u.External, u.CreatedAt, u.UpdatedAt}
	}
	web.WriteJSON(w, http.StatusOK, newConnectPage(data, found.Cursor, first))
	return nil
}

// deleteUser deletes a user with all accounts and their credentials. What ran for them stays in the history: forgetUser
// takes that away too.
func (a *API) deleteUser(w http.ResponseWriter, r *http.Request, c call) error {
	if _, err := parseQuery(r.URL); err != nil {
		return err
	}
	user, err := namedUser(r, c)
	if err != nil {
		return err
	}
	_, err = removeUser(r.Context(), c, user.External)
	if fault.Is(err, fault.NotFound) {
		return noUser()
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// removed counts what was deleted of a user.
type removed struct{ accounts, credentials int }

// removeUser deletes credentials before the records that lead to them, so that a second try finds what is left. Errors:
// NotFound, where there is no such user; Conflict, Unavailable.
func removeUser(ctx context.Context, c call, user behalf.ExternalUserID) (removed, error) {
	accounts, err := c.Accounts.Accounts(ctx, c.Project, user)
	if err != nil {
		return removed{}, err
	}
	var done removed
	for _, each := range accounts {
		if err := dropAccount(ctx, c, each); err != nil {
			return done, err
		}
		done.accounts++
		done.credentials++
	}
	late, err := c.Users.DeleteUser(ctx, c.Project, user)
	for _, each := range late { // they came meanwhile
		if err := c.Credentials.DeleteCredential(ctx, each); err != nil {
			return done, err
		}
		done.accounts++
		done.credentials++
	}
	return done, err
}
