// Package expr reads the {{ … }} expressions in the props of a step, and fills in what they stand for.
//
// It never runs code, never reads anything but the `steps` object and the environment variables it is given, and never
// puts a value of a user into an error: an error names the prop and the expression as the author wrote it.
//
// # What becomes of a prop
//
// A text that is one expression and nothing but white space around it becomes the expression's value, with its type: a
// number stays a number, a list a list. A property whose value is undefined is left out, an item becomes null, as
// JSON.stringify does it. Any other text with expressions stays a text: strings are put in as they are, null and
// undefined as nothing, numbers and booleans as JavaScript prints them, lists and objects as compact JSON. Lists and
// objects of props are walked; their keys are not evaluated. A literal {{ is written {{"{{"}}.
//
// # The language
//
// It is a part of JavaScript, with JavaScript's meaning:
//
//	paths         steps.trigger.event.body.user, steps.a["key with space"], steps.a[0], steps.a?.b, .length of lists and texts
//	variables     env.STRIPE_KEY, and the same as process.env.STRIPE_KEY: an environment variable of the project, a text
//	literals      12, -1.5, "text", 'text', true, false, null, undefined, [1, 2], {a: 1, "b c": 2}
//	operators     == != === !== < <= > >=   && || !   ??   a ? b : c   ( )
//	functions     the table below
//
// Each path begins with a named step or variable: `steps` or `env` alone, or with a name that is computed, is refused, so
// that a deploy can check the names. Everything else is refused when the expression is parsed: arithmetic, + between
// texts, assignment, new, functions of one's own, regular expressions, templates, this, the rest of process, constructor,
// __proto__, prototype.
//
//	String(x)               x as text
//	Number(x)               x as number; what is none is NaN, which becomes null in JSON
//	Boolean(x)              false for false, 0, NaN, "", null and undefined, else true
//	Array.isArray(x)        whether x is a list
//	JSON.stringify(x)       x as compact JSON; undefined for undefined
//	JSON.parse(s)           the value of a JSON text
//	encodeURIComponent(s)   s as part of a URL
//	s.toUpperCase()         in capitals
//	s.toLowerCase()         in small letters
//	s.trim()                without white space around
//	s.startsWith(t)         whether s begins with t
//	s.endsWith(t)           whether s ends with t
//	s.split(t)              the list of the parts of s between every t
//	x.includes(y)           whether the text has the text y, or the list the item y
//	x.slice(a, b)           the part of a text or list from a up to b; from the end where negative; both may be left out
//	x.at(i)                 the item of a list or character of a text; from the end where negative
//	a.join(s)               the items as one text, s between them; a comma where it is left out
//	x.toString()            as String(x), but an error for null and undefined
//
// # Where it is not JavaScript
//
// An integer keeps all its digits, as a result, in a text, and compared with another by equality: ids above 2^53 come
// through whole. Half of a surrogate pair becomes U+FFFD, and split("") gives whole characters. Case follows Unicode's
// simple mapping and ß. A property is the JSON document's own or undefined; nothing is inherited. What is
// printed as JSON keeps the document's order of keys, and a key that stands there twice.
//
// # Sources
//
// ECMA-262 of 2024 for the operators and functions; the documentation of Pipedream's workflows for the braces, and for
// what one expression alone becomes.
package expr

// The limits. What goes beyond them is an error that names the limit, at Parse where it can be seen there.
const (
	// MaxProps is the size of a step's props as JSON in bytes, before and after evaluation.
	MaxProps = 64 << 10
	// MaxExpression is the length of one expression between its braces, in bytes.
	MaxExpression = 4 << 10
	// MaxNesting is how deep an expression nests: brackets, conditions, arguments.
	MaxNesting = 64
	// MaxDepth is how deep the props nest, and the lists that are joined to a text.
	MaxDepth = 256
	// MaxItems is how many items split and slice may give.
	MaxItems = 100_000
	// MaxWork is how many bytes the expressions of one step may read and make, besides eight times the size of the
	// `steps` object. Props within the other limits could otherwise keep a worker busy for minutes.
	MaxWork = 64 << 20
)
