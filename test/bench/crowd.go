package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/subject"
)

const (
	// rarely is how many accounts there are to one of the rare app.
	rarely = 100
	// perUser is how many accounts a user has.
	perUser = 2
	common  = behalf.AppSlug("slack")
	rare    = behalf.AppSlug("notion")
	// spare is the app of which accounts are made, to be deleted all at once.
	spare = behalf.AppSlug("airtable_oauth")
)

// crowd is a `behalf api` beside a nats-server of its own, with so many accounts.
type crowd struct {
	n       int
	yard    *yard
	base    string
	token   string
	project behalf.ProjectID
	// deleted counts what was taken out, from the end.
	deleted int
	// middle is the cursor of the page at half of the list.
	middle string
}

func newCrowd(ctx context.Context, y *yard, o options, n int) (*crowd, error) {
	part := &yard{dir: filepath.Join(y.dir, fmt.Sprintf("accounts-%d", n))}
	ns, err := startNATS(ctx, part, "nats")
	if err != nil {
		return nil, err
	}
	a, err := newApart(ctx, part, o, ns)
	if err != nil {
		return nil, err
	}
	c := &crowd{n: n, yard: part, base: "http://" + a.addrs[0]}
	out, err := output(ctx, a.env, a.binary, "provision", "--json")
	if err != nil {
		return c, err
	}
	var known credentials
	if err := json.Unmarshal(out, &known); err != nil {
		return c, fmt.Errorf("provision: %w", err)
	}
	c.project = behalf.ProjectID(known.ProjectID)
	if _, err := a.start(ctx, 0, "api", "--allow-sealed"); err != nil {
		return c, err
	}
	if c.token, err = known.token(ctx); err != nil {
		return c, err
	}
	if err := c.fill(ctx, ns); err != nil {
		return c, err
	}
	return c, c.toTheMiddle(ctx)
}

func (c *crowd) close() error {
	var errs []error
	for _, p := range slices.Backward(c.yard.running) {
		errs = append(errs, p.stop())
	}
	return errors.Join(errs...)
}

// fill stores the accounts, their users, and as many sealed values as they would have, straight into the buckets.
func (c *crowd) fill(ctx context.Context, ns natsServer) error {
	nc, err := nats.Connect(ns.url, nats.UserCredentials(ns.creds[environment]))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(4096))
	if err != nil {
		return err
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	for i := range c.n {
		a := c.account(i)
		a.CreatedAt, a.UpdatedAt = now, now
		if err := c.store(js, a, i%perUser == 0); err != nil {
			return err
		}
	}
	select {
	case <-js.PublishAsyncComplete():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// account is the ith.
func (c *crowd) account(i int) behalf.Account {
	app := common
	if i%rarely == 0 {
		app = rare
	}
	return behalf.Account{
		V: behalf.FormatVersion, ID: behalf.AccountID(fmt.Sprintf("apn_%08d", i)), Project: c.project, App: app,
		User: behalf.ExternalUserID(fmt.Sprintf("user-%06d", i/perUser)),
	}
}

func (c *crowd) store(js jetstream.JetStream, a behalf.Account, first bool) error {
	key, err := credential.PathOf(environment, a).Key()
	if err != nil {
		return err
	}
	values := map[string]any{
		subject.Users(environment) + "." + subject.AccountKey(a.Project, a.User, a.App, a.ID): a,
		subject.Users(environment) + "." + subject.PlaceKey(a.Project, a.ID):                  behalf.AccountPlace{V: behalf.FormatVersion, App: a.App, User: a.User},
		subject.Sealed(environment) + "." + key:                                               map[string]any{"v": behalf.FormatVersion, "sealed": make([]byte, 400)},
	}
	if first {
		values[subject.Users(environment)+"."+subject.UserKey(a.Project, a.User)] = behalf.ExternalUser{
			V: behalf.FormatVersion, ID: behalf.NewUserRecordID(), Project: a.Project, External: a.User, CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt,
		}
	}
	for name, value := range values {
		data, err := json.Marshal(value)
		if err != nil {
			return err
		}
		if _, err := js.PublishMsgAsync(&nats.Msg{Subject: "$KV." + name, Data: data}, jetstream.WithStallWait(time.Minute)); err != nil {
			return err
		}
	}
	return nil
}

// listed is a page of the Connect API.
type listed struct {
	Data []json.RawMessage `json:"data"`
	Info struct {
		Cursor string `json:"end_cursor"`
	} `json:"page_info"`
}

// toTheMiddle pages through half of the list, as a client would.
func (c *crowd) toTheMiddle(ctx context.Context) error {
	for seen := 0; seen < c.n/2; {
		page, err := c.list(ctx, "accounts", url.Values{"limit": {"100"}, "after": {c.middle}})
		if err != nil {
			return err
		}
		if seen += len(page.Data); page.Info.Cursor == "" {
			return fmt.Errorf("the list ends after %d of %d accounts", seen, c.n)
		}
		c.middle = page.Info.Cursor
	}
	return nil
}

func (c *crowd) list(ctx context.Context, what string, query url.Values) (listed, error) {
	if query.Get("after") == "" {
		query.Del("after")
	}
	var page listed
	body, err := c.ask(ctx, http.MethodGet, c.connect(what)+"?"+query.Encode(), nil)
	if err == nil {
		err = json.Unmarshal(body, &page)
	}
	return page, err
}

// connect is a path of the Connect API.
func (c *crowd) connect(path string) string { return "/v1/connect/" + string(c.project) + "/" + path }

func (c *crowd) ask(ctx context.Context, method, path string, body any) ([]byte, error) {
	encoded, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	sent := io.Reader(http.NoBody)
	if body != nil {
		sent = strings.NewReader(string(encoded))
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, sent)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Pd-Environment", environment)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s %s", method, path, res.Status, answer)
	}
	return answer, err
}
