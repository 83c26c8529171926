package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// remote talks to a running Behalf as one of its clients.
type remote struct {
	base   string
	id     behalf.ClientID
	secret secret.String
	env    behalf.Environment
	http   *http.Client
	token  secret.String
}

// remoteFlags are the flags of every command that talks to a running Behalf.
type remoteFlags struct {
	env  string
	json bool
}

func (f *remoteFlags) add(cmd *cobra.Command, w world) {
	cmd.Flags().StringVar(&f.env, "env", w.env("BEHALF_ENV", ""), "environment, development or production (default: that of the server)")
	cmd.Flags().BoolVar(&f.json, "json", false, "print one JSON object a line")
}

// open reads where Behalf runs and who we are: from BEHALF_API_URL, BEHALF_CLIENT_ID and BEHALF_CLIENT_SECRET, else from
// the dev.json of BEHALF_DATA_DIR.
func (f remoteFlags) open(w world) (*remote, error) {
	r := &remote{
		base: w.env("BEHALF_API_URL", ""), id: behalf.ClientID(w.env("BEHALF_CLIENT_ID", "")),
		secret: secret.New(w.env("BEHALF_CLIENT_SECRET", "")),
	}
	transport, err := w.transport()
	if err != nil {
		return nil, err
	}
	r.http = &http.Client{Timeout: 70 * time.Second, Transport: transport}
	if r.base == "" || r.id == "" {
		file, err := readDevFile(w.env("BEHALF_DATA_DIR", defaultDataDir))
		if err != nil {
			return nil, hinted{err, "start `behalf dev` here, or set BEHALF_API_URL, BEHALF_CLIENT_ID and BEHALF_CLIENT_SECRET"}
		}
		r.base, r.id, r.secret = cmp.Or(r.base, file.APIURL), file.ClientID, secret.New(file.ClientSecret)
	}
	r.base = strings.TrimRight(r.base, "/")
	env, err := f.environment()
	r.env = env
	return r, err
}

// environment is that of --env, or empty.
func (f remoteFlags) environment() (behalf.Environment, error) {
	if f.env == "" {
		return "", nil
	}
	return behalf.ParseEnvironment(f.env)
}

// authenticate fetches a token for the client.
func (r *remote) authenticate(ctx context.Context) error {
	if !r.token.IsZero() {
		return nil
	}
	body, err := json.Marshal(map[string]string{
		"grant_type": "client_credentials", "client_id": string(r.id), "client_secret": r.secret.Reveal(),
	})
	if err != nil {
		return fault.Wrap(fault.Internal, "cli.token", err)
	}
	var answer struct {
		AccessToken secret.String `json:"access_token"`
	}
	if err := r.send(ctx, http.MethodPost, "/v1/oauth/token", body, &answer); err != nil {
		return err
	}
	r.token = answer.AccessToken
	return nil
}

// call makes one authenticated request. Nil for in sends no body, nil for out ignores the answer.
func (r *remote) call(ctx context.Context, method, path string, in, out any) error {
	if err := r.authenticate(ctx); err != nil {
		return err
	}
	var body []byte
	if in != nil {
		encoded, err := json.Marshal(in)
		if err != nil {
			return fault.Wrap(fault.Internal, "cli.call", err)
		}
		body = encoded
	}
	return r.send(ctx, method, path, body, out)
}

func (r *remote) send(ctx context.Context, method, path string, body []byte, out any) error {
	request, err := http.NewRequestWithContext(ctx, method, r.base+path, bytes.NewReader(body))
	if err != nil {
		return fault.Newf(fault.Invalid, "cli.call", "%q is no address of an API", r.base).Because(err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if !r.token.IsZero() {
		request.Header.Set("Authorization", "Bearer "+r.token.Reveal())
	}
	if r.env != "" {
		request.Header.Set("X-Pd-Environment", string(r.env))
	}
	answer, err := r.http.Do(request)
	if err != nil {
		return noAnswer(r.base, err)
	}
	defer func() { _ = answer.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(answer.Body, 64<<20))
	if err != nil {
		return fault.Wrap(fault.Unavailable, "cli.call", err)
	}
	if answer.StatusCode >= http.StatusBadRequest {
		return refusal(answer.StatusCode, data)
	}
	if out == nil || len(data) == 0 {
		return nil
	}
	return fault.Wrap(fault.Internal, "cli.call", json.Unmarshal(data, out))
}

// refusal makes an error of what the API said.
func refusal(status int, body []byte) error {
	var said struct {
		Error string `json:"error"`
		Code  string `json:"code"`
	}
	if json.Unmarshal(body, &said) != nil || said.Error == "" {
		said.Error = strings.TrimSpace(string(body[:min(len(body), 500)]))
	}
	kind := fault.Internal
	switch {
	case status == http.StatusNotFound:
		kind = fault.NotFound
	case status == http.StatusUnauthorized:
		kind = fault.Unauthenticated
	case status == http.StatusForbidden:
		kind = fault.Forbidden
	case status == http.StatusConflict:
		kind = fault.Conflict
	case status == http.StatusTooManyRequests:
		kind = fault.Exhausted
	case status < http.StatusInternalServerError:
		kind = fault.Invalid
	case status == http.StatusServiceUnavailable:
		kind = fault.Unavailable
	}
	return fault.New(kind, "cli.call", said.Error).WithCode(said.Code)
}

// listOf is how the API answers lists.
type listOf struct {
	Data     []json.RawMessage `json:"data"`
	PageInfo struct {
		EndCursor *string `json:"end_cursor"`
	} `json:"page_info"`
}

// all reads every page of a list, at most so many entries (0 for all), and hands each over.
func (r *remote) all(ctx context.Context, path string, query url.Values, most int, each func(json.RawMessage) error) error {
	for n := 0; ; {
		var page listOf
		if err := r.call(ctx, http.MethodGet, path+"?"+query.Encode(), nil, &page); err != nil {
			return err
		}
		for _, item := range page.Data {
			if most > 0 && n == most {
				return nil
			}
			n++
			if err := each(item); err != nil {
				return err
			}
		}
		if page.PageInfo.EndCursor == nil || *page.PageInfo.EndCursor == "" {
			return nil
		}
		query.Set("after", *page.PageInfo.EndCursor)
	}
}
