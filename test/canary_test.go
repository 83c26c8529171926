//go:build integration

package test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

// leaking is a step that does with its token whatever it can. Which, the request says.
const leaking = `export default defineComponent({ props: { practice: { type: "app", app: "practice" } }, async run({ steps, $ }) {
  const token = this.practice.$auth.oauth_access_token, way = steps.trigger.event.body.way;
  await fetch("VENDOR/call", { method: "POST", body: JSON.stringify({ event: way }), headers: {
    authorization: "Bearer " + token, "idempotency-key": $.context.idempotency_key } });
  const encoded = Buffer.from(token).toString("base64"), all = { token, nested: [{ [token]: "as a key" }], text: "x" + token + "y" };
  switch (way) {
    case "print": console.log(token); console.error({ token }); console.log("x" + token + "y", JSON.stringify(JSON.stringify(token))); break;
    case "print raw": process.stdout.write(token + "\n"); process.stderr.write(token); break;
    case "throw": throw new Error("cannot use " + token);
    case "throw itself": throw token;
    case "throw a class": { class E extends Error { name = token; } throw new E(token); }
    case "return": return all;
    case "export": $.export("all", all); $.export(token, 1); break;
    case "respond": return $.respond({ status: 200, headers: { "x-token": token, [token.replace(/[^a-z]/gi, "")]: "x" }, body: all });
    case "respond with text": return $.respond({ status: 200, body: "it is " + token });
    case "respond with bytes": return $.respond({ status: 200, body: Buffer.concat([Buffer.from([255, 0]), Buffer.from(token)]) });
    case "base64": console.log(encoded); $.export("x", encoded); return $.respond({ status: 200, body: { encoded } });
    case "hex": { const e = Buffer.from(token).toString("hex"); console.log(e); $.export("x", e); return $.respond({ status: 200, body: e }); }
    case "base64 of more": { const e = Buffer.from("Bearer:" + token).toString("base64"); console.log(e); return $.respond({ status: 200, body: e }); }
    case "in a url": { const e = encodeURIComponent(token); console.log(e); $.respond({ status: 200, body: e }); break; }
    case "exit": $.flow.exit("because of " + token); break;
    case "crash": console.log(token); process.exit(3);
    case "reject": Promise.reject(new Error(token)); await new Promise((done) => setTimeout(done, 50)); break;
    case "hold": await new Promise((done) => setTimeout(done, 2500));
  }
  $.respond({ status: 200, body: "done" });
} });
`

// canary is a secret that must be found nowhere but at the vendor.
type canary struct {
	name   string
	traces [][]byte // as it is, and in the ways in which it may be encoded
}

func newCanary(name, secret string) canary {
	c := canary{name: name, traces: [][]byte{[]byte(secret), []byte(url.QueryEscape(secret)), []byte(hex.EncodeToString([]byte(secret)))}}
	for shift := range 3 { // base64 depends on what stands before; its first and last characters on their neighbours
		encoded := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + secret))
		c.traces = append(c.traces, []byte(encoded[4:len(encoded)-4]))
	}
	return c
}

// hunt looks for canaries, keeps what it finds, and counts what it has looked through.
type hunt struct {
	t        *testing.T
	canaries []canary
	places   map[string]int
	found    []finding
}

// finding is a canary in a place where it may not be.
type finding struct{ canary, kind, place, around string }

func newHunt(t *testing.T, canaries ...canary) *hunt {
	t.Helper()
	return &hunt{t: t, canaries: canaries, places: map[string]int{}}
}

func (h *hunt) look(kind, place string, data []byte) {
	h.places[kind]++
	for _, c := range h.canaries {
		for _, trace := range c.traces {
			if at := bytes.Index(data, trace); at >= 0 {
				h.found = append(h.found, finding{c.name, kind, place, string(data[max(0, at-60):min(len(data), at+len(trace)+20)])})
				break
			}
		}
	}
}

// report fails for all that was found, and for a hunt that has not been everywhere.
func (h *hunt) report() {
	h.t.Helper()
	for _, f := range h.found {
		h.t.Errorf("%s found in %s %s: …%q…", f.canary, f.kind, f.place, f.around)
	}
	for _, kind := range []string{"answers", "process listings", "metrics", "streams", "messages", "files"} {
		if h.places[kind] == 0 {
			h.t.Errorf("no %s were looked through", kind)
		}
	}
}

// No secret is anywhere but where it belongs, whatever a step does with it.
func TestCanaries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	worker := w.worker("--slots", "4")
	access, refresh := "canary+access/"+rand.Text(), "canary-refresh-"+rand.Text()
	h := newHunt(t, newCanary("the access token", access), newCanary("the refresh token", refresh),
		newCanary("the client's secret", w.file.ClientSecret), newCanary("the bearer", w.token[strings.LastIndex(w.token, ".")+1:]))
	w.mustRun(fmt.Sprintf(`{"oauth_access_token":%q,"oauth_refresh_token":%q}`, access, refresh),
		"accounts", "create", "--app", "practice", "--user", "abc-123", "--env", "development", "--credential", "-")
	var flows []deployed
	for _, mode := range []string{"custom", "immediate"} {
		flows = append(flows, w.deploy(mode, map[string]string{
			"workflow.yaml": flow("oauth", mode, "settings: { retries: 1 }\n", "only , accounts: { practice: end_user }"), "only.mjs": leaking,
		}))
	}

	ways := h.everyWay(w, worker, flows, refresh)
	h.answer("bad credential", w.post(w.apiURL+"/v1/accounts", fmt.Sprintf(`{"app":"practice","user":"x","credential":{"oauth_access_token":%q,"nonsense":{"a":1}}}`, access)))
	w.idle()

	h.metrics(w)
	h.streams(w)
	h.files(w)
	h.report()
	for _, c := range w.vendor.all() {
		if c.Token != access {
			t.Errorf("the vendor was called with %q", c.Token)
		}
	}
	t.Logf("%d ways to leak, with and without a waiting caller; nothing found but at the vendor (%d calls); looked through %v", ways, len(w.vendor.all()), h.places)
}

// An environment variable is no easier to lose than a token: what a step that names it does with it, and what an
// expression has put into its props.
func TestCanariesOfTheEnvironment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	worker := w.worker("--slots", "4")
	key, part := "canary+variable/"+rand.Text(), "canary-part-"+rand.Text()
	h := newHunt(t, newCanary("the variable", key), newCanary("a part of the variable", part))
	set := func(name, value string) { w.mustRun(value, "env", "set", name, "--env", "development") }
	set("CANARY_KEY", key)
	set("CANARY_JSON", fmt.Sprintf(`{"type":"service","key":%q}`, part))
	set("CANARY_GONE", key)
	w.mustRun("", "env", "unset", "CANARY_GONE", "--env", "development")
	h.look("answers", "env list", []byte(w.mustRun("", "env", "list", "--env", "development", "--json")))
	h.answer("bad value", w.post(w.apiURL+"/v1/env/CANARY_KEY", fmt.Sprintf(`{"value":%q,"nonsense":1}`, key), func(r *http.Request) { r.Method = http.MethodPut }))
	code := strings.Replace(leaking, "this.practice.$auth.oauth_access_token", "process.env.CANARY_KEY", 1)
	code = strings.Replace(code, `props: { practice: { type: "app", app: "practice" } }, `, "", 1)
	code = strings.Replace(code, "switch (way)", `console.log(this.given, JSON.parse(process.env.CANARY_JSON).key); $.export("part", this.part);
  switch (way)`, 1)
	var flows []deployed
	for _, mode := range []string{"custom", "immediate"} {
		flows = append(flows, w.deploy(mode, map[string]string{
			"workflow.yaml": flow("oauth", mode, "settings: { retries: 1 }\n",
				`only , env: [CANARY_KEY, CANARY_JSON], props: { given: "it is {{env.CANARY_KEY}}", part: "{{JSON.parse(process.env.CANARY_JSON).key}}" }`),
			"only.mjs": code,
		}))
	}
	ways := h.everyWay(w, worker, flows, "none")
	w.idle()

	h.metrics(w)
	h.streams(w)
	h.files(w)
	h.report()
	calls := w.vendor.all()
	for _, c := range calls {
		if c.Token != key {
			t.Errorf("the vendor was called with %q", c.Token)
		}
	}
	if len(calls) < ways {
		t.Errorf("only %d calls came to the vendor in %d ways", len(calls), ways)
	}
}

// everyWay runs each way to leak in each flow, and looks at what it answers and at the processes while one runs. It gives
// the number of ways.
func (h *hunt) everyWay(w *world, worker *role, flows []deployed, cookie string) (ways int) {
	t := h.t
	t.Helper()
	held := w.postAsync(flows[0].PathURL, `{"way":"hold"}`, as("abc-123"))
	eventually(t, asLongAsItTakes, "the held run does not start", func() bool { calls, _ := w.vendor.of("hold"); return len(calls) == 1 })
	h.processes(w, worker.process)

	for line := range strings.SplitSeq(leaking, "\n") {
		way, found := strings.CutPrefix(strings.TrimSpace(line), `case "`)
		if way, _, _ = strings.Cut(way, `"`); !found || way == "hold" {
			continue
		}
		ways++
		for _, d := range flows {
			a := w.post(d.PathURL, fmt.Sprintf(`{"way":%q}`, way), as("abc-123"), func(r *http.Request) { r.Header.Set("Cookie", "c="+cookie) })
			h.answer("answer of "+way, a)
			if a.run() == "" {
				t.Errorf("%s: %v", way, a)
			}
			h.answer("result of "+way, w.result(a.run()))
			h.answer("run of "+way, w.result(a.run(), func(r *http.Request) { r.URL.Path = "/v1/runs/" + a.run() }))
		}
	}
	h.answer("answer of hold", soon(t, held))
	return ways
}

func (h *hunt) answer(place string, a answer) {
	h.t.Helper()
	if a.err != nil {
		h.t.Errorf("%s: %v", place, a.err)
	}
	h.look("answers", place, fmt.Appendf(nil, "%v %s", a.header, a.body))
}

// metrics reads those of every process of ours.
func (h *hunt) metrics(w *world) {
	h.t.Helper()
	h.metricsAt(w, append([]string{w.apiSide, w.side}, w.sides...)...)
}

func (h *hunt) metricsAt(w *world, sides ...string) {
	h.t.Helper()
	for _, side := range sides {
		req := must(http.NewRequest(http.MethodGet, "http://"+side+"/metrics", nil))(h.t)
		a := w.do(req)
		if a.status != http.StatusOK {
			h.t.Errorf("metrics of %s: %v", side, a)
		}
		h.look("metrics", side, []byte(a.body))
	}
}

// processes looks at the command lines and environments of our processes and of all below them.
func (h *hunt) processes(w *world, roots ...*process) {
	h.t.Helper()
	for _, p := range append(roots, w.api.process, w.ingress.process, w.nats.process) {
		h.tree(p, []byte("BEHALF_CLIENT_SECRET="+w.file.ClientSecret)) // the test put it there for the command line
	}
}

// tree looks at a process, but for what the test itself has put there, and at all below it.
func (h *hunt) tree(p *process, put []byte) {
	h.t.Helper()
	for _, pid := range family(p.cmd.Process.Pid) {
		for _, file := range []string{"cmdline", "environ"} {
			data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/" + file)
			if err != nil {
				h.t.Errorf("process %d below %s: %v", pid, p.name, err)
			}
			if pid == p.cmd.Process.Pid && len(put) > 0 {
				data = bytes.ReplaceAll(data, put, nil)
			}
			h.look("process listings", p.name+" "+strconv.Itoa(pid)+" "+file, data)
		}
	}
}

// family is a process and all below it.
func family(pid int) []int {
	all := []int{pid}
	tasks, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	for _, file := range tasks {
		children, _ := os.ReadFile(file)
		for word := range strings.FieldsSeq(string(children)) {
			if child, err := strconv.Atoi(word); err == nil {
				all = append(all, family(child)...)
			}
		}
	}
	return all
}

// streams reads every message of every stream, and so every bucket and object.
func (h *hunt) streams(w *world) {
	h.t.Helper()
	for _, env := range behalf.Environments() {
		_, js := w.nats.connect(h.t, env)
		h.streamsOf(js)
	}
}

func (h *hunt) streamsOf(js jetstream.JetStream) {
	h.t.Helper()
	names := js.StreamNames(h.t.Context())
	for name := range names.Name() {
		h.places["streams"]++
		for _, m := range messages(h.t, js, name, ">") {
			h.look("messages", name+" "+m.Subject, fmt.Appendf(nil, "%s %v %s", m.Subject, m.Header, m.Data))
		}
	}
	if err := names.Err(); err != nil {
		h.t.Error(err)
	}
}

// vaultPaths looks at what Vault calls everything that lies in it, and at what it keeps beside it.
func (h *hunt) vaultPaths(v *vaultServer) {
	h.t.Helper()
	for _, env := range behalf.Environments() {
		h.belowVault(v, "behalf-"+string(env)+"/metadata/", "")
	}
	if h.places["vault paths"] == 0 {
		h.t.Error("no vault paths were looked through")
	}
}

func (h *hunt) belowVault(v *vaultServer, mount, folder string) {
	h.t.Helper()
	list := must(v.root.Logical().ListWithContext(h.t.Context(), mount+folder))(h.t)
	if list == nil {
		return
	}
	names, _ := list.Data["keys"].([]any)
	for _, each := range names {
		name := folder + fmt.Sprint(each)
		if strings.HasSuffix(name, "/") {
			h.belowVault(v, mount, name)
			continue
		}
		beside := must(v.root.Logical().ReadWithContext(h.t.Context(), mount+name))(h.t)
		h.look("vault paths", mount+name, fmt.Appendf(nil, "%s %v", name, beside.Data))
	}
}

// files reads every file of the test: logs, the data folder, the store of NATS.
func (h *hunt) files(w *world) {
	h.t.Helper()
	err := filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close() //nolint:errcheck // it was only read
		data, err := io.ReadAll(f)
		h.look("files", path, data)
		return err
	})
	if err != nil {
		h.t.Error(err)
	}
}
