package practice

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// Token is what a user's consent gave.
type Token struct {
	Access    secret.String
	Refresh   secret.String
	ExpiresAt time.Time
	Scopes    []string
}

// Connect has a user consent, and trades the code, by the same endpoints and checks as a browser and a client would,
// without a network. Kinds: Invalid for a user who cannot be, Unavailable where the vendor refuses.
func (p *Practice) Connect(ctx context.Context, user string) (Token, error) {
	const op = "practice.Connect"
	if _, err := behalf.ParseExternalUserID(user); err != nil {
		return Token{}, fault.New(fault.Invalid, op, fault.Safe(err))
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return Token{}, fault.Wrap(fault.Internal, op, err)
	}
	browser := &http.Client{
		Transport:     inProcess{p},
		Jar:           jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	client := p.oauthClient()
	verifier, state := oauth2.GenerateVerifier(), oauth2.GenerateVerifier()
	code, err := consent(ctx, browser, client.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier)), user, state)
	if err != nil {
		return Token{}, fault.Wrap(fault.Unavailable, op, err)
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: inProcess{p}})
	token, err := client.Exchange(ctx, code, oauth2.VerifierOption(verifier))
	if err != nil {
		return Token{}, fault.Wrap(fault.Unavailable, op, err)
	}
	return Token{
		Access:    secret.New(token.AccessToken),
		Refresh:   secret.New(token.RefreshToken),
		ExpiresAt: p.cfg.Now().Add(time.Duration(token.ExpiresIn) * time.Second).UTC(),
		Scopes:    []string{scope},
	}, nil
}

func (p *Practice) oauthClient() *oauth2.Config {
	return &oauth2.Config{
		ClientID:     p.cfg.ClientID,
		ClientSecret: p.cfg.ClientSecret.Reveal(),
		RedirectURL:  ownRedirect,
		Scopes:       []string{scope},
		Endpoint: oauth2.Endpoint{ //nolint:gosec // two addresses, no credential
			AuthURL:   "https://practice.invalid/oauth/authorize",
			TokenURL:  "https://practice.invalid/oauth/token",
			AuthStyle: oauth2.AuthStyleInHeader,
		},
	}
}

// consent does what a visitor does: open the link, choose who to be, press Allow.
func consent(ctx context.Context, browser *http.Client, link, user, state string) (string, error) {
	page, err := exchange(ctx, browser, http.MethodGet, link, nil)
	if err != nil {
		return "", err
	}
	field := regexp.MustCompile(`name="request" value="([A-Z2-7]+)"`).FindSubmatch(page.body)
	if field == nil {
		return "", errors.New("the consent page has no form")
	}
	form := url.Values{"request": {string(field[1])}, "user": {user}, "answer": {"allow"}}
	action, _, _ := strings.Cut(link, "?")
	answer, err := exchange(ctx, browser, http.MethodPost, action, form)
	if err != nil {
		return "", err
	}
	target, err := url.Parse(answer.location)
	switch {
	case err != nil || target.Query().Get("code") == "":
		return "", errors.New("the consent was refused")
	case target.Query().Get("state") != state:
		return "", errors.New("the state came back changed")
	}
	return target.Query().Get("code"), nil
}

type answered struct {
	location string
	body     []byte
}

func exchange(ctx context.Context, browser *http.Client, method, address string, form url.Values) (answered, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(form.Encode()))
	if err != nil {
		return answered{}, err
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := browser.Do(req)
	if err != nil {
		return answered{}, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	return answered{location: resp.Header.Get("Location"), body: body}, errors.Join(err, resp.Body.Close())
}

// inProcess is a network of one handler.
type inProcess struct{ handler http.Handler }

// RoundTrip has the handler answer the request.
func (n inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := &answer{header: http.Header{}, status: http.StatusOK}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	n.handler.ServeHTTP(w, r)
	return &http.Response{
		StatusCode: w.status,
		Header:     w.header,
		Body:       io.NopCloser(&w.body),
		Request:    r,
		ProtoMajor: 1, ProtoMinor: 1,
	}, nil
}

type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }
