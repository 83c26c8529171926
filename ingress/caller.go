package ingress

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/web"
)

// authenticate finds out whether the caller may invoke this endpoint here.
func (c *call) authenticate(ctx context.Context) error {
	switch c.endpoint.Trigger.Auth {
	case behalf.AuthNone:
		if c.environment == behalf.Development && !c.endpoint.Trigger.PublicDevelopment {
			return behalf.FailEndpointNotFound(c.environment)
		}
		return nil
	case behalf.AuthToken:
		return c.checkToken()
	case behalf.AuthOAuth:
		return c.checkClient(ctx)
	}
	// A trigger of a later release, whose protection we do not know: nobody may pass.
	return c.refused("unknown_auth")
}

func (c *call) checkToken() error {
	token, err := web.Bearer(c.r)
	if err != nil {
		return c.refused("no_bearer")
	}
	want, err := hex.DecodeString(c.endpoint.TokenHash)
	got := sha256.Sum256([]byte(token.Reveal()))
	if err != nil || subtle.ConstantTimeCompare(got[:], want) != 1 {
		return c.refused("invalid")
	}
	return nil
}

func (c *call) checkClient(ctx context.Context) error {
	token, err := web.Bearer(c.r)
	if err != nil {
		return c.refused("no_bearer")
	}
	identity, err := c.env.Verifier.Verify(ctx, token)
	switch {
	case fault.Is(err, fault.Unauthenticated):
		return c.refused("invalid")
	case err != nil:
		return err
	case identity.Project != c.endpoint.Project:
		// The same answer as for a bad token, so that a client of another project learns nothing about this endpoint.
		return c.refused("other_project")
	}
	if err = identity.May(behalf.ScopeInvoke, c.environment); err != nil {
		c.server.metrics.authFailures.WithLabelValues("forbidden").Inc()
		return behalf.FailForbidden(fault.Safe(err))
	}
	c.client = identity.Client
	return nil
}

// refused counts why, which only the operator learns, and answers the one 401.
func (c *call) refused(reason string) error {
	c.server.metrics.authFailures.WithLabelValues(reason).Inc()
	return c.stranger()
}

// The headers that say for whom a run is.
const (
	headerUserLatin1 = "X-Pd-External-User-Id"
	headerUserUTF8   = "X-Behalf-External-User-Id"
	headerAccounts   = "X-Behalf-Accounts"
)

// externalUser reads the end user for whom the run is, or none. The query may name one too, as text like all of it.
func externalUser(r *http.Request) (behalf.ExternalUserID, error) {
	theirs, err := oneUser(r.Header[headerUserLatin1], headerUserLatin1, latin1)
	if err != nil {
		return "", err
	}
	ours, err := oneUser(r.Header[headerUserUTF8], headerUserUTF8, percentDecoded)
	switch {
	case err != nil:
		return "", err
	case theirs != "" && ours != "" && theirs != ours:
		return "", behalf.FailRequestInvalid("x-pd-external-user-id and x-behalf-external-user-id name two users; send one")
	case r.URL.RawQuery == "":
		return cmp.Or(ours, theirs), nil
	}
	asked, err := oneUser(inQuery(r.URL.RawQuery, headerUserLatin1), headerUserLatin1, asItIs)
	switch said := cmp.Or(ours, theirs); {
	case err != nil:
		return "", err
	case asked != "" && said != "" && asked != said:
		return "", behalf.FailRequestInvalid("x-pd-external-user-id names two users, in a header and in the query; send one")
	default:
		return cmp.Or(said, asked), nil
	}
}

func asItIs(s string) (string, bool) { return s, utf8.ValidString(s) }

func oneUser(values []string, name string, decode func(string) (string, bool)) (behalf.ExternalUserID, error) {
	if len(values) == 0 {
		return "", nil
	}
	name = strings.ToLower(name)
	if len(values) > 1 {
		return "", behalf.FailRequestInvalid(name + " must be sent once")
	}
	text, ok := decode(values[0])
	if !ok {
		return "", behalf.FailRequestInvalid(name + " must be percent-encoded UTF-8")
	}
	user, err := behalf.ParseExternalUserID(text)
	if err != nil {
		return "", behalf.FailRequestInvalid(name + ": " + fault.Safe(err))
	}
	return user, nil
}

// latin1 reads each byte as the character of its number, as browsers and their SDK write them.
func latin1(s string) (string, bool) {
	if ascii(s) {
		return s, true
	}
	out := make([]rune, len(s))
	for i := range len(s) {
		out[i] = rune(s[i])
	}
	return string(out), true
}

func percentDecoded(s string) (string, bool) {
	out, err := url.PathUnescape(s)
	return out, err == nil && ascii(s) && utf8.ValidString(out)
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

const maxNamedAccounts = 64

// namedAccounts reads which of several accounts of an app the run shall use: `slack=apn_1, github=apn_2`.
func namedAccounts(h http.Header) (map[behalf.AppSlug]behalf.AccountID, error) {
	values := h[headerAccounts]
	if len(values) == 0 {
		return nil, nil //nolint:nilnil // no header names no account
	}
	items := strings.Split(values[0], ",")
	if len(values) > 1 || len(items) > maxNamedAccounts {
		return nil, invalidAccounts()
	}
	accounts := make(map[behalf.AppSlug]behalf.AccountID, len(items))
	for _, item := range items {
		name, id, _ := strings.Cut(strings.Trim(item, " \t"), "=")
		app, appErr := behalf.ParseAppSlug(name)
		account, accountErr := behalf.ParseAccountID(id)
		_, twice := accounts[app]
		if appErr != nil || accountErr != nil || twice {
			return nil, invalidAccounts()
		}
		accounts[app] = account
	}
	return accounts, nil
}

func invalidAccounts() error {
	return behalf.FailRequestInvalid("x-behalf-accounts must be app=apn_… pairs, joined by commas, each app once")
}

// checkUser finds out, where a caller waits, whether the run would miss an account, so that nothing is accepted that
// can only fail. Without a waiting caller the worker alone decides: its failed run is kept, shown, and replayed once
// the user has connected.
func (c *call) checkUser(ctx context.Context, e behalf.Event) error {
	needs := c.endpoint.Needs
	if !e.Origin.Waits || len(needs) == 0 {
		return nil
	}
	if e.User == "" {
		return behalf.FailUserRequired(needs[0].Step)
	}
	version := needed(needs)
	accounts, err := c.env.Users.Accounts(ctx, e.Project, e.User)
	if err != nil {
		return err
	}
	if _, missing := behalf.Resolve(version, e, accounts); missing == nil {
		return nil
	}
	// A copy may say yes, never no: the account may have been connected a moment ago.
	if accounts, err = c.env.Users.AccountsFromLeader(ctx, e.Project, e.User); err != nil {
		return err
	}
	_, failure := behalf.Resolve(version, e, accounts)
	switch {
	case failure == nil:
		return nil
	case len(accounts) > 0: // the user exists
		return failure
	}
	switch _, err = c.env.Users.User(ctx, e.Project, e.User); {
	case fault.Is(err, fault.NotFound):
		return behalf.FailUserNotFound(e.User, e.Environment)
	case err != nil:
		return err
	}
	return failure
}

// needed is a version that needs just these accounts: so ingress and worker decide by the same rule.
func needed(needs []behalf.Need) behalf.Version {
	v := behalf.Version{Steps: make([]behalf.Step, len(needs))}
	for i, n := range needs {
		v.Steps[i] = behalf.Step{Name: n.Step, Accounts: map[string]behalf.AccountRef{"account": {App: n.App}}}
	}
	return v
}
