package expr

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// scope is one evaluation: what it reads, and how much work it may still do.
type scope struct {
	steps     *node
	variables Variables
	work      int
	depth     int
}

func newScope(steps []byte) *scope {
	const readOften = 8 // a path reads each level that it goes through once
	return &scope{steps: &node{raw: trimJSON(steps)}, work: MaxWork + readOften*len(steps)}
}

// spend takes so many bytes off the work that is left.
func (s *scope) spend(bytes int) error {
	if s.work -= bytes; s.work < 0 {
		return failed("the expressions of these props read and make too much, more than %d MiB; hint: use a code step", MaxWork>>20)
	}
	return nil
}

// decode is the content of a text.
func (s *scope) decode(v value) (string, error) {
	if err := s.spend(len(v.raw) + len(v.text)); err != nil || v.raw == nil {
		return v.text, err
	}
	return decodeText(v.raw)
}

func decodeText(raw []byte) (string, error) {
	if bytes.IndexByte(raw, '\\') < 0 && utf8.Valid(raw) {
		return string(raw[1 : len(raw)-1]), nil
	}
	var content string
	if json.Unmarshal(raw, &content) != nil {
		return "", broken()
	}
	return content, nil
}

// failed is what the author of the props has to mend. It holds no value of the document.
func failed(format string, args ...any) error {
	return fault.Newf(fault.StepFailed, "expr.Eval", format, args...)
}

func broken() error {
	return fault.New(fault.Internal, "expr.Eval", "the steps object is not valid JSON")
}
