package refresh

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/pause"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// markFor is how long a mark is kept, from its last change.
const markFor = 90 * 24 * time.Hour

// mark is what was begun with a refresh token, written ahead, so that whoever comes after a crash knows.
type mark struct {
	V int `json:"v"`
	// Token is the fingerprint of the refresh token, Generation that of its credential. The mark of another is history.
	Token      string    `json:"token"`
	Generation uint64    `json:"generation"`
	State      markState `json:"state"`
	// Writer is of this one change, so that who wrote it knows it again.
	Writer string `json:"writer"`
	// At is when the token was first posted, or about to be.
	At time.Time `json:"at"`
	// Repeated says that it was posted once more, within the service's grace.
	Repeated bool `json:"repeated,omitempty"`
	// Until is when it may be tried again, and Tries how often it was, for pauses that grow.
	Until time.Time `json:"until,omitzero"`
	Tries int       `json:"tries,omitempty"`
	// Account is what the account's record has to say, and Reason why.
	Account behalf.AccountState `json:"account,omitempty"`
	Reason  string              `json:"reason,omitempty"`
}

type markState string

const (
	posting markState = "posting" // or cut short
	later   markState = "later"   // the service did not do it, and may another time
	dead    markState = "dead"    // it is never posted again
)

// marked is a mark with its revision. Revision 0 means that there is none.
type marked struct {
	mark

	revision uint64
}

// of says whether the mark speaks of this credential.
func (m marked) of(p credential.Path, c credential.Credential) bool {
	return m.revision != 0 && m.Generation == c.Generation && m.Token == fingerprint(p, c.RefreshToken)
}

// fingerprint stands for a token where no token may be.
func fingerprint(p credential.Path, token secret.String) string {
	sum := sha256.Sum256([]byte("refresh\x00" + p.Name() + "\x00" + token.Reveal()))
	return hex.EncodeToString(sum[:16])
}

func markKey(p credential.Path) string { return "mark/" + p.Name() }

// markOf reads what is known of the refresh token of a credential. The mark of another is one without state.
func (s *Source) markOf(ctx context.Context, p credential.Path, c credential.Credential) (marked, error) {
	value, revision, err := s.deps.Leases.Get(ctx, markKey(p))
	if fault.Is(err, fault.NotFound) {
		return marked{}, nil
	}
	if err != nil {
		return marked{}, err
	}
	m := marked{revision: revision}
	if err := json.Unmarshal(value, &m.mark); err != nil || m.V < 1 {
		return marked{}, fault.Wrap(fault.Internal, "refresh.mark", errors.New("the mark cannot be read"))
	}
	if !m.of(p, c) {
		m.mark = mark{}
	}
	return m, nil
}

// setMark writes a mark at the revision that was read: of two that were at it, one gets a Conflict.
func (s *Source) setMark(ctx context.Context, w wish, c credential.Credential, m marked) (marked, error) {
	m.Writer = string(behalf.NewRunID())
	m.V, m.Token, m.Generation = behalf.FormatVersion, fingerprint(w.path, c.RefreshToken), c.Generation
	value, err := json.Marshal(m.mark)
	if err != nil {
		return m, fault.Wrap(fault.Internal, "refresh.mark", err)
	}
	revision, err := s.deps.Leases.PutFor(ctx, markKey(w.path), value, m.revision, markFor)
	if err == nil || fault.Is(err, fault.Conflict) {
		m.revision = revision
		return m, err
	}
	return s.confirm(ctx, w, c, m, err)
}

// confirm finds out whether a mark was written whose answer was lost: a mark that nobody knows of looks like a refresh
// that was cut short.
func (s *Source) confirm(ctx context.Context, w wish, c credential.Credential, m marked, err error) (marked, error) {
	for range 3 {
		read, unread := s.markOf(ctx, w.path, c)
		switch {
		case unread == nil && read.Writer == m.Writer:
			return read, nil
		case unread == nil:
			return m, err
		case pause.For(ctx, s.cfg.Poll) != nil:
			return m, err
		}
	}
	return m, err
}
