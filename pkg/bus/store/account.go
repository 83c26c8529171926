package store

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// Accounts lists the accounts of an external user, or the project's own for no user. That there are none is what the
// leader says; but memory may not know yet of one that came a moment ago, so whoever misses one asks
// AccountsFromLeader before saying so. The slice is shared: it must not be changed. Errors: Unavailable.
func (s *Store) Accounts(ctx context.Context, project behalf.ProjectID, user behalf.ExternalUserID) ([]behalf.Account, error) {
	if err := checkOwner(project, user); err != nil {
		return nil, err
	}
	return s.people.accounts.find(ctx, subject.AccountsOf(project, user), func(ctx context.Context) ([]behalf.Account, error) {
		return s.people.accountsOf(ctx, project, user)
	})
}

// AccountsFromLeader lists the accounts as they are right now. Errors: Unavailable.
func (s *Store) AccountsFromLeader(ctx context.Context, project behalf.ProjectID, user behalf.ExternalUserID) ([]behalf.Account, error) {
	if err := checkOwner(project, user); err != nil {
		return nil, err
	}
	return s.people.accountsOf(ctx, project, user)
}

func (p *people) accountsOf(ctx context.Context, project behalf.ProjectID, user behalf.ExternalUserID) ([]behalf.Account, error) {
	entries, err := p.bucket.all(ctx, subject.AccountsOf(project, user)+">")
	if err != nil {
		return nil, err
	}
	return decodeAll(entries, decode[behalf.Account])
}

// FindAccount finds an account by its id alone. Errors: NotFound, Unavailable.
func (s *Store) FindAccount(ctx context.Context, project behalf.ProjectID, id behalf.AccountID) (Versioned[behalf.Account], error) {
	if err := checkAccount(project, id); err != nil {
		return Versioned[behalf.Account]{}, err
	}
	key := "account." + string(project) + ".*.*." + string(id) // slow among many: for accounts without a place
	place, _, err := s.people.placeOf(ctx, project, id)
	switch {
	case err == nil:
		key = subject.AccountKey(project, place.User, place.App, id)
	case !fault.Is(err, fault.NotFound):
		return Versioned[behalf.Account]{}, err
	}
	return s.people.account(ctx, key)
}

// AccountAt finds an account of which all but the rest is known: project, user, app and id. It is as quick for those that
// are not there. Errors: NotFound, Unavailable.
func (s *Store) AccountAt(ctx context.Context, a behalf.Account) (Versioned[behalf.Account], error) {
	if err := checkWhole(a); err != nil {
		return Versioned[behalf.Account]{}, err
	}
	return s.people.account(ctx, accountKey(a))
}

func (p *people) account(ctx context.Context, key string) (Versioned[behalf.Account], error) {
	e, err := p.bucket.last(ctx, key)
	if err != nil {
		return Versioned[behalf.Account]{}, noSuch("account", err)
	}
	account, err := decode[behalf.Account](e.value)
	return Versioned[behalf.Account]{Value: account, Revision: e.revision}, err
}

func (p *people) placeOf(ctx context.Context, project behalf.ProjectID, id behalf.AccountID) (behalf.AccountPlace, uint64, error) {
	e, err := p.bucket.last(ctx, subject.PlaceKey(project, id))
	if err != nil {
		return behalf.AccountPlace{}, 0, err
	}
	place, err := decode[behalf.AccountPlace](e.value)
	return place, e.revision, err
}

// AccountQuery says which accounts of users to list. A zero field asks for nothing.
type AccountQuery struct {
	User     behalf.ExternalUserID
	App      behalf.AppSlug
	OAuthApp behalf.OAuthAppID
}

// AccountPage is a part of a list of accounts, and where the next part begins. Next is 0 behind the last part.
type AccountPage struct {
	Accounts []behalf.Account
	Next     uint64
}

// ListAccounts lists accounts of users, those that have not changed for longest first, from the Next of the page before (0
// for the first page). A page may be short, even empty, and yet have a Next: what matches is rare, and reading is bounded.
// Errors: Unavailable.
func (s *Store) ListAccounts(ctx context.Context, project behalf.ProjectID, q AccountQuery, after uint64, limit int) (AccountPage, error) {
	if err := checkOwner(project, q.User); err != nil {
		return AccountPage{}, err
	}
	var page AccountPage
	var err error
	page.Accounts, page.Next, err = pageOf(ctx, s.people.bucket, span{subject.AccountsLike(project, q.User, q.App), after, q.User != "", limit},
		func(a behalf.Account) bool { return !a.Own() && (q.OAuthApp == "" || q.OAuthApp == a.OAuthApp) })
	return page, err
}

// PutAccount creates an account (revision 0) or changes it. A user's first account makes the user. Errors: Invalid,
// Conflict, Unavailable.
func (s *Store) PutAccount(ctx context.Context, a behalf.Account, revision uint64) (uint64, error) {
	if err := checkWhole(a); err != nil {
		return 0, err
	}
	if !a.Own() && revision == 0 {
		if _, err := s.EnsureUser(ctx, a.Project, a.User); err != nil {
			return 0, err
		}
	}
	a.V = behalf.FormatVersion
	data, err := encode(a)
	if err != nil {
		return 0, err
	}
	key := accountKey(a)
	rev, err := s.people.bucket.put(ctx, key, data, revision)
	s.people.forget(key)
	if err == nil && revision == 0 {
		err = s.people.putPlace(ctx, a, rev)
	}
	return rev, err
}

// putPlace notes where a new account lies. Where another owner's account has the id, the new one must not be.
func (p *people) putPlace(ctx context.Context, a behalf.Account, revision uint64) error {
	key := subject.PlaceKey(a.Project, a.ID)
	data, err := encode(behalf.AccountPlace{V: behalf.FormatVersion, App: a.App, User: a.User})
	if err != nil {
		return err
	}
	_, err = p.bucket.put(ctx, key, data, 0)
	if !fault.Is(err, fault.Conflict) {
		return err
	}
	place, old, err := p.placeOf(ctx, a.Project, a.ID)
	switch {
	case err != nil:
		return err
	case place.App == a.App && place.User == a.User:
		return nil
	}
	_, err = p.account(ctx, subject.AccountKey(a.Project, place.User, place.App, a.ID))
	if fault.Is(err, fault.NotFound) { // it was left behind
		_, err = p.bucket.put(ctx, key, data, old)
		return err
	}
	if err != nil {
		return err
	}
	_, err = p.bucket.delete(ctx, accountKey(a), revision)
	p.forget(accountKey(a))
	return errors.Join(fault.New(fault.Conflict, "store.PutAccount", "another account has this id"), err)
}

// DeleteAccount removes an account. Its credential is the caller's to delete. Errors: NotFound, Conflict, Unavailable.
func (s *Store) DeleteAccount(ctx context.Context, project behalf.ProjectID, id behalf.AccountID) error {
	found, err := s.FindAccount(ctx, project, id)
	if err != nil {
		return err
	}
	return s.people.deleteAccount(ctx, found.Value, found.Revision)
}

// deleteAccount removes the place before the account: without it the account can still be found, and it names the user.
func (p *people) deleteAccount(ctx context.Context, a behalf.Account, revision uint64) error {
	place, at, err := p.placeOf(ctx, a.Project, a.ID)
	if err == nil && place.User == a.User && place.App == a.App {
		_, err = p.bucket.delete(ctx, subject.PlaceKey(a.Project, a.ID), at)
	}
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	key := accountKey(a)
	_, err = p.bucket.delete(ctx, key, revision)
	p.forget(key)
	return err
}

func (p *people) deleteAccounts(ctx context.Context, project behalf.ProjectID, user behalf.ExternalUserID) ([]behalf.Account, error) {
	entries, err := p.bucket.all(ctx, subject.AccountsOf(project, user)+">")
	if err != nil {
		return nil, err
	}
	var gone []behalf.Account
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		account, err := decode[behalf.Account](entries[key].value)
		if err == nil {
			err = p.deleteAccount(ctx, account, entries[key].revision)
		}
		if err != nil {
			return gone, err
		}
		gone = append(gone, account)
	}
	return gone, nil
}

func accountKey(a behalf.Account) string { return subject.AccountKey(a.Project, a.User, a.App, a.ID) }

func checkWhole(a behalf.Account) error {
	if _, err := behalf.ParseAppSlug(string(a.App)); err != nil {
		return err
	}
	if err := checkAccount(a.Project, a.ID); err != nil {
		return err
	}
	return checkOwner(a.Project, a.User)
}

func checkAccount(project behalf.ProjectID, id behalf.AccountID) error {
	if _, err := behalf.ParseProjectID(string(project)); err != nil {
		return err
	}
	_, err := behalf.ParseAccountID(string(id))
	return err
}

func checkOwner(project behalf.ProjectID, user behalf.ExternalUserID) error {
	if user != "" {
		return checkUser(project, user)
	}
	_, err := behalf.ParseProjectID(string(project))
	return err
}
