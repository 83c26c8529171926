package behalf

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// StepName names a step in its workflow, as its exports are found under steps.NAME.
type StepName string

// Path is a step's place in a run, such as `summary` or, in blocks to come, `each[3].send`.
type Path string

// Workflow is what a team deploys under one name, and the version of it that is active in one environment.
type Workflow struct {
	V        int        `json:"v"`
	ID       WorkflowID `json:"id"`
	Project  ProjectID  `json:"project"`
	Name     string     `json:"name"`
	Folder   string     `json:"folder"`
	Endpoint EndpointID `json:"endpoint"`
	Version  VersionID  `json:"version"`
	// Served are the last versions that have served here, the active one among them: each stands before the one that
	// served before it was deployed. A record that no deploy has touched since there is this list has none.
	Served    []VersionID `json:"served,omitempty"`
	UpdatedAt time.Time   `json:"updated_at"`
}

// keptVersions is how many versions a workflow remembers.
const keptVersions = 20

// ServedWith is the list of versions once a deploy has made this one the active one.
func (w Workflow) ServedWith(v VersionID) []VersionID {
	if v == w.Version {
		return w.Served
	}
	served := []VersionID{v}
	if w.Version != "" {
		served = append(served, w.Version)
	}
	for _, older := range w.Served {
		if older != v && older != w.Version {
			served = append(served, older)
		}
	}
	return served[:min(len(served), keptVersions)]
}

// Earlier is the version that served before the active one. Empty where none is known.
func (w Workflow) Earlier() VersionID {
	i := slices.Index(w.Served, w.Version)
	if i < 0 || i+1 == len(w.Served) {
		return ""
	}
	return w.Served[i+1]
}

// Version is an immutable, content-addressed state of a workflow.
type Version struct {
	V        int        `json:"v"`
	ID       VersionID  `json:"id"`
	Project  ProjectID  `json:"project"`
	Workflow WorkflowID `json:"workflow"`
	Name     string     `json:"name"`
	Trigger  Trigger    `json:"trigger"`
	Steps    []Step     `json:"steps"`
	Settings Settings   `json:"settings"`
}

// Trigger is the HTTP trigger of a version.
type Trigger struct {
	Auth    TriggerAuth `json:"auth"`
	Respond Respond     `json:"respond"`
	// RawBody adds event.body_raw.
	RawBody bool `json:"raw_body,omitempty"`
	// PublicUsers allows end users' accounts although nobody is authenticated.
	PublicUsers bool `json:"public_users,omitempty"`
	// PublicDevelopment lets an endpoint without authentication serve development.
	PublicDevelopment bool `json:"public_development,omitempty"`
}

// TriggerAuth is how a trigger's callers prove themselves.
type TriggerAuth string

// The ways of authentication.
const (
	AuthNone  TriggerAuth = "none"
	AuthToken TriggerAuth = "token"
	AuthOAuth TriggerAuth = "oauth"
)

// RespondMode is who answers a caller.
type RespondMode string

// The modes.
const (
	// RespondImmediate answers at once with the run id.
	RespondImmediate RespondMode = "immediate"
	// RespondCustom waits for the workflow's own answer.
	RespondCustom RespondMode = "custom"
	// RespondStatic answers at once with what the file says.
	RespondStatic RespondMode = "static"
)

// Respond says how callers are answered.
type Respond struct {
	Mode   RespondMode `json:"mode"`
	Static *Response   `json:"static,omitempty"`
}

// Waits says whether the caller waits for the run.
func (r Respond) Waits() bool { return r.Mode == RespondCustom }

// Runtime is the language of a code step.
type Runtime string

// The runtimes. More come with the steps that need them.
const (
	RuntimeNode Runtime = "node"
)

// Step is one unit of a workflow.
type Step struct {
	Name StepName `json:"name"`
	// Uses is the action that the step is, with its major version: slack-send-message@1. Empty for a code step.
	Uses string `json:"uses,omitempty"`
	// Source is the code of a code step. Nil for an action.
	Source *Source `json:"source,omitempty"`
	// Accounts tells for each prop whose account it is.
	Accounts map[string]AccountRef `json:"accounts,omitempty"`
	// Env are the environment variables that a code step finds in process.env, by name.
	Env []VariableName `json:"env,omitempty"`
	// Variables are all that the step needs, by name: those of Env, and those that expressions in its props read.
	Variables []VariableName `json:"variables,omitempty"`
	// Props are the configured values: a JSON object.
	Props json.RawMessage `json:"props,omitempty"`
}

// Source is the code of a code step, by reference: the text lies in the object store.
type Source struct {
	File    string   `json:"file"`
	Runtime Runtime  `json:"runtime"`
	Object  ObjectID `json:"object"`
	// SHA256 of the text in hexadecimal, checked whenever it is read.
	SHA256 string `json:"sha256"`
}

// Settings tune a version.
type Settings struct {
	// Timeout of a run's own work. Defaults to 30 seconds, at most 750.
	Timeout time.Duration `json:"timeout"`
	// Retries of a failed step where no caller waits. Defaults to 8; where a caller waits there are none.
	Retries *int `json:"retries,omitempty"`
}

// The limits of a run's timeout.
const (
	DefaultTimeout = 30 * time.Second
	MaxTimeout     = 750 * time.Second
	// DefaultRetries is how often a failed step is tried again while nobody waits, within ten hours.
	DefaultRetries = 8
)

// ParseStepName checks a step's name: a letter or underscore, then letters, digits and underscores, at most 64, and
// not `trigger`, which is the event's own place under steps.
func ParseStepName(s string) (StepName, error) {
	ok := s != "" && len(s) <= maxID && (s[0] < '0' || s[0] > '9') && all(s, func(c byte) bool { return alphanumeric(c) || c == '_' })
	if !ok {
		return "", fault.New(fault.Invalid, "behalf.ParseStepName", "a step's name must be a letter or _, then letters, digits and _, at most 64")
	}
	if s == "trigger" {
		return "", fault.New(fault.Invalid, "behalf.ParseStepName", "a step cannot be called trigger: steps.trigger is the event")
	}
	return StepName(s), nil
}

// Need is an end user's account that a version's run must have before its first step.
type Need struct {
	Step StepName `json:"step"`
	App  AppSlug  `json:"app"`
}

// Needs lists the end user's accounts that the version's steps use, in the order of the steps, each app once.
func (v Version) Needs() []Need {
	var needs []Need
	seen := map[AppSlug]bool{}
	for _, s := range v.Steps {
		for _, prop := range sortedKeys(s.Accounts) {
			ref := s.Accounts[prop]
			if ref.Own == "" && !seen[ref.App] {
				seen[ref.App] = true
				needs = append(needs, Need{Step: s.Name, App: ref.App})
			}
		}
	}
	return needs
}

// Endpoint is the URL of a workflow's HTTP trigger in one environment, with all that an ingress must know to serve it.
type Endpoint struct {
	V        int        `json:"v"`
	ID       EndpointID `json:"id"`
	Project  ProjectID  `json:"project"`
	Workflow WorkflowID `json:"workflow"`
	Name     string     `json:"name"`
	Version  VersionID  `json:"version"`
	Trigger  Trigger    `json:"trigger"`
	Needs    []Need     `json:"needs,omitempty"`
	// TokenHash is the SHA-256 of the static token in hexadecimal, for a trigger with auth: token.
	TokenHash string        `json:"token_hash,omitempty"`
	Timeout   time.Duration `json:"timeout"`
}
