package expr

// variable is an environment variable of the project, which is a text.
type variable struct{ name string }

func (e variable) eval(s *scope) (value, error) {
	if s.variables == nil {
		return value{}, nil
	}
	text, ok := s.variables(e.name)
	if !ok {
		return value{}, nil
	}
	return textValue(text), s.spend(len(text))
}

// variable reads the name of a variable after env, or after process.env.
func (p *parser) variable(first token) (expression, error) {
	alone := &refusal{first.start, "env stands here without the name of an environment variable", "write env.NAME, or process.env.NAME"}
	if first.text == "process" {
		if !p.accept(".") || p.token.kind != tokenName || p.token.text != "env" {
			return nil, &refusal{first.start, "of process there is only env in expressions", "write env.NAME, or process.env.NAME"}
		}
		p.take()
	}
	brackets := p.accept("[")
	switch {
	case brackets && p.token.kind == tokenString:
	case brackets, !p.accept("."), p.token.kind != tokenName:
		return nil, alone
	}
	name := p.take().named()
	if brackets {
		if err := p.expect("]"); err != nil {
			return nil, err
		}
	}
	p.names.variables[name.value] = true
	return variable{name.value}, checkName(name)
}
