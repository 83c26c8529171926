package expr

import (
	"fmt"
	"strings"
)

// What is not of the language is refused with what was found and what to do instead.

const codeStep = "use a code step for it"

// refuse says what is wrong at the next token; at a bad token, what is wrong with it.
func (p *parser) refuse(what, hint string) error {
	if p.token.kind == tokenBad {
		what, hint = p.token.value, p.token.hint
	}
	return &refusal{p.token.start, what, hint}
}

// unexpected refuses the next token.
func (p *parser) unexpected(wanted string) error {
	t := p.token
	switch {
	case t.kind == tokenEnd:
		return p.refuse("the expression does not end", "end it with }}")
	case t.kind == tokenSign && foreignHint(t.text) != "", t.kind == tokenName && keyword(t.text):
		return foreign(t)
	}
	return p.refuse(fmt.Sprintf("found %s where %s belongs", quoted(t.text), wanted), "")
}

// foreign refuses a sign or word that JavaScript has and expressions lack.
func foreign(t token) error {
	hint := codeStep
	if t.kind == tokenSign {
		hint = foreignHint(t.text)
	}
	return &refusal{t.start, quoted(t.text) + " is not part of the expressions here", hint}
}

// foreignHint says what to do instead of a sign; nothing for a sign of ours.
func foreignHint(sign string) string {
	switch sign {
	case "+":
		return "put texts side by side, as in {{a}} {{b}}; to add numbers use a code step"
	case "-", "*", "/", "%", "**", "++", "--":
		return "expressions do not calculate, and have no regular expressions; " + codeStep
	case "=", "+=", "-=", "*=", "/=", "%=", "??=", "||=", "&&=":
		return "nothing can be assigned; to compare write =="
	case "`":
		return "write the text around the braces, as in Hello {{steps.a.name}}"
	case "=>", "...", ";", "&", "|", "^", "~", "<<", ">>", ">>>", "**=", "<<=", ">>=", ">>>=", "&=", "|=", "^=", "#", "@":
		return codeStep
	}
	return ""
}

func keyword(name string) bool {
	const keywords = " this new typeof void delete in instanceof function class async await yield let const var return if for while throw import super "
	return strings.Contains(keywords, " "+name+" ")
}

// unknownName refuses a name that no path or call can begin with.
func unknownName(name token) error {
	if keyword(name.text) {
		return foreign(token{kind: tokenName, start: name.start, text: name.text})
	}
	hint := "write steps.NAME…, a literal, or one of the functions " + functionNames() + "; " + codeStep
	switch name.text {
	case "auths":
		hint = "give the step an account by `account: end_user`, or a code step by `accounts:`"
	case "event", "context", "$", trigger:
		hint = "write steps.trigger.event or steps.trigger.context"
	}
	return &refusal{name.start, fmt.Sprintf("there is no %s in expressions", quoted(name.text)), hint}
}

func unknownMethod(name token) error {
	hint := "the functions are " + functionNames() + "; " + codeStep
	if name.text == "replace" || name.text == "replaceAll" {
		hint = `write .split("old").join("new"), or ` + codeStep
	}
	return &refusal{name.start, fmt.Sprintf("there is no function .%s() in expressions", clip(name.text)), hint}
}

// functionNames lists every function for a message.
func functionNames() string {
	var names []string
	for _, f := range functions() {
		names = append(names, f.name+"()")
	}
	for _, f := range methods() {
		names = append(names, "."+f.name+"()")
	}
	return strings.Join(names, " ")
}
