package practice

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"sync"
	"time"
)

const (
	// maxMessages is how many messages are kept: the newest, over all users.
	maxMessages = 200
	// maxKeys is how many idempotency keys are remembered: more than a test of crashes has in flight by far.
	maxKeys = 20_000
)

// message is one message in a user's inbox.
type message struct {
	// N counts messages from 1, over all users: it is the order in which they came.
	N    uint64    `json:"n"`
	ID   string    `json:"id"`
	User string    `json:"user"`
	Text string    `json:"text,omitempty"`
	At   time.Time `json:"at"`
	// Key is the hash of user and idempotency key. Empty where the caller sent none.
	Key string `json:"key,omitempty"`
	// Sum is the hash of the text, by which a reused key is told from a repeated call.
	Sum string `json:"sum,omitempty"`
}

// counts is what tests of crashes look at: how often the API was called for a message, and how many it made.
type counts struct {
	Calls   uint64 `json:"calls"`
	Effects uint64 `json:"effects"`
}

// inbox holds everybody's messages.
type inbox struct {
	mu       sync.Mutex
	total    counts
	messages []message // oldest first
	byKey    map[string]message
	keys     []string // in the order in which they came
}

func newInbox() *inbox { return &inbox{byKey: map[string]message{}} }

// post is what came of a call.
type post struct {
	message message
	// replayed says that an earlier call made the message, under the same key.
	replayed bool
	// reused says that the key belongs to a message with another text. Nothing was made.
	reused bool
	total  counts
}

// post puts a text into a user's inbox, or finds the message that the same call made before.
func (b *inbox) post(user, key, text string, at time.Time) post {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total.Calls++
	m := message{User: user, Text: text, At: at.UTC(), Sum: digest(text)}
	if key != "" {
		m.Key = digest(user, key)
	}
	if earlier, ok := b.byKey[m.Key]; ok && key != "" {
		earlier.Text = text // not kept for old ones, and the same where it matters
		return post{message: earlier, replayed: true, reused: earlier.Sum != m.Sum, total: b.total}
	}
	b.total.Effects++
	m.N, m.ID = b.total.Effects, "msg_"+rand.Text()
	b.show(m)
	b.remember(m)
	return post{message: m, total: b.total}
}

// show puts a message onto the page.
func (b *inbox) show(m message) {
	b.messages = append(b.messages, m)
	if extra := len(b.messages) - maxMessages; extra > 0 {
		b.messages = slices.Delete(b.messages, 0, extra)
	}
}

// remember keeps a message's key. It outlives the text by far.
func (b *inbox) remember(m message) {
	if m.Key == "" {
		return
	}
	m.Text = ""
	b.byKey[m.Key] = m
	if b.keys = append(b.keys, m.Key); len(b.keys) > maxKeys {
		delete(b.byKey, b.keys[0])
		b.keys = b.keys[1:]
	}
}

// restore takes a message of the state file, where an old one has lost its text. Lines may stand there twice, and not
// in the order of their numbers.
func (b *inbox) restore(m message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total.Effects = max(b.total.Effects, m.N)
	if _, known := b.byKey[m.Key]; !known {
		b.remember(m)
	}
	if m.Text == "" || slices.ContainsFunc(b.messages, func(other message) bool { return other.N == m.N }) {
		return
	}
	b.show(m)
	slices.SortStableFunc(b.messages, func(a, c message) int { return cmp.Compare(a.N, c.N) })
}

func (b *inbox) restoreCounts(total counts) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total.Calls = max(b.total.Calls, total.Calls)
	b.total.Effects = max(b.total.Effects, total.Effects)
}

// all is what a fresh state file keeps: the messages, the keys of older ones, and the counts.
func (b *inbox) all() ([]message, counts) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []message
	shown := map[string]bool{}
	for _, m := range b.messages {
		shown[m.Key] = true
	}
	for _, key := range b.keys {
		if !shown[key] {
			all = append(all, b.byKey[key])
		}
	}
	return append(all, b.messages...), b.total
}

// recent lists the messages that are kept, newest first.
func (b *inbox) recent() ([]message, counts) {
	b.mu.Lock()
	defer b.mu.Unlock()
	recent := slices.Clone(b.messages)
	slices.Reverse(recent)
	return recent, b.total
}

// digest is one short hash of several texts, each with its length so that their borders count.
func digest(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		sum := sha256.Sum256([]byte(part))
		h.Write(sum[:])
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
