package api

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/behalf-dev/behalf/pkg/auth"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
	"github.com/behalf-dev/behalf/pkg/web"
)

// ConnectTokens are the connect tokens of one environment. Errors: NotFound, also for one that has ended; Unavailable.
type ConnectTokens interface {
	ConnectToken(ctx context.Context, hash string) (behalf.ConnectToken, error)
	PutConnectToken(ctx context.Context, t behalf.ConnectToken) error
}

// maxConnectToken bounds the body of a request for a connect token, in bytes.
const maxConnectToken = 64 << 10

// connectTokenRequest has the names of the Connect API. Clients send more, which is passed over.
type connectTokenRequest struct {
	User       string   `json:"external_user_id"`
	OldUser    string   `json:"external_id"`
	App        string   `json:"app_id"`
	OAuthApp   string   `json:"oauth_app_id"`
	SuccessURI string   `json:"success_redirect_uri"`
	ErrorURI   string   `json:"error_redirect_uri"`
	WebhookURI string   `json:"webhook_uri"`
	Origins    []string `json:"allowed_origins"`
	// ExpiresIn is in seconds. Nil means as long as may be.
	ExpiresIn *int64 `json:"expires_in"`
}

type connectTokenAnswer struct {
	Token     string    `json:"token"`
	ExpiresAt time.Time `json:"expires_at"`
	Link      string    `json:"connect_link_url"`
}

// createConnectToken makes a token with which one end user may connect one account, and the user with it.
func (a *API) createConnectToken(w http.ResponseWriter, r *http.Request, c call) error {
	if _, err := parseQuery(r.URL); err != nil {
		return err
	}
	var req connectTokenRequest
	if err := web.DecodeTolerantJSON(w, r, maxConnectToken, &req); err != nil {
		return err
	}
	token, err := a.newConnectToken(r.Context(), req, c)
	if err != nil {
		return err
	}
	if err := take(a.perUser, string(c.environment)+" "+string(c.Project)+" "+string(token.User)); err != nil {
		return err
	}
	if _, err := c.Users.EnsureUser(r.Context(), c.Project, token.User); err != nil {
		return err
	}
	text := auth.NewConnectToken()
	token.Hash = auth.Hash(text)
	if err := c.ConnectTokens.PutConnectToken(r.Context(), token); err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, connectTokenAnswer{text.Reveal(), token.ExpiresAt, a.connectLink(text, token)})
	return nil
}

// newConnectToken checks a request. Where it names an OAuth app, its app is bound as well.
func (a *API) newConnectToken(ctx context.Context, req connectTokenRequest, c call) (behalf.ConnectToken, error) {
	var none behalf.ConnectToken
	user, err := behalf.ParseExternalUserID(cmp.Or(req.User, req.OldUser))
	if err != nil {
		return none, err
	}
	life, err := connectLife(req.ExpiresIn)
	if err != nil {
		return none, err
	}
	back, err := behalf.Return{
		SuccessURI: req.SuccessURI, ErrorURI: req.ErrorURI, WebhookURI: req.WebhookURI, Origins: req.Origins,
	}.Checked(isLocal(a.cfg.URL))
	if err != nil {
		return none, err
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	token := behalf.ConnectToken{V: behalf.FormatVersion, Project: c.Project, User: user, Return: back, CreatedAt: now, ExpiresAt: now.Add(life)}
	if req.App != "" {
		if token.App = behalf.AppSlug(req.App); !a.deps.Apps.Known(token.App) {
			return none, invalid("app_id names no app that is known here")
		}
	}
	if req.OAuthApp != "" {
		own, err := c.oauthAppFor(ctx, token.App, req.OAuthApp)
		if err != nil {
			return none, err
		}
		token.App, token.OAuthApp = own.App, own.ID
	}
	return token, nil
}

func connectLife(seconds *int64) (time.Duration, error) {
	const most = int64(behalf.MaxConnectTokenLife / time.Second)
	if seconds == nil {
		return behalf.MaxConnectTokenLife, nil
	}
	if *seconds < 1 || *seconds > most {
		return 0, fault.Newf(fault.Invalid, "api.connectLife", "expires_in must be 1 to %d seconds", most)
	}
	return time.Duration(*seconds) * time.Second, nil
}

// isLocal says whether browsers find us on their own machine, as under `behalf dev`.
func isLocal(address string) bool {
	u, err := url.Parse(address)
	return err == nil && behalf.IsLoopbackHost(u.Hostname())
}

// connectLink is where the user goes with a token. Clients put the app behind it where the token says none, so it has a
// query already.
func (a *API) connectLink(token secret.String, t behalf.ConnectToken) string {
	link := a.cfg.URL + "/_static/connect.html?token=" + url.QueryEscape(token.Reveal()) + "&connectLink=true"
	if t.App != "" {
		link += "&app=" + string(t.App)
	}
	return link
}

// connectTokenView is what whoever has a connect token may know of it.
type connectTokenView struct {
	Success      bool               `json:"success"`
	Error        string             `json:"error,omitempty"`
	App          *AppView           `json:"app"`
	Project      behalf.ProjectID   `json:"project_id,omitempty"`
	Environment  behalf.Environment `json:"project_environment,omitempty"`
	ProjectName  *string            `json:"project_app_name"`
	SupportEmail *string            `json:"project_support_email"`
	OAuthApp     behalf.OAuthAppID  `json:"oauth_app_id,omitempty"`
	SuccessURI   string             `json:"success_redirect_uri,omitempty"`
	ErrorURI     string             `json:"error_redirect_uri,omitempty"`
	// Account is the one that was connected with the token.
	Account behalf.AccountID `json:"account_id,omitempty"`
}

// validateConnectToken tells whoever has a token whether it is good, and for what. What is not good is no error of HTTP.
func (a *API) validateConnectToken(w http.ResponseWriter, r *http.Request) error {
	if err := take(a.addresses, a.address(r)); err != nil {
		return err
	}
	q, err := parseQuery(r.URL, "app_id", "account_id", "oauth_app_id", "app_override_id")
	if err != nil {
		return err
	}
	token, env, err := a.findConnectToken(r.Context(), secret.New(r.PathValue("token")))
	if fault.Is(err, fault.NotFound) {
		web.WriteJSON(w, http.StatusOK, connectTokenView{Error: "Connect Error: this token is unknown, or has expired"})
		return nil
	}
	if err != nil {
		return err
	}
	crosses(w.Header(), r, token)
	view := connectTokenView{
		Project: token.Project, Environment: env, OAuthApp: token.OAuthApp,
		SuccessURI: token.Return.SuccessURI, ErrorURI: token.Return.ErrorURI, Account: token.Use.Account,
	}
	view.judge(token, q.text("app_id"), a.deps.Catalog.Apps())
	web.WriteJSON(w, http.StatusOK, view)
	return nil
}

// judge says whether the token may connect an account of this app right now.
func (v *connectTokenView) judge(token behalf.ConnectToken, app string, apps []AppView) {
	app = cmp.Or(app, string(token.App))
	for i := range apps {
		if string(apps[i].Slug) == app {
			v.App = &apps[i]
		}
	}
	switch {
	case !token.Good(time.Now()):
		v.Error = "Connect Error: this token was used"
	case app == "":
		v.Error = "Connect Error: say which app, as app_id"
	case v.App == nil, token.App != "" && string(token.App) != app:
		v.App, v.Error = nil, "Connect Error: this token is for no such app"
	default:
		v.Success = true
	}
}
