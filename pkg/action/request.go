package action

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"mime"
	"net/http"
	"net/textproto"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/behalf-dev/behalf/pkg/app/braces"
)

// The bounds of a request.
const (
	// maxRequest is the size of a body in bytes.
	maxRequest = 10 << 20
	maxURL     = 16 << 10
	maxHeaders = 64 << 10
	// defaultTimeout of one call, and the most that it may be told to take. The run's own timeout ends it earlier.
	defaultTimeout = 30 * time.Second
)

// call is one request of an action, as data, and what its answer means.
type call struct {
	// name is a lookup's, under which what follows finds the answer. Empty for the request itself.
	name string
	// unlessInteger is a prop that makes a lookup needless by being a whole number already.
	unlessInteger string
	// missing is what a 404 means. Empty for what the service says.
	missing []braces.Part

	method  template
	url     []braces.Part
	headers *template
	query   *template
	body    *template
	timeout *template
	answer  answer
	errors  errorPaths
}

// needless says whether a lookup is left out.
func (c *call) needless(s scope) bool {
	value, ok := s.find(c.unlessInteger)
	return ok && regexp.MustCompile(`^[0-9]{1,20}$`).MatchString(asText(value))
}

// request makes the request, without the credential. The base is nil where there is no account; a path is then refused.
func (c *call) request(ctx context.Context, s scope, base *url.URL) (*http.Request, error) {
	target, err := c.target(s, base)
	if err != nil {
		return nil, err
	}
	if err := addQuery(target, c.query, s); err != nil {
		return nil, err
	}
	if len(target.String()) > maxURL {
		return nil, failf(InvalidProps, "the URL is longer than %d KiB", maxURL>>10)
	}
	header, err := c.header(s)
	if err != nil {
		return nil, err
	}
	body, err := c.bodyOf(s, header)
	if err != nil {
		return nil, err
	}
	method, _ := c.method.render(s)
	req, err := http.NewRequestWithContext(ctx, asText(method), target.String(), bytes.NewReader(body))
	if err != nil {
		return nil, failf(InvalidProps, "this is no request")
	}
	if len(body) == 0 {
		req.Body, req.GetBody, req.ContentLength = http.NoBody, nil, 0
	}
	req.Header = header
	return req, nil
}

// timeoutOf is how long the call may take.
func (c *call) timeoutOf(s scope) time.Duration {
	if c.timeout == nil {
		return defaultTimeout
	}
	value, _ := c.timeout.render(s)
	n, _ := value.(json.Number)
	seconds, err := n.Int64()
	if err != nil {
		return defaultTimeout
	}
	return time.Duration(seconds) * time.Second
}

// target is the URL without the query of the template: below the base, or the one that a prop gives whole.
func (c *call) target(s scope, base *url.URL) (*url.URL, error) {
	if len(c.url) == 1 && c.url[0].IsName {
		return wholeURL(c.url[0].Text, s, base)
	}
	path, err := fillPath(c.url, s)
	if err != nil {
		return nil, err
	}
	return below(base, path)
}

func below(base *url.URL, path string) (*url.URL, error) {
	if base == nil {
		return nil, failf(InvalidProps, "a path needs an account, whose app says where it leads; without one the URL must begin with https://")
	}
	target, err := url.Parse(strings.TrimSuffix(base.String(), "/") + path)
	if err != nil {
		return nil, failf(InvalidProps, "this is no URL")
	}
	return target, nil
}

func wholeURL(name string, s scope, base *url.URL) (*url.URL, error) {
	value, _ := s.find(name)
	text := strings.TrimSpace(asText(value))
	if strings.HasPrefix(text, "/") {
		return below(base, text)
	}
	target, err := url.Parse(text)
	switch {
	case err != nil, target.Scheme != "https" && target.Scheme != "http", target.Hostname() == "":
		return nil, failf(InvalidProps, "%s must be a URL that begins with https:// or http://", name)
	case target.User != nil:
		return nil, failf(InvalidProps, "%s must have no user and password in it; use an account", name)
	}
	target.Fragment, target.RawFragment = "", ""
	return target, nil
}

// fillPath fills a path, so that no value can leave its segment.
func fillPath(parts []braces.Part, s scope) (string, error) {
	var path strings.Builder
	for _, p := range parts {
		if !p.IsName {
			path.WriteString(p.Text)
			continue
		}
		value, ok := s.find(p.Text)
		segments := []string{asText(value)}
		if strings.HasPrefix(p.Text, slashSign) {
			segments = strings.Split(asText(value), "/")
		}
		for i, segment := range segments {
			if !ok || segment == "" || segment == "." || segment == ".." {
				return "", failf(InvalidProps, "%s cannot stand in a URL", strings.Join(rootsOf(p.Text), " or "))
			}
			segments[i] = strings.ReplaceAll(url.QueryEscape(segment), "+", "%20")
		}
		path.WriteString(strings.Join(segments, "/"))
	}
	return path.String(), nil
}

func addQuery(target *url.URL, query *template, s scope) error {
	members, err := membersOf("query", query, s)
	if err != nil || len(members) == 0 {
		return err
	}
	values, err := form("query", members)
	if err != nil {
		return err
	}
	if target.RawQuery != "" {
		target.RawQuery += "&"
	}
	target.RawQuery += values.Encode()
	return nil
}

// membersOf renders a template to an object. One that is not there is an empty one.
func membersOf(what string, t *template, s scope) (map[string]any, error) {
	if t == nil {
		return nil, nil
	}
	value, ok := t.render(s)
	if !ok {
		return nil, nil
	}
	members, ok := value.(map[string]any)
	if !ok {
		return nil, failf(InvalidProps, "%s must be an object (name: value), not %s", what, kindOf(value))
	}
	return members, nil
}

// form writes an object as the pairs of a form or a query. A list repeats its name.
func form(what string, members map[string]any) (url.Values, error) {
	values := url.Values{}
	for name, member := range members {
		items, isList := member.([]any)
		if !isList {
			items = []any{member}
		}
		for _, item := range items {
			switch item.(type) {
			case nil:
			case string, json.Number, bool:
				values.Add(name, asText(item))
			default:
				return nil, failf(InvalidProps, "%s: %.80q must be a text, a number, true or false, or a list of these", what, name)
			}
		}
	}
	return values, nil
}

// header makes the headers but those of the credential.
func (c *call) header(s scope) (http.Header, error) {
	header := http.Header{"User-Agent": {"behalf"}, "Accept": {"application/json"}}
	if c.answer.any {
		header.Set("Accept", "*/*")
	}
	members, err := membersOf("headers", c.headers, s)
	if err != nil {
		return nil, err
	}
	size := 0
	for _, name := range slices.Sorted(maps.Keys(members)) {
		text, ok := headerText(members[name])
		switch {
		case members[name] == nil:
			header.Del(name)
			continue
		case !ok || !isToken(name):
			return nil, failf(InvalidProps, "headers: %.80q is not a header with a value of one line", name)
		case isOurs(name):
			return nil, failf(InvalidProps, "headers: %s is set by Behalf itself", name)
		}
		size += len(name) + len(text)
		header.Set(name, text)
	}
	if size > maxHeaders {
		return nil, failf(InvalidProps, "the headers are larger than %d KiB", maxHeaders>>10)
	}
	hideKeys(header)
	return header, nil
}

// hideKeys spells the keys of idempotency as net/http does not know them: it would send a request that has one again by
// itself, and the service may know nothing of such keys.
func hideKeys(header http.Header) {
	for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
		if values, ok := header[name]; ok {
			delete(header, name)
			header[strings.ToLower(name)] = values
		}
	}
}

func headerText(value any) (string, bool) {
	items, isList := value.([]any)
	if !isList {
		items = []any{value}
	}
	texts := make([]string, 0, len(items))
	for _, item := range items {
		switch item.(type) {
		case string, json.Number, bool:
			texts = append(texts, asText(item))
		default:
			return "", false
		}
	}
	text := strings.Join(texts, ", ")
	return text, !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

func isToken(name string) bool {
	return regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,200}$").MatchString(name)
}

// isOurs says whether a header steers the connection, or how its body is packed.
func isOurs(name string) bool {
	name = textproto.CanonicalMIMEHeaderKey(name)
	return strings.HasPrefix(name, "Proxy-") || slices.Contains([]string{
		"Host", "Connection", "Keep-Alive", "Content-Length", "Transfer-Encoding", "Te", "Trailer", "Upgrade", "Expect", "Accept-Encoding",
	}, name)
}

// bodyOf writes the body, and sets its type where the headers do not: a text as it is, anything else as JSON, or as a
// form where the headers say so.
func (c *call) bodyOf(s scope, header http.Header) ([]byte, error) {
	if c.body == nil {
		return nil, nil
	}
	value, ok := c.body.render(s)
	if !ok {
		return nil, nil
	}
	body, kind, err := packed(value, header.Get("Content-Type"))
	if err != nil {
		return nil, err
	}
	if len(body) > maxRequest {
		return nil, failf(InvalidProps, "the body is larger than %d MiB", maxRequest>>20)
	}
	if header.Get("Content-Type") == "" {
		header.Set("Content-Type", kind)
	}
	return body, nil
}

func packed(value any, contentType string) (body []byte, kind string, err error) {
	if text, ok := value.(string); ok {
		return []byte(text), "text/plain; charset=utf-8", nil
	}
	mediaType, _, _ := mime.ParseMediaType(contentType)
	if members, ok := value.(map[string]any); ok && mediaType == "application/x-www-form-urlencoded" {
		values, err := form("body", members)
		return []byte(values.Encode()), contentType, err
	}
	body, err = encode(value)
	if err != nil {
		return nil, "", failf(InvalidProps, "the body cannot be written as JSON")
	}
	return body, "application/json; charset=utf-8", nil
}
