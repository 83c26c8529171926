package behalf

import (
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// CallbackPath is where services send browsers back after consent, below the address of the API.
const CallbackPath = "/connect/callback"

// MaxConnectTokenLife is how long a connect token is good at most.
const MaxConnectTokenLife = 4 * time.Hour

// ConnectToken lets one end user connect one account, once, and until then stands for that user alone. It is stored under the hash of its secret, in its
// environment, and forgotten when it ends.
type ConnectToken struct {
	V int `json:"v"`
	// Hash is the SHA-256 of the token in hexadecimal.
	Hash    string         `json:"hash"`
	Project ProjectID      `json:"project"`
	User    ExternalUserID `json:"user"`
	// App and OAuthApp are those that alone may be connected. Empty means that the link says which.
	App       AppSlug    `json:"app,omitempty"`
	OAuthApp  OAuthAppID `json:"oauth_app,omitempty"`
	Return    Return     `json:"return"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt time.Time  `json:"expires_at"`
	Use       TokenUse   `json:"use"`
}

// Good says whether an account can still be connected with the token.
func (t ConnectToken) Good(now time.Time) bool { return t.Use.State == "" && now.Before(t.ExpiresAt) }

// Stands says whether the token still proves its user: until it has connected an account, so that a link that was used is
// worth nothing. While one is being connected, it does.
func (t ConnectToken) Stands(now time.Time) bool {
	return t.Use.State != TokenUsed && now.Before(t.ExpiresAt)
}

// TokenUse is what was done with a connect token.
type TokenUse struct {
	// State is empty while the token is good, claimed while an account is being connected, and used for ever after.
	State TokenState `json:"state,omitempty"`
	// Account was connected. Empty until then.
	Account AccountID `json:"account,omitempty"`
	// Failure is why the last try failed, in words that are safe to show, and Failures how many did.
	Failure  string `json:"failure,omitempty"`
	Failures int    `json:"failures,omitempty"`
}

// TokenState is how far a connect token is used up.
type TokenState string

// The states of a connect token that is no longer good.
const (
	TokenClaimed TokenState = "claimed"
	TokenUsed    TokenState = "used"
)

// Return is where an end user, and the news of them, go after a try to connect. All of it may be empty.
type Return struct {
	// SuccessURI and ErrorURI are where the browser is sent.
	SuccessURI string `json:"success_uri,omitempty"`
	ErrorURI   string `json:"error_uri,omitempty"`
	// WebhookURI is told what came of it.
	WebhookURI string `json:"webhook_uri,omitempty"`
	// Origins are those of the pages that may show ours in a frame: https://app.example.com, each with its port where it is
	// not the usual one.
	Origins []string `json:"origins,omitempty"`
}

// maxURI is the longest address that is taken, in bytes, and maxOrigins how many origins.
const (
	maxURI     = 2048
	maxOrigins = 20
)

// Checked returns the same with its origins as browsers write them. Every address must be whole and https, without a user
// or a fragment; http on a loopback address passes where loopback says so. Kind Invalid, by the names of the API.
func (r Return) Checked(loopback bool) (Return, error) {
	const op = "behalf.Return"
	for name, uri := range map[string]string{"success_redirect_uri": r.SuccessURI, "error_redirect_uri": r.ErrorURI, "webhook_uri": r.WebhookURI} {
		if _, ok := safeURI(uri, loopback); uri != "" && !ok {
			return Return{}, fault.Newf(fault.Invalid, op, "%s must be a whole https URL, without user or fragment", name)
		}
	}
	if len(r.Origins) > maxOrigins {
		return Return{}, fault.Newf(fault.Invalid, op, "allowed_origins may have %d entries", maxOrigins)
	}
	origins := make([]string, 0, len(r.Origins))
	for _, text := range r.Origins {
		u, ok := safeURI(text, loopback)
		if !ok || u.RawQuery != "" || u.ForceQuery || u.Path != "" && u.Path != "/" {
			return Return{}, fault.New(fault.Invalid, op, "allowed_origins must be origins such as https://app.example.com")
		}
		origins = append(origins, originOf(u))
	}
	r.Origins = origins
	return r, nil
}

// safeURI reads an address to which a browser may be sent. What browsers read in another way than we do (a backslash, a
// control character) is refused.
func safeURI(text string, loopback bool) (*url.URL, bool) {
	strange := strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\\<>\"'`{}|^;", r) })
	u, err := url.Parse(text)
	if strange || len(text) > maxURI || err != nil || u.Opaque != "" || u.User != nil || strings.Contains(text, "#") || !validHost(u) {
		return nil, false
	}
	return u, u.Scheme == "https" || u.Scheme == "http" && loopback && IsLoopbackHost(u.Hostname())
}

func validHost(u *url.URL) bool {
	host := u.Hostname()
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return false
		}
	} else if strings.HasSuffix(u.Host, ":") {
		return false
	}
	if net.ParseIP(host) != nil {
		return true
	}
	return host != "" && all(host, func(c byte) bool { return alphanumeric(c) || c == '-' || c == '.' || c == '_' })
}

// originOf is the origin of an address as browsers write it: in lower case, and without the usual port.
func originOf(u *url.URL) string {
	host := strings.ToLower(u.Host)
	if usual := map[string]string{"https": ":443", "http": ":80"}[u.Scheme]; usual != "" {
		host = strings.TrimSuffix(host, usual)
	}
	return u.Scheme + "://" + host
}

// IsLoopbackHost says whether a host name, or an address without its port, is this machine.
func IsLoopbackHost(host string) bool {
	return strings.EqualFold(host, "localhost") || net.ParseIP(host).IsLoopback()
}

// Consent is a browser's way to a service and back. It is stored under the hash of its state, and forgotten after use.
type Consent struct {
	V int `json:"v"`
	// Hash is the SHA-256 of the state in hexadecimal.
	Hash string `json:"hash"`
	// Browser is the SHA-256 of the secret that lies in the browser's cookie. What proves the request to the service is
	// made of that secret, and stored nowhere.
	Browser string `json:"browser"`
	// Token is the hash of the connect token.
	Token string  `json:"token"`
	App   AppSlug `json:"app"`
	// OAuthApp is the project's own client that is used. Empty means the one we ship.
	OAuthApp OAuthAppID `json:"oauth_app,omitempty"`
	// Account is the one to be connected again. Empty for whichever it is.
	Account AccountID `json:"account,omitempty"`
	// Fields are what the user filled in before, none of it secret.
	Fields map[string]string `json:"fields,omitempty"`
	// Framed says that the consent opened in a window of its own, beside a page in a frame.
	Framed    bool      `json:"framed,omitempty"`
	ExpiresAt time.Time `json:"expires_at"`
}
