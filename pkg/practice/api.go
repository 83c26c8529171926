package practice

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// maxBody is the size of a call in bytes.
	maxBody = 16 << 10
	maxKey  = 255
)

// postMessage posts to the inbox of the token's user: POST /messages with {"text": "…"}. It answers 201 with the
// message, and 200 with the same one for a repeat under the same Idempotency-Key.
func (p *Practice) postMessage(w http.ResponseWriter, r *http.Request) {
	user, ok := p.authenticated(w, r)
	if !ok {
		return
	}
	text, ok := readText(w, r)
	if !ok {
		return
	}
	key, ok := readKey(w, r)
	if !ok || !p.delayed(r) {
		return
	}
	done := p.inbox.post(user, key, text, p.cfg.Now())
	happened := entry{Counts: &done.total}
	if !done.replayed {
		happened.Message = &done.message
	}
	if !p.kept(w, happened) {
		return
	}
	switch {
	case done.reused:
		apiError(w, http.StatusUnprocessableEntity, "this Idempotency-Key was used for another text")
	case done.replayed:
		w.Header().Set("Idempotent-Replayed", "true")
		writeJSON(w, http.StatusOK, viewOf(done.message))
	default:
		writeJSON(w, http.StatusCreated, viewOf(done.message))
	}
}

// me says whose token it is.
func (p *Practice) me(w http.ResponseWriter, r *http.Request) {
	if user, ok := p.authenticated(w, r); ok {
		writeJSON(w, http.StatusOK, map[string]string{"user": user})
	}
}

func (p *Practice) authenticated(w http.ResponseWriter, r *http.Request) (string, bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		if user, ok := p.grants.user(strings.TrimSpace(token), p.cfg.Now()); ok {
			return user, true
		}
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="practice", error="invalid_token"`)
	apiError(w, http.StatusUnauthorized, "send Authorization: Bearer with an access token of the practice app that has not expired")
	return "", false
}

func readText(w http.ResponseWriter, r *http.Request) (string, bool) {
	var body struct {
		Text string `json:"text"`
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	dec.DisallowUnknownFields()
	err := dec.Decode(&body)
	if err == nil {
		_, err = dec.Token() // there must be nothing behind it
	}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		apiError(w, http.StatusRequestEntityTooLarge, "a message has at most 16 KiB")
	case !errors.Is(err, io.EOF) || body.Text == "" || !utf8.ValidString(body.Text):
		apiError(w, http.StatusBadRequest, `send JSON such as {"text": "Hello"}, with nothing else in it`)
	default:
		return body.Text, true
	}
	return "", false
}

func readKey(w http.ResponseWriter, r *http.Request) (string, bool) {
	key := r.Header.Get("Idempotency-Key")
	// A script's missing value as a word would make one message of all.
	if len(key) > maxKey || key == "undefined" || key == "null" {
		apiError(w, http.StatusBadRequest, "Idempotency-Key must be a key of its own for each message, at most 255 characters")
		return "", false
	}
	return key, true
}

// delayed waits as long as a slow vendor would. False means that the caller left first, and nothing is posted.
func (p *Practice) delayed(r *http.Request) bool {
	if p.cfg.Delay <= 0 {
		return true
	}
	timer := time.NewTimer(p.cfg.Delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// messageView is a message as callers see it.
type messageView struct {
	ID   string    `json:"id"`
	User string    `json:"user"`
	Text string    `json:"text"`
	At   time.Time `json:"at"`
}

func viewOf(m message) messageView {
	return messageView{ID: m.ID, User: m.User, Text: m.Text, At: m.At}
}

// inboxJSON is the page for programs: the counts, and each user's messages, newest first.
func (p *Practice) inboxJSON(w http.ResponseWriter, _ *http.Request) {
	users, total := p.inboxes()
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, map[string]any{"calls": total.Calls, "effects": total.Effects, "users": users})
}

// userInbox is one user's messages, newest first.
type userInbox struct {
	User     string        `json:"user"`
	Messages []messageView `json:"messages"`
}

// inboxes lists every user who consented or has a message.
func (p *Practice) inboxes() ([]userInbox, counts) {
	recent, total := p.inbox.recent()
	users := []userInbox{}
	at := map[string]int{}
	place := func(user string) int {
		if _, ok := at[user]; !ok {
			at[user] = len(users)
			users = append(users, userInbox{User: user, Messages: []messageView{}})
		}
		return at[user]
	}
	for _, user := range p.grants.users() {
		place(user)
	}
	for _, m := range recent {
		i := place(m.User)
		users[i].Messages = append(users[i].Messages, viewOf(m))
	}
	return users, total
}

func apiError(w http.ResponseWriter, status int, what string) {
	writeJSON(w, status, map[string]string{"error": what})
}
