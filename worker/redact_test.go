package worker_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/bustest"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
	"github.com/behalf-dev/behalf/pkg/step"
	"github.com/behalf-dev/behalf/pkg/subject"
	"github.com/behalf-dev/behalf/worker"
)

const canary = `xoxb-canary/"7f3a"+&ü`

// forms are the ways in which a careless step gives its token away.
func forms() map[string]string {
	quoted, _ := json.Marshal(canary)
	return map[string]string{
		"plain": canary, "JSON": string(quoted[1 : len(quoted)-1]), "base64": base64.StdEncoding.EncodeToString([]byte(canary)),
		"basic": base64.StdEncoding.EncodeToString([]byte("me:" + canary)), "hex": hex.EncodeToString([]byte(canary)), "query": url.QueryEscape(canary),
	}
}

// traces finds what a form of the canary would leave: its middle, whatever stands around it.
func traces(t *testing.T, where, text string) {
	t.Helper()
	for name, form := range forms() {
		if middle := form[len(form)/3 : 2*len(form)/3]; strings.Contains(text, middle) {
			t.Errorf("%s holds the token (%s): …%s…", where, name, middle)
		}
	}
}

func TestASecretIsInNothingThatARunLeavesBehind(t *testing.T) {
	t.Parallel()
	all := ""
	for _, form := range forms() {
		all += form + " "
	}
	exports, err := json.Marshal(map[string]any{"all": all, "as a key": map[string]int{canary: 1}, "nested": []any{map[string]any{"token": canary}}})
	if err != nil {
		t.Fatal(err)
	}
	careless := behalf.Outcome{
		Exports: exports, Logs: []behalf.Log{{At: time.Now(), Stream: "stdout", Text: all}, {Stream: "stderr", Text: all}},
		Response: &behalf.Response{Text: all, Headers: map[string]string{"x-token": all, "x-" + canary: "1"}},
	}
	for name, outcome := range map[string]func() (behalf.Outcome, error){
		"a step that ends well": func() (behalf.Outcome, error) { return careless, nil },
		"a step that ends the run": func() (behalf.Outcome, error) {
			o := careless
			o.Exit = &behalf.Exit{Reason: all}
			return o, nil
		},
		"a step that answers bytes": func() (behalf.Outcome, error) {
			return behalf.Outcome{Response: &behalf.Response{Binary: append([]byte{0xff}, all...)}}, nil
		},
		"a step that throws": func() (behalf.Outcome, error) {
			o := careless
			o.Err = &behalf.StepError{Name: all, Message: all, Stack: all}
			return o, nil
		},
		"a failure of ours that waits": func() (behalf.Outcome, error) {
			return behalf.Outcome{}, fault.New(fault.Unavailable, "step.Run", all)
		},
		"a failure of ours that is final": func() (behalf.Outcome, error) {
			return behalf.Outcome{}, fault.New(fault.Invalid, "step.Run", all)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			v := using(version("one", "two"))
			v.Settings.Retries = new(1)
			w.store.version(v)
			w.credentials = func(context.Context, behalf.Account) (worker.Auth, error) {
				token := secret.New(canary)
				return worker.Auth{Fields: map[string]secret.String{"token": token}, Secrets: []secret.String{token}}, nil
			}
			failures, tokens := 0, 0
			w.runner = func(_ context.Context, c step.Call) (behalf.Outcome, error) {
				if c.Step.Name == "one" && c.Apps["slack"].Auth["token"].Reveal() == canary {
					tokens++
				}
				traces(t, "what a step reads of those before", string(c.Steps))
				o, err := outcome()
				if err != nil {
					failures++
				}
				if fault.Is(err, fault.Unavailable) && failures > 1 {
					return says("at last"), nil
				}
				return o, err
			}
			tap, err := w.conn.NATS().SubscribeSync(">")
			w.must(err)
			t.Cleanup(func() { _ = tap.Unsubscribe() })
			w.start(worker.Config{Registerer: w.reg})
			e := eventOf(alice)
			w.publish(e, "rsp.aaaaaaaaaaaaaaaaaaaaaaaaaa.1")
			for told := range w.told {
				text, err := json.Marshal(told.result)
				w.must(err)
				traces(t, "an answer", string(text))
				if r := told.result.Response; r != nil {
					traces(t, "an answer's bytes", string(r.Binary))
				}
				if told.result.State.Finished() {
					break
				}
			}
			w.settled()
			if tokens == 0 {
				t.Fatal("no step had the token at all")
			}
			for _, stream := range []string{
				subject.Events(bustest.Environment), subject.Runs(bustest.Environment), subject.Keyed(bustest.Environment),
				subject.History(bustest.Environment), subject.Timers(bustest.Environment), subject.DeadLetters(bustest.Environment),
			} {
				for _, m := range w.messages(stream) {
					traces(t, stream, m.Message.Subject+" "+string(m.Message.Data))
				}
			}
			heard := 0
			for ; ; heard++ {
				m, err := tap.NextMsg(200 * time.Millisecond)
				if err != nil {
					break
				}
				if _, is := strings.CutPrefix(m.Subject, "_INBOX"); is { // also what this test has read of the streams, in base64
					continue
				}
				traces(t, "the wire", m.Subject+" "+string(m.Data))
			}
			if heard < 3 {
				t.Errorf("only %d messages were heard", heard)
			}
			traces(t, "the log", w.logs.String())
			families, err := w.reg.Gather()
			w.must(err)
			for _, f := range families {
				var text strings.Builder
				_, err := expfmt.MetricFamilyToText(&text, f)
				w.must(err)
				traces(t, "a metric", text.String())
			}
		})
	}
}
