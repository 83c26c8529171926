//go:build integration

package test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/subject"
)

const (
	development = behalf.Development
	production  = behalf.Production
)

// ackWait is short, so that what a dead worker held comes again while a test waits.
const ackWait = 2 * time.Second

// asLongAsItTakes is for what must come, on a machine that may be busy.
const asLongAsItTakes = 30 * time.Second

// world is Behalf in separate processes around a real nats-server, and a vendor that its steps call.
type world struct {
	t       *testing.T
	dir     string
	ackWait time.Duration
	nats    *natsProcess // nil where NATS is a cluster
	servers *natsServers
	vendor  *vendor
	js      jetstream.JetStream // of development
	env     []string
	file    devFile
	apiURL  string
	api     *role
	apiSide string // its metrics
	ingress *role
	side    string // of the ingress: its metrics
	token   string
	http    *http.Client
	workers int
	sides   []string // of the workers: their metrics
}

// devFile is what `provision --json` prints and `dev` writes.
type devFile struct {
	APIURL       string            `json:"api_url"`
	IngressURL   string            `json:"ingress_url"`
	ProjectID    behalf.ProjectID  `json:"project_id"`
	ClientID     behalf.ClientID   `json:"client_id"`
	ClientSecret string            `json:"client_secret"`
	NATSURL      string            `json:"nats_url"`
	NATSCreds    map[string]string `json:"nats_creds"`
}

// newWorld provisions a fresh NATS and starts an API and an ingress. Workers are started by the tests.
func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldOf(t, ackWait)
}

func newWorldOf(t *testing.T, ackWait time.Duration) *world {
	t.Helper()
	return newWorldWith(t, ackWait)
}

// newWorldWith is one whose roles have these variables besides.
func newWorldWith(t *testing.T, ackWait time.Duration, env ...string) *world {
	t.Helper()
	w := emptyWorld(t)
	w.nats = startNATS(t, w.folder("nats"))
	w.open(&w.nats.natsServers, ackWait, env...)
	return w
}

// emptyWorld has a vendor and nothing else.
func emptyWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), vendor: newVendor(t), http: &http.Client{Timeout: 70 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 100}}}
	t.Cleanup(w.http.CloseIdleConnections)
	return w
}

// open provisions a fresh NATS and starts an API and an ingress on it.
func (w *world) open(servers *natsServers, ackWait time.Duration, env ...string) {
	w.t.Helper()
	w.servers, w.ackWait = servers, ackWait
	_, w.js = servers.connect(w.t, development)
	ingressAddr, apiAddr := freeAddr(w.t), freeAddr(w.t)
	scheme := w.secured()
	w.apiURL = scheme + apiAddr
	w.env = []string{
		"BEHALF_NATS_URL=" + servers.urls, "BEHALF_NATS_CA=" + servers.ca, "BEHALF_API_CA=" + servers.ca,
		"BEHALF_NATS_CREDS_DEVELOPMENT=" + servers.creds[development],
		"BEHALF_NATS_CREDS_PRODUCTION=" + servers.creds[production],
		"BEHALF_CREDENTIALS=sealed", "BEHALF_DATA_DIR=" + w.folder("data"), "BEHALF_NODE=" + node(w.t),
		"BEHALF_API_URL=" + w.apiURL, "BEHALF_INGRESS_URL=" + scheme + ingressAddr, "BEHALF_LOG_LEVEL=debug",
	}
	w.env = append(w.env, env...)
	out := w.mustRun("", "provision", "--json", "--ack-wait", ackWait.String(), "--replicas", fmt.Sprint(servers.replicas))
	if err := json.Unmarshal([]byte(out), &w.file); err != nil {
		w.t.Fatalf("provision printed %q: %v", out, err)
	}
	w.env = append(w.env, "BEHALF_CLIENT_ID="+string(w.file.ClientID), "BEHALF_CLIENT_SECRET="+w.file.ClientSecret, "BEHALF_PROJECT_ID="+string(w.file.ProjectID))
	w.apiSide, w.side = freeAddr(w.t), freeAddr(w.t)
	w.api = w.role("api", apiAddr, []string{"BEHALF_METRICS_ADDR=" + w.apiSide}, "api", "--allow-sealed")
	w.ingress = w.role("ingress", ingressAddr, []string{"BEHALF_METRICS_ADDR=" + w.side}, "ingress")
	w.token = w.newToken(w.file.ClientID, w.file.ClientSecret)
}

// secured has our client believe the authority of this world, where it has one, and says how its roles are spoken to.
func (w *world) secured() (scheme string) {
	w.t.Helper()
	if w.servers.ca == "" {
		return "http://"
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(must(os.ReadFile(w.servers.ca))(w.t))
	w.http.Transport = &http.Transport{MaxIdleConnsPerHost: 100, TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	return "https://"
}

// in is this world for a subtest.
func (w *world) in(t *testing.T) *world {
	t.Helper()
	sub := *w
	sub.t = t
	return &sub
}

func (w *world) folder(name string) string {
	w.t.Helper()
	dir := filepath.Join(w.dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		w.t.Fatal(err)
	}
	return dir
}

// start starts a role with the settings of this world and its own.
func (w *world) start(name string, env []string, args ...string) *process {
	w.t.Helper()
	return w.startOf(program(w.t, behalfProgram), name, env, args...)
}

func (w *world) startOf(binary, name string, env []string, args ...string) *process {
	w.t.Helper()
	return start(w.t, w.folder("logs"), name, append(append([]string(nil), w.env...), env...), binary, args...)
}

// worker starts a worker and waits until it takes events.
func (w *world) worker(args ...string) *role {
	w.t.Helper()
	return w.workerOf(program(w.t, behalfProgram), development, nil, args...)
}

func (w *world) workerOf(binary string, env behalf.Environment, vars []string, args ...string) *role {
	w.t.Helper()
	w.workers++
	side := freeAddr(w.t)
	w.sides = append(w.sides, side)
	vars = append([]string{"BEHALF_METRICS_ADDR=" + side}, vars...)
	args = append([]string{"worker", "--env", string(env), "--allow-sealed", "--unsafe-no-sandbox", "--ack-wait", w.ackWait.String()}, args...)
	r := &role{w: w, binary: binary, name: fmt.Sprintf("worker-%d", w.workers), base: "http://" + side, vars: vars, args: args}
	r.start()
	return r
}

// run runs a command of the command line against this world.
func (w *world) run(stdin string, args ...string) (stdout, stderr string, code int) {
	w.t.Helper()
	return command(w.t, w.dir, stdin, w.env, program(w.t, behalfProgram), args...)
}

// mustRun runs one that must succeed, and returns what it printed.
func (w *world) mustRun(stdin string, args ...string) string {
	w.t.Helper()
	stdout, stderr, code := w.run(stdin, args...)
	if code != 0 {
		w.t.Fatalf("behalf %v: exit %d\n%s%s", args, code, stdout, stderr)
	}
	return stdout
}

// deployed is what `deploy --json` prints.
type deployed struct {
	WorkflowID   behalf.WorkflowID `json:"workflow_id"`
	Version      behalf.VersionID  `json:"version"`
	EndpointID   behalf.EndpointID `json:"endpoint_id"`
	PathURL      string            `json:"path_url"`
	TriggerToken string            `json:"trigger_token"`
}

// deploy deploys one workflow into development. VENDOR in its files becomes the vendor's address.
func (w *world) deploy(name string, files map[string]string) deployed {
	w.t.Helper()
	return w.deployTo(development, name, files)
}

func (w *world) deployTo(env behalf.Environment, name string, files map[string]string) deployed {
	w.t.Helper()
	dir := filepath.Join(w.folder("workflows"), name)
	for file, text := range files {
		write(w.t, filepath.Join(dir, file), strings.ReplaceAll(text, "VENDOR", w.vendor.url))
	}
	var d deployed
	out := w.mustRun("", "deploy", dir, "--env", string(env), "--json")
	if err := json.Unmarshal([]byte(out), &d); err != nil {
		w.t.Fatalf("deploy printed %q: %v", out, err)
	}
	if !strings.Contains(files["workflow.yaml"], "auth: none") { // which answers as if it were not there
		w.settled(env, d)
	}
	return d
}

// settled waits until the ingress has the definition that was just deployed: its copy is fresh within moments.
func (w *world) settled(env behalf.Environment, d deployed) {
	w.t.Helper()
	eventually(w.t, 10*time.Second, "the ingress does not know "+d.PathURL, func() bool {
		req := must(http.NewRequest(http.MethodPost, d.PathURL, strings.NewReader("x")))(w.t)
		req.Header.Set("X-Pd-Environment", string(env))
		req.Header.Set("X-Behalf-External-User-Id", "%zz") // which is refused after the endpoint was found
		req.Header.Set("Authorization", "Bearer "+w.token)
		res := must(w.http.Do(req))(w.t) //nolint:bodyclose // closed below; the linter loses it in must
		_ = res.Body.Close()
		return res.StatusCode != http.StatusNotFound
	})
}

// account gives a user an account of the practice app.
func (w *world) account(env behalf.Environment, user, token string) {
	w.t.Helper()
	w.mustRun(fmt.Sprintf(`{"oauth_access_token":%q}`, token), "accounts", "create", "--app", "practice", "--user", user, "--env", string(env), "--credential", "-")
}

func (w *world) newToken(id behalf.ClientID, secret string) string {
	w.t.Helper()
	body := must(json.Marshal(map[string]any{"grant_type": "client_credentials", "client_id": id, "client_secret": secret}))(w.t)
	res := must(w.http.Post(w.apiURL+"/v1/oauth/token", "application/json", bytes.NewReader(body)))(w.t) //nolint:bodyclose // closed below; the linter loses it in must
	defer res.Body.Close()                                                                               //nolint:errcheck // it was only read
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || answer.AccessToken == "" {
		w.t.Fatalf("token: %s, %v", res.Status, err)
	}
	return answer.AccessToken
}

// answer is what a caller got. An error of the transport has no status.
type answer struct {
	status int
	header http.Header
	body   string
	err    error
	took   time.Duration
}

func (a answer) run() string    { return a.header.Get("X-Behalf-Run-Id") }
func (a answer) code() string   { return a.header.Get("X-Behalf-Error") }
func (a answer) String() string { return fmt.Sprintf("%d %s %q %v", a.status, a.code(), a.body, a.err) }

// repeatable says whether clients repeat a request by themselves after this answer.
func (a answer) repeatable() bool {
	return a.status == http.StatusRequestTimeout || a.status == http.StatusTooManyRequests || a.status >= 500
}

// as names the end user of a request.
func as(user string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("X-Pd-External-User-Id", user) }
}

// in names the environment of a request, which is development otherwise.
func in(env behalf.Environment) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("X-Pd-Environment", string(env)) }
}

// post sends one request.
func (w *world) post(url, body string, change ...func(*http.Request)) answer {
	req, err := w.request(url, body, change...)
	if err != nil {
		return answer{err: err}
	}
	return w.do(req)
}

// request makes one that the first client of the project sends.
func (w *world) request(url, body string, change ...func(*http.Request)) (*http.Request, error) {
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+w.token)
	req.Header.Set("X-Pd-Environment", string(development))
	for _, f := range change {
		f(req)
	}
	return req, nil
}

func (w *world) do(req *http.Request) answer {
	began := time.Now()
	res, err := w.http.Do(req)
	if err != nil {
		return answer{err: err, took: time.Since(began)}
	}
	defer res.Body.Close() //nolint:errcheck // it was only read
	body, err := io.ReadAll(res.Body)
	return answer{status: res.StatusCode, header: res.Header, body: string(body), err: err, took: time.Since(began)}
}

// postAsync sends one request, whose answer comes later.
func (w *world) postAsync(url, body string, change ...func(*http.Request)) <-chan answer {
	answers := make(chan answer, 1)
	go func() { answers <- w.post(url, body, change...) }()
	return answers
}

// soon waits for an answer.
func soon(t *testing.T, answers <-chan answer) answer {
	t.Helper()
	select {
	case a := <-answers:
		return a
	case <-time.After(40 * time.Second):
		t.Fatal("no answer came")
		return answer{}
	}
}

// persist is a client that does not give up: it repeats what was not accepted until it is.
func (w *world) persist(url, body string, change ...func(*http.Request)) answer {
	for tick := time.Tick(50 * time.Millisecond); ; <-tick {
		a := w.post(url, body, change...)
		if !a.repeatable() || w.t.Context().Err() != nil {
			return a
		}
	}
}

// result asks the API what a run answered.
func (w *world) result(run string, change ...func(*http.Request)) answer {
	req, err := http.NewRequest(http.MethodGet, w.apiURL+"/v1/runs/"+run+"/result", nil)
	if err != nil {
		return answer{err: err}
	}
	req.Header.Set("Authorization", "Bearer "+w.token)
	req.Header.Set("X-Pd-Environment", string(development))
	for _, f := range change {
		f(req)
	}
	return w.do(req)
}

// finished is what the journal says of one run, read from the stream itself.
type finished struct {
	state    string
	finishes int
	at       time.Time // when the finish record became durable
	records  []string  // kind and attempt of each, in their order
	workers  map[string]bool
}

// journal reads the journals of all runs of development.
func (w *world) journal() map[string]finished {
	w.t.Helper()
	runs := map[string]finished{}
	for _, m := range messages(w.t, w.js, subject.Runs(development), "run.development.>") {
		at := must(subject.ParseRecord(m.Subject))(w.t)
		var record behalf.Record
		if err := json.Unmarshal(m.Data, &record); err != nil {
			w.t.Fatal(err)
		}
		f := runs[string(at.Run.Run)]
		if record.Kind != behalf.RecordBegin || record.Attempt > 1 { // a first step that takes long is announced
			f.records = append(f.records, fmt.Sprintf("%s %d", record.Kind, record.Attempt))
		}
		if f.workers == nil {
			f.workers = map[string]bool{}
		}
		f.workers[record.Worker] = true
		if at.Kind == behalf.RecordFinish {
			f.finishes, f.state, f.at = f.finishes+1, at.State, m.Time
		}
		runs[string(at.Run.Run)] = f
	}
	return runs
}

// waiting counts the events that no worker has settled.
func (w *world) waiting(env behalf.Environment) uint64 {
	w.t.Helper()
	js := w.js
	if env != development {
		_, js = w.servers.connect(w.t, env)
	}
	s := must(js.Stream(w.t.Context(), subject.Events(env)))(w.t)
	return must(s.Info(w.t.Context()))(w.t).State.Msgs
}

// idle waits until every event and every timer of development is settled.
func (w *world) idle() {
	w.t.Helper()
	timers := must(w.js.Stream(w.t.Context(), subject.Timers(development)))(w.t)
	eventually(w.t, 60*time.Second, "events and timers are not settled", func() bool {
		return w.waiting(development)+must(timers.Info(w.t.Context()))(w.t).State.Msgs == 0
	})
}

// dead counts the dead letters of development.
func (w *world) dead() int {
	w.t.Helper()
	return len(messages(w.t, w.js, subject.DeadLetters(development), ">"))
}
