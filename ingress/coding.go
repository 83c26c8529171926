package ingress

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

// coding is how a body was compressed on its way.
type coding uint8

const (
	codingNone coding = iota
	codingGzip
	codingDeflate
)

func codingOf(h http.Header) (coding, error) {
	codings := h["Content-Encoding"]
	if len(codings) == 0 {
		return codingNone, nil
	}
	if len(codings) == 1 {
		switch strings.ToLower(codings[0]) {
		case "identity":
			return codingNone, nil
		case "gzip", "x-gzip":
			return codingGzip, nil
		case "deflate":
			return codingDeflate, nil
		}
	}
	return 0, behalf.FailRequestInvalid("Content-Encoding must be gzip or deflate, and one of them; send the body as it is otherwise")
}

// decode unpacks the body that was read, and never more than limit of it: a few bytes can say that they are gigabytes.
func (c *call) decode(coding coding, limit int64) ([]byte, error) {
	packed := bytes.NewReader(c.scratch.body)
	r, err := coding.reader(packed, c.scratch.body)
	if err != nil {
		return nil, undecodable()
	}
	if c.place == nil {
		c.place = c.server.newPlace()
	}
	plain, err := readAll(io.LimitReader(c.place.guard(io.NopCloser(r)), limit+1), c.scratch.plain)
	ours := (*behalf.Failure)(nil)
	switch {
	case errors.As(err, &ours):
		return nil, ours
	case int64(len(plain)) > limit:
		return nil, behalf.FailBodyTooLarge(limit)
	case err != nil || packed.Len() > 0: // cut, broken, or with something behind its end that nobody would see
		return nil, undecodable()
	}
	return plain, nil
}

func (c coding) reader(packed *bytes.Reader, body []byte) (io.Reader, error) {
	switch {
	case c == codingGzip:
		return gzip.NewReader(packed)
	case zlibbed(body):
		return zlib.NewReader(packed)
	}
	return flate.NewReader(packed), nil
}

// zlibbed says whether a body has the header of zlib, as deflate means in HTTP. Some clients send none.
func zlibbed(body []byte) bool {
	return len(body) > 1 && body[0]&0xf == 8 && (int(body[0])<<8|int(body[1]))%31 == 0
}

func undecodable() error {
	return behalf.FailRequestInvalid("The body is not what its Content-Encoding says")
}
