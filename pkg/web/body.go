package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// maxDepth is how deeply the values of a JSON body may be nested.
const maxDepth = 256

// DecodeJSON reads a JSON body of at most limit bytes into a value, strictly: a field that the value does not have, a
// second value, a depth above 256 or text that is not UTF-8 is refused. Errors: Invalid, with the codes body_too_large
// and unsupported_media_type where they apply. No error repeats a value of the body, which may be a secret.
func DecodeJSON(w http.ResponseWriter, r *http.Request, limit int64, into any) error {
	return decode(w, r, limit, into, true)
}

// DecodeTolerantJSON is DecodeJSON, but fields that the value does not have are passed over: for contracts of others,
// whose clients send more than we read.
func DecodeTolerantJSON(w http.ResponseWriter, r *http.Request, limit int64, into any) error {
	return decode(w, r, limit, into, false)
}

func decode(w http.ResponseWriter, r *http.Request, limit int64, into any, strict bool) error {
	if err := checkMediaType(r.Header); err != nil {
		return err
	}
	body, err := ReadBody(w, r, limit)
	if err != nil {
		return err
	}
	if err := CheckJSON(body); err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	if strict {
		dec.DisallowUnknownFields()
	}
	if err := dec.Decode(into); err != nil {
		return invalid(explain(err))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return invalid("the body holds more than one JSON value")
	}
	return nil
}

// ReadBody reads at most limit bytes. Errors: Invalid, with the code body_too_large where it is more; Canceled where
// the client left.
func ReadBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, fault.Newf(fault.Invalid, "web.ReadBody", "the body may have %d bytes", limit).WithCode(CodeBodyTooLarge)
	case err != nil:
		return nil, fault.New(fault.Invalid, "web.ReadBody", "the body could not be read to its end").Because(err)
	}
	return body, nil
}

// CheckJSON refuses what no strict reader should be handed: text that is not UTF-8, and values nested deeper than 256.
func CheckJSON(body []byte) error {
	if !utf8.Valid(body) {
		return invalid("the body must be JSON in UTF-8")
	}
	depth, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case quoted && c == '\\':
			i++ // whatever is escaped ends nothing
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{', c == '[':
			if depth++; depth > maxDepth {
				return fault.Newf(fault.Invalid, "web.DecodeJSON", "the body may be %d values deep", maxDepth)
			}
		case c == '}', c == ']':
			depth--
		}
	}
	return nil
}

// checkMediaType wants JSON as it is: what poses as one type and is read as another has opened servers before.
func checkMediaType(h http.Header) error {
	if encoding := h.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return unsupported("send the body without Content-Encoding")
	}
	declared := h.Get("Content-Type")
	if declared == "" {
		return nil
	}
	kind, params, err := mime.ParseMediaType(declared)
	if err != nil || kind != "application/json" {
		return unsupported("send Content-Type: application/json")
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return unsupported("send JSON in UTF-8")
	}
	return nil
}

// explain tells a decoder's error without the value it stumbled over.
func explain(err error) string {
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.EOF):
		return "the body is empty; it must be JSON"
	case errors.As(err, &wrongType) && wrongType.Field != "":
		return "the field " + clip(wrongType.Field) + " is of the wrong type"
	case errors.As(err, &wrongType):
		return "the body must be a JSON object"
	}
	if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return "unknown field " + clip(field)
	}
	return "the body must be JSON"
}

func clip(s string) string {
	if len(s) > 64 {
		return strings.ToValidUTF8(s[:64], "") + "…"
	}
	return s
}

func invalid(why string) error { return fault.New(fault.Invalid, "web.DecodeJSON", why) }

func unsupported(why string) error {
	return fault.New(fault.Invalid, "web.DecodeJSON", why).WithCode(CodeUnsupportedMediaType)
}
