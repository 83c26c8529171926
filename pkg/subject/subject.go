// Package subject spells every NATS subject, stream, bucket and consumer name, and reads them back.
//
// It never rewrites an id to make it fit: what is not one token of its own alphabet is refused, because a rewrite lets
// two ids meet on one subject. It never talks to NATS.
package subject

import (
	"hash/fnv"
	"strconv"
	"strings"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// Event is the subject of events of one workflow: evt.{environment}.{lane}.{project}.{workflow}.
type Event struct {
	Environment behalf.Environment
	Lane        behalf.Lane
	Project     behalf.ProjectID
	Workflow    behalf.WorkflowID
}

// Subject spells it. An id that is not one token of its alphabet is refused, kind Invalid.
func (s Event) Subject() (string, error) {
	if err := s.check(); err != nil {
		return "", err
	}
	return "evt." + string(s.Environment) + "." + string(s.Lane) + "." + string(s.Project) + "." + string(s.Workflow), nil
}

func (s Event) check() error {
	if err := checkLane(s.Lane); err != nil {
		return err
	}
	return check(s.Environment, s.Project, s.Workflow)
}

// ParseEvent reads an event's subject.
func ParseEvent(subject string) (Event, error) {
	t := strings.Split(subject, ".")
	if len(t) != 5 || t[0] != "evt" {
		return Event{}, malformed("evt.{environment}.{lane}.{project}.{workflow}")
	}
	s := Event{behalf.Environment(t[1]), behalf.Lane(t[2]), behalf.ProjectID(t[3]), behalf.WorkflowID(t[4])}
	return s, s.check()
}

// Fired is the subject of a timer's message that has become due: timer.fired.{lane}.{project}.{workflow}.
type Fired struct {
	Lane     behalf.Lane
	Project  behalf.ProjectID
	Workflow behalf.WorkflowID
}

// Subject spells it, or refuses.
func (s Fired) Subject() (string, error) {
	if err := s.check(); err != nil {
		return "", err
	}
	return "timer.fired." + string(s.Lane) + "." + string(s.Project) + "." + string(s.Workflow), nil
}

func (s Fired) check() error {
	if err := checkLane(s.Lane); err != nil {
		return err
	}
	return check(behalf.Production, s.Project, s.Workflow)
}

// ParseFired reads a fired timer's subject.
func ParseFired(subject string) (Fired, error) {
	t := strings.Split(subject, ".")
	if len(t) != 5 || t[0] != "timer" || t[1] != "fired" {
		return Fired{}, malformed("timer.fired.{lane}.{project}.{workflow}")
	}
	s := Fired{behalf.Lane(t[2]), behalf.ProjectID(t[3]), behalf.WorkflowID(t[4])}
	return s, s.check()
}

// FiredOf matches the fired timers of one workflow, in every lane.
func FiredOf(project behalf.ProjectID, workflow behalf.WorkflowID) (string, error) {
	if err := check(behalf.Production, project, workflow); err != nil {
		return "", err
	}
	return "timer.fired.*." + string(project) + "." + string(workflow), nil
}

// TimerSet is the subject on which a run's timer is set: timer.set.{project}.{run}. A second message replaces the
// first, and a purge of the subject cancels it.
func TimerSet(project behalf.ProjectID, run behalf.RunID) (string, error) {
	if _, err := behalf.ParseProjectID(string(project)); err != nil {
		return "", err
	}
	if _, err := behalf.ParseRunID(string(run)); err != nil {
		return "", err
	}
	return "timer.set." + string(project) + "." + string(run), nil
}

// Dead is the subject of dead letters of one workflow: dead.{environment}.{project}.{workflow}.
func Dead(env behalf.Environment, project behalf.ProjectID, workflow behalf.WorkflowID) (string, error) {
	if err := check(env, project, workflow); err != nil {
		return "", err
	}
	return "dead." + string(env) + "." + string(project) + "." + string(workflow), nil
}

// ParseDead reads the subject of a dead letter.
func ParseDead(subject string) (behalf.ProjectID, behalf.WorkflowID, error) {
	return parseOwned("dead", subject)
}

// Test is the subject of test events of one workflow: test.{environment}.{project}.{workflow}.
func Test(env behalf.Environment, project behalf.ProjectID, workflow behalf.WorkflowID) (string, error) {
	if err := check(env, project, workflow); err != nil {
		return "", err
	}
	return "test." + string(env) + "." + string(project) + "." + string(workflow), nil
}

// ParseTest reads the subject of a test event.
func ParseTest(subject string) (behalf.ProjectID, behalf.WorkflowID, error) {
	return parseOwned("test", subject)
}

// parseOwned reads {word}.{environment}.{project}.{workflow}.
func parseOwned(word, subject string) (behalf.ProjectID, behalf.WorkflowID, error) {
	t := strings.Split(subject, ".")
	if len(t) != 4 || t[0] != word {
		return "", "", malformed(word + ".{environment}.{project}.{workflow}")
	}
	project, workflow := behalf.ProjectID(t[2]), behalf.WorkflowID(t[3])
	return project, workflow, check(behalf.Environment(t[1]), project, workflow)
}

// OwnedBy matches what such a stream, of dead letters or test events, holds of one project, or of one workflow of it.
func OwnedBy(word string, env behalf.Environment, project behalf.ProjectID, workflow behalf.WorkflowID) (string, error) {
	known := workflow
	if workflow == "" {
		known = "p_any" // checked like the others, then replaced: a wildcard is no id
	}
	if err := check(env, project, known); err != nil {
		return "", err
	}
	if workflow == "" {
		known = "*"
	}
	return word + "." + string(env) + "." + string(project) + "." + string(known), nil
}

// Stop is the core subject on which workers are told that a run shall stop: stop.{environment}.{run}.
func Stop(env behalf.Environment, run behalf.RunID) (string, error) {
	if _, err := behalf.ParseEnvironment(string(env)); err != nil {
		return "", err
	}
	if _, err := behalf.ParseRunID(string(run)); err != nil {
		return "", err
	}
	return "stop." + string(env) + "." + string(run), nil
}

// Stops matches every such word of one environment.
func Stops(env behalf.Environment) string { return "stop." + string(env) + ".*" }

// ParseStop reads the run out of such a subject.
func ParseStop(subject string) (behalf.RunID, error) {
	t := strings.Split(subject, ".")
	if len(t) != 3 || t[0] != "stop" {
		return "", malformed("stop.{environment}.{run}")
	}
	return behalf.ParseRunID(t[2])
}

// Run is the place of a run's journal: run.{environment}.{project}.{workflow}.{run}.{kind}.{state}.{user}, or key.…
// for a run that was made from an idempotency key.
type Run struct {
	Environment behalf.Environment
	Project     behalf.ProjectID
	Workflow    behalf.WorkflowID
	Run         behalf.RunID
}

// Prefix spells all but kind, state and user, or refuses. Record and Filter build on it, so that a fence and the
// record it guards can never name two runs.
func (s Run) Prefix() (Prefix, error) {
	if err := check(s.Environment, s.Project, s.Workflow); err != nil {
		return "", err
	}
	if _, err := behalf.ParseRunID(string(s.Run)); err != nil {
		return "", err
	}
	word := "run."
	if s.Run.Keyed() {
		word = "key."
	}
	return Prefix(word + string(s.Environment) + "." + string(s.Project) + "." + string(s.Workflow) + "." + string(s.Run)), nil
}

// Prefix is the checked beginning of the subjects of one run.
type Prefix string

// Record spells the subject of a record. State and user come from behalf.Record.State and ExternalUserID.Hash, which
// give single tokens.
func (p Prefix) Record(kind behalf.RecordKind, state, user string) string {
	return string(p) + "." + string(kind) + "." + state + "." + user
}

// Filter matches every record of the run.
func (p Prefix) Filter() string { return string(p) + ".>" }

// Kind matches every record of the run of one kind.
func (p Prefix) Kind(kind behalf.RecordKind) string { return string(p) + "." + string(kind) + ".>" }

// UserRecords matches every record of the runs of one user, in Runs and in Keyed.
func UserRecords(env behalf.Environment, project behalf.ProjectID, user behalf.ExternalUserID) (runs, keyed string) {
	rest := string(env) + "." + string(project) + ".*.*.*.*." + user.Hash()
	return "run." + rest, "key." + rest
}

// HistoryPartitions is into how many parts History divides the users of a workflow.
const HistoryPartitions = 64

// UserHistory matches what History has of one user, and of those who share a part with them. The server counts parts by the
// same hash.
func UserHistory(env behalf.Environment, project behalf.ProjectID, user behalf.ExternalUserID) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(user.Hash())) // a hash never fails
	return "hist." + string(env) + "." + string(project) + ".*.*." + strconv.Itoa(int(h.Sum32()%HistoryPartitions))
}

// ProjectTimers matches the timers of a project that are set, and those that have fired.
func ProjectTimers(project behalf.ProjectID) (set, fired string) {
	return "timer.set." + string(project) + ".*", "timer.fired.*." + string(project) + ".*"
}

// ProjectDead matches the dead letters of a project.
func ProjectDead(env behalf.Environment, project behalf.ProjectID) string {
	return "dead." + string(env) + "." + string(project) + ".*"
}

// Record is a journal subject, read back.
type Record struct {
	Run
	Kind  behalf.RecordKind
	State string
	User  string
}

// ParseRecord reads the subject of a record.
func ParseRecord(subject string) (Record, error) {
	t := strings.Split(subject, ".")
	if len(t) != 8 || t[0] != "run" && t[0] != "key" {
		return Record{}, malformed("run.{environment}.{project}.{workflow}.{run}.{kind}.{state}.{user}")
	}
	r := Record{
		Run:  Run{behalf.Environment(t[1]), behalf.ProjectID(t[2]), behalf.WorkflowID(t[3]), behalf.RunID(t[4])},
		Kind: behalf.RecordKind(t[5]), State: t[6], User: t[7],
	}
	p, err := r.Prefix()
	if err != nil {
		return Record{}, err
	}
	if r.State == "" || r.User == "" || !strings.HasPrefix(string(p), t[0]+".") {
		return Record{}, malformed("run.{environment}.{project}.{workflow}.{run}.{kind}.{state}.{user}")
	}
	return r, nil
}

// Reply is the core subject on which an ingress hears a result: rsp.{ingress}.{request}.
func Reply(ingress, request string) string { return "rsp." + ingress + "." + request }

// Replies matches every reply to one ingress.
func Replies(ingress string) string { return "rsp." + ingress + ".*" }

// CredentialChanged is the core subject on which caches hear that a credential has changed, by its name:
// credential.changed.{environment}.{name}.
func CredentialChanged(env behalf.Environment, name string) string {
	return "credential.changed." + string(env) + "." + name
}

// CredentialChanges matches all of an environment.
func CredentialChanges(env behalf.Environment) string { return CredentialChanged(env, "*") }

// CheckReply refuses whatever is not a reply subject of an ingress, before a worker publishes to it: three tokens,
// the last two of letters, digits, - and _, at most 64 each.
func CheckReply(subject string) error {
	t := strings.Split(subject, ".")
	if len(t) != 3 || t[0] != "rsp" || !token(t[1]) || !token(t[2]) {
		return malformed("rsp.{ingress}.{request}")
	}
	return nil
}

func check(env behalf.Environment, project behalf.ProjectID, workflow behalf.WorkflowID) error {
	if _, err := behalf.ParseEnvironment(string(env)); err != nil {
		return err
	}
	if _, err := behalf.ParseProjectID(string(project)); err != nil {
		return err
	}
	_, err := behalf.ParseWorkflowID(string(workflow))
	return err
}

func checkLane(lane behalf.Lane) error {
	switch lane {
	case behalf.Shared, behalf.Limited:
		return nil
	}
	return fault.New(fault.Invalid, "subject.Lane", "lane must be shared or limited")
}

func token(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

func malformed(shape string) error {
	return fault.New(fault.Invalid, "subject.Parse", "subject is not "+shape)
}

// OwnerOf reads project and workflow out of the subject of a record, in a journal or in the history. Both are empty
// where it is neither.
func OwnerOf(subject string) (behalf.ProjectID, behalf.WorkflowID) {
	t := strings.Split(subject, ".")
	if len(t) < 4 || t[0] != "run" && t[0] != "key" && t[0] != "hist" {
		return "", ""
	}
	return behalf.ProjectID(t[2]), behalf.WorkflowID(t[3])
}
