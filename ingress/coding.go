package ingress

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
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

// decode gives the body as it was before it was compressed, in buf, and never more than limit of it: a few bytes can
// say that they are gigabytes.
func (c coding) decode(body []byte, limit int64, buf []byte) ([]byte, error) {
	packed := bytes.NewReader(body)
	r, err := c.reader(packed, body)
	if err != nil {
		return nil, undecodable()
	}
	buf, err = readAll(io.LimitReader(r, limit+1), buf)
	switch {
	case int64(len(buf)) > limit:
		return nil, behalf.FailBodyTooLarge(limit)
	case err != nil || packed.Len() > 0: // cut, broken, or with something behind its end that nobody would see
		return nil, undecodable()
	}
	return buf, nil
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
