package action

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// Call is one execution of an action.
type Call struct {
	// Props are the evaluated values, a JSON object. Empty means none.
	Props json.RawMessage
	// Apps are the accounts, by prop.
	Apps map[string]App
	// Renew gets the fields of the account of a prop once more, after the service has refused them with 401. An error
	// means that there are no others. Nil never does.
	Renew func(ctx context.Context, prop string) (map[string]secret.String, error)
	Run   behalf.RunID
	// IdempotencyKey is the same for every attempt of this step of this run, and for nothing else.
	IdempotencyKey string
	// Client sends the requests. It should be one of egress, with a timeout of at least behalf.MaxTimeout: the time of a
	// call is bounded here. Whatever it does with redirects and cookies, here it does neither.
	Client *http.Client
	// Timeout is how long the step may run. Zero means as long as ctx.
	Timeout time.Duration
}

// App is an account as an action gets it: the app, and the fields of its credential.
type App struct {
	Slug behalf.AppSlug
	Auth map[string]secret.String
}

// Run runs the action to its end.
//
// What the service did, and what was wrong with props or account, is in the outcome: Err for a step that failed, with one
// of the names above, Cut for one that its timeout ended. The values of the accounts are in neither. An error means that
// the action was not run, or not to its end, by no fault of the workflow's: Canceled or Timeout where ctx ended, Internal
// for a call that makes no sense, such as one without the account that the action needs.
func (a *Action) Run(ctx context.Context, c Call) (behalf.Outcome, error) {
	began := time.Now()
	limited, cancel := withTimeout(ctx, c.Timeout)
	defer cancel()
	x, err := a.exchange(c)
	if err != nil {
		return behalf.Outcome{}, err
	}
	outcome, err := x.run(limited)
	failed, isFailure := errors.AsType[failure](err)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return behalf.Outcome{}, fault.New(fault.KindOf(ctx.Err()), "action.Run", "cut short").Because(ctx.Err())
	case limited.Err() != nil:
		outcome = behalf.Outcome{Cut: true}
	case isFailure:
		outcome = behalf.Outcome{Err: &behalf.StepError{Name: failed.name, Message: failed.message}}
	default:
		return behalf.Outcome{}, fault.Wrap(fault.Internal, "action.Run", err)
	}
	outcome.Duration = time.Since(began)
	return outcome, nil
}

func withTimeout(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if timeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, timeout)
}

// exchange is one run of an action.
type exchange struct {
	action  *Action
	call    Call
	client  *http.Client
	app     app.App
	account *App // nil where the action runs without one
	prop    string
	refused *App // the account as it was before it was renewed
}

func (a *Action) exchange(c Call) (*exchange, error) {
	const op = "action.Run"
	x := &exchange{action: a, call: c}
	if c.Client == nil && a.plan.request != nil {
		return nil, fault.New(fault.Internal, op, "the call has no client")
	}
	for prop, account := range c.Apps {
		x.account, x.prop = &account, prop
	}
	switch {
	case len(c.Apps) > 1, x.account == nil && a.App != "", x.account != nil && !a.AnyApp && x.account.Slug != a.App:
		return nil, fault.Newf(fault.Internal, op, "%s was given the wrong accounts", a.Ref())
	case x.account != nil:
		known, ok := a.apps.App(x.account.Slug)
		if !ok {
			return nil, fault.Newf(fault.Internal, op, "there is no app %s", x.account.Slug)
		}
		x.app = known
	}
	if c.Client != nil {
		client := *c.Client
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		client.Jar = nil
		x.client = &client
	}
	return x, nil
}

func (x *exchange) run(ctx context.Context) (behalf.Outcome, error) {
	s, err := x.action.values(x.call.Props)
	if err != nil {
		return behalf.Outcome{}, err
	}
	s[runName], s[keyName] = string(x.call.Run), x.call.IdempotencyKey
	if r := x.action.plan.respond; r != nil {
		return r.outcome(s)
	}
	for _, lookup := range x.action.plan.lookups {
		if lookup.needless(s) {
			continue
		}
		r, err := x.do(ctx, &lookup, s)
		if err != nil {
			return behalf.Outcome{}, err
		}
		s = s.with(lookup.name, r.value)
	}
	r, err := x.do(ctx, x.action.plan.request, s)
	if err != nil {
		return behalf.Outcome{}, err
	}
	return r.outcome(x.action.plan.request.answer, s)
}

// do makes one call, and reads its answer, which is a good one if the error is nil. A service that says 401 has done
// nothing, so the call is made once more where the account has another token by then.
func (x *exchange) do(ctx context.Context, c *call, s scope) (reply, error) {
	r, err := x.send(ctx, c, s)
	if err == nil && r.status == http.StatusUnauthorized && x.renew(ctx) {
		r, err = x.send(ctx, c, s)
	}
	switch {
	case err != nil:
		return reply{}, err
	case !r.good():
		return reply{}, r.refused(c, s)
	}
	if err := r.decode(c.answer); err != nil {
		return reply{}, err
	}
	return r, r.refusal(c, x.app.Slug)
}

// renew gets the account's fields once more, once in the life of an exchange.
func (x *exchange) renew(ctx context.Context) bool {
	if x.account == nil || x.refused != nil || x.call.Renew == nil {
		return false
	}
	x.refused = x.account
	fields, err := x.call.Renew(ctx, x.prop)
	if err != nil {
		return false // what the service said is what the step fails with
	}
	x.account = &App{Slug: x.refused.Slug, Auth: fields}
	return true
}

// send makes one request, and reads its answer whatever it says.
func (x *exchange) send(ctx context.Context, c *call, s scope) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeoutOf(s))
	defer cancel()
	req, err := x.request(ctx, c, s)
	if err != nil {
		return reply{}, err
	}
	who := x.who(req.URL)
	resp, err := x.client.Do(req)
	if err != nil {
		return reply{}, unreachable(who, err)
	}
	defer func() { _ = resp.Body.Close() }()
	return x.receive(resp, who)
}

// receive reads an answer up to what is of use, and takes the account's values out before anything else sees it: a
// service may tell us what it was sent.
func (x *exchange) receive(resp *http.Response, who string) (reply, error) {
	r := reply{who: who, status: resp.StatusCode, header: http.Header{}}
	most := maxRefusal
	if r.good() {
		most = maxExports
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, int64(most)+1))
	if err == nil {
		// A service that sees us hang up may still end its answer in good order, and half of it would look like all.
		err = hungUp(resp)
	}
	switch {
	case err != nil && r.good():
		return reply{}, unreachable(who, err)
	case len(body) > most && r.good():
		return reply{}, r.tooLarge()
	}
	// Of a bad answer whatever has come is told, since its status says the most.
	redactor := x.redactor()
	r.body = redactor.JSON(body)
	if len(body) > most {
		r.body = r.body[:max(0, len(r.body)-cutAtEnd)]
	}
	for name, values := range resp.Header {
		for _, value := range values {
			r.header.Add(redactor.Text(name), redactor.Text(value))
		}
	}
	return r, nil
}

// hungUp says why we wait for an answer no longer. The client's own timeout is only in the request that it made of ours.
func hungUp(resp *http.Response) error {
	if resp.Request == nil {
		return nil
	}
	return resp.Request.Context().Err()
}

// request makes the request, with the account's credential where there is one.
func (x *exchange) request(ctx context.Context, c *call, s scope) (*http.Request, error) {
	var base *url.URL
	if x.account != nil {
		var err error
		if base, err = x.app.Base(x.account.Auth); err != nil {
			return nil, failf(InvalidAccount, "%s", fault.Safe(err))
		}
	}
	req, err := c.request(ctx, s, base)
	if err != nil || x.account == nil {
		return req, err
	}
	for _, name := range x.app.HeaderNames(x.account.Auth) {
		if _, twice := req.Header[name]; twice {
			return nil, failf(InvalidProps, "headers: %s is set by the account of %s", name, x.app.Slug)
		}
	}
	if err := x.app.Authorize(req, x.account.Auth); err != nil {
		return nil, failf(InvalidAccount, "%s", fault.Safe(err))
	}
	return req, nil
}

// who names the service in messages: the app, or for a URL of the workflow's own its host.
func (x *exchange) who(target *url.URL) string {
	if x.account != nil {
		return x.app.Name
	}
	return readable(target.Host, 100)
}

// redactor knows the account's values.
func (x *exchange) redactor() secret.Redactor {
	if x.account == nil {
		return secret.Redactor{}
	}
	secrets := x.app.Secrets(x.account.Auth)
	if x.refused != nil {
		secrets = append(secrets, x.app.Secrets(x.refused.Auth)...)
	}
	return secret.NewRedactor(secrets...)
}
