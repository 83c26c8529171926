//go:build integration

package test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/behalf-dev/behalf/pkg/subject"
)

// fetching is a workflow that answers with what it reads at each URL of the request's body.
func fetching() map[string]string {
	return map[string]string{
		"workflow.yaml": flow("oauth", "custom", "", "only"),
		"only.mjs": `import { createHash } from "crypto";
export default defineComponent({ async run({ steps, $ }) {
  const read = async (at) => {
    const res = await fetch(at.url ?? at.raw_body_url);
    const bytes = Buffer.from(await res.arrayBuffer());
    return { status: res.status, size: bytes.length, sha: createHash("sha256").update(bytes).digest("hex"), type: res.headers.get("content-type"), ...at };
  };
  const seen = {};
  const body = steps.trigger.event.body;
  if (body.raw_body_url) seen.raw = await read(body);
  else for (const [name, value] of Object.entries(body)) seen[name] = value.url ? await read(value) : Array.isArray(value) && value[0].url ? await Promise.all(value.map(read)) : value;
  $.respond({ status: 200, body: seen });
} });
`,
	}
}

// seen is what such a workflow says of one URL.
type seen struct {
	Status   int    `json:"status"`
	Size     int    `json:"size"`
	SHA      string `json:"sha"`
	Type     string `json:"type"`
	URL      string `json:"url"`
	Raw      string `json:"raw_body_url"`
	Filename string `json:"filename"`
	Mimetype string `json:"mimetype"`
}

// is says whether it was read whole.
func (s seen) is(content string) bool {
	return s.Status == http.StatusOK && s.Size == len(content) && s.SHA == fmt.Sprintf("%x", sha256.Sum256([]byte(content)))
}

// upload is a part of a form that is a file.
type upload struct{ field, disposition, mimetype, content string }

// formOf writes a multipart form with a field and files, whose dispositions stand as they are.
func formOf(t *testing.T, files ...upload) (func(*http.Request), string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	if err := w.WriteField("title", "a füll form"); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		part := must(w.CreatePart(textproto.MIMEHeader{
			"Content-Disposition": {`form-data; name="` + f.field + `"; ` + f.disposition}, "Content-Type": {f.mimetype},
		}))(t)
		must(part.Write([]byte(f.content)))(t)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return header("Content-Type", w.FormDataContentType()), b.String()
}

func random(t *testing.T, size int) string {
	t.Helper()
	b := make([]byte, size)
	must(rand.Read(b))(t)
	return string(b)
}

// tells reads the answer of a workflow.
func (a answer) tells(t *testing.T, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), into); err != nil || a.status != http.StatusOK {
		t.Fatalf("%v: %v", a, err)
	}
}

// get asks as anybody may.
func (w *world) get(url string) answer {
	w.t.Helper()
	return w.do(must(http.NewRequest(http.MethodGet, url, http.NoBody))(w.t))
}

func (w *world) files() string { return w.file.IngressURL + "/e/files/development/" }

// A step reads the files of a form, and a body as it was sent, by their URLs. So does whoever is told of them.
func TestFilesAreReadByTheirURLs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker()
	d := w.deploy("fetching", fetching())
	image, large := "\x89PNG\r\n"+random(t, 1000), random(t, 6<<20)
	headers, body := formOf(t, upload{"one", `filename="é \"1\".png"`, "image/png", image}, upload{"two", `filename="b.bin"`, "application/octet-stream", large},
		upload{"two", `filename="../../etc/passwd"`, "text/plain", ""})
	var form struct {
		Title string `json:"title"`
		One   seen   `json:"one"`
		Two   []seen `json:"two"`
	}
	w.post(d.PathURL, body, headers).tells(t, &form)
	if form.Title != "a füll form" || len(form.Two) != 2 {
		t.Fatalf("%+v", form)
	}
	for content, s := range map[string]seen{image: form.One, large: form.Two[0], "": form.Two[1]} {
		if name, ok := strings.CutPrefix(s.URL, w.files()); !ok || len(name) != 43 || !s.is(content) || s.Type != s.Mimetype {
			t.Errorf("%d bytes: %+v", len(content), s)
		}
		if a := w.get(s.URL); a.status != http.StatusOK || a.body != content || !strings.HasPrefix(a.header.Get("Content-Disposition"), "attachment") {
			t.Errorf("%d bytes: %d, %d bytes, %v", len(content), a.status, len(a.body), a.header)
		}
	}
	if form.One.Filename != `é "1".png` || form.One.Mimetype != "image/png" || form.Two[1].Filename != "passwd" {
		t.Errorf("%+v", form)
	}

	bytes := random(t, 9<<20)
	for how, a := range map[string]answer{
		"header": w.post(d.PathURL, bytes, header("X-Pd-Upload-Body", "1", "Content-Type", "image/x-own")),
		"query":  w.post(d.PathURL+"?pipedream_upload_body=1", bytes, header("Content-Type", "image/x-own")),
	} {
		var told map[string]seen
		if a.tells(t, &told); !told["raw"].is(bytes) || told["raw"].Type != "image/x-own" || !strings.HasPrefix(told["raw"].Raw, w.files()) {
			t.Errorf("%s: %+v", how, told)
		}
	}
}

// Names are data: they lead nowhere, break no header and overflow no client.
func TestNamesOfFilesLeadNowhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker()
	d := w.deploy("fetching", fetching())
	long := strings.Repeat("n", 10<<10) + ".txt"
	for disposition, want := range map[string]string{
		`filename="..\\..\\x.txt"`: "x.txt", `filename*=UTF-8''%E2%82%AC%0d%0aX-A%3A%20b.txt`: "€\r\nX-A: b.txt",
		`filename="` + long + `"`: long, `filename="__proto__"`: "__proto__", "filename=\"\xff.txt\"": "\ufffd.txt",
	} {
		headers, body := formOf(t, upload{"f", disposition, "text/html", "<script>"})
		var form struct {
			F seen `json:"f"`
		}
		w.post(d.PathURL, body, headers).tells(t, &form)
		if form.F.Filename != want || !form.F.is("<script>") {
			t.Errorf("%.60q: %.60q, %d", disposition, form.F.Filename, form.F.Status)
		}
		a := w.get(form.F.URL)
		if got := a.header.Get("Content-Disposition"); !strings.HasPrefix(got, "attachment; filename") || len(got) > 2<<10 || a.header.Get("X-A") != "" || a.header.Get("Content-Security-Policy") != "sandbox" {
			t.Errorf("%.60q: %.200q %v", disposition, got, a.header.Get("X-A"))
		}
	}
	for _, path := range []string{"", "x", strings.Repeat("A", 43), strings.Repeat("A", 44), "../production/" + strings.Repeat("A", 43), strings.Repeat("*", 43), "%2e%2e%2f" + strings.Repeat("A", 34)} {
		if a := w.get(w.files() + path); a.status != http.StatusNotFound {
			t.Errorf("%s: %v", path, a)
		}
	}
	many := make([]upload, 101)
	for i := range many {
		many[i] = upload{"f", "filename=a", "text/plain", "x"}
	}
	headers, body := formOf(t, many...)
	if a := w.post(d.PathURL, body, headers); a.status != http.StatusBadRequest || a.run() != "" || !strings.Contains(a.body, "100 files") {
		t.Errorf("101 files: %v", a)
	}
}

// Where a file cannot be kept nothing is accepted, and whoever sends it is told to come again.
func TestFilesThatCannotBeKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker()
	d := w.deploy("fetching", fetching())
	w.mustRun("", "provision", "--json", "--ack-wait", ackWait.String(), "--storage", "128MiB") // 16 MiB for the files of each environment
	headers, body := formOf(t, upload{"f", "filename=a", "text/plain", random(t, 9<<20)})
	var first struct {
		F seen `json:"f"`
	}
	w.post(d.PathURL, body, headers).tells(t, &first)
	refused := func(what string, a answer) {
		t.Helper()
		if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || a.run() != "" {
			t.Errorf("%s: %v, %v", what, a, a.header)
		}
	}
	w.idle()
	before := len(w.journal())
	refused("a full store", w.post(d.PathURL, body, headers))
	if a := w.post(d.PathURL, `{"a":1}`); a.status != http.StatusOK { // who sends no file is served
		t.Errorf("%v", a)
	}
	w.idle()
	if after := len(w.journal()); after != before+1 {
		t.Errorf("%d runs, %d before", after, before)
	}
	if a := w.get(first.F.URL); a.status != http.StatusOK || len(a.body) != 9<<20 {
		t.Errorf("the first file: %d, %d bytes", a.status, len(a.body))
	}

	store := must(w.js.Stream(t.Context(), subject.ObjectStream(subject.Files(development))))(t)
	cfg := store.CachedInfo().Config
	cfg.MaxAge, cfg.Duplicates = time.Second, time.Second // instead of half an hour
	must(w.js.UpdateStream(t.Context(), cfg))(t)
	eventually(t, asLongAsItTakes, "the file does not end", func() bool { return w.get(first.F.URL).status == http.StatusNotFound })
	cfg.MaxAge = 30 * time.Minute
	must(w.js.UpdateStream(t.Context(), cfg))(t)
	w.post(d.PathURL, body, headers).tells(t, &first) // there is room again

	w.nats.kill()
	headers, body = formOf(t, upload{"f", "filename=a", "text/plain", "x"})
	refused("NATS away", w.post(d.PathURL, body, headers))
	if a := w.get(first.F.URL); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Errorf("a file, while NATS is away: %v", a)
	}
}

// A NATS that an older release has provisioned is told apart, and what makes it whole is said.
func TestAnIngressSaysWhatIsNotProvisioned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.js.DeleteStream(t.Context(), subject.ObjectStream(subject.Files(development))); err != nil {
		t.Fatal(err)
	}
	_, stderr, code := w.run("", "ingress")
	if code == 0 || !strings.Contains(stderr, "FILES_development is not there: behalf provision makes it") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	w.mustRun("", "provision", "--json", "--ack-wait", ackWait.String())
	if _, err := w.js.Stream(t.Context(), subject.ObjectStream(subject.Files(development))); err != nil {
		t.Error(err)
	}
}

// told is a workflow of two steps that tells what it is given, in every way.
var tellsAll = map[string]string{
	"workflow.yaml": flow("oauth", "custom", "", "one", "two"),
	"one.mjs": `export default defineComponent({ async run({ steps, $ }) {
  const body = steps.trigger.event.body;
  console.log(body.canary);
  $.export("said", body.canary + "x".repeat(body.size ?? 0));
  return body;
} });
`,
	"two.mjs": `export default defineComponent({ async run({ steps, $ }) {
  const { way, canary } = steps.trigger.event.body;
  const res = await fetch("VENDOR/call", { method: "POST", body: JSON.stringify({ event: way }), headers: { "idempotency-key": $.context.idempotency_key } });
  await res.arrayBuffer();
  if (way === "held") await new Promise((done) => setTimeout(done, 3000));
  if (way === "throw") throw new Error("because of " + steps.one.said.slice(0, 100));
  console.error(canary);
  $.respond({ status: 200, headers: { "x-canary": canary }, body: canary + steps.one.said.length });
} });
`,
}

// Of a run with x-pd-nostore nothing lies anywhere in NATS when it is over, whatever its steps did with what it was given,
// and whoever died meanwhile. The same run without it is found.
func TestNothingIsStored(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	worker := w.worker()
	d := w.deploy("telling", tellsAll)
	secret, control := "kept-by-nobody-"+rand.Text(), "kept-as-ever-"+rand.Text()
	h := newHunt(t, newCanary("the secret", secret), newCanary("the control", control))
	event := func(way, canary string, size int) string {
		return fmt.Sprintf(`{"way":%q,"canary":%q,"size":%d,"pad":%q}`, way, canary, size, strings.Repeat("p", size/4))
	}
	nothing := header("X-Pd-Nostore", "1")
	var runs []string
	for _, size := range []int{0, 2 << 20} {
		a := w.post(d.PathURL, event("tell", secret, size), nothing)
		if a.status != http.StatusOK || a.body != fmt.Sprintf("%s%d", secret, len(secret)+size) || a.header.Get("X-Canary") != secret {
			t.Errorf("%d: %.200v", size, a)
		}
		failed := w.post(d.PathURL, event("throw", secret, size), nothing)
		if failed.status != http.StatusBadRequest || !strings.Contains(failed.body, "because of "+secret) {
			t.Errorf("%d: %.200v", size, failed)
		}
		runs = append(runs, a.run(), failed.run())
	}
	headers, body := formOf(t, upload{"canary", "filename=a", "text/plain", secret})
	if a := w.post(d.PathURL, body, headers, nothing); a.run() == "" {
		t.Errorf("%v", a)
	}

	held := w.postAsync(d.PathURL, event("held", secret, 2<<20), nothing)
	eventually(t, asLongAsItTakes, "the held run does not start", func() bool { calls, _ := w.vendor.of("held"); return len(calls) > 0 })
	worker.kill()
	w.worker()
	if a := soon(t, held); a.status != http.StatusOK || !strings.HasPrefix(a.body, secret) {
		t.Errorf("after the worker was killed: %.200v", a)
	}
	w.post(d.PathURL, event("tell", control, 0))
	w.idle()

	h.streams(w)
	controls := 0
	for _, f := range h.found {
		if f.canary == "the control" {
			controls++
			continue
		}
		t.Errorf("%s found in %s %s: …%q…", f.canary, f.kind, f.place, f.around)
	}
	if controls < 2 { // its finish, and the step before
		t.Errorf("the control was found %d times: nothing was looked through", controls)
	}
	want := []struct{ status, code string }{{"410", "answer_not_kept"}, {"400", "step_failed"}}
	for i, run := range runs {
		a := w.result(run)
		if fmt.Sprint(a.status) != want[i%2].status || a.code() != want[i%2].code || strings.Contains(a.body, secret) {
			t.Errorf("%v, want %v", a, want[i%2])
		}
		shown := w.mustRun("", "runs", "show", run, "--env", "development", "--json")
		if strings.Contains(shown, secret) || !strings.Contains(shown, `"two"`) {
			t.Errorf("shown as %s", shown)
		}
	}
	var left uint64
	for _, name := range []string{subject.Parked(development), subject.Files(development)} {
		chunks := must(must(w.js.Stream(t.Context(), subject.ObjectStream(name)))(t).Info(t.Context(), jetstream.WithSubjectFilter(subject.ObjectChunks(name))))(t)
		left += uint64(len(chunks.State.Subjects))
	}
	if left > 0 {
		t.Errorf("%d objects are left", left)
	}
}
