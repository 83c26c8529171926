package behalf

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// The ids. Each is a type of its own, so that the compiler refuses one where another is due.
type (
	// ProjectID names a team's project: proj_ and letters or digits.
	ProjectID string
	// WorkflowID names a workflow of a project: p_ and letters or digits.
	WorkflowID string
	// VersionID names an immutable version of a workflow by its content: d_ and letters or digits.
	VersionID string
	// EndpointID names the URL of an HTTP trigger: en and 26 lower-case letters or digits, 128 bits at random. It is
	// compared case-insensitively, because clients lower-case whole URLs.
	EndpointID string
	// UserRecordID names our record of an external user: exu_ and letters or digits.
	UserRecordID string
	// AccountID names an account: apn_ and letters or digits.
	AccountID string
	// EventID names an event: evt_ and the 32 hexadecimal digits of its run.
	EventID string
	// RunID names a run: run_ and the 32 hexadecimal digits of a UUID, of version 7, or 8 where it was made from an
	// Idempotency-Key. So an id tells which stream keeps its journal.
	RunID string
	// ClientID names an OAuth client: oac_ and letters or digits.
	ClientID string
	// LetterID names a dead letter: dl_, its number, x and the time at which it was kept.
	LetterID string
	// OAuthAppID names a project's own client at a service: oa_ and letters or digits.
	OAuthAppID string
	// ObjectID names a stored object by its content and its project: hexadecimal digits.
	ObjectID string
)

// maxID is the longest id in bytes, prefix and all: what fits a NATS subject token with room to spare.
const maxID = 64

var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding) //nolint:gochecknoglobals // a constant in all but name

// NewProjectID makes a fresh project id.
func NewProjectID() ProjectID { return ProjectID("proj_" + random()) }

// NewEndpointID makes a fresh endpoint id.
func NewEndpointID() EndpointID { return EndpointID("en" + random()) }

// NewUserRecordID makes a fresh id for the record of an external user.
func NewUserRecordID() UserRecordID { return UserRecordID("exu_" + random()) }

// NewAccountID makes a fresh account id.
func NewAccountID() AccountID { return AccountID("apn_" + random()) }

// NewClientID makes a fresh OAuth client id.
func NewClientID() ClientID { return ClientID("oac_" + random()) }

// NewOAuthAppID makes a fresh id for a project's own client at a service.
func NewOAuthAppID() OAuthAppID { return OAuthAppID("oa_" + random()) }

// NewRunID makes a fresh run id: a UUIDv7, so ids sort by time.
func NewRunID() RunID {
	id := uuid.Must(uuid.NewV7())
	return RunID("run_" + hex.EncodeToString(id[:]))
}

// KeyedRunID makes the run id of an idempotency key. The same scope and key always give the same id.
func KeyedRunID(scope ...string) RunID {
	h := sha256.New()
	for _, part := range scope {
		sum := sha256.Sum256([]byte(part))
		h.Write(sum[:])
	}
	id := uuid.UUID(h.Sum(nil)[:16])
	id[6] = id[6]&0x0f | 0x80 // version 8: made by a rule of our own
	id[8] = id[8]&0x3f | 0x80 // the variant of RFC 9562
	return RunID("run_" + hex.EncodeToString(id[:]))
}

// Keyed says whether the run was made from an Idempotency-Key.
func (r RunID) Keyed() bool { return len(r) == 36 && r[16] == '8' }

// Time is when the run's id was made, or zero for a run that was made from a key.
func (r RunID) Time() time.Time {
	raw, err := hex.DecodeString(strings.TrimPrefix(string(r), "run_"))
	if err != nil || len(raw) != 16 || r.Keyed() {
		return time.Time{}
	}
	return time.Unix(uuid.UUID(raw).Time().UnixTime()).UTC()
}

// Run is the id of the event's one run.
func (e EventID) Run() RunID { return RunID("run_" + strings.TrimPrefix(string(e), "evt_")) }

// NewLetterID names the dead letter of this number, which was kept at this time: a stream that was made anew counts from
// one again.
func NewLetterID(seq uint64, at time.Time) LetterID {
	return LetterID("dl_" + strconv.FormatUint(seq, 10) + "x" + strconv.FormatInt(at.UnixNano(), 36))
}

// Place reads the number out of a letter's id. Errors: Invalid.
func (l LetterID) Place() (seq uint64, err error) {
	number, _, ok := strings.Cut(strings.TrimPrefix(string(l), "dl_"), "x")
	if err := checkPrefixed("dead letter id", "dl_", string(l), lowerAlphanumeric); err != nil {
		return 0, err
	}
	if seq, err = strconv.ParseUint(number, 10, 63); err != nil || !ok || seq == 0 {
		return 0, fault.New(fault.Invalid, "behalf.Place", "dead letter id must be one that a list gave")
	}
	return seq, nil
}

// Event is the id of the run's one event.
func (r RunID) Event() EventID { return EventID("evt_" + strings.TrimPrefix(string(r), "run_")) }

// DerivedWorkflowID makes the id of a workflow from its project and its folder's name, so that a second deploy finds
// the same workflow without writing into the folder.
func DerivedWorkflowID(project ProjectID, folder string) WorkflowID {
	sum := sha256.Sum256([]byte(string(project) + "/" + folder))
	return WorkflowID("p_" + idEncoding.EncodeToString(sum[:10]))
}

// ContentVersionID makes the id of a version from its encoded content.
func ContentVersionID(content []byte) VersionID {
	sum := sha256.Sum256(content)
	return VersionID("d_" + idEncoding.EncodeToString(sum[:16]))
}

// NewObjectID names an object by its project and content, so that no project can guess or reach another's.
func NewObjectID(project ProjectID, content []byte) ObjectID {
	sum := sha256.Sum256(content)
	named := sha256.Sum256(append([]byte(string(project)+"/"), sum[:]...))
	return ObjectID(hex.EncodeToString(named[:]))
}

// ParseProjectID reads a project id.
func ParseProjectID(s string) (ProjectID, error) {
	return ProjectID(s), checkPrefixed("project id", "proj_", s, alphanumeric)
}

// ParseWorkflowID reads a workflow id.
func ParseWorkflowID(s string) (WorkflowID, error) {
	return WorkflowID(s), checkPrefixed("workflow id", "p_", s, alphanumeric)
}

// ParseVersionID reads a version id.
func ParseVersionID(s string) (VersionID, error) {
	return VersionID(s), checkPrefixed("version id", "d_", s, alphanumeric)
}

// ParseEndpointID reads an endpoint id in any case of letters.
func ParseEndpointID(s string) (EndpointID, error) {
	s = strings.ToLower(s)
	return EndpointID(s), checkPrefixed("endpoint id", "en", s, lowerAlphanumeric)
}

// ParseAccountID reads an account id.
func ParseAccountID(s string) (AccountID, error) {
	return AccountID(s), checkPrefixed("account id", "apn_", s, alphanumeric)
}

// ParseClientID reads an OAuth client id.
func ParseClientID(s string) (ClientID, error) {
	return ClientID(s), checkPrefixed("client id", "oac_", s, alphanumeric)
}

// ParseOAuthAppID reads the id of a project's own client at a service.
func ParseOAuthAppID(s string) (OAuthAppID, error) {
	return OAuthAppID(s), checkPrefixed("OAuth app id", "oa_", s, alphanumeric)
}

// ParseRunID reads a run id.
func ParseRunID(s string) (RunID, error) {
	if len(s) != 36 {
		return "", fault.New(fault.Invalid, "behalf.ParseRunID", "run id must be run_ and 32 hexadecimal digits")
	}
	return RunID(s), checkPrefixed("run id", "run_", s, hexadecimal)
}

// ParseEventID reads an event id.
func ParseEventID(s string) (EventID, error) {
	if len(s) != 36 {
		return "", fault.New(fault.Invalid, "behalf.ParseEventID", "event id must be evt_ and 32 hexadecimal digits")
	}
	return EventID(s), checkPrefixed("event id", "evt_", s, hexadecimal)
}

func checkPrefixed(what, prefix, s string, alphabet func(byte) bool) error {
	rest, ok := strings.CutPrefix(s, prefix)
	if !ok || rest == "" || len(s) > maxID || !all(rest, alphabet) {
		return fault.Newf(fault.Invalid, "behalf.Parse", "%s must be %s and letters or digits, at most %d in all", what, prefix, maxID)
	}
	return nil
}

func all(s string, alphabet func(byte) bool) bool {
	for i := range len(s) {
		if !alphabet(s[i]) {
			return false
		}
	}
	return true
}

func lowerAlphanumeric(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

func alphanumeric(c byte) bool { return lowerAlphanumeric(c) || c >= 'A' && c <= 'Z' }

func hexadecimal(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' }

// random gives 128 bits in 26 lower-case letters or digits.
func random() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails: it ends the process instead
	return idEncoding.EncodeToString(b[:])
}
