//go:build integration

package test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// badWorld is what bad input is sent to: an ingress and an API of the shipped binary, and no worker, so that what is
// accepted stays where it can be counted.
type badWorld struct {
	*world
	d       deployed
	all     map[behalf.Environment]jetstream.JetStream
	before  map[string]uint64
	accepts int
	secured secured
}

// secured are the same two roles once more, which speak TLS themselves.
type secured struct {
	ingress, api string
	config       *tls.Config
}

// secure starts them.
func (b *badWorld) secure(t *testing.T) {
	t.Helper()
	ca, dir := newTestCA(t), b.folder("tls")
	cert, key := ca.issue(t, "behalf")
	vars := []string{}
	for name, text := range map[string]string{"CERT": cert, "KEY": key} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		vars = append(vars, "BEHALF_TLS_"+name+"="+file)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	b.secured.config = &tls.Config{RootCAs: pool, ServerName: "behalf"}
	transport := &http.Transport{TLSClientConfig: b.secured.config}
	t.Cleanup(transport.CloseIdleConnections)
	own := *b.world
	own.http = &http.Client{Timeout: asLongAsItTakes, Transport: transport}
	b.secured.ingress = own.role("ingress-tls", freeAddr(t), append(slices.Clone(vars), "BEHALF_METRICS_ADDR="+freeAddr(t)), "ingress").base
	b.secured.api = own.role("api-tls", freeAddr(t), append(vars, "BEHALF_METRICS_ADDR="+freeAddr(t)), "api", "--allow-sealed").base
}

// says is what a row expects: the status, the code, and for the ingress how many events are kept, which is one where the
// status is 200. A status of 0 is a connection that ends without a word.
type says struct {
	status int
	code   string
}

var (
	taken     = says{http.StatusOK, ""}
	malformed = says{http.StatusBadRequest, ""} // by net/http, before any of ours
	noRoute   = says{http.StatusNotFound, "not_found"}
	nowhere   = says{http.StatusNotFound, "endpoint_not_found"}
	unclear   = says{http.StatusBadRequest, "request_invalid"}
	wrong     = says{http.StatusBadRequest, "invalid"}
	unknown   = says{http.StatusUnauthorized, "unauthenticated"}
	badClient = says{http.StatusUnauthorized, "invalid_client"}
	badToken  = says{http.StatusBadRequest, "invalid_request"}
	large     = says{http.StatusRequestEntityTooLarge, "body_too_large"}
	headers   = says{http.StatusRequestHeaderFieldsTooLarge, ""}
)

// TestBadInput sends every line of the lists of bad input to the ingress, the token endpoint and the routes of
// management. Each has its own answer; nothing is kept but what was taken, nothing crashes, and nothing is a 5xx.
func TestBadInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := &badWorld{world: w, all: make(map[behalf.Environment]jetstream.JetStream)}
	for _, env := range behalf.Environments() {
		_, b.all[env] = w.nats.connect(t, env)
	}
	b.d = w.deploy("told", map[string]string{
		"workflow.yaml": flow("oauth", "immediate", "", "only"),
		"only.mjs":      `export default defineComponent({ async run({ steps }) { return { kind: typeof steps.trigger.event.body }; } });`,
	})
	b.secure(t)
	b.before = b.counts(t)
	for name, part := range map[string]func(*testing.T, *badWorld){
		"ids": badIDs, "headers for NATS": natsHeaders, "JSON": badJSON, "HTTP": badHTTP, "tokens": badTokens,
	} {
		t.Run(name, func(t *testing.T) { part(t, b.in(t)) })
	}
	b.survived(t)
}

func (b *badWorld) in(t *testing.T) *badWorld {
	t.Helper()
	sub := *b
	sub.world = b.world.in(t)
	sub.before, sub.accepts = b.counts(t), 0
	t.Cleanup(func() { b.accepts += sub.accepts })
	return &sub
}

// counts is how much was ever stored in each stream of both environments: events, journals, buckets, objects.
func (b *badWorld) counts(t *testing.T) map[string]uint64 {
	t.Helper()
	found := map[string]uint64{}
	for env, js := range b.all {
		streams := js.ListStreams(t.Context())
		for info := range streams.Info() {
			found[string(env)+" "+info.Config.Name] = info.State.LastSeq
		}
		if streams.Err() != nil {
			t.Fatal(streams.Err())
		}
	}
	return found
}

// expect sends a request as it is to one of the roles, and holds the answer and what was stored against the row.
func (b *badWorld) expect(t *testing.T, name, base, text string, want says) {
	t.Helper()
	got, body := b.raw(t, base, text)
	if got != want {
		t.Errorf("%s: %d %q, want %d %q; %.300q", name, got.status, got.code, want.status, want.code, body)
	}
	after, ingress := b.counts(t), base == b.file.IngressURL || base == b.secured.ingress
	if got.status == http.StatusOK && ingress {
		b.before["development "+subject.Events(development)]++
		b.accepts++
	}
	if got.status != http.StatusOK || ingress {
		for stream, n := range after {
			beside := got.status == http.StatusOK && len(text) > 256<<10 && strings.HasPrefix(stream, "development OBJ_")
			if n != b.before[stream] && !beside { // what is too large for its event lies beside it
				t.Errorf("%s: %d messages were stored in %s, answered %v", name, n-b.before[stream], stream, got)
			}
		}
	}
	b.before = after
}

// raw sends bytes over a connection of their own, and reads the first answer that is no 100.
func (b *badWorld) raw(t *testing.T, base, text string) (says, string) {
	t.Helper()
	addr, secured := strings.CutPrefix(base, "https://")
	conn, err := net.Dial("tcp", strings.TrimPrefix(addr, "http://"))
	if err == nil && secured {
		conn = tls.Client(conn, b.secured.config)
	}
	if err == nil {
		err = conn.SetDeadline(time.Now().Add(asLongAsItTakes))
	}
	if err != nil {
		t.Error(err)
		return says{}, ""
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.WriteString(conn, text) // the server may end the connection before all is sent
	}()
	got, body := firstAnswer(bufio.NewReader(conn))
	_ = conn.Close()
	<-sent
	return got, body
}

func firstAnswer(in *bufio.Reader) (says, string) {
	for {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return says{}, err.Error()
		}
		body, _ := io.ReadAll(res.Body) // an answer that is cut off is shorter than it is to be
		_ = res.Body.Close()
		if res.StatusCode != http.StatusContinue {
			return says{res.StatusCode, codeOf(res.Header, body)}, string(body)
		}
	}
}

// codeOf reads the code of an error of any of ours.
func codeOf(h http.Header, body []byte) string {
	if code := h.Get("X-Behalf-Error"); code != "" {
		return code
	}
	var flat struct {
		Error string `json:"error"`
		Code  string `json:"code"`
	}
	if json.Unmarshal(body, &flat) != nil {
		return ""
	}
	if flat.Code == "" { // of the token endpoint
		return flat.Error
	}
	return flat.Code
}

// request spells a request with a good bearer. Each header is a whole line.
func (b *badWorld) spell(method, target, body string, lines ...string) string {
	return b.spellAs("Authorization: Bearer "+b.token, method, target, body, lines...)
}

func (b *badWorld) spellAs(authorization, method, target, body string, lines ...string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Pd-Environment: development\r\nContent-Length: %d\r\n", method, target, len(body))
	for _, line := range append(lines, authorization) {
		if line != "" {
			text.WriteString(line + "\r\n")
		}
	}
	return text.String() + "\r\n" + body
}

// target is the path of the workflow.
func (b *badWorld) target() string { return "/e/" + string(b.d.EndpointID) }

const asJSON = "Content-Type: application/json"

// survived checks that both processes live and have met no bug, and that a worker finishes all that was taken.
func (b *badWorld) survived(t *testing.T) {
	t.Helper()
	for _, p := range []*process{b.api.process, b.ingress.process} {
		select {
		case <-p.ended:
			t.Errorf("%s ended:\n%s", p.name, p.tail())
		default:
		}
		for _, word := range []string{"panic", `"level":"error"`, "goroutine "} {
			if strings.Contains(p.output(), word) {
				t.Errorf("the log of %s has %q:\n%s", p.name, word, p.tail())
			}
		}
	}
	b.serves5xx(t, b.apiSide, b.side)
	if b.accepts < 50 {
		t.Errorf("only %d of the requests were taken, so that the counts say little", b.accepts)
	}
	worker := b.worker()
	b.idle()
	states := map[string]int{}
	for _, run := range b.journal() {
		states[run.state]++
	}
	if want := map[string]int{"ok": b.accepts}; !maps.Equal(states, want) || b.dead() > 0 || strings.Contains(worker.output(), "panic") {
		t.Errorf("runs: %v, want %v; dead letters: %d", states, want, b.dead())
	}
}

// serves5xx reads from the metrics whether any answer was a 5xx.
func (b *badWorld) serves5xx(t *testing.T, sides ...string) {
	t.Helper()
	for _, side := range sides {
		res := must(b.http.Get("http://" + side + "/metrics"))(t) //nolint:bodyclose // closed below; the linter loses it in must
		text, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || !bytes.Contains(text, []byte("behalf_")) {
			t.Fatalf("no metrics at %s: %v", side, err)
		}
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, `code="5`) || strings.Contains(line, `outcome="unavailable"`) || strings.Contains(line, `outcome="queue_full"`) {
				t.Errorf("a 5xx was answered: %s", line)
			}
		}
	}
}

// badID is one text where an id is due, in every place where one can be: what follows /e/, the external user of a call,
// the id of an account and of a user in a path, the cursor of a list, the client that asks for a token, and the folder of
// a deploy.
type badID struct {
	name, text                                    string
	endpoint, user, account, person, after, token says
	folder                                        says
}

func badIDs(t *testing.T, b *badWorld) {
	t.Helper()
	upper := strings.ToUpper(string(b.d.EndpointID))
	rows := []badID{
		{"empty", "", nowhere, unclear, noRoute, noRoute, taken, badClient, wrong},
		{"a dot", ".", nowhere, taken, noRoute, noRoute, wrong, badClient, wrong},
		{"two dots", "..", nowhere, taken, noRoute, noRoute, wrong, badClient, wrong},
		{"dots within", "a..b", nowhere, taken, noRoute, noRoute, wrong, badClient, wrong},
		{"a leading dot", ".a", nowhere, taken, noRoute, noRoute, wrong, badClient, wrong},
		{"a trailing dot", "a.", nowhere, taken, noRoute, noRoute, wrong, badClient, wrong},
		{"a star", "*", nowhere, taken, noRoute, noRoute, wrong, badClient, wrong},
		{"a greater-than", ">", nowhere, taken, noRoute, noRoute, wrong, badClient, wrong},
		{"the API of JetStream", "$JS.API.X", nowhere, taken, noRoute, noRoute, wrong, badClient, wrong},
		{"a key of a bucket", "$KV.x", nowhere, taken, noRoute, noRoute, wrong, badClient, wrong},
		{"an inbox", "_INBOX.x", nowhere, taken, noRoute, noRoute, wrong, badClient, wrong},
		{"spaces", "a b  c", nowhere, taken, noRoute, noRoute, wrong, badClient, wrong},
		{"a tab", "a\tb", nowhere, unclear, noRoute, noRoute, wrong, badClient, wrong},
		{"a line end", "a\r\nX-Evil: 1", nowhere, unclear, noRoute, noRoute, wrong, badClient, wrong},
		{"NUL", "a\x00b", nowhere, unclear, noRoute, noRoute, wrong, badClient, wrong},
		{"4 KiB long", strings.Repeat("a", 4096), nowhere, unclear, noRoute, noRoute, wrong, badClient, wrong},
		{"no UTF-8", "a\xffb", nowhere, unclear, noRoute, noRoute, wrong, badToken, wrong},
		{"a slash", "a/b", nowhere, taken, noRoute, noRoute, wrong, badClient, wrong},
		{"escaped dots and slash", "%2e%2e%2f", nowhere, taken, noRoute, noRoute, wrong, badClient, wrong},
		{"an escaped NUL", "%00", nowhere, taken, noRoute, noRoute, wrong, badClient, wrong},
		{"a backslash", `..\x`, nowhere, taken, noRoute, noRoute, wrong, badClient, wrong},
		{"right to left", "a\u202eb", nowhere, taken, noRoute, noRoute, wrong, badClient, wrong},
		{"zero width", "a\u200bb\ufeff", nowhere, taken, noRoute, noRoute, wrong, badClient, wrong},
		{"a homoglyph", "\u0430bc-123", nowhere, taken, noRoute, noRoute, wrong, badClient, wrong},
		{"composed", "Jos\u00e9", nowhere, taken, noRoute, noRoute, wrong, badClient, wrong},
		{"decomposed", "Jose\u0301", nowhere, taken, noRoute, noRoute, wrong, badClient, wrong},
		{"another case", upper, taken, taken, noRoute, noRoute, wrong, badClient, wrong},
		{"an emoji", "👩‍👩‍👧", nowhere, taken, noRoute, noRoute, wrong, badClient, wrong},
		{"a number", "12345", nowhere, taken, noRoute, noRoute, taken, badClient, wrong},
		{"a prototype", "__proto__", nowhere, taken, noRoute, noRoute, wrong, badClient, wrong},
		{"a constructor", "constructor", nowhere, taken, noRoute, noRoute, wrong, badClient, wrong},
		{"true", "true", nowhere, taken, noRoute, noRoute, wrong, badClient, wrong},
		{"null", "null", nowhere, taken, noRoute, noRoute, wrong, badClient, wrong},
	}
	for _, r := range rows {
		escaped, opaque := everyByte(r.text), wrong
		if r.text == "" {
			opaque = taken
		}
		b.expect(t, r.name+" as endpoint", b.file.IngressURL, b.spell("POST", "/e/"+escaped, "{}", asJSON), r.endpoint)
		b.expect(t, r.name+" as external user", b.file.IngressURL, b.spell("POST", b.target(), "{}", asJSON, "X-Behalf-External-User-Id: "+escaped), r.user)
		b.expect(t, r.name+" as account", b.apiURL, b.spell("GET", "/v1/accounts/"+escaped, ""), r.account)
		b.expect(t, r.name+" as account to delete", b.apiURL, b.spell("DELETE", "/v1/accounts/"+escaped, ""), r.account)
		b.expect(t, r.name+" as run", b.apiURL, b.spell("GET", "/v1/runs/"+escaped, ""), r.account)
		b.expect(t, r.name+" as workflow", b.apiURL, b.spell("POST", "/v1/workflows/"+escaped+"/promote", ""), r.account)
		b.expect(t, r.name+" as user", b.apiURL, b.spell("GET", "/v1/users/"+escaped, ""), r.person)
		b.expect(t, r.name+" as cursor of runs", b.apiURL, b.spell("GET", "/v1/runs?after="+escaped, ""), r.after)
		b.expect(t, r.name+" as cursor of users", b.apiURL, b.spell("GET", "/v1/users?after="+escaped, ""), opaque)
		b.expect(t, r.name+" as client", b.apiURL, b.spellAs("", "POST", "/v1/oauth/token", b.tokenBody(r.text), asJSON), r.token)
		folder := `{"folder":"` + jsonText(r.text) + `","files":{"workflow.yaml":"name: [","only.mjs":""}}`
		b.expect(t, r.name+" as folder", b.apiURL, b.spell("POST", "/v1/deploy", folder, asJSON), r.folder)
	}
}

// everyByte escapes what is no letter or digit, so that each byte arrives as it is; but for dots, which the path would
// have as they are.
func everyByte(text string) string {
	return strings.ReplaceAll(url.PathEscape(text), "+", "%2B")
}

// jsonText is a text within the quotes of JSON. Bytes that are no UTF-8 stay.
func jsonText(text string) string {
	var out strings.Builder
	for i := range len(text) {
		switch c := text[i]; {
		case c < ' ' || c == '"' || c == '\\':
			fmt.Fprintf(&out, `\u%04x`, c)
		default:
			out.WriteByte(c)
		}
	}
	return out.String()
}

func (b *badWorld) tokenBody(client string) string {
	return `{"grant_type":"client_credentials","client_id":"` + jsonText(client) + `","client_secret":"` + b.file.ClientSecret + `"}`
}

// natsHeaders sends what would mean something to NATS, were it handed on: the event carries none of it, and lies where it
// belongs.
func natsHeaders(t *testing.T, b *badWorld) {
	t.Helper()
	events := subject.Events(development)
	for name, row := range map[string]struct {
		lines []string
		want  says
	}{
		"a message id":                   {[]string{"Nats-Msg-Id: x"}, taken},
		"the same message id":            {[]string{"Nats-Msg-Id: x"}, taken},
		"an empty message id":            {[]string{"Nats-Msg-Id: "}, taken},
		"a message id of 64 KiB":         {[]string{"Nats-Msg-Id: " + strings.Repeat("a", 64<<10)}, headers},
		"a rollup":                       {[]string{"Nats-Rollup: all"}, taken},
		"a time to live":                 {[]string{"Nats-TTL: 1s"}, taken},
		"an expected stream":             {[]string{"Nats-Expected-Stream: OTHER"}, taken},
		"an expected sequence":           {[]string{"Nats-Expected-Last-Sequence: 1"}, taken},
		"an expected message id":         {[]string{"Nats-Expected-Last-Msg-Id: x"}, taken},
		"an expected sequence of one":    {[]string{"Nats-Expected-Last-Subject-Sequence: 99"}, taken},
		"a schedule":                     {[]string{"Nats-Schedule: @every 1s", "Nats-Schedule-Target: evt.x", "Nats-Schedule-TTL: 1s"}, taken},
		"a scheduler":                    {[]string{"Nats-Scheduler: x", "Nats-Schedule-Next: purge"}, taken},
		"a batch":                        {[]string{"Nats-Batch-Id: x", "Nats-Batch-Sequence: 1", "Nats-Batch-Commit: 1"}, taken},
		"a trace":                        {[]string{"Nats-Trace-Dest: evt.x"}, taken},
		"an increment":                   {[]string{"Nats-Incr: 1"}, taken},
		"a level of the API":             {[]string{"Nats-Required-Api-Level: 99"}, taken},
		"a header twice":                 {[]string{"Nats-Msg-Id: a", "Nats-Msg-Id: b"}, taken},
		"a line end in a value":          {[]string{"X-A: a\rNats-Rollup: all"}, malformed},
		"a line feed in a value":         {[]string{"X-A: a\nNats-Rollup: all"}, taken}, // which ends a line, too
		"a thousand short headers":       {thousand(), taken},
		"a reply to another trigger":     {[]string{"Behalf-Reply: evt.development.shared.proj_a.p_b", "Reply: evt.x"}, taken},
		"a reply to an acknowledgement":  {[]string{"Behalf-Reply: $JS.ACK.EVENTS.c.1.1.1.1.1"}, taken},
		"a reply to the API":             {[]string{"Behalf-Reply: $JS.API.STREAM.DELETE." + events}, taken},
		"a reply to another ingress":     {[]string{"Behalf-Reply: rsp.AAAAAAAAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA"}, taken},
		"a very long reply":              {[]string{"Behalf-Reply: rsp." + strings.Repeat("a", 4096)}, taken},
		"marks of ours":                  {[]string{"Behalf-Moved: 1", "Behalf-Resume: 1", "Behalf-Replay: 1", "Behalf-Repeat: 1"}, taken},
		"a key, empty":                   {[]string{"Idempotency-Key: "}, unclear},
		"a key of 64 KiB":                {[]string{"Idempotency-Key: " + strings.Repeat("a", 64<<10)}, headers},
		"a key of 4 KiB":                 {[]string{"Idempotency-Key: " + strings.Repeat("a", 4<<10)}, unclear},
		"a key, twice":                   {[]string{"Idempotency-Key: a", "Idempotency-Key: b"}, unclear},
		"a key that is no ASCII":         {[]string{"Idempotency-Key: \xff"}, unclear},
		"an environment, twice":          {[]string{"X-Pd-Environment: production"}, says{400, "environment_invalid"}},
		"accounts of a wildcard":         {[]string{"X-Behalf-Accounts: *=>"}, unclear},
		"an external user, twice":        {[]string{"X-Pd-External-User-Id: a", "X-Pd-External-User-Id: b"}, unclear},
		"an external user with two ids":  {[]string{"X-Pd-External-User-Id: a", "X-Behalf-External-User-Id: b"}, unclear},
		"an external user in Latin-1":    {[]string{"X-Pd-External-User-Id: Jos\xe9"}, taken},
		"an external user with a tab":    {[]string{"X-Pd-External-User-Id: a\tb"}, unclear},
		"an external user, badly quoted": {[]string{"X-Behalf-External-User-Id: %zz"}, unclear},
	} {
		b.expect(t, name, b.file.IngressURL, b.spell("POST", b.target(), "{}", append(row.lines, asJSON)...), row.want)
	}
	for _, m := range messages(t, b.all[development], events, ">") {
		if !strings.HasPrefix(m.Subject, "evt.development.shared."+string(b.file.ProjectID)+".") {
			t.Errorf("an event lies at %s", m.Subject)
		}
		for name := range m.Header {
			if name != jetstream.MsgIDHeader || !strings.HasPrefix(m.Header.Get(name), string(b.file.ProjectID)+".evt_") {
				t.Errorf("an event carries %s: %q", name, m.Header[name])
			}
		}
	}
}

func thousand() []string {
	lines := make([]string, 1000)
	for i := range lines {
		lines[i] = "N" + strconv.Itoa(i) + ": 1"
	}
	return lines
}
