package connect

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/behalf"
)

// webhookTimeout is how long a webhook may take.
const webhookTimeout = 10 * time.Second

// connection is what a webhook is told, with the names of the Connect API. It never holds a credential.
type connection struct {
	Event       string             `json:"event"`
	Token       string             `json:"connect_token"`
	Environment behalf.Environment `json:"environment"`
	Session     int64              `json:"connect_session_id"`
	Account     *accountTold       `json:"account,omitempty"`
	Error       string             `json:"error,omitempty"`
}

type accountTold struct {
	ID        behalf.AccountID      `json:"id"`
	Name      string                `json:"name"`
	External  behalf.ExternalUserID `json:"external_id"`
	Healthy   bool                  `json:"healthy"`
	Dead      bool                  `json:"dead"`
	App       appTold               `json:"app"`
	CreatedAt time.Time             `json:"created_at"`
	UpdatedAt time.Time             `json:"updated_at"`
}

type appTold struct {
	ID       *string        `json:"id"`
	Slug     behalf.AppSlug `json:"name_slug"`
	Name     string         `json:"name"`
	AuthType string         `json:"auth_type"`
}

func told(a app.App, own behalf.OAuthAppID) appTold {
	t := appTold{Slug: a.Slug, Name: a.Name, AuthType: "keys"}
	if a.Auth.Type == app.OAuth2 {
		t.AuthType = "oauth"
	}
	if id := string(own); id != "" {
		t.ID = &id
	}
	return t
}

// tell tells the token's webhook what came of a try, once and beside the answer. That it is not told undoes nothing.
func (s *Server) tell(ctx context.Context, v *visit, account behalf.Account, why string) {
	if v.token.Return.WebhookURI == "" {
		return
	}
	news := connection{Event: "CONNECTION_ERROR", Token: v.text.Reveal(), Environment: v.environment, Session: session(v.token.Hash), Error: why}
	if account.ID != "" {
		news.Event = "CONNECTION_SUCCESS"
		news.Account = &accountTold{
			ID: account.ID, Name: account.Name, External: account.User, Healthy: account.Usable(), App: told(v.app, v.own),
			CreatedAt: account.CreatedAt, UpdatedAt: account.UpdatedAt,
		}
	}
	address := v.token.Return.WebhookURI
	begun := s.hooks.TryGo(func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), webhookTimeout)
		defer cancel()
		s.post(ctx, address, news)
		return nil
	})
	if !begun {
		s.deps.Log.Warn().Msg("a webhook is not told, because too many are being told")
	}
}

// session is a number of the token's own, below 2^53, which JavaScript reads as it is.
func session(hash string) int64 {
	const digits = 13 // 52 bits
	n, err := strconv.ParseInt(hash[:min(digits, len(hash))], 16, 64)
	if err != nil {
		return 0
	}
	return n
}

func (s *Server) post(ctx context.Context, address string, news connection) {
	body, err := json.Marshal(news)
	if err != nil {
		s.deps.Log.Error().Err(err).Msg("a webhook cannot be written")
		return
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body)) //nolint:gosec // the dialer of egress judges every address
	if err != nil {
		s.deps.Log.Warn().Msg("a webhook has no address")
		return
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Behalf")
	client := *s.deps.HTTP
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(req) //nolint:gosec // as above
	if err != nil {
		s.deps.Log.Warn().Str("host", req.URL.Host).Err(err).Msg("a webhook could not be told")
		return
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode >= http.StatusMultipleChoices {
		s.deps.Log.Warn().Str("host", req.URL.Host).Int("status", resp.StatusCode).Msg("a webhook did not take what it was told")
	}
}
