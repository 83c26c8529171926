package store

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// people are the external users and their accounts: too many to copy, so the last used are remembered, and forgotten
// when the watch tells that they changed.
type people struct {
	bucket   *bucket
	users    *remembered[behalf.ExternalUser]
	accounts *remembered[[]behalf.Account] // by subject.AccountsOf
	names    *names
	fill     atomic.Uint64
}

func newPeople(b *bucket, cfg Config) *people {
	return &people{
		bucket: b, names: newNames(b, cfg),
		users: newRemembered(cfg.Remember, weighUser),
		// That a user has no account is a no, which memory may not say.
		accounts: newRemembered(cfg.Remember, func(all []behalf.Account) int { return len(all) }),
	}
}

// weighUser counts a user with much config as several.
func weighUser(u behalf.ExternalUser) int {
	size := 0
	for name, value := range u.Config {
		size += len(name) + len(value)
	}
	return 1 + size>>10
}

func (p *people) begin() uint64 {
	p.distrust()
	return p.fill.Load()
}

func (p *people) apply(_ uint64, e entry) { p.forget(e.key) }

// filled empties again, because what was read before the watch stood may have changed unheard.
func (p *people) filled(fill uint64) { p.empty(fill == p.fill.Load()) }

// distrust also takes its trust from a watch that is just being made.
func (p *people) distrust() {
	p.fill.Add(1)
	p.empty(false)
}

func (p *people) end() { p.distrust() }

func (p *people) empty(trusted bool) {
	p.names.empty()
	p.users.empty(trusted)
	p.accounts.empty(trusted)
}

func (p *people) forget(key string) {
	switch {
	case strings.HasPrefix(key, "user."):
		p.users.forget(key)
	case strings.HasPrefix(key, "account."):
		if t := strings.SplitAfterN(key, ".", 4); len(t) == 4 {
			p.accounts.forget(t[0] + t[1] + t[2])
		}
	}
}

// User finds an external user. Errors: NotFound, as the leader says, Unavailable.
func (s *Store) User(ctx context.Context, project behalf.ProjectID, user behalf.ExternalUserID) (behalf.ExternalUser, error) {
	if err := checkUser(project, user); err != nil {
		return behalf.ExternalUser{}, err
	}
	return s.people.users.find(ctx, subject.UserKey(project, user), func(ctx context.Context) (behalf.ExternalUser, error) {
		return s.people.user(ctx, project, user)
	})
}

func (p *people) user(ctx context.Context, project behalf.ProjectID, user behalf.ExternalUserID) (behalf.ExternalUser, error) {
	e, err := p.bucket.last(ctx, subject.UserKey(project, user))
	if err != nil {
		return behalf.ExternalUser{}, noSuch("external user", err)
	}
	return decode[behalf.ExternalUser](e.value)
}

// EnsureUser finds an external user, or makes it. Errors: Invalid, Unavailable.
func (s *Store) EnsureUser(ctx context.Context, project behalf.ProjectID, user behalf.ExternalUserID) (behalf.ExternalUser, error) {
	if err := checkUser(project, user); err != nil {
		return behalf.ExternalUser{}, err
	}
	found, err := s.people.user(ctx, project, user)
	if !fault.Is(err, fault.NotFound) {
		return found, err
	}
	grave, err := s.Forgotten(ctx, project, user)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return behalf.ExternalUser{}, err
	}
	now := time.Now().UTC()
	fresh := behalf.ExternalUser{
		V: behalf.FormatVersion, ID: behalf.NewUserRecordID(), Project: project, External: user, ForgottenAt: grave.At,
		CreatedAt: now, UpdatedAt: now,
	}
	data, err := encode(fresh)
	if err != nil {
		return behalf.ExternalUser{}, err
	}
	_, err = s.people.bucket.put(ctx, subject.UserKey(project, user), data, 0)
	if fault.Is(err, fault.Conflict) { // somebody else made it just now
		return s.people.user(ctx, project, user)
	}
	return fresh, err
}

// UserPage is a part of a list of users, and where the next part begins. Next is 0 behind the last part.
type UserPage struct {
	Users []behalf.ExternalUser
	Next  uint64
}

// Users lists external users whose id holds a text, whatever its case, those that have not changed for longest first, from
// the Next of the page before (0 for the first page). A page may be short, even empty, and yet have a Next: what matches is
// rare, and reading is bounded. Errors: Unavailable.
func (s *Store) Users(ctx context.Context, project behalf.ProjectID, search string, after uint64, limit int) (UserPage, error) {
	if _, err := behalf.ParseProjectID(string(project)); err != nil {
		return UserPage{}, err
	}
	search = strings.ToLower(search)
	if search != "" {
		if page, ok, err := s.people.names.find(ctx, project, search, after, limit); ok || err != nil {
			return page, err
		}
	}
	var page UserPage
	var err error
	page.Users, page.Next, err = pageOf(ctx, s.people.bucket, span{"user." + string(project) + ".*", after, false, limit},
		func(u behalf.ExternalUser) bool { return strings.Contains(strings.ToLower(string(u.External)), search) })
	return page, err
}

// ConfigureUser changes the config of an external user, and makes the user where there is none. Errors: Invalid, Conflict
// (it is being changed by many), Unavailable.
func (s *Store) ConfigureUser(ctx context.Context, project behalf.ProjectID, user behalf.ExternalUserID, change map[string]json.RawMessage) (behalf.ExternalUser, error) {
	if _, err := s.EnsureUser(ctx, project, user); err != nil {
		return behalf.ExternalUser{}, err
	}
	key := subject.UserKey(project, user)
	for try := 1; ; try++ {
		changed, err := s.people.configure(ctx, key, change)
		if try == maxTries || !fault.Is(err, fault.Conflict) {
			return changed, err
		}
	}
}

// maxTries is how often a change is made anew because of another one.
const maxTries = 10

func (p *people) configure(ctx context.Context, key string, change map[string]json.RawMessage) (behalf.ExternalUser, error) {
	e, err := p.bucket.last(ctx, key)
	if err != nil {
		return behalf.ExternalUser{}, noSuch("external user", err)
	}
	user, err := decode[behalf.ExternalUser](e.value)
	if err != nil {
		return behalf.ExternalUser{}, err
	}
	if user, err = user.Configured(change); err != nil {
		return behalf.ExternalUser{}, err
	}
	user.UpdatedAt = time.Now().UTC()
	data, err := encode(user)
	if err != nil {
		return behalf.ExternalUser{}, err
	}
	_, err = p.bucket.put(ctx, key, data, e.revision)
	p.forget(key)
	return user, err
}

// DeleteUser removes an external user and all its accounts, and returns those: their credentials are the caller's to
// delete, before or after. Repeating it finishes what was cut short. Errors: NotFound, Conflict (it is being changed),
// Unavailable.
func (s *Store) DeleteUser(ctx context.Context, project behalf.ProjectID, user behalf.ExternalUserID) ([]behalf.Account, error) {
	if err := checkUser(project, user); err != nil {
		return nil, err
	}
	key := subject.UserKey(project, user)
	e, err := s.people.bucket.last(ctx, key)
	if err != nil {
		return nil, noSuch("external user", err)
	}
	gone, err := s.people.deleteAccounts(ctx, project, user)
	if err != nil {
		return gone, err
	}
	_, err = s.people.bucket.delete(ctx, key, e.revision)
	s.people.forget(key)
	if err != nil {
		return gone, err
	}
	// An account that came meanwhile must not outlive its user.
	late, err := s.people.deleteAccounts(ctx, project, user)
	return append(gone, late...), err
}

func checkUser(project behalf.ProjectID, user behalf.ExternalUserID) error {
	if _, err := behalf.ParseProjectID(string(project)); err != nil {
		return err
	}
	_, err := behalf.ParseExternalUserID(string(user))
	return err
}
