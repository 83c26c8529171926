package oauthtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
)

// consentPage checks a request for consent and shows the page.
func (v *Vendor) consentPage(w http.ResponseWriter, r *http.Request) {
	if why := v.wrong(r.URL.Query()); why != "" {
		http.Error(w, why, http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = page.Execute(w, r.URL.Query()) // the browser is gone: nobody is left to tell
}

func (v *Vendor) wrong(q url.Values) string {
	back, err := url.Parse(q.Get("redirect_uri"))
	switch {
	case q.Get("client_id") != v.cfg.ClientID:
		return "unknown client_id"
	case q.Get("response_type") != "code":
		return "response_type must be code"
	case err != nil || back.Scheme == "" || back.Host == "":
		return "redirect_uri must be a whole URL"
	case q.Get("state") == "":
		return "state is missing"
	case (q.Get("code_challenge") != "") != (q.Get("code_challenge_method") == "S256"):
		return "code_challenge_method must be S256"
	}
	return ""
}

// consented takes the user's answer, and sends the browser back.
func (v *Vendor) consented(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "the body must be a form", http.StatusBadRequest)
		return
	}
	if why := v.wrong(r.PostForm); why != "" {
		http.Error(w, why, http.StatusBadRequest)
		return
	}
	back := url.Values{"state": {r.PostForm.Get("state")}}
	if r.PostForm.Get("answer") == "allow" {
		back.Set("code", v.open(r.PostForm))
	} else {
		back.Set("error", "access_denied")
	}
	target, err := url.Parse(r.PostForm.Get("redirect_uri"))
	if err != nil {
		return // wrong refused it
	}
	query := target.Query()
	for name := range back {
		query.Set(name, back.Get(name))
	}
	target.RawQuery = query.Encode()
	http.Redirect(w, r, target.String(), http.StatusSeeOther)
}

func (v *Vendor) open(form url.Values) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	g := &grant{user: form.Get("user"), scope: form.Get("scope")}
	v.grants.all = append(v.grants.all, g)
	made := word("code")
	v.grants.codes[made] = &code{grant: g, challenge: form.Get("code_challenge"), redirect: form.Get("redirect_uri")}
	return made
}

// Consent does what a user's browser does with a link to the consent page: it opens the page, says who it is and allows.
// It gives the address to which the service sends the browser back, and does not go there.
func (v *Vendor) Consent(ctx context.Context, link, user string) (*url.URL, error) {
	return v.decide(ctx, link, url.Values{"user": {user}, "answer": {"allow"}})
}

// Deny is Consent by a user who says no.
func (v *Vendor) Deny(ctx context.Context, link string) (*url.URL, error) {
	return v.decide(ctx, link, url.Values{"answer": {"deny"}})
}

func (v *Vendor) decide(ctx context.Context, link string, form url.Values) (*url.URL, error) {
	if _, err := v.visit(ctx, http.MethodGet, link, nil); err != nil {
		return nil, err
	}
	asked, err := url.Parse(link)
	if err != nil {
		return nil, err
	}
	maps.Copy(form, asked.Query())
	back, err := v.visit(ctx, http.MethodPost, v.URL()+"/authorize", form)
	if err != nil {
		return nil, err
	}
	if back == "" {
		return nil, errors.New("the consent page sent the browser nowhere")
	}
	return url.Parse(back)
}

func (v *Vendor) visit(ctx context.Context, method, address string, form url.Values) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	browser := *v.HTTP()
	browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := browser.Do(req)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return "", err
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return "", fmt.Errorf("the consent page answered %d: %s", resp.StatusCode, strings.TrimSpace(string(text)))
	}
	return resp.Header.Get("Location"), nil
}
