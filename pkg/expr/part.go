package expr

import (
	"bytes"
	"strings"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// output is the result of an evaluation, as it grows.
type output struct {
	buf   bytes.Buffer
	scope *scope
}

// part is one value of the props. What holds no expression is raw.
type part interface {
	// write appends the part, and nothing where it is undefined.
	write(o *output) (defined bool, err error)
}

// rawPart is props without an expression, as they are.
type rawPart []byte

func (r rawPart) write(o *output) (bool, error) {
	o.buf.Write(r)
	return true, nil
}

// listPart is a list in the props.
type listPart []part

func (l listPart) write(o *output) (bool, error) {
	for i, item := range l {
		o.buf.WriteByte("[,"[min(i, 1)])
		defined, err := item.write(o)
		if err != nil {
			return false, err
		}
		if !defined {
			o.buf.WriteString("null")
		}
	}
	o.buf.WriteByte(']')
	return true, nil
}

// objectPart is an object in the props.
type objectPart []member

// member is a name with its quotes and colon, and its value.
type member struct {
	name  []byte
	value part
}

func (m objectPart) write(o *output) (bool, error) {
	separator := byte('{')
	for _, member := range m {
		before := o.buf.Len()
		o.buf.WriteByte(separator)
		o.buf.Write(member.name)
		defined, err := member.value.write(o)
		switch {
		case err != nil:
			return false, err
		case defined:
			separator = ','
		default:
			o.buf.Truncate(before)
		}
	}
	if separator == '{' {
		o.buf.WriteByte('{')
	}
	o.buf.WriteByte('}')
	return true, nil
}

// textPart is a text with expressions.
type textPart struct {
	prop     string
	segments []segment
}

// segment is a piece of a text: an expression, or what stands around one.
type segment struct {
	text       string
	expression expression // nil for a text
}

// whole is the only expression of a text that has nothing but white space around it.
func (t textPart) whole() expression {
	var only expression
	for _, s := range t.segments {
		if s.expression == nil && strings.TrimFunc(s.text, isSpace) == "" {
			continue
		}
		if s.expression == nil || only != nil {
			return nil
		}
		only = s.expression
	}
	return only
}

// wholePart is a text that is one expression, whose value has any type.
type wholePart struct {
	prop       string
	expression expression
}

func (w wholePart) write(o *output) (bool, error) {
	v, err := w.expression.eval(o.scope)
	if err == nil && v.kind != kindUndefined {
		err = o.scope.appendJSON(&o.buf, v)
	}
	return v.kind != kindUndefined, o.check(w.prop, err)
}

func (t textPart) write(o *output) (bool, error) {
	o.buf.WriteByte('"')
	for _, s := range t.segments {
		content, err := s.content(o.scope)
		if err == nil && len(content) > MaxProps {
			err = tooLarge()
		}
		if err != nil {
			return false, o.check(t.prop, err)
		}
		o.buf.Write(appendEscaped(o.buf.AvailableBuffer(), content))
	}
	o.buf.WriteByte('"')
	return true, o.check(t.prop, nil)
}

func (s segment) content(scope *scope) (string, error) {
	if s.expression == nil {
		return s.text, nil
	}
	v, err := s.expression.eval(scope)
	if err != nil {
		return "", err
	}
	return scope.inText(v)
}

// check names the prop in an error, and makes one of a result that has grown too large.
func (o *output) check(prop string, err error) error {
	if err == nil && o.buf.Len() > MaxProps {
		err = tooLarge()
	}
	if err == nil || prop == "" {
		return err
	}
	return fault.Newf(fault.KindOf(err), "expr.Eval", "prop %s: %s", prop, fault.Safe(err))
}
