package ingress

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

// maxDepth is how deep a JSON body may be nested.
const maxDepth = 256

const firstRead = 4 << 10

// readBody reads the whole body into buf, and never more than limit of it.
func readBody(w http.ResponseWriter, r *http.Request, limit int64, buf []byte) ([]byte, error) {
	buf = buf[:0]
	switch {
	case r.Body == nil || r.ContentLength == 0:
		return buf, nil
	case r.ContentLength > limit:
		return buf, behalf.FailBodyTooLarge(limit)
	}
	body := http.MaxBytesReader(w, r.Body, limit)
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, make([]byte, max(len(buf), firstRead))...)[:len(buf)]
		}
		n, err := body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case errors.Is(err, io.EOF):
			return buf, nil
		case err != nil:
			return buf, bodyFailure(err, limit)
		}
	}
}

func bodyFailure(err error, limit int64) *behalf.Failure {
	if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
		return behalf.FailBodyTooLarge(limit)
	}
	// The client stopped, stalled until the server's timeout, or sent bad chunks. A 408 would be true, but would make
	// clients repeat by themselves what cannot be read.
	return behalf.FailRequestInvalid("The body could not be read to its end")
}

// content is how a body becomes event.body.
type content uint8

const (
	contentText content = iota
	contentJSON
)

// checkContent decides from the headers alone, before a byte of the body is read, how it will be read.
func checkContent(h http.Header) (content, error) {
	if coding := h["Content-Encoding"]; len(coding) > 1 || len(coding) == 1 && !strings.EqualFold(coding[0], "identity") {
		return 0, behalf.FailRequestInvalid("Content-Encoding comes in the next release; send the body as it is")
	}
	types := h["Content-Type"]
	switch {
	case len(types) == 0:
		return contentText, nil
	case len(types) > 1:
		return 0, behalf.FailRequestInvalid("Content-Type must be sent once")
	case types[0] == "application/json": // what nearly everybody sends
		return contentJSON, nil
	}
	return parseContentType(types[0])
}

func parseContentType(value string) (content, error) {
	kind, parameters, _ := strings.Cut(value, ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	switch {
	case kind == "application/x-www-form-urlencoded", strings.HasPrefix(kind, "multipart/"):
		return 0, behalf.FailRequestInvalid("Forms come in the next release; send Content-Type: application/json or text/plain")
	case parameters != "" && !readable(value):
		return 0, behalf.FailRequestInvalid("The body must be UTF-8")
	case kind == "application/json", strings.HasSuffix(kind, "+json"):
		return contentJSON, nil
	}
	return contentText, nil
}

// readable says whether a text in this charset is UTF-8, or may be: the bytes are checked besides.
func readable(contentType string) bool {
	_, parameters, err := mime.ParseMediaType(contentType)
	if err != nil {
		return true // no charset that anybody could read either
	}
	switch strings.ToLower(parameters["charset"]) {
	case "", "utf-8", "utf8", "us-ascii", "ascii":
		return true
	}
	return false
}

// appendBody appends the members of the event that come from the body, each with a comma before it. No body adds none.
func appendBody(dst, body []byte, kind content, raw bool) ([]byte, error) {
	if len(body) == 0 {
		return dst, nil
	}
	if !utf8.Valid(body) {
		return nil, behalf.FailRequestInvalid("Binary bodies come in the next release; the body must be UTF-8")
	}
	dst = append(dst, `,"body":`...)
	dst, err := appendValue(dst, body, kind)
	if err != nil {
		return nil, err
	}
	if raw {
		dst = append(dst, `,"body_raw":`...)
		dst = appendString(dst, body)
	}
	return dst, nil
}

// appendValue appends the body as a value: JSON as it is, everything else, and JSON that is none, as a string.
func appendValue(dst, body []byte, kind content) ([]byte, error) {
	if kind != contentJSON {
		return appendString(dst, body), nil
	}
	doc := bytes.TrimPrefix(body, []byte("\ufeff"))
	switch {
	case tooDeep(doc, maxDepth):
		return nil, behalf.FailRequestInvalid("The JSON body must not be nested deeper than 256")
	case !json.Valid(doc):
		return appendString(dst, body), nil
	}
	return append(dst, doc...), nil
}
