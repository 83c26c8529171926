package web

import (
	"bytes"
	"net"
	"net/http"
)

// net/http answers by itself what it cannot read, before any handler sees it. Two of its answers are 5xx, after which
// clients repeat the request by themselves; but a request that cannot be read is the client's mistake.
const (
	rawHeaders         = "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
	unknownCoding      = "HTTP/1.1 501 Not Implemented" + rawHeaders
	unknownVersion     = "HTTP/1.1 505 HTTP Version Not Supported: unsupported protocol version" + rawHeaders
	unknownCodingBad   = "HTTP/1.1 400 Bad Request" + rawHeaders + "400 Bad Request: unsupported transfer encoding"
	unknownVersionBad  = "HTTP/1.1 400 Bad Request" + rawHeaders + "400 Bad Request: unsupported protocol version"
	lengthOfStatusLine = len("HTTP/1.1 50x ")
)

// refusing is a connection that answers 400 where net/http would answer 501 or 505.
type refusing struct{ net.Conn }

// Write compares with what net/http writes word for word, headers and their order too: no answer of a handler begins so.
func (c refusing) Write(b []byte) (int, error) {
	if len(b) < lengthOfStatusLine || b[9] != '5' || b[10] != '0' {
		return c.Conn.Write(b)
	}
	var instead string
	switch {
	case bytes.HasPrefix(b, []byte(unknownCoding)):
		instead = unknownCodingBad
	case bytes.HasPrefix(b, []byte(unknownVersion)):
		instead = unknownVersionBad
	default:
		return c.Conn.Write(b)
	}
	if _, err := c.Conn.Write([]byte(instead)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// CloseWrite lets net/http end an answer before the client has sent all, without cutting it off.
func (c refusing) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// closeChunked ends the connection after a chunked request. Such a request may have had a Content-Length as well, which
// net/http takes away without a word; a proxy that went by it would see the next request elsewhere than we do. RFC 9112
// wants the connection closed then, and we cannot tell which it was.
func closeChunked(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TransferEncoding) > 0 && r.ProtoMajor == 1 {
			w.Header()["Connection"] = []string{"close"}
		}
		next.ServeHTTP(w, r)
	})
}
