package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/pause"
	"github.com/behalf-dev/behalf/pkg/secret"
)

const (
	// maxImportLine bounds one account, in bytes.
	maxImportLine = 256 << 10
	// importTries is how often one account is sent while the API is away, a little later each time.
	importTries = 8
)

func newAccountsImport(w world) *cobra.Command {
	var flags remoteFlags
	var parallel int
	cmd := &cobra.Command{
		Use: "import FILE.jsonl", Short: "Keep the credentials of many accounts",
		Long: "Import reads one account a line from a file, or from standard input for -, and says one outcome a line, in the order of the file:\n" +
			"created, kept (it was there, and stays as it is) or failed. It never prints a credential.\n\n" +
			"A line is a JSON object: app, user (or own and name), credential as in `accounts create`, and where you like name and id.\n" +
			"The id, apn_ and letters or digits, keeps the id that an account had elsewhere. Without one it is made of user, app and name,\n" +
			"so that the same line always means the same account: after a crash or a failure run the same import again.",
		Example: `  behalf accounts import accounts.jsonl --env production --json
  {"app":"slack","user":"abc-123","credential":{"oauth_access_token":"…","oauth_refresh_token":"…","expires_at":"2026-12-01T00:00:00Z","scopes":["chat:write"],"oauth_app_id":"oa_…"}}`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := flags.open(w)
			if err != nil {
				return err
			}
			if parallel < 1 || parallel > 64 {
				return fault.New(fault.Invalid, "cli.import", "--parallel must be 1 to 64")
			}
			file := io.NopCloser(w.stdin)
			if args[0] != "-" {
				if file, err = os.Open(args[0]); err != nil {
					return fault.Newf(fault.Invalid, "cli.import", "%s cannot be read", args[0]).Because(err)
				}
			}
			defer func() { _ = file.Close() }()
			return importer{session: &session{remote: r}, world: w, json: flags.json, parallel: parallel}.run(cmd.Context(), file)
		},
	}
	flags.add(cmd, w)
	cmd.Flags().IntVar(&parallel, "parallel", 8, "so many accounts at the same time, at most 64")
	return cmd
}

// importer sends accounts, several at once, and says what became of each in their order.
type importer struct {
	session  *session
	world    world
	json     bool
	parallel int
}

// session renews the token of a remote that several use, when it has ended.
type session struct {
	mu     sync.Mutex
	remote *remote
}

func (s *session) current() *remote {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remote
}

// renew has a new token in place of that of old, unless somebody else was first.
func (s *session) renew(ctx context.Context, old *remote) error {
	fresh := *old
	fresh.token = secret.String{}
	if err := fresh.authenticate(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.remote == old {
		s.remote = &fresh
	}
	return nil
}

// importOutcome is what became of one line. It never holds a credential.
type importOutcome struct {
	Line    int              `json:"line"`
	ID      behalf.AccountID `json:"id,omitempty"`
	App     string           `json:"app,omitempty"`
	User    string           `json:"user,omitempty"`
	Outcome string           `json:"outcome"`
	Error   string           `json:"error,omitempty"`
}

func (i importer) run(ctx context.Context, file io.Reader) error {
	if err := i.session.remote.authenticate(ctx); err != nil { // once, before many do
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pending := make(chan chan importOutcome, i.parallel)
	read := make(chan error, 1)
	go func() {
		defer close(pending)
		read <- i.send(ctx, file, pending)
	}()
	counts := map[string]int{}
	for outcome := range pending {
		o := <-outcome
		counts[o.Outcome]++
		i.say(o)
	}
	if err := <-read; err != nil {
		return err
	}
	if !i.json {
		i.world.printf("%d created, %d kept, %d failed\n", counts["created"], counts["kept"], counts["failed"])
	}
	if counts["failed"] > 0 {
		return hinted{fault.Newf(fault.Conflict, "cli.import", "%d accounts were not imported", counts["failed"]), "mend those lines and run the same import again: what is there stays as it is"}
	}
	return nil
}

func (i importer) say(o importOutcome) {
	if i.json {
		_ = printJSON(i.world, o) // strings and a number: there is nothing that cannot be encoded
		return
	}
	i.world.printf("line %d\t%s\t%s\t%s\n", o.Line, o.Outcome, o.ID, o.Error)
}

// send reads the lines, and has at most so many on their way as pending holds.
func (i importer) send(ctx context.Context, file io.Reader, pending chan<- chan importOutcome) error {
	lines := bufio.NewScanner(file)
	lines.Buffer(make([]byte, 64<<10), maxImportLine)
	for n := 1; lines.Scan(); n++ {
		line := bytes.Clone(bytes.TrimSpace(lines.Bytes()))
		if len(line) == 0 {
			continue
		}
		outcome := make(chan importOutcome, 1)
		select {
		case pending <- outcome:
		case <-ctx.Done():
			return ctx.Err()
		}
		go func() { outcome <- i.one(ctx, n, line) }() // whoever reads pending waits for it
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return fault.New(fault.Invalid, "cli.import", "a line of the file is longer than 256 KiB")
	}
	return fault.Wrap(fault.Unavailable, "cli.import", lines.Err())
}

// importLine is one account as the file has it.
type importLine struct {
	ID         behalf.AccountID `json:"id"`
	App        string           `json:"app"`
	User       string           `json:"user,omitempty"`
	Own        bool             `json:"own,omitempty"`
	Name       string           `json:"name,omitempty"`
	Credential json.RawMessage  `json:"credential"`
}

func (i importer) one(ctx context.Context, n int, line []byte) importOutcome {
	var l importLine
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&l); err != nil { // its own words may quote a credential
		return importOutcome{Line: n, Outcome: "failed", Error: "the line is no JSON object of app, user, own, name, id and credential"}
	}
	if l.ID == "" {
		l.ID = behalf.DerivedAccountID(behalf.ExternalUserID(l.User), behalf.AppSlug(l.App), l.Name)
	}
	out := importOutcome{Line: n, ID: l.ID, App: l.App, User: l.User}
	if _, err := behalf.ParseAccountID(string(l.ID)); err != nil {
		out.ID, out.Outcome, out.Error = "", "failed", "id must be apn_ and letters or digits, at most 64 in all"
		return out
	}
	path := "/v1/accounts/" + url.PathEscape(string(l.ID))
	l.ID = ""
	answer, err := i.put(ctx, path, l)
	if err != nil {
		out.Outcome, out.Error = "failed", fault.Safe(err)
		return out
	}
	out.Outcome = answer.Outcome
	return out
}

// importAnswer is what the API says of one account.
type importAnswer struct {
	Outcome string `json:"outcome"`
}

// put sends one account until the API has said something about it.
func (i importer) put(ctx context.Context, path string, l importLine) (importAnswer, error) {
	body := map[string]any{"app": l.App, "credential": l.Credential}
	for name, value := range map[string]string{"user": l.User, "name": l.Name} {
		if value != "" {
			body[name] = value
		}
	}
	if l.Own {
		body["own"] = true
	}
	for try := 1; ; try++ {
		var answer importAnswer
		r := i.session.current()
		err := r.call(ctx, http.MethodPut, path, body, &answer)
		if fault.Is(err, fault.Unauthenticated) && try < importTries {
			if err := i.session.renew(ctx, r); err != nil {
				return importAnswer{}, err
			}
			continue
		}
		if try == importTries || !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Exhausted) {
			return answer, err
		}
		if err := pause.For(ctx, time.Duration(try)*250*time.Millisecond); err != nil {
			return importAnswer{}, err
		}
	}
}
