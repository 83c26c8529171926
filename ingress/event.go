package ingress

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

// newEvent makes the event of this request. Its trigger lies in the call's scratch memory, so it lives as long as the
// call does.
func (c *call) newEvent(content content, body []byte) (behalf.Event, error) {
	trigger, err := c.appendTrigger(c.scratch.trigger[:0], content, body)
	if err != nil {
		return behalf.Event{}, err
	}
	c.scratch.trigger = trigger
	switch limit := c.server.cfg.MaxEvent; {
	case c.env.Triggers == nil && len(trigger) > limit:
		return behalf.Event{}, behalf.FailBodyTooLarge(int64(limit))
	case len(trigger) > c.server.maxTrigger():
		return behalf.Event{}, behalf.FailBodyTooLarge(int64(c.server.cfg.MaxBody))
	}
	user, err := externalUser(c.r)
	if err != nil {
		return behalf.Event{}, err
	}
	accounts, err := namedAccounts(c.r.Header)
	if err != nil {
		return behalf.Event{}, err
	}
	run := c.newRun(user)
	event := behalf.Event{
		V: behalf.FormatVersion, ID: run.Event(), Run: run, Project: c.endpoint.Project, Environment: c.environment,
		Workflow: c.endpoint.Workflow, Version: c.endpoint.Version, Lane: behalf.Shared, User: user, At: c.started,
		Origin: c.origin(run, accounts), Trigger: trigger,
	}
	if event.Origin.NoStore = content.noStore; content.noStore {
		event.Files = c.attached.names()
	}
	return event, nil
}

// maxTrigger is the most that a trigger may have: a body of the most that it may have twice, as base64, and more.
func (s *Server) maxTrigger() int { return 3 * s.cfg.MaxBody }

// roomBeside is what an event has beside its trigger, at most: a request has no more headers.
const roomBeside = 64 << 10

// oversized says whether an event does not fit where events go.
func (c *call) oversized(e behalf.Event) bool {
	limit := c.server.cfg.MaxEvent
	return c.env.Triggers != nil && len(e.Trigger)+roomBeside > limit && len(e.AppendJSON(nil)) > limit
}

// park keeps the trigger apart from its event.
func (c *call) park(ctx context.Context, e behalf.Event) (behalf.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	ref, err := c.env.Triggers.PutUnshared(ctx, e.Project, e.Trigger)
	if err != nil {
		return behalf.Event{}, err
	}
	c.parked, e.Trigger, e.TriggerRef = &ref, nil, &ref
	return e, nil
}

func (c *call) origin(run behalf.RunID, accounts map[behalf.AppSlug]behalf.AccountID) behalf.Origin {
	o := behalf.Origin{
		Endpoint: c.endpoint.ID, Client: c.client, Waits: c.endpoint.Trigger.Respond.Waits(), Trusted: c.trusted(), Accounts: accounts,
	}
	if c.endpoint.Trigger.Auth != behalf.AuthOAuth {
		c.token, o.ResultHash = c.newResultToken(run)
	}
	return o
}

// newResultToken makes the token that reads a result where the caller has no OAuth, and the hash of it that
// the run keeps.
//
// It is random, or, where the request has a key, follows from that: whoever sends the key again has the answer anyway.
func (c *call) newResultToken(run behalf.RunID) (token, hash string) {
	var random [16]byte
	_, _ = rand.Read(random[:]) // crypto/rand never fails: it ends the process instead
	if c.key != "" {
		made := sha256.Sum256([]byte("result token\x00" + string(run) + "\x00" + c.key))
		copy(random[:], made[:])
	}
	token = base64.RawURLEncoding.EncodeToString(random[:])
	sum := sha256.Sum256([]byte(token))
	return token, hex.EncodeToString(sum[:])
}

// appendTrigger appends the object that steps read as steps.trigger.event, its keys in the order that authors know
// from dumps: method, path, query, client_ip, url, headers, body. It is written by hand because every request pays for
// it, and because a body that is JSON already must not be parsed for it.
func (c *call) appendTrigger(dst []byte, content content, body []byte) ([]byte, error) {
	r, proxies := c.r, c.server.cfg.Proxies
	host := proxies.Host(r)
	dst = append(dst, `{"method":`...)
	dst = appendString(dst, r.Method)
	dst = append(dst, `,"path":`...)
	dst = appendString(dst, c.path)
	dst = append(dst, `,"query":`...)
	dst = appendQuery(dst, r.URL.RawQuery)
	dst = append(dst, `,"client_ip":"`...)
	if ip := proxies.Client(r); ip.IsValid() {
		dst = ip.AppendTo(dst)
	}
	dst = append(dst, `","url":`...)
	dst = appendString(dst, scheme(proxies.Secure(r))+host+r.URL.EscapedPath())
	dst = append(dst, `,"headers":`...)
	dst = appendHeaders(dst, r.Header, host)
	dst, err := c.appendBody(dst, body, content)
	return append(dst, '}'), err
}

func scheme(secure bool) string {
	if secure {
		return "https://"
	}
	return "http://"
}

// appendHeaders appends the headers as an object: names lower-cased, values of one name joined, and nothing that says
// who the caller is to us.
func appendHeaders(dst []byte, h http.Header, host string) []byte {
	var few [32]string
	names := few[:0]
	for name := range h {
		if !withheld(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	dst = append(dst, `{"host":`...)
	dst = appendString(dst, host)
	for _, name := range names {
		dst = append(dst, ',')
		dst = append(appendLower(dst, name), ':', '"')
		for i, value := range h[name] {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = appendLatin1(dst, value)
		}
		dst = append(dst, '"')
	}
	return append(dst, '}')
}

// withheld names the headers that no step sees: what proves a caller to us, or to somebody before us. Host is told
// apart, because net/http keeps it elsewhere.
func withheld(name string) bool {
	switch len(name) { // nearly every name is another one, and every request has many
	case len("Host"):
		return strings.EqualFold(name, "Host")
	case len("Cookie"):
		return strings.EqualFold(name, "Cookie")
	case len("Authorization"):
		return strings.EqualFold(name, "Authorization")
	case len("Proxy-Authorization"):
		return strings.EqualFold(name, "Proxy-Authorization")
	}
	return false
}

// scratch is the memory in which one request is read and its event built.
type scratch struct{ body, plain, trigger []byte }

// keepScratch is the largest memory that is kept for the next request, so that a few large bodies do not stay for ever.
const keepScratch = 64 << 10

// scratches lends scratch memory.
type scratches struct{ pool sync.Pool }

func (s *scratches) take() *scratch {
	if used, ok := s.pool.Get().(*scratch); ok {
		return used
	}
	return &scratch{}
}

func (s *scratches) give(used *scratch) {
	if max(cap(used.body), cap(used.plain), cap(used.trigger)) <= keepScratch {
		s.pool.Put(used)
	}
}
