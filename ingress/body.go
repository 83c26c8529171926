package ingress

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

// maxDepth is how deep a JSON body may be nested.
const maxDepth = 256

const firstRead = 4 << 10

// readBody reads the body as it was before anybody compressed it. It lives as long as the call does.
func (c *call) readBody(content content) ([]byte, error) {
	limit, s := c.limit(content), c.scratch
	var err error
	if s.body, err = c.readSent(limit, s.body); err != nil || content.coding == codingNone || len(s.body) == 0 {
		return s.body, err
	}
	s.plain, err = c.decode(content.coding, limit)
	return s.plain, err
}

// limit is how many bytes the body may have, as it came and unpacked: no more than an event where it must go into one.
func (c *call) limit(content content) int64 {
	byURL := c.env.Files != nil && (content.kind == kindMultipart || content.kind == kindUpload)
	if c.env.Triggers != nil || byURL {
		return int64(c.server.cfg.MaxBody)
	}
	return int64(c.server.cfg.MaxEvent)
}

// readSent reads the whole body as it came into buf, and never more than limit of it.
func (c *call) readSent(limit int64, buf []byte) ([]byte, error) {
	body, said := c.r.Body, c.r.ContentLength
	switch {
	case body == nil || said == 0:
		return buf[:0], nil
	case said > limit:
		return buf[:0], behalf.FailBodyTooLarge(limit)
	case said > int64(c.server.cfg.MaxEvent):
		c.place = c.server.newPlace()
		if err := c.place.enter(); err != nil {
			return buf[:0], err
		}
		buf = make([]byte, 0, said+1) // the last byte finds the end
	case said < 0: // else net/http gives no more than it was told of
		c.place = c.server.newPlace()
		body = c.place.guard(http.MaxBytesReader(c.w, body, limit))
	}
	buf, err := readAll(body, buf)
	if err != nil {
		return buf, bodyFailure(err, limit)
	}
	return buf, nil
}

// leave lets go of a large body, and then of its place, as soon as the call needs it no more: its caller may wait for
// long.
func (c *call) leave() {
	if c.place == nil || !c.place.taken {
		return
	}
	c.scratch.body, c.scratch.plain, c.scratch.trigger = nil, nil, nil
	if c.attached != nil {
		c.attached.body = nil
	}
	c.place.leave()
}

// readAll is io.ReadAll into memory that is there already.
func readAll(r io.Reader, buf []byte) ([]byte, error) {
	buf = buf[:0]
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, make([]byte, max(len(buf), firstRead))...)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case errors.Is(err, io.EOF):
			return buf, nil
		case err != nil:
			return buf, err
		}
	}
}

func bodyFailure(err error, limit int64) *behalf.Failure {
	if ours := (*behalf.Failure)(nil); errors.As(err, &ours) {
		return ours
	}
	if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
		return behalf.FailBodyTooLarge(limit)
	}
	// The client stopped, stalled until the server's timeout, or sent bad chunks. A 408 would be true, but would make
	// clients repeat by themselves what cannot be read.
	return behalf.FailRequestInvalid("The body could not be read to its end")
}

// content is how a body becomes event.body. It is decided from the headers alone, before a byte of the body is read:
// what the bytes look like never chooses how they are parsed.
type content struct {
	kind   kind
	coding coding
	// boundary parts the fields of a multipart form.
	boundary string
	// noStore says that nothing of it shall be kept longer than its run takes.
	noStore bool
}

type kind uint8

const (
	kindText kind = iota
	kindJSON
	kindForm
	kindMultipart
	kindUpload // handed on untouched, by its URL
	kindBytes  // text, by its own word in a charset that we do not read
)

func contentOf(h http.Header) (content, error) {
	coding, err := codingOf(h)
	if err != nil {
		return content{}, err
	}
	c := content{coding: coding}
	types := h["Content-Type"]
	switch {
	case len(types) == 0:
		return c, nil
	case len(types) > 1:
		return c, behalf.FailRequestInvalid("Content-Type must be sent once")
	case types[0] == "application/json": // what nearly everybody sends
		c.kind = kindJSON
		return c, nil
	}
	return c.typed(types[0])
}

// typed reads a content type that is more than a name.
func (c content) typed(value string) (content, error) {
	name, parameters, _ := strings.Cut(value, ";")
	name = strings.ToLower(strings.TrimSpace(name))
	switch {
	case name == "multipart/form-data":
		c.kind = kindMultipart
	case name == "application/x-www-form-urlencoded":
		c.kind = kindForm
	case name == "application/json", strings.HasSuffix(name, "+json"):
		c.kind = kindJSON
	}
	var known map[string]string
	if parameters != "" {
		_, known, _ = mime.ParseMediaType(value) // what cannot be read names no charset and no boundary
	}
	if c.kind == kindMultipart {
		if c.boundary = known["boundary"]; c.boundary == "" || len(c.boundary) > maxBoundary {
			return c, behalf.FailRequestInvalid("multipart/form-data must name its boundary, of at most 70 characters")
		}
	}
	switch {
	case readable(known["charset"]):
		return c, nil
	case c.kind == kindText:
		c.kind = kindBytes
		return c, nil
	}
	return c, behalf.FailRequestInvalid("The body must be UTF-8")
}

// readable says whether a text in this charset is UTF-8, or may be: the bytes are checked besides.
func readable(charset string) bool {
	switch strings.ToLower(charset) {
	case "", "utf-8", "utf8", "us-ascii", "ascii":
		return true
	}
	return false
}

// appendBody appends the members of the event that come from the body, each with a comma before it. No body adds none.
//
// A JSON string cannot hold what is no UTF-8. Then base64 stands in its place, and a member beside it says so.
func (c *call) appendBody(dst, body []byte, content content) ([]byte, error) {
	if len(body) == 0 {
		return dst, nil
	}
	raw := c.endpoint.Trigger.RawBody && content.kind != kindUpload
	text := content.kind != kindBytes && utf8.Valid(body)
	if !text && content.kind != kindMultipart && content.kind != kindUpload {
		dst = appendBytes(dst, "body", body)
	} else {
		var err error
		if dst, err = c.appendValue(append(dst, `,"body":`...), body, content); err != nil {
			return nil, err
		}
	}
	switch {
	case raw && text:
		return c.appendText(append(dst, `,"body_raw":`...), body)
	case raw:
		dst = appendBytes(dst, "body_raw", body)
	}
	return dst, nil
}

// appendText appends a text of strangers as a string. In JSON a control character takes six bytes, so a large text may
// become larger than anything may be.
func (c *call) appendText(dst, text []byte) ([]byte, error) {
	if len(text) > keepScratch {
		size := quotedSize(text)
		if len(dst)+size > c.server.maxTrigger() {
			return nil, behalf.FailBodyTooLarge(int64(c.server.cfg.MaxBody))
		}
		dst = slices.Grow(dst, size)
	}
	return appendString(dst, text), nil
}

func appendBytes(dst []byte, member string, body []byte) []byte {
	dst = slices.Grow(dst, base64.StdEncoding.EncodedLen(len(body))+64)
	dst = append(append(append(dst, `,"`...), member...), `":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, body)
	dst = append(append(append(dst, `","`...), member...), `_encoding":"base64"`...)
	return dst
}

// appendValue appends the body as a value: forms as an object, JSON as it is, everything else, and JSON that is none,
// as a string.
func (c *call) appendValue(dst, body []byte, content content) ([]byte, error) {
	switch content.kind {
	case kindForm:
		return appendForm(dst, body)
	case kindMultipart:
		return c.appendMultipart(dst, body, content.boundary)
	case kindUpload:
		return c.appendUpload(dst, body)
	case kindJSON:
		return c.appendJSON(dst, body)
	case kindText, kindBytes:
	}
	return c.appendText(dst, body)
}

func (c *call) appendJSON(dst, body []byte) ([]byte, error) {
	doc := bytes.TrimPrefix(body, []byte("\ufeff"))
	switch {
	case tooDeep(doc, maxDepth):
		return nil, behalf.FailRequestInvalid("The JSON body must not be nested deeper than 256")
	case !json.Valid(doc):
		return c.appendText(dst, body)
	}
	return append(dst, doc...), nil
}
