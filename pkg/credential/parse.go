package credential

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// MaxSize is the most that a credential may have as JSON, in bytes.
const MaxSize = 64 << 10

// Read reads a credential as a person or a backend gives it, as JSON. See Parse.
func Read(r io.Reader) (Credential, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	if err != nil {
		return Credential{}, fault.Wrap(fault.Unavailable, "credential.Read", err)
	}
	return Parse(data)
}

// Parse reads a JSON object with oauth_access_token, oauth_refresh_token, expires_at (RFC 3339 or Unix seconds), scopes
// (a list or one string) and oauth_app_id, or with the app's own fields, each a string. Everything else is refused, kind
// Invalid; the message never shows a value.
func Parse(data []byte) (Credential, error) {
	fields, err := object(data)
	if err != nil {
		return Credential{}, err
	}
	c := Credential{Fields: map[string]secret.String{}}
	for name, raw := range fields {
		if err := c.set(name, raw); err != nil {
			return Credential{}, err
		}
	}
	if len(c.Fields) == 0 {
		return Credential{}, invalid("it needs oauth_access_token, or at least one field of the app's own")
	}
	return c, nil
}

func object(data []byte) (map[string]json.RawMessage, error) {
	switch {
	case len(data) > MaxSize:
		return nil, invalid("it may have at most 64 KiB")
	case !utf8.Valid(data):
		return nil, invalid("it must be valid UTF-8")
	}
	// The decoder's own errors quote what they stumble over, and that is part of a secret.
	dec := json.NewDecoder(bytes.NewReader(data))
	if start, err := dec.Token(); err != nil || start != json.Delim('{') {
		return nil, invalid("it must be one JSON object")
	}
	fields := map[string]json.RawMessage{}
	for dec.More() {
		name, err := dec.Token()
		key, ok := name.(string)
		var raw json.RawMessage
		if err != nil || !ok || dec.Decode(&raw) != nil {
			return nil, invalid("it must be one JSON object")
		}
		if _, twice := fields[key]; twice {
			return nil, invalid("a field is there twice")
		}
		fields[key] = raw
	}
	if _, err := dec.Token(); err != nil {
		return nil, invalid("it must be one JSON object")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, invalid("there is more behind the JSON object")
	}
	return fields, nil
}

func (c *Credential) set(name string, raw json.RawMessage) (err error) {
	switch name {
	case FieldAccessToken:
		c.Fields[name], err = filled(name, raw)
	case "oauth_refresh_token":
		c.RefreshToken, err = filled(name, raw)
	case "oauth_app_id":
		var app secret.String
		app, err = filled(name, raw)
		c.OAuthApp = app.Reveal()
	case "expires_at":
		c.ExpiresAt, err = instant(raw)
	case "scopes":
		c.Scopes, err = scopes(raw)
	default:
		if !validName(name) {
			return invalid("the name of a field must be letters, digits, - and _, at most 64")
		}
		c.Fields[name], err = text(name, raw)
	}
	return err
}

func text(name string, raw json.RawMessage) (secret.String, error) {
	var value *string
	if err := json.Unmarshal(raw, &value); err != nil || value == nil {
		return secret.String{}, invalid(name + " must be a string")
	}
	return secret.New(*value), nil
}

// filled reads a string that is not empty. An empty token is always a mistake in a script, and a confusing one.
func filled(name string, raw json.RawMessage) (secret.String, error) {
	value, err := text(name, raw)
	if err == nil && value.IsZero() {
		err = invalid(name + " is empty")
	}
	return value, err
}

func instant(raw json.RawMessage) (time.Time, error) {
	var seconds float64
	if json.Unmarshal(raw, &seconds) == nil && string(raw) != "null" {
		if seconds <= 0 || seconds > maxUnix || seconds != math.Trunc(seconds) {
			return time.Time{}, invalid("expires_at must be RFC 3339 or whole seconds since 1970")
		}
		return time.Unix(int64(seconds), 0).UTC(), nil
	}
	var written string
	if err := json.Unmarshal(raw, &written); err != nil {
		return time.Time{}, invalid("expires_at must be RFC 3339 or whole seconds since 1970")
	}
	at, err := time.Parse(time.RFC3339, written)
	if err != nil {
		return time.Time{}, invalid("expires_at must be RFC 3339 or whole seconds since 1970")
	}
	return at.UTC(), nil
}

// maxUnix is the end of the year 9999: what is later was meant in milliseconds.
const maxUnix = 253_402_300_799

func scopes(raw json.RawMessage) ([]string, error) {
	var list []string
	if json.Unmarshal(raw, &list) == nil {
		return list, nil
	}
	var line string
	if err := json.Unmarshal(raw, &line); err != nil {
		return nil, invalid("scopes must be a list of strings, or one string with spaces between")
	}
	return strings.Fields(line), nil
}

func validName(name string) bool {
	ok := name != "" && len(name) <= 64
	for i := range len(name) {
		c := name[i]
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_')
	}
	return ok
}

func invalid(why string) error {
	return fault.New(fault.Invalid, "credential.Parse", "the credential cannot be read: "+why)
}
