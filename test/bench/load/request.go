package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

const (
	noncePlace = "{{nonce}}"
	nonceLen   = 32
)

// request is a request as it goes over the wire, but for its nonce. The nonce has a fixed length, so the rest is built
// once.
type request struct {
	addr  string
	bytes []byte
	// nonce is where in bytes it stands.
	nonce int
}

func newRequest(target string, headers []string, body string) (request, error) {
	u, err := url.Parse(target)
	if err != nil {
		return request{}, err
	}
	if u.Scheme != "http" || u.Port() == "" {
		return request{}, fmt.Errorf("-url must be http://host:port/…, not %q", target)
	}
	if strings.Count(body, noncePlace) != 1 {
		return request{}, errors.New("the body must hold " + noncePlace + " once")
	}
	body = strings.Replace(body, noncePlace, strings.Repeat("0", nonceLen), 1)
	place := strings.Index(body, strings.Repeat("0", nonceLen))

	var b bytes.Buffer
	fmt.Fprintf(&b, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", u.RequestURI(), u.Host, len(body))
	for _, line := range headers {
		if !strings.Contains(line, ":") {
			return request{}, errors.New("a header must be 'Name: value'") // without the line: it may be a bearer
		}
		b.WriteString(strings.TrimSpace(line) + "\r\n")
	}
	b.WriteString("\r\n")
	head := b.Len()
	b.WriteString(body)
	return request{addr: u.Host, bytes: b.Bytes(), nonce: head + place}, nil
}

// copy is the same request for one client to write its nonces into.
func (r request) copy() request {
	r.bytes = bytes.Clone(r.bytes)
	return r
}

func (r request) setNonce(nonce []byte) { copy(r.bytes[r.nonce:r.nonce+nonceLen], nonce) }
