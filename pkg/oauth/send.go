package oauth

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// proof is how our client proves itself in a request.
type proof int

const (
	asNobody proof = iota
	asPost
	asBasic
)

// call is one request to a service.
type call struct {
	method string
	url    string
	params url.Values
	json   bool // params go as one JSON object, else as a form
	as     proof
	bearer secret.String
	// secrets are those of the request, besides the client's own.
	secrets []secret.String
}

// answer is what came back, of any status.
type answer struct {
	status   int
	header   http.Header
	document map[string]any // nil where the body is neither JSON nor a form
}

// send makes one request and reads the whole answer. Its errors are those of the way there and back.
func (c *Client) send(ctx context.Context, op string, l call) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	var written atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { written.Store(true) }})
	req, err := c.request(ctx, l)
	if err != nil {
		return answer{}, fault.Newf(fault.Internal, op, "the request for %s cannot be made", c.app.Name)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, c.lost(op, err, written.Load(), l)
	}
	body, err := readAnswer(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil && resp.StatusCode < http.StatusBadRequest {
		return answer{}, c.lost(op, err, true, l)
	}
	if len(body) > maxAnswer {
		body = nil
	}
	return answer{resp.StatusCode, resp.Header, parse(resp.Header.Get("Content-Type"), body)}, nil
}

// readAnswer reads a body, and one byte more than it may have. Whether it is packed its own first bytes say, and not the
// headers: a service that is wrong about it may have spent the refresh token, and then the new one must not be lost.
func readAnswer(body io.Reader) ([]byte, error) {
	in := bufio.NewReader(body)
	body = in
	if magic, err := in.Peek(len(gzipMagic)); err == nil && string(magic) == gzipMagic {
		unpacked, err := gzip.NewReader(in)
		if err != nil {
			return nil, err
		}
		body = unpacked
	}
	return io.ReadAll(io.LimitReader(body, maxAnswer+1))
}

// gzipMagic is how RFC 1952 begins. No JSON and no form does.
const gzipMagic = "\x1f\x8b"

func (c *Client) request(ctx context.Context, l call) (*http.Request, error) {
	if l.as == asPost || l.as == asBasic && c.registration.Secret.IsZero() {
		l.params.Set("client_id", c.registration.ID)
		if !c.registration.Secret.IsZero() {
			l.params.Set("client_secret", c.registration.Secret.Reveal())
		}
	}
	body, kind := encode(l)
	req, err := http.NewRequestWithContext(ctx, l.method, l.url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != "" {
		req.Header.Set("Content-Type", kind)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "behalf")
	for name, value := range c.app.Auth.Tokens.Headers {
		req.Header.Set(name, value)
	}
	switch {
	case !l.bearer.IsZero():
		req.Header.Set("Authorization", "Bearer "+l.bearer.Reveal())
	case l.as == asBasic && !c.registration.Secret.IsZero():
		// RFC 6749 §2.3.1: both are form-encoded before they are joined.
		req.SetBasicAuth(url.QueryEscape(c.registration.ID), url.QueryEscape(c.registration.Secret.Reveal()))
	}
	return req, nil
}

func encode(l call) (body, kind string) {
	if !l.json {
		return l.params.Encode(), "application/x-www-form-urlencoded"
	}
	object := make(map[string]string, len(l.params))
	for name := range l.params {
		object[name] = l.params.Get(name)
	}
	text, err := json.Marshal(object)
	if err != nil {
		return "", "" // strings only: it cannot fail
	}
	return string(text), "application/json"
}

// parse reads an answer as JSON, or as a form where it says that it is one.
func parse(kind string, body []byte) map[string]any {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\uFEFF")))
	if bytes.HasPrefix(body, []byte("{")) {
		return parseJSON(body)
	}
	if !strings.HasPrefix(strings.ToLower(kind), "application/x-www-form-urlencoded") {
		return nil
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil
	}
	document := make(map[string]any, len(form))
	for name := range form {
		document[name] = form.Get(name)
	}
	return document
}

func parseJSON(body []byte) map[string]any {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var document map[string]any
	if dec.Decode(&document) != nil || dec.More() {
		return nil
	}
	return document
}
