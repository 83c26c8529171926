//go:build integration

package test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// plant is a harmless value that lies where the hunt for canaries must find it.
type plant struct{ name, kind, place string }

// plants are one for each kind of place that the hunt searches, and for each way in which a value comes there.
func plants() []plant {
	return []plant{
		{"printed by a step", "messages", "RUNS_development run."},
		{"printed by a step", "messages", "HIST_development hist."},
		{"printed by a step", "files", "/nats/jetstream/"},
		{"said in an answer", "answers", "planted"},
		{"put into a header", "answers", "planted"},
		{"put into a header", "answers", "result"},
		{"written into the code", "messages", "OBJECTS_development"},
		{"named as the workflow", "metrics", "ingress"},
		{"named as the workflow", "messages", "DEFINITIONS_development"},
		{"named as the user", "files", "/logs/worker-1.log"},
		{"set as a guest's title", "process listings", "cmdline"},
		{"put into a worker's environment", "process listings", "environ"},
		{"laid into the data folder", "files", "/data/planted"},
		{"put into a bucket", "messages", "SEALED_production"},
		{"sent in a header of a message", "messages", "DEAD_development"},
		{"named in a subject", "messages", "DEAD_production"},
	}
}

// planting is a step that puts values where a step can: into its code, its logs, its answer and its process.
const planting = `// WRITTEN
export default defineComponent({ async run({ $ }) {
  console.log("PRINTED");
  process.title = "TITLE";
  $.respond({ status: 200, headers: { "x-planted": "HEADER" }, body: "SAID" });
} });
`

// The hunt for canaries finds what lies in the places that it looks through: where TestCanaries finds nothing, nothing is.
func TestTheHuntFindsWhatIsPlanted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	secrets := map[string]string{}
	var canaries []canary
	for _, p := range plants() {
		if secrets[p.name] == "" {
			secrets[p.name] = rand.Text()
			canaries = append(canaries, newCanary(p.name, secrets[p.name]))
		}
	}
	h := newHunt(t, append(canaries, newCanary("never planted", rand.Text()))...)
	worker := w.workerOf(program(t, behalfProgram), development, []string{"PLANTED=" + secrets["put into a worker's environment"]})
	step := strings.NewReplacer("WRITTEN", secrets["written into the code"], "PRINTED", secrets["printed by a step"],
		"TITLE", secrets["set as a guest's title"], "HEADER", secrets["put into a header"], "SAID", secrets["said in an answer"]).Replace(planting)
	d := w.deploy("planted", map[string]string{
		"workflow.yaml": "id: p_" + secrets["named as the workflow"] + "\n" + flow("oauth", "custom", "", "only"), "only.mjs": step,
	})
	write(t, filepath.Join(w.folder("data"), "planted"), secrets["laid into the data folder"])
	plantMessages(w, secrets)

	a := w.post(d.PathURL, `{}`, as(secrets["named as the user"]))
	h.answer("planted", a)
	h.answer("result", w.result(a.run()))
	w.idle()
	h.processes(w, worker.process) // a guest is kept for a while after its run, with its title
	h.metrics(w)
	h.streams(w)
	h.files(w)

	for _, p := range plants() {
		place := strings.Replace(p.place, "ingress", w.side, 1)
		if !slices.ContainsFunc(h.found, func(f finding) bool {
			return f.canary == p.name && f.kind == p.kind && strings.Contains(f.place, place)
		}) {
			t.Errorf("what was %s is not found in %s %s", p.name, p.kind, p.place)
		}
	}
	for _, f := range h.found {
		if f.canary == "never planted" {
			t.Errorf("what was never planted is found in %s %s: %q", f.kind, f.place, f.around)
		}
	}
	t.Logf("%d places of what was planted, %d findings in all; looked through %v", len(plants()), len(h.found), h.places)
}

// plantMessages puts values into messages as no part of Behalf does.
func plantMessages(w *world, secrets map[string]string) {
	w.t.Helper()
	_, js := w.nats.connect(w.t, production)
	bucket := must(js.KeyValue(w.t.Context(), subject.Sealed(production)))(w.t)
	must(bucket.PutString(w.t.Context(), "planted", secrets["put into a bucket"]))(w.t)
	must(js.Publish(w.t.Context(), "dead."+string(production)+".planted."+secrets["named in a subject"], nil))(w.t)
	must(w.js.PublishMsg(w.t.Context(), &nats.Msg{
		Subject: "dead." + string(behalf.Development) + ".planted.planted",
		Header:  nats.Header{"Planted": {secrets["sent in a header of a message"]}},
	}))(w.t)
}

// A secret is known again in every encoding that TestCanaries lets a step try, and nothing else is taken for it.
func TestTheHuntKnowsItsCanaries(t *testing.T) {
	t.Parallel()
	secret := "canary+access/" + rand.Text()
	encoded := func(before, after string) string {
		return base64.StdEncoding.EncodeToString([]byte(before + secret + after))
	}
	for name, data := range map[string]string{
		"as it is": "x" + secret + "y", "in a url": url.QueryEscape(secret), "in hexadecimal": hex.EncodeToString([]byte(secret)),
		"base64": encoded("", ""), "base64 after one": encoded("a", "z"), "base64 after two": encoded("ab", "yz"),
		"base64 after three": encoded("abc", "xyz"), "base64 as credentials": encoded("user:", "\n"),
	} {
		h := newHunt(t, newCanary("the secret", secret))
		if h.look("texts", name, []byte(data)); len(h.found) != 1 {
			t.Errorf("%s: found %v", name, h.found)
		}
	}
	h := newHunt(t, newCanary("the secret", secret))
	for _, other := range []string{"", "canary+access/" + rand.Text(), secret[:len(secret)-1], base64.StdEncoding.EncodeToString([]byte("canary+access/"))} {
		h.look("texts", other, []byte(other))
	}
	if len(h.found) > 0 {
		t.Errorf("taken for the secret: %v", h.found)
	}
}
