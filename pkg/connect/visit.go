package connect

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/auth"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// visit is a user with a good connect token, and what they want to connect.
type visit struct {
	Env
	environment behalf.Environment
	text        secret.String
	token       behalf.ConnectToken
	revision    uint64
	app         app.App
	// own is the project's own client that is used. Empty means the shipped one.
	own behalf.OAuthAppID
	// account is to be connected again. Empty for whichever it is.
	account behalf.AccountID
	// framed says that the page is in a frame of the application's, and not at the end of a link.
	framed    bool
	hideClose bool
}

// visitOf reads who comes, from the parameters of a link or a form. What is known of the visit is told with an error, too.
func (s *Server) visitOf(ctx context.Context, q url.Values) (*visit, error) {
	v := &visit{text: secret.New(q.Get("token")), framed: q.Get("connectLink") != "true", hideClose: q.Get("hideClose") == "true"}
	if err := s.findToken(ctx, v, auth.Hash(v.text)); err != nil {
		return nil, err
	}
	if !v.token.Good(s.cfg.Now()) {
		return v, usedLink()
	}
	return v, s.choose(ctx, v, choice{behalf.AppSlug(q.Get("app")), q.Get("oauthAppId"), q.Get("accountId")})
}

// findToken looks in each environment: a token does not say its own. It ends with its user: who was deleted comes to be again
// by nothing that was made before.
func (s *Server) findToken(ctx context.Context, v *visit, hash string) error {
	for _, env := range behalf.Environments() {
		stores, ok := s.deps.Environments[env]
		if !ok {
			continue
		}
		token, revision, err := stores.Tokens.ConnectToken(ctx, hash)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		v.Env, v.environment, v.token, v.revision = stores, env, token, revision
		if err != nil {
			return err
		}
		if _, err = v.Accounts.User(ctx, token.Project, token.User); fault.Is(err, fault.NotFound) {
			return unknownLink()
		}
		return err
	}
	return unknownLink()
}

// choice is what a link says: texts of strangers.
type choice struct {
	app          behalf.AppSlug
	own, account string
}

// choose holds what the link says against the token, which has the last word.
func (s *Server) choose(ctx context.Context, v *visit, c choice) error {
	slug := cmp.Or(c.app, v.token.App)
	known, ok := s.deps.Apps.App(slug)
	switch {
	case slug == "":
		return badLink("It does not say which app is to be connected (app=).")
	case !ok, v.token.App != "" && v.token.App != slug:
		return badLink("It names an app that cannot be connected with it.")
	}
	v.app = known
	if err := s.chooseClient(ctx, v, c.own); err != nil {
		return err
	}
	if c.account == "" {
		return nil
	}
	id, err := behalf.ParseAccountID(c.account)
	if err != nil {
		return badLink("It names an account that cannot be connected again with it.")
	}
	v.account = id
	_, _, err = v.again(ctx)
	return err
}

// chooseClient takes the client that the token names, else the link, else the project's newest one for the app, else the
// one that is shipped.
func (s *Server) chooseClient(ctx context.Context, v *visit, named string) error {
	if v.app.Auth.Type != app.OAuth2 {
		return nil
	}
	if v.token.OAuthApp != "" && named != "" && named != string(v.token.OAuthApp) {
		return badLink("It names another OAuth client than the one that it is for.")
	}
	named = cmp.Or(string(v.token.OAuthApp), named)
	all, err := s.deps.Clients.Own(ctx, v.token.Project, v.environment)
	if err != nil {
		return err
	}
	var chosen behalf.OAuthApp
	for _, o := range all {
		if o.App == v.app.Slug && (named == "" && o.CreatedAt.After(chosen.CreatedAt) || named == string(o.ID)) {
			chosen = o
		}
	}
	if named != "" && chosen.ID == "" {
		return badLink("It names an OAuth client that is not there.")
	}
	v.own = chosen.ID
	return nil
}

// again finds the account that is to be connected again. It must be of this user and app.
func (v *visit) again(ctx context.Context) (behalf.Account, uint64, error) {
	found, revision, err := v.Accounts.FindAccount(ctx, v.token.Project, v.account)
	if fault.Is(err, fault.NotFound) || err == nil && (found.User != v.token.User || found.App != v.app.Slug || found.Project != v.token.Project) {
		return behalf.Account{}, 0, badLink("It names an account that cannot be connected again with it.")
	}
	return found, revision, err
}

// fields are those that the user fills in: what neither the service gives nor the app knows.
func (v *visit) fields() []app.Field {
	var list []app.Field
	for _, f := range v.app.Fields {
		_, given := v.app.Auth.Tokens.Answer[f.Name]
		oauth2 := v.app.Auth.Type == app.OAuth2
		if f.From == app.FromCredential && !given && (!oauth2 || f.Name != accessToken && !f.Optional) {
			list = append(list, f)
		}
	}
	return list
}

const accessToken = "oauth_access_token" //nolint:gosec // the name of a field, no value

// maxField bounds what is filled in, in bytes: keys of services are long, at times.
const maxField = 16 << 10

// typed are the fields of a form.
func typed(form url.Values) map[string]secret.String {
	given := map[string]secret.String{}
	for name := range form {
		if field, ok := strings.CutPrefix(name, fieldPrefix); ok {
			given[field] = secret.New(form.Get(name))
		}
	}
	return given
}

// filled checks what was filled in. Errors: Invalid, by the names that the form shows.
func (v *visit) filled(given map[string]secret.String) (map[string]secret.String, error) {
	values := map[string]secret.String{}
	for _, f := range v.fields() {
		value := strings.TrimSpace(given[f.Name].Reveal())
		switch {
		case value == "" && !f.Optional:
			return values, fault.Newf(fault.Invalid, "connect.filled", "%s is missing", cmp.Or(f.Label, f.Name))
		case value == "":
			continue
		case len(value) > maxField, !utf8.ValidString(value), strings.ContainsFunc(value, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' }):
			return values, fault.Newf(fault.Invalid, "connect.filled", "%s holds characters that cannot be in it, or too many", cmp.Or(f.Label, f.Name))
		}
		values[f.Name] = secret.New(strings.ReplaceAll(value, "\r\n", "\n"))
	}
	return values, nil
}

// fieldPrefix keeps the fields of apps apart from our own parameters.
const fieldPrefix = "field_"

// publicOf are the values that are no secret, so that a form need not be filled in twice.
func (v *visit) publicOf(values map[string]secret.String) map[string]string {
	public := map[string]string{}
	for _, f := range v.fields() {
		if value, ok := values[f.Name]; ok && f.Public {
			public[f.Name] = value.Reveal()
		}
	}
	return public
}

// readForm reads a form of ours.
func readForm(r *http.Request) (url.Values, error) {
	if err := r.ParseForm(); err != nil {
		return nil, problem{status: http.StatusBadRequest, title: "This form could not be read", why: "Go back and send it again."}
	}
	return r.PostForm, nil
}

func asProblem(err error) (problem, bool) { return errors.AsType[problem](err) }

// sentence makes one of a message.
func sentence(s string) string {
	if s == "" {
		return s
	}
	first, size := utf8.DecodeRuneInString(s)
	s = string(unicode.ToUpper(first)) + s[size:]
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}
