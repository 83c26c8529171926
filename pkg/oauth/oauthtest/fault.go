package oauthtest

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
)

// Endpoint is one of the vendor's endpoints.
type Endpoint string

// The endpoints at which something can go wrong.
const (
	AtToken  Endpoint = "token"
	AtRevoke Endpoint = "revoke"
	AtAPI    Endpoint = "api"
)

// Fault is what goes wrong with one request. The zero value is nothing.
type Fault struct {
	// Hold keeps the request until it is closed, before anything is done.
	Hold <-chan struct{}
	// Undone says that the request is not carried out: then Status, Body or Cut say what comes instead.
	Undone bool
	// HoldAnswer keeps the answer back until it is closed: what was asked is done.
	HoldAnswer <-chan struct{}
	// HoldBody sends half of the answer's body and keeps the rest back until it is closed.
	HoldBody <-chan struct{}
	// Cut ends the connection instead of an answer.
	Cut bool
	// Status replaces that of the answer.
	Status int
	Header http.Header
	// Body replaces that of the answer.
	Body string
	// Edit changes the JSON object of the answer.
	Edit func(object map[string]any)
}

// Limited is 429, not carried out. The text is that of Retry-After, empty for none.
func Limited(retryAfter string) Fault { return away(http.StatusTooManyRequests, retryAfter) }

// Away is 503, not carried out.
func Away(retryAfter string) Fault { return away(http.StatusServiceUnavailable, retryAfter) }

func away(status int, retryAfter string) Fault {
	header := http.Header{}
	if retryAfter != "" {
		header.Set("Retry-After", retryAfter)
	}
	return Fault{Undone: true, Status: status, Header: header, Body: `{"error":"slow down, canary-in-error"}`}
}

// HTML is a page with status 200, as from a proxy. The request is not carried out.
func HTML() Fault {
	return Fault{Undone: true, Status: http.StatusOK, Header: http.Header{"Content-Type": {"text/html"}}, Body: "<html><body>Sign in</body></html>"}
}

// Refusal is an error word with a status, not carried out.
func Refusal(status int, word string) Fault {
	return Fault{Undone: true, Status: status, Body: `{"error":"` + word + `","error_description":"canary-in-error"}`}
}

// CutBefore ends the connection before anything is done.
func CutBefore() Fault { return Fault{Undone: true, Cut: true} }

// CutAfter ends the connection when everything is done: the client cannot know.
func CutAfter() Fault { return Fault{Cut: true} }

// Late answers when it is told, though everything is done at once.
func Late(release <-chan struct{}) Fault { return Fault{HoldAnswer: release} }

// Slow begins when it is told.
func Slow(release <-chan struct{}) Fault { return Fault{Hold: release} }

// Stalled sends half of its answer when everything is done, and the rest when it is told.
func Stalled(release <-chan struct{}) Fault { return Fault{HoldBody: release} }

// GzipLie says that the answer is packed, which it is not.
func GzipLie() Fault { return Fault{Header: http.Header{"Content-Encoding": {"gzip"}}} }

// Redirect sends the client elsewhere. The request is not carried out.
func Redirect(status int, location string) Fault {
	return Fault{Undone: true, Status: status, Header: http.Header{"Location": {location}}}
}

// Set replaces a field of the answer; nil takes it out.
func Set(field string, value any) Fault {
	return Fault{Edit: func(object map[string]any) {
		object[field] = value
		if value == nil {
			delete(object, field)
		}
	}}
}

// NoExpiry leaves expires_in out.
func NoExpiry() Fault { return Set("expires_in", nil) }

// NoRefreshToken leaves refresh_token out.
func NoRefreshToken() Fault { return Set("refresh_token", nil) }

// orders are the faults of an endpoint: first those of single requests, then the one of all others.
type orders struct {
	next   []Fault
	always *Fault
}

// Fail has the next requests to an endpoint go wrong, one fault each, behind those that were ordered before.
func (v *Vendor) Fail(at Endpoint, faults ...Fault) {
	v.mu.Lock()
	defer v.mu.Unlock()
	o := v.ordersOf(at)
	o.next = append(o.next, faults...)
}

// FailAlways has every request to an endpoint go wrong that has no fault of its own, until Heal.
func (v *Vendor) FailAlways(at Endpoint, fault Fault) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ordersOf(at).always = &fault
}

// Heal takes all faults of an endpoint back.
func (v *Vendor) Heal(at Endpoint) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.faults, at)
}

func (v *Vendor) ordersOf(at Endpoint) *orders {
	if v.faults[at] == nil {
		v.faults[at] = &orders{}
	}
	return v.faults[at]
}

func (v *Vendor) nextFault(at Endpoint) Fault {
	v.mu.Lock()
	defer v.mu.Unlock()
	o := v.ordersOf(at)
	switch {
	case len(o.next) > 0:
		fault := o.next[0]
		o.next = o.next[1:]
		return fault
	case o.always != nil:
		return *o.always
	}
	return Fault{}
}

// at puts the faults around an endpoint.
func (v *Vendor) at(at Endpoint, serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		params := paramsOf(r)
		v.saw(Seen{at, r.Header.Clone(), params})
		v.count(func(c *Counts) {
			if at == AtToken {
				c.Tokens++
			}
		})
		fault := v.nextFault(at)
		if !v.wait(r, fault.Hold) {
			return
		}
		kept := &kept{header: http.Header{}, status: http.StatusOK}
		if !fault.Undone {
			serve(kept, r)
		}
		if !v.wait(r, fault.HoldAnswer) {
			return
		}
		if fault.Cut {
			panic(http.ErrAbortHandler)
		}
		v.answer(w, r, fault, kept)
	}
}

// wait waits for a release. It is not ok where the client or the vendor left first.
func (v *Vendor) wait(r *http.Request, release <-chan struct{}) bool {
	if release == nil {
		return true
	}
	select {
	case <-release:
		return true
	case <-r.Context().Done():
	case <-v.closing:
	}
	return false
}

func (v *Vendor) answer(w http.ResponseWriter, r *http.Request, f Fault, k *kept) {
	maps.Copy(w.Header(), k.header)
	maps.Copy(w.Header(), f.Header)
	body := k.body.Bytes()
	if f.Body != "" || f.Undone {
		body = []byte(f.Body)
	}
	if f.Edit != nil {
		body = edited(body, f.Edit)
	}
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	status := k.status
	if f.Status != 0 {
		status = f.Status
	}
	w.WriteHeader(status)
	if f.HoldBody != nil {
		half := len(body) / 2
		_, _ = w.Write(body[:half])
		_ = http.NewResponseController(w).Flush()
		if body = body[half:]; !v.wait(r, f.HoldBody) {
			panic(http.ErrAbortHandler)
		}
	}
	_, _ = w.Write(body) // the client is gone: nobody is left to tell
}

func edited(body []byte, edit func(map[string]any)) []byte {
	var object map[string]any
	if json.Unmarshal(body, &object) != nil {
		return body
	}
	edit(object)
	changed, err := json.Marshal(object)
	if err != nil {
		return body
	}
	return changed
}

// kept is an answer that is not sent yet.
type kept struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (k *kept) Header() http.Header         { return k.header }
func (k *kept) WriteHeader(status int)      { k.status = status }
func (k *kept) Write(b []byte) (int, error) { return k.body.Write(b) }

// paramsOf reads a form or a JSON object, and leaves the former with the request.
func paramsOf(r *http.Request) map[string]string {
	params := map[string]string{}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		var object map[string]string
		if json.NewDecoder(r.Body).Decode(&object) == nil {
			params = object
		}
		r.PostForm = map[string][]string{}
		for name, value := range params {
			r.PostForm.Set(name, value)
		}
		return params
	}
	if r.ParseForm() == nil {
		for name := range r.PostForm {
			params[name] = r.PostForm.Get(name)
		}
	}
	return params
}
