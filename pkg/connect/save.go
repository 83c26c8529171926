package connect

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/oauth"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// found is what a user brought.
type found struct {
	credential credential.Credential
	identity   app.Identity
	own        behalf.OAuthAppID
	// name is what the user calls it. Empty for what the service says.
	name string
}

// maxFailures is how many tries one token has, so that it is no way to try out stolen keys.
const maxFailures = 20

// connectBy claims the token, has the credential brought, and keeps it. The token is used up by that alone: after a
// failure it is as good as before, and knows of it.
func (s *Server) connectBy(ctx context.Context, v *visit, bring func(ctx context.Context) (found, error)) (behalf.Account, error) {
	if err := v.claim(ctx); err != nil {
		return behalf.Account{}, err
	}
	// A browser that leaves must not cut it in two: the code is spent.
	ctx = context.WithoutCancel(ctx)
	f, err := bring(ctx)
	var account behalf.Account
	if err == nil {
		account, err = v.save(ctx, f, s.cfg.Now().UTC())
	}
	if err != nil {
		s.metrics.count(v.app.Slug, "failed")
		s.release(ctx, v, err)
		return behalf.Account{}, err
	}
	s.metrics.count(v.app.Slug, "connected")
	v.token.Use = behalf.TokenUse{State: behalf.TokenUsed, Account: account.ID, Failures: v.token.Use.Failures}
	if err := v.write(ctx); err != nil { // it is connected all the same, and the token is claimed for good
		s.deps.Log.Warn().Err(err).Msg("a connect token could not be marked as used")
	}
	s.tell(ctx, v, account, "")
	return account, nil
}

// claim takes the token for one try. Of several at once, one has it.
func (v *visit) claim(ctx context.Context) error {
	v.token.Use.State = behalf.TokenClaimed
	err := v.write(ctx)
	if fault.Is(err, fault.Conflict) {
		return usedLink()
	}
	return err
}

// release gives the token back after a try that failed.
func (s *Server) release(ctx context.Context, v *visit, err error) {
	why := shown(err).why
	v.token.Use.Failure, v.token.Use.Failures = why, v.token.Use.Failures+1
	v.token.Use.State = ""
	if v.token.Use.Failures >= maxFailures {
		v.token.Use.State = behalf.TokenUsed
	}
	if err := v.write(ctx); err != nil {
		s.deps.Log.Warn().Err(err).Msg("a connect token stays claimed after a failure")
	}
	s.tell(ctx, v, behalf.Account{}, why)
}

func (v *visit) write(ctx context.Context) (err error) {
	v.revision, err = v.Tokens.PutConnectToken(ctx, v.token, v.revision)
	return err
}

// test tries a credential at the service, and says whose it is. An app without a request for that tells nothing. Errors:
// Invalid, Forbidden (its address is none to which we go), Exhausted, Unavailable, Timeout.
func (s *Server) test(ctx context.Context, a app.App, fields map[string]secret.String) (app.Identity, error) {
	identity := app.Identity{ID: fields["oauth_uid"].Reveal()}
	if a.BaseURL != "" {
		if _, err := a.Base(fields); err != nil {
			return identity, err
		}
	}
	req, err := a.TestRequest(ctx, fields)
	if fault.Is(err, fault.NotFound) {
		return identity, nil
	}
	if err != nil {
		return identity, err
	}
	client := *s.deps.HTTP
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(req) //nolint:gosec // the dialer of egress judges every address
	switch {
	case fault.Is(err, fault.Forbidden):
		return identity, fault.New(fault.Forbidden, "connect.test", "this address is none that may be reached from here").Because(err)
	case err != nil:
		return identity, fault.Newf(fault.Unavailable, "connect.test", "%s does not answer", a.Name).Because(redacted(err, a.Secrets(fields)))
	}
	said, err := a.TestAnswer(resp)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return identity, err
	}
	if said.ID == "" {
		said.ID = identity.ID
	}
	return said, nil
}

// redacted is an error without the secrets that its URL may have.
func redacted(err error, secrets []secret.String) error {
	return errors.New(secret.NewRedactor(secrets...).Text(err.Error()))
}

// maxTries is how often a write that met another's is tried.
const maxTries = 5

// save keeps what was brought: in the account that is connected again, or in a new one.
func (v *visit) save(ctx context.Context, f found, now time.Time) (behalf.Account, error) {
	account, revision, err := v.place(ctx, f, now)
	if err != nil {
		return account, err
	}
	if f.credential, err = v.keepCredential(ctx, account, f); err != nil {
		return account, err
	}
	for tries := 1; ; tries++ {
		f.put(&account, now)
		f.plan(&account, v.app, now)
		err := v.Accounts.PutAccount(ctx, account, revision)
		switch {
		case err == nil:
			return account, nil
		case revision == 0:
			if definite(err) { // nothing leads to the secret
				_ = v.Credentials.Delete(ctx, credential.PathOf(v.environment, account))
			}
			return account, err
		case !fault.Is(err, fault.Conflict) || tries == maxTries:
			return account, err
		}
		if account, revision, err = v.Accounts.FindAccount(ctx, account.Project, account.ID); err != nil {
			return account, err
		}
	}
}

func definite(err error) bool {
	return fault.Is(err, fault.Invalid) || fault.Is(err, fault.Conflict) || fault.Is(err, fault.Exhausted)
}

// place finds the account that is connected again: the one that was named, or the one of the same user at the service.
// Revision 0 is that of a new one.
func (v *visit) place(ctx context.Context, f found, now time.Time) (behalf.Account, uint64, error) {
	identity := f.hash(v.app.Slug)
	if v.account != "" {
		account, revision, err := v.again(ctx)
		if err == nil && account.Identity != "" && identity != "" && account.Identity != identity {
			err = fault.Newf(fault.Invalid, "connect.place", "this is another account of %s than the one that has to be connected again", v.app.Name)
		}
		return account, revision, err
	}
	all, err := v.Accounts.Accounts(ctx, v.token.Project, v.token.User)
	if err != nil {
		return behalf.Account{}, 0, err
	}
	for _, a := range all {
		if identity != "" && a.App == v.app.Slug && a.Identity == identity {
			return v.Accounts.FindAccount(ctx, a.Project, a.ID)
		}
	}
	return behalf.Account{
		V: behalf.FormatVersion, ID: behalf.NewAccountID(), Project: v.token.Project, App: v.app.Slug, User: v.token.User, CreatedAt: now,
	}, 0, nil
}

// put says in the record what is now in the credential.
func (f found) put(a *behalf.Account, now time.Time) {
	if name := cmp.Or(f.name, label(f.identity)); name != "" {
		a.Name = name
	}
	a.State, a.Reason, a.UpdatedAt = behalf.AccountActive, "", now
	a.Grant = behalf.Grant{OAuthApp: f.own, Scopes: f.credential.Scopes, ExpiresAt: f.credential.ExpiresAt, Identity: f.hash(a.App)}
}

// plan says in the record when the credential is next made anew, where it can be.
func (f found) plan(a *behalf.Account, known app.App, now time.Time) {
	if !f.credential.RefreshToken.IsZero() {
		a.RefreshAt = oauth.Next(known.Auth.Tokens, now, f.credential.ExpiresAt, true)
	}
}

// hash is the user at the service, so that two connections of the same can be told. It shows nothing of them.
func (f found) hash(slug behalf.AppSlug) string {
	if f.identity.ID == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(string(slug) + "\x00" + f.identity.ID))
	return hex.EncodeToString(sum[:16])
}

// label is a name that can be shown, of what a service says.
func label(i app.Identity) string {
	name := i.Name
	if name == "" {
		name = i.ID
	}
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return -1
		}
		return r
	}, name)
	if runes := []rune(name); len(runes) > 250 {
		name = string(runes[:250])
	}
	return strings.TrimSpace(name)
}

// after is what was brought, with the refresh token that there was before where the service sent none: some give one at
// the first consent only, and go on taking it. It must still have worked, and be of the same client and of the same user
// at the service: a token of another would bring back that other's data.
func (f found) after(before credential.Credential, account behalf.Account) credential.Credential {
	next, same := f.credential, account.Identity != "" && account.Identity == f.hash(account.App) && before.OAuthApp == f.credential.OAuthApp
	if next.RefreshToken.IsZero() && !before.RefreshToken.IsZero() && same && account.Usable() {
		next.RefreshToken, next.Generation = before.RefreshToken, before.Generation+1
	}
	return next
}

// keepCredential says what is in the store now.
func (v *visit) keepCredential(ctx context.Context, account behalf.Account, f found) (credential.Credential, error) {
	at := credential.PathOf(v.environment, account)
	for tries := 1; ; tries++ {
		before, revision, err := v.Credentials.Get(ctx, at)
		if err != nil && !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Internal) {
			return f.credential, err
		}
		next := f.after(before, account)
		_, err = v.Credentials.Put(ctx, at, next, revision)
		if !fault.Is(err, fault.Conflict) || tries == maxTries {
			return next, err
		}
	}
}
