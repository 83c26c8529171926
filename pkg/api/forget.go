package api

import (
	"net/http"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/web"
)

// receipt says what one pass of forgetting a user has done. It names the user by hash alone, so that it may be kept.
type receipt struct {
	UserHash    string             `json:"user_hash"`
	Environment behalf.Environment `json:"environment"`
	// ForgottenAt is from when on nothing runs that was sent for the user.
	ForgottenAt time.Time `json:"forgotten_at"`
	PassedAt    time.Time `json:"passed_at"`
	Accounts    int       `json:"accounts"`
	Credentials int       `json:"credentials"`
	Erased      Erased    `json:"erased"`
	// Settled says that nothing can come any more: a run that had begun before is over by now. Until then a pass at
	// SettlesAt erases what such a run has left.
	Settled   bool      `json:"settled"`
	SettlesAt time.Time `json:"settles_at"`
	// Beyond is where traces may be that Behalf cannot reach, or that go by themselves.
	Beyond []string `json:"beyond"`
}

// settleAfter is longer than any run that had begun can take.
const settleAfter = behalf.MaxTimeout + time.Minute

// beyond is what a receipt cannot promise.
func beyond() []string {
	return []string{
		"backups of NATS and of the credential store keep what they had, until they are thrown away",
		"the deleted keys of the user and of the accounts leave markers without a value, which name them for up to an hour",
		"Vault erases all versions of the credentials; its audit devices keep the paths they were read by",
		"an event that still waits is refused when its turn comes, and is in its stream until then",
		"files of callers end by themselves within half an hour; logs of roles have a user's id where they name one",
		"large contents that equal those of other runs are stored once for all of them, and stay",
		"the tombstone keeps a hash of the user's id, and no id",
	}
}

// forgetUser takes away all that is kept of a user. It may be repeated, and goes on where a try before was cut short: first
// nothing more may run, then the secrets go, then what has run.
func (a *API) forgetUser(w http.ResponseWriter, r *http.Request, c call) error {
	if _, err := parseQuery(r.URL); err != nil {
		return err
	}
	var req struct {
		User string `json:"user"`
	}
	if err := web.DecodeJSON(w, r, 4<<10, &req); err != nil {
		return err
	}
	user, err := behalf.ParseExternalUserID(req.User)
	if err != nil {
		return err
	}
	grave, err := c.Users.ForgetUser(r.Context(), c.Project, user)
	if err != nil {
		return err
	}
	done, err := removeUser(r.Context(), c, user)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	began := time.Now().UTC()
	erased, err := c.Eraser.Erase(r.Context(), c.Project, user)
	if err != nil {
		return err
	}
	settles := grave.At.Add(settleAfter)
	web.WriteJSON(w, http.StatusOK, receipt{
		UserHash: user.Hash(), Environment: c.environment, ForgottenAt: grave.At, PassedAt: began,
		Accounts: done.accounts, Credentials: done.credentials, Erased: erased,
		Settled: began.After(settles), SettlesAt: settles, Beyond: beyond(),
	})
	return nil
}
