package practice

import (
	"crypto/rand"
	"slices"
	"sync"
	"time"
)

const (
	// maxGrants is how many consents are remembered. The oldest go first, and their tokens with them.
	maxGrants = 1000
	// maxLive is how many access tokens of one grant are good at a time: a refresh leaves the older ones to expire, as
	// requests may be under way with them.
	maxLive = 8
	// maxSpent is how many spent refresh tokens of one grant are known again when somebody tries them once more.
	maxSpent = 32
)

// grant is one consent of one user, with the hashes of its tokens.
type grant struct {
	ID   string `json:"id"`
	User string `json:"user"`
	// Rev grows with every change, so that of two lines of the state file the newer is known.
	Rev     int          `json:"rev"`
	Access  []accessHash `json:"access,omitempty"`
	Refresh string       `json:"refresh,omitempty"`
	Spent   []string     `json:"spent,omitempty"`
	// Revoked says that a spent token was tried again: one of two holders must be a thief, so both lose.
	Revoked bool `json:"revoked,omitempty"`
}

type accessHash struct {
	Hash    string    `json:"hash"`
	Expires time.Time `json:"expires"`
}

// issued is a pair of tokens in clear. It exists only on its way to the client.
type issued struct{ access, refresh string }

// grants holds every consent.
type grants struct {
	mu    sync.Mutex
	byID  map[string]grant
	order []string // ids, oldest first
	// byToken finds the grant of a token, live or spent, by its hash.
	byToken map[string]string
}

func newGrants() *grants {
	return &grants{byID: map[string]grant{}, byToken: map[string]string{}}
}

// open makes a grant of a user, with its first tokens.
func (s *grants) open(id, user string, now time.Time, lifetime time.Duration) (grant, issued) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := grant{ID: id, User: user}
	tokens := g.issue(now, lifetime)
	s.store(g)
	return g, tokens
}

// rotate spends a refresh token and gives the next pair. A token that was spent before revokes its grant: then changed
// is the grant to write down, and ok is false.
func (s *grants) rotate(refresh string, now time.Time, lifetime time.Duration) (changed grant, tokens issued, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hash := digest(refresh)
	g, known := s.byID[s.byToken[hash]]
	switch {
	case !known, g.Revoked:
		return grant{}, issued{}, false
	case g.Refresh == hash:
		g.Spent = lastOf(append(slices.Clone(g.Spent), hash), maxSpent)
		tokens = g.issue(now, lifetime)
		s.store(g)
		return g, tokens, true
	case slices.Contains(g.Spent, hash):
		return s.revoke(g), issued{}, false
	}
	return grant{}, issued{}, false // an access token, or one too old to be known
}

// close revokes a grant, where there is one: its code was shown twice.
func (s *grants) close(id string) (grant, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, known := s.byID[id]
	if !known {
		return grant{}, false
	}
	return s.revoke(g), true
}

// user finds whose access token it is. A token that expired or was revoked is nobody's.
func (s *grants) user(access string, now time.Time) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hash := digest(access)
	g := s.byID[s.byToken[hash]]
	live := slices.ContainsFunc(g.Access, func(a accessHash) bool { return a.Hash == hash && now.Before(a.Expires) })
	return g.User, live && !g.Revoked
}

// users lists everybody who ever consented, in the order of their first consent.
func (s *grants) users() []string {
	var users []string
	for _, g := range s.all() {
		if !slices.Contains(users, g.User) {
			users = append(users, g.User)
		}
	}
	return users
}

func (s *grants) all() []grant {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]grant, 0, len(s.order))
	for _, id := range s.order {
		all = append(all, s.byID[id])
	}
	return all
}

// put takes a grant of the state file, unless a newer state of it is known.
func (s *grants) put(g grant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.byID[g.ID]; !ok || known.Rev < g.Rev {
		s.store(g)
	}
}

func (s *grants) revoke(g grant) grant {
	g.Revoked, g.Rev = true, g.Rev+1
	s.store(g)
	return g
}

// store replaces a grant and the index of its tokens.
func (s *grants) store(g grant) {
	old, known := s.byID[g.ID]
	for _, hash := range old.hashes() {
		delete(s.byToken, hash)
	}
	for _, hash := range g.hashes() {
		s.byToken[hash] = g.ID
	}
	s.byID[g.ID] = g
	if known {
		return
	}
	if s.order = append(s.order, g.ID); len(s.order) > maxGrants {
		for _, hash := range s.byID[s.order[0]].hashes() {
			delete(s.byToken, hash)
		}
		delete(s.byID, s.order[0])
		s.order = s.order[1:]
	}
}

// issue gives the grant a fresh pair of tokens.
func (g *grant) issue(now time.Time, lifetime time.Duration) issued {
	tokens := issued{access: "prac_at_" + rand.Text(), refresh: "prac_rt_" + rand.Text()}
	live := slices.DeleteFunc(slices.Clone(g.Access), func(a accessHash) bool { return !now.Before(a.Expires) })
	g.Access = lastOf(append(live, accessHash{Hash: digest(tokens.access), Expires: now.Add(lifetime).UTC()}), maxLive)
	g.Refresh = digest(tokens.refresh)
	g.Rev++
	return tokens
}

func (g grant) hashes() []string {
	hashes := slices.Clone(g.Spent)
	for _, a := range g.Access {
		hashes = append(hashes, a.Hash)
	}
	if g.Refresh != "" {
		hashes = append(hashes, g.Refresh)
	}
	return hashes
}

func lastOf[T any](list []T, n int) []T {
	return list[max(0, len(list)-n):]
}
