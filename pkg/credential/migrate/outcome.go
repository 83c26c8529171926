package migrate

import (
	"strings"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/credential"
)

// Result is what became of one credential.
type Result string

// The results.
const (
	// Moved was not there; now it is, and reads back the same.
	Moved Result = "moved"
	// Replaced was there in another state, which was older or was to be overwritten.
	Replaced Result = "replaced"
	// Same was there already.
	Same Result = "same"
	// Kept is there in another state, which stays.
	Kept Result = "kept"
	// Gone was deleted from the source meanwhile.
	Gone Result = "gone"
	// Failed was not copied.
	Failed Result = "failed"
)

// Why something was kept.
const (
	newer   = "newer"
	differs = "differs"
)

// Outcome is what became of one credential. It names no user and holds no value.
type Outcome struct {
	Environment behalf.Environment `json:"environment"`
	Kind        credential.Kind    `json:"kind,omitempty"`
	// Path is that of the credential, with a hash in place of its user.
	Path   string `json:"path"`
	Result Result `json:"outcome"`
	// Reason is why it was kept: newer, or differs where nobody can tell which one is newer.
	Reason string `json:"reason,omitempty"`
	// DryRun says that this is what would become of it.
	DryRun bool   `json:"dry_run,omitempty"`
	Error  string `json:"error,omitempty"`
}

func (o *Outcome) describe(p credential.Path) {
	o.Environment, o.Kind, o.Path = p.Environment, p.Kind(), p.String()
}

// masked shows of a key that is none what can be no user: the project, and words of ours.
func masked(env behalf.Environment, key string) string {
	parts := strings.Split(key, "/")
	for i, part := range parts {
		_, notProject := behalf.ParseProjectID(part)
		_, notWord := behalf.ParseVariableName(part)
		if notProject != nil && (notWord != nil || part[0] != '_') {
			parts[i] = "***"
		}
	}
	return string(env) + "/" + strings.Join(parts, "/")
}
