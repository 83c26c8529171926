package step

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/behalf-dev/behalf/pkg/secret"
)

// appendBody appends what the guest is given of the call, as sandbox.Job.Body wants it. Here, and nowhere else, the
// secrets of the call are revealed.
func (c Call) appendBody(b []byte) ([]byte, error) {
	b = append(b, `"context":{"attempt":`...)
	b = strconv.AppendInt(b, int64(c.Attempt), 10)
	b = appendString(append(b, `,"idempotency_key":`...), c.idempotencyKey())
	b = append(b, `},"apps":{`...)
	for prop, app := range c.Apps {
		b = append(appendString(b, prop), ':')
		b = append(appendApp(b, app), ',')
	}
	b = appendEnv(append(closed(b), ','), c.Env)
	b = append(b, `"props":`...)
	b, err := appendObject(b, c.Props)
	if err != nil {
		return nil, fmt.Errorf("props of %s: %w", c.Path, err)
	}
	b, err = appendObject(append(b, `,"steps":`...), c.Steps)
	if err != nil {
		return nil, fmt.Errorf("steps before %s: %w", c.Path, err)
	}
	return append(b, ','), nil
}

// appendEnv appends the member that has the environment variables, where there are any.
func appendEnv(b []byte, env map[string]secret.String) []byte {
	if len(env) == 0 {
		return b
	}
	b = append(b, `"env":{`...)
	for name, value := range env {
		b = append(appendString(b, name), ':')
		b = append(appendString(b, value.Reveal()), ',')
	}
	return append(closed(b), ',')
}

// idempotencyKey is the same for every attempt of a step.
func (c Call) idempotencyKey() string { return string(c.Run) + ":" + string(c.Path) }

func appendApp(b []byte, a App) []byte {
	b = appendString(append(b, `{"app":`...), string(a.Slug))
	b = append(b, `,"auth":{`...)
	for field, value := range a.Auth {
		b = append(appendString(b, field), ':')
		b = append(appendString(b, value.Reveal()), ',')
	}
	return append(closed(b), '}')
}

// closed closes an object whose members each end with a comma.
func closed(b []byte) []byte {
	if b[len(b)-1] == ',' {
		b = b[:len(b)-1]
	}
	return append(b, '}')
}

// appendObject appends an object that must be one, so that it can add nothing to what stands around it.
func appendObject(b []byte, object json.RawMessage) ([]byte, error) {
	switch {
	case len(object) == 0:
		return append(b, `{}`...), nil
	case object[0] != '{' || !json.Valid(object):
		return nil, errors.New("not a JSON object")
	}
	return append(b, object...), nil
}

// appendString appends a string as JSON. Marshalling one cannot fail.
func appendString(b []byte, s string) []byte {
	quoted, _ := json.Marshal(s)
	return append(b, quoted...)
}

// checkExports holds the exports against the limits of size and depth.
func checkExports(exports json.RawMessage) error {
	if len(exports) > maxExports {
		return fmt.Errorf("the step's exports are larger than %d MiB", maxExports>>20)
	}
	if depth(exports) > maxDepth+1 { // the object around them is ours
		return fmt.Errorf("the step's exports are nested deeper than %d", maxDepth)
	}
	return nil
}

// depth is how deeply a valid JSON document is nested.
func depth(doc []byte) int {
	deepest, now, inString := 0, 0, false
	for i := 0; i < len(doc); i++ {
		switch c := doc[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deepest
}
