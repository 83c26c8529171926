package store

import (
	"context"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// Forgotten tells when a user was forgotten, as the leader says. Errors: NotFound, where that never was; Unavailable.
func (s *Store) Forgotten(ctx context.Context, project behalf.ProjectID, user behalf.ExternalUserID) (behalf.Tombstone, error) {
	if err := checkUser(project, user); err != nil {
		return behalf.Tombstone{}, err
	}
	e, err := s.people.bucket.last(ctx, subject.TombstoneKey(project, user))
	if err != nil {
		return behalf.Tombstone{}, noSuch("tombstone", err)
	}
	return decode[behalf.Tombstone](e.value)
}

// ForgetUser leaves a tombstone for a user, from which on workers run nothing that was sent for it. It comes before all that
// is erased. While there is no user of this id since, the first tombstone stays. Errors: Unavailable.
func (s *Store) ForgetUser(ctx context.Context, project behalf.ProjectID, user behalf.ExternalUserID) (behalf.Tombstone, error) {
	if err := checkUser(project, user); err != nil {
		return behalf.Tombstone{}, err
	}
	key := subject.TombstoneKey(project, user)
	e, err := s.people.bucket.last(ctx, key)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return behalf.Tombstone{}, err
	}
	if err == nil {
		_, alive := s.people.user(ctx, project, user)
		if fault.Is(alive, fault.NotFound) {
			return decode[behalf.Tombstone](e.value)
		}
		if alive != nil {
			return behalf.Tombstone{}, alive
		}
	}
	grave := behalf.Tombstone{V: behalf.FormatVersion, At: time.Now().UTC()}
	data, err := encode(grave)
	if err != nil {
		return behalf.Tombstone{}, err
	}
	_, err = s.people.bucket.put(ctx, key, data, e.revision)
	if fault.Is(err, fault.Conflict) { // somebody else forgets it just now
		return s.Forgotten(ctx, project, user)
	}
	return grave, err
}
