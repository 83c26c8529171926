package subject

import (
	"encoding/base32"
	"encoding/base64"
	"strings"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

// The names of streams. All are per environment, and each environment is a NATS account of its own besides, so a
// mistake in a name reaches nothing.

// Events names the stream of events that wait for a worker.
func Events(env behalf.Environment) string { return "EVENTS_" + string(env) }

// Runs names the stream of the journals of runs.
func Runs(env behalf.Environment) string { return "RUNS_" + string(env) }

// Keyed names the stream of the journals of runs with an idempotency key.
func Keyed(env behalf.Environment) string { return "KEYED_" + string(env) }

// History names the stream of finished and waiting runs that the server fills from both journals.
func History(env behalf.Environment) string { return "HIST_" + string(env) }

// Timers names the stream of delays, retries and schedules.
func Timers(env behalf.Environment) string { return "TIMERS_" + string(env) }

// DeadLetters names the stream of events that could not be finished.
func DeadLetters(env behalf.Environment) string { return "DEAD_" + string(env) }

// Tests names the stream of test events, which were kept and run nothing.
func Tests(env behalf.Environment) string { return "TESTS_" + string(env) }

// JournalOf names the stream that keeps this run's journal.
func JournalOf(env behalf.Environment, run behalf.RunID) string {
	if run.Keyed() {
		return Keyed(env)
	}
	return Runs(env)
}

// The names of buckets.

// Definitions names the bucket of projects, workflows, versions and endpoints.
func Definitions(env behalf.Environment) string { return "DEFINITIONS_" + string(env) }

// Clients names the bucket of OAuth clients and public keys.
func Clients(env behalf.Environment) string { return "CLIENTS_" + string(env) }

// Users names the bucket of external users and accounts.
func Users(env behalf.Environment) string { return "USERS_" + string(env) }

// Connecting names the bucket of connect tokens and of consents under way.
func Connecting(env behalf.Environment) string { return "CONNECT_" + string(env) }

// Sealed names the bucket of sealed credentials.
func Sealed(env behalf.Environment) string { return "SEALED_" + string(env) }

// Leases names the bucket of who does what only one may do at a time, such as the refresh of a token, and of what was
// begun. No value of it is a secret.
func Leases(env behalf.Environment) string { return "LEASES_" + string(env) }

// Objects names the object store of code and of what is too large for its place.
func Objects(env behalf.Environment) string { return "OBJECTS_" + string(env) }

// Files names the object store of what callers sent as files. It is forgotten after half an hour.
func Files(env behalf.Environment) string { return "FILES_" + string(env) }

// Parked names the object store of what belongs to one run and is too large for its place. It outlives the history.
func Parked(env behalf.Environment) string { return "PARKED_" + string(env) }

// ObjectStream names the stream behind an object store.
func ObjectStream(store string) string { return "OBJ_" + store }

// ObjectChunks matches all contents of an object store.
func ObjectChunks(store string) string { return "$O." + store + ".C.>" }

// ObjectChunk is the subject of the parts of one content.
func ObjectChunk(store, id string) string { return "$O." + store + ".C." + id }

// ObjectMetas matches all entries of an object store.
func ObjectMetas(store string) string { return "$O." + store + ".M.>" }

// ObjectMeta is the subject of the entry of one object.
func ObjectMeta(store, name string) string {
	return "$O." + store + ".M." + base64.URLEncoding.EncodeToString([]byte(name))
}

// SharedConsumer names the durable consumer of a project's ordinary lane, on Events and on Timers alike.
func SharedConsumer(project behalf.ProjectID) (string, error) {
	if _, err := behalf.ParseProjectID(string(project)); err != nil {
		return "", err
	}
	return "shared-" + string(project), nil
}

// SharedEvents is the filter of that consumer on Events.
func SharedEvents(env behalf.Environment, project behalf.ProjectID) string {
	return "evt." + string(env) + "." + string(behalf.Shared) + "." + string(project) + ".*"
}

// SharedTimers is the filter of that consumer on Timers.
func SharedTimers(project behalf.ProjectID) string {
	return "timer.fired." + string(behalf.Shared) + "." + string(project) + ".*"
}

// The keys of buckets.

// ProjectKey is the key of a project in Definitions.
func ProjectKey(p behalf.ProjectID) string { return "project." + string(p) }

// WorkflowKey is the key of a workflow in Definitions.
func WorkflowKey(p behalf.ProjectID, w behalf.WorkflowID) string {
	return "workflow." + string(p) + "." + string(w)
}

// VersionKey is the key of a version in Definitions.
func VersionKey(p behalf.ProjectID, v behalf.VersionID) string {
	return "version." + string(p) + "." + string(v)
}

// VariablesKey is the key of the names of a project's environment variables.
func VariablesKey(p behalf.ProjectID) string { return "variables." + string(p) }

// EndpointKey is the key of an endpoint in Definitions.
func EndpointKey(e behalf.EndpointID) string { return "endpoint." + string(e) }

// OAuthAppsOf is the beginning of the keys of a project's own clients at services, in Definitions.
func OAuthAppsOf(p behalf.ProjectID) string { return "oauthapp." + string(p) + "." }

// ConnectTokenKey is the key of a connect token in Connecting, by the hash of the token.
func ConnectTokenKey(hash string) string { return "token." + hash }

// ConsentKey is the key of a consent in Connecting, by the hash of its state.
func ConsentKey(hash string) string { return "consent." + hash }

// ClientKey is the key of a client in Clients.
func ClientKey(c behalf.ClientID) string { return "client." + string(c) }

// PublicKeyKey is the key of a public signing key in Clients.
func PublicKeyKey(kid string) string { return "key." + kid }

// UserKey is the key of an external user in Users.
func UserKey(p behalf.ProjectID, u behalf.ExternalUserID) string {
	return "user." + string(p) + "." + Encode(string(u))
}

// AccountKey is the key of an account in Users. The project's own accounts stand under "_own", which no encoded user
// can be.
func AccountKey(p behalf.ProjectID, u behalf.ExternalUserID, a behalf.AppSlug, id behalf.AccountID) string {
	return AccountsOf(p, u) + string(a) + "." + string(id)
}

// AccountsOf is the beginning of the keys of one user's accounts, or of the project's own for no user.
func AccountsOf(p behalf.ProjectID, u behalf.ExternalUserID) string {
	owner := "_own"
	if u != "" {
		owner = Encode(string(u))
	}
	return "account." + string(p) + "." + owner + "."
}

// AccountsLike matches the accounts of a user and an app. Each may be empty for any; then the project's own match too.
func AccountsLike(p behalf.ProjectID, u behalf.ExternalUserID, a behalf.AppSlug) string {
	owner, app := "*", "*"
	if u != "" {
		owner = Encode(string(u))
	}
	if a != "" {
		app = string(a)
	}
	return "account." + string(p) + "." + owner + "." + app + ".*"
}

// PlaceKey is the key in Users of where an account lies, by its id alone.
func PlaceKey(p behalf.ProjectID, id behalf.AccountID) string {
	return "place." + string(p) + "." + string(id)
}

// TombstoneKey is the key in Users of what is left of a user who was forgotten.
func TombstoneKey(p behalf.ProjectID, u behalf.ExternalUserID) string {
	return "forgotten." + string(p) + "." + u.Hash()
}

// Decode reads what Encode made. It is false for anything else.
func Decode(token string) (string, bool) {
	text, err := base32.HexEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ToUpper(token))
	return string(text), err == nil && Encode(string(text)) == token
}

// Encode makes one token of any text: base32, lower case, without padding, so that no two texts meet.
func Encode(s string) string {
	return strings.ToLower(base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString([]byte(s)))
}
