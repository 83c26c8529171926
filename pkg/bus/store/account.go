package store

import (
	"context"
	"maps"
	"slices"

	"github.com/behalf-dev/behalf/pkg/behalf"
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
	e, err := s.people.bucket.last(ctx, "account."+string(project)+".*.*."+string(id))
	if err != nil {
		return Versioned[behalf.Account]{}, noSuch("account", err)
	}
	account, err := decode[behalf.Account](e.value)
	return Versioned[behalf.Account]{Value: account, Revision: e.revision}, err
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
	return rev, err
}

// DeleteAccount removes an account. Its credential is the caller's to delete. Errors: NotFound, Conflict, Unavailable.
func (s *Store) DeleteAccount(ctx context.Context, project behalf.ProjectID, id behalf.AccountID) error {
	found, err := s.FindAccount(ctx, project, id)
	if err != nil {
		return err
	}
	key := accountKey(found.Value)
	_, err = s.people.bucket.delete(ctx, key, found.Revision)
	s.people.forget(key)
	return err
}

func (p *people) deleteAccounts(ctx context.Context, project behalf.ProjectID, user behalf.ExternalUserID) ([]behalf.Account, error) {
	entries, err := p.bucket.all(ctx, subject.AccountsOf(project, user)+">")
	if err != nil {
		return nil, err
	}
	var gone []behalf.Account
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		_, err := p.bucket.delete(ctx, key, entries[key].revision)
		p.forget(key)
		if err != nil {
			return gone, err
		}
		account, err := decode[behalf.Account](entries[key].value)
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
