package subject_test

import (
	"strings"
	"testing"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

const run = behalf.RunID("run_0198f3a0c1d27e0f8a1b2c3d4e5f6071")

// badTokens is what strangers send where an id should be.
func badTokens() []string {
	return []string{
		"", ".", "..", "a..b", ".a", "a.", "*", ">", "proj_*", "p_>", "proj_a.b", "p_a.b", "$JS.API.X", "$KV.x", "_INBOX.x", "proj_a b", "p_a\tb",
		"proj_a\r\n", "p_a\x00", "proj_" + strings.Repeat("a", 4096), "p_\xff", "proj_a/b", "p_%2e%2e", `proj_a\b`, "p_\u202ea", "proj_\u0430", "p_é", "p_\U0001F600",
		"proj_", "p_", "proj_a_b", "p_a-b", "true", "null", "__proto__", "constructor",
	}
}

func TestSpelling(t *testing.T) {
	t.Parallel()
	keyed := behalf.KeyedRunID("k")
	spelled := func(s string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	prefix := func(r behalf.RunID) subject.Prefix {
		t.Helper()
		p, err := subject.Run{Environment: "production", Project: "proj_a", Workflow: "p_b", Run: r}.Prefix()
		return subject.Prefix(spelled(string(p), err))
	}
	for got, want := range map[string]string{
		spelled(subject.Event{Environment: "production", Lane: "shared", Project: "proj_a", Workflow: "p_b"}.Subject()): "evt.production.shared.proj_a.p_b",
		spelled(subject.Fired{Lane: "limited", Project: "proj_a", Workflow: "p_b"}.Subject()):                           "timer.fired.limited.proj_a.p_b",
		spelled(subject.TimerSet("proj_a", run)):                                                                        "timer.set.proj_a." + string(run),
		spelled(subject.Dead("development", "proj_a", "p_b")):                                                           "dead.development.proj_a.p_b",
		prefix(run).Record("finish", "ok", "-"):                                                                         "run.production.proj_a.p_b." + string(run) + ".finish.ok.-",
		prefix(run).Filter():                                                                                            "run.production.proj_a.p_b." + string(run) + ".>",
		prefix(keyed).Filter():                                                                                          "key.production.proj_a.p_b." + string(keyed) + ".>",
		subject.JournalOf("production", run):                                                                            "RUNS_production",
		subject.JournalOf("production", keyed):                                                                          "KEYED_production",
		spelled(subject.SharedConsumer("proj_a")):                                                                       "shared-proj_a",
		subject.SharedEvents("production", "proj_a"):                                                                    "evt.production.shared.proj_a.*",
		subject.SharedTimers("proj_a"):                                                                                  "timer.fired.shared.proj_a.*",
		subject.Reply("in", "1"):                                                                                        "rsp.in.1",
		subject.AccountKey("proj_a", "", "slack", "apn_1"):                                                              "account.proj_a._own.slack.apn_1",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// Whatever is not one token of its alphabet is refused, wherever it stands.
func TestRefusal(t *testing.T) {
	t.Parallel()
	for _, bad := range badTokens() {
		for what, err := range map[string]error{
			"environment": second(subject.Event{Environment: behalf.Environment(bad), Lane: "shared", Project: "proj_a", Workflow: "p_b"}.Subject()),
			"lane":        second(subject.Event{Environment: "production", Lane: behalf.Lane(bad), Project: "proj_a", Workflow: "p_b"}.Subject()),
			"project":     second(subject.Event{Environment: "production", Lane: "shared", Project: behalf.ProjectID(bad), Workflow: "p_b"}.Subject()),
			"workflow":    second(subject.Event{Environment: "production", Lane: "shared", Project: "proj_a", Workflow: behalf.WorkflowID(bad)}.Subject()),
			"fired lane":  second(subject.Fired{Lane: behalf.Lane(bad), Project: "proj_a", Workflow: "p_b"}.Subject()),
			"fired":       second(subject.Fired{Lane: "shared", Project: "proj_a", Workflow: behalf.WorkflowID(bad)}.Subject()),
			"timer":       second(subject.TimerSet(behalf.ProjectID(bad), run)),
			"timer's run": second(subject.TimerSet("proj_a", behalf.RunID(bad))),
			"dead":        second(subject.Dead("production", behalf.ProjectID(bad), "p_b")),
			"run":         second(subject.Run{Environment: "production", Project: "proj_a", Workflow: "p_b", Run: behalf.RunID(bad)}.Prefix()),
			"run's world": second(subject.Run{Environment: behalf.Environment(bad), Project: "proj_a", Workflow: "p_b", Run: run}.Prefix()),
			"consumer":    second(subject.SharedConsumer(behalf.ProjectID(bad))),
			"read":        second(subject.ParseEvent("evt.production.shared.proj_a." + bad)),
			"read fired":  second(subject.ParseFired("timer.fired.shared." + bad + ".p_b")),
			"read record": second(subject.ParseRecord("run.production.proj_a." + bad + "." + string(run) + ".finish.ok.-")),
		} {
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("%s takes %q: %v", what, bad, err)
			}
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestCheckReply(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"rsp.a.b", "rsp.abc-1.X_9", "rsp." + strings.Repeat("a", 64) + ".1"} {
		if err := subject.CheckReply(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range append(badTokens(), "rsp", "rsp.a", "rsp..b", "rsp.a.", "rsp.a.b.c", "rsp.*.b", "rsp.a.*", "rsp.a.>", "RSP.a.b", "$JS.ACK.a",
		"rsp.a b.c", "rsp.a.b\r\n", "rsp.a."+strings.Repeat("a", 65), "evt.a.b", "reply.a.b") {
		if err := subject.CheckReply(bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestParseRecord(t *testing.T) {
	t.Parallel()
	for _, id := range []behalf.RunID{run, behalf.KeyedRunID("k")} {
		r := subject.Run{Environment: "development", Project: "proj_a", Workflow: "p_b", Run: id}
		p, err := r.Prefix()
		if err != nil {
			t.Fatal(err)
		}
		got, err := subject.ParseRecord(p.Record("wait", "delay", behalf.ExternalUserID("abc").Hash()))
		if err != nil || got.Run != r || got.Kind != "wait" || got.State != "delay" || got.User != behalf.ExternalUserID("abc").Hash() {
			t.Errorf("%+v, %v", got, err)
		}
		if project, workflow := subject.OwnerOf(p.Filter()); project != "proj_a" || workflow != "p_b" {
			t.Errorf("of %s, %s", project, workflow)
		}
	}
	for _, bad := range []string{
		"key.development.proj_a.p_b." + string(run) + ".finish.ok.-", // a run that has no key
		"run.development.proj_a.p_b." + string(behalf.KeyedRunID("k")) + ".finish.ok.-",
		"run.development.proj_a.p_b." + string(run) + ".finish..-", "run.development.proj_a.p_b." + string(run) + ".finish.ok.",
		"run.development.proj_a.p_b." + string(run) + ".finish.ok", "run", "",
	} {
		if _, err := subject.ParseRecord(bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if project, workflow := subject.OwnerOf("evt.development.proj_a.p_b"); project != "" || workflow != "" {
		t.Errorf("an event is nobody's record: %s, %s", project, workflow)
	}
}

// No two texts meet at one token.
func TestEncode(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, s := range append(badTokens(), "a.b", "a_b", "A", "a", "own", "_own", "\x00", "\x00\x00", "aa") {
		e := subject.Encode(s)
		if strings.Trim(e, "abcdefghijklmnopqrstuvwxyz0123456789") != "" || e == "_own" {
			t.Errorf("%q is %q", s, e)
		}
		if other, ok := seen[e]; ok && other != s {
			t.Errorf("%q and %q meet at %s", s, other, e)
		}
		seen[e] = s
	}
}

func FuzzParse(f *testing.F) {
	for _, bad := range badTokens() {
		f.Add("evt.production.shared.proj_a." + bad)
		f.Add("timer.fired.shared." + bad + ".p_b")
		f.Add("run.production.proj_a.p_b." + bad + ".finish.ok.-")
		f.Add(bad)
	}
	f.Add("evt.production.shared.proj_a.p_b")
	f.Add("timer.fired.limited.proj_a.p_b")
	f.Add("run.production.proj_a.p_b." + string(run) + ".finish.ok.-")
	f.Fuzz(func(t *testing.T, s string) {
		if e, err := subject.ParseEvent(s); err == nil {
			if again, err := e.Subject(); err != nil || again != s {
				t.Errorf("event %q comes back as %q, %v", s, again, err)
			}
		}
		if e, err := subject.ParseFired(s); err == nil {
			if again, err := e.Subject(); err != nil || again != s {
				t.Errorf("timer %q comes back as %q, %v", s, again, err)
			}
		}
		if r, err := subject.ParseRecord(s); err == nil {
			p, err := r.Prefix()
			if again := p.Record(r.Kind, r.State, r.User); err != nil || again != s {
				t.Errorf("record %q comes back as %q, %v", s, again, err)
			}
		}
		if subject.CheckReply(s) == nil && (strings.Count(s, ".") != 2 || strings.ContainsAny(s, "*> \r\n\t\x00$/\\")) {
			t.Errorf("reply %q", s)
		}
	})
}

func FuzzSpell(f *testing.F) {
	f.Add("production", "shared", "proj_a", "p_b")
	f.Add("production", "shared", "proj_a.b", "p_*")
	f.Fuzz(func(t *testing.T, env, lane, project, workflow string) {
		e := subject.Event{
			Environment: behalf.Environment(env), Lane: behalf.Lane(lane), Project: behalf.ProjectID(project), Workflow: behalf.WorkflowID(workflow),
		}
		s, err := e.Subject()
		if err != nil {
			return
		}
		if again, err := subject.ParseEvent(s); err != nil || again != e {
			t.Errorf("%+v comes back as %+v, %v", e, again, err)
		}
	})
}
