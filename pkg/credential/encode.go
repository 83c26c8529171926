package credential

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// record is a credential as it lies in a store that keeps it closed. It is the one place where values are written out.
type record struct {
	V            int               `json:"v"`
	Fields       map[string]string `json:"fields,omitempty"`
	RefreshToken string            `json:"oauth_refresh_token,omitempty"`
	ExpiresAt    time.Time         `json:"expires_at,omitzero"`
	Scopes       []string          `json:"scopes,omitempty"`
	OAuthApp     string            `json:"oauth_app_id,omitempty"`
}

// maxRecord leaves room for what the record adds to a credential of MaxSize.
const maxRecord = MaxSize + 1<<10

// Encode writes a credential out in the clear, for a store that keeps it closed. Errors: Invalid, when it is too large.
func Encode(c Credential) ([]byte, error) {
	r := record{
		V: behalf.FormatVersion, Fields: make(map[string]string, len(c.Fields)), RefreshToken: c.RefreshToken.Reveal(),
		ExpiresAt: c.ExpiresAt, Scopes: c.Scopes, OAuthApp: c.OAuthApp,
	}
	for name, value := range c.Fields {
		r.Fields[name] = value.Reveal()
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)              // or a value could grow to six times its size
	if err := enc.Encode(r); err != nil { //nolint:gosec // sealed before it leaves the process
		return nil, errors.New("the credential cannot be written") // its own text might quote a value
	}
	if out.Len() > maxRecord {
		return nil, fault.New(fault.Invalid, "credential.Put", "the credential may have at most 64 KiB")
	}
	return out.Bytes(), nil
}

// Decode reads what Encode wrote. Errors: Internal.
func Decode(data []byte) (Credential, error) {
	var r record
	if err := json.Unmarshal(data, &r); err != nil || r.V < 1 {
		return Credential{}, fault.Wrap(fault.Internal, "credential.Get", errors.New("the stored credential cannot be read"))
	}
	c := Credential{
		Fields: make(map[string]secret.String, len(r.Fields)), RefreshToken: secret.New(r.RefreshToken),
		ExpiresAt: r.ExpiresAt, Scopes: r.Scopes, OAuthApp: r.OAuthApp,
	}
	for name, value := range r.Fields {
		c.Fields[name] = secret.New(value)
	}
	return c, nil
}
