package api

import (
	"context"
	"encoding/json"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// Env is what the API stands on in one environment. Every look-up is bound to a project: another project's thing is
// NotFound.
type Env struct {
	Workflows   Workflows
	Endpoints   Endpoints
	Versions    Versions
	Users       Users
	Accounts    Accounts
	Clients     Clients
	Runs        Runs
	Credentials Credentials
	Variables   Variables
	Operator    Operator
	Letters     Letters
	Events      Events
	// Secrets hands credentials to a backend that asks. Nil means that this API never does.
	Secrets Secrets
	// Eraser takes away what is kept of a user's runs.
	Eraser Eraser
	ConnectStores
}

// ConnectStores are for accounts that users connect by themselves.
type ConnectStores struct {
	ConnectTokens ConnectTokens
	OAuthApps     OAuthApps
	OAuthSecrets  OAuthSecrets
}

// Workflows are the definitions of one environment. The revision is that of compare-and-swap: 0 where there is none.
type Workflows interface {
	Workflow(ctx context.Context, project behalf.ProjectID, id behalf.WorkflowID) (behalf.Workflow, uint64, error)
	Workflows(ctx context.Context, project behalf.ProjectID) ([]behalf.Workflow, error)
	PutWorkflow(ctx context.Context, w behalf.Workflow, revision uint64) (uint64, error)
}

// Endpoints are the URLs of one environment, with revisions as those of Workflows.
type Endpoints interface {
	Endpoint(ctx context.Context, id behalf.EndpointID) (behalf.Endpoint, uint64, error)
	PutEndpoint(ctx context.Context, e behalf.Endpoint, revision uint64) (uint64, error)
}

// Versions are the immutable states of workflows, and the code of their steps.
type Versions interface {
	PutObject(ctx context.Context, project behalf.ProjectID, content []byte) (behalf.ObjectRef, error)
	PutVersion(ctx context.Context, v behalf.Version) error
	Version(ctx context.Context, project behalf.ProjectID, id behalf.VersionID) (behalf.Version, error)
	// Object reads what PutObject stored, checked against its SHA-256.
	Object(ctx context.Context, ref behalf.ObjectRef) ([]byte, error)
}

// Users are the external users of one environment.
type Users interface {
	User(ctx context.Context, project behalf.ProjectID, user behalf.ExternalUserID) (behalf.ExternalUser, error)
	// Users lists users in an order of the store's own. A page may be short, even empty, and yet have a cursor. Errors:
	// Invalid for a cursor that is none, Unavailable.
	Users(ctx context.Context, query UserQuery) (UserPage, error)
	EnsureUser(ctx context.Context, project behalf.ProjectID, user behalf.ExternalUserID) (behalf.ExternalUser, error)
	// ConfigureUser changes what is stored beside a user, and makes the user where there is none: null takes a name out.
	ConfigureUser(ctx context.Context, project behalf.ProjectID, user behalf.ExternalUserID, change map[string]json.RawMessage) (behalf.ExternalUser, error)
	UserEnds
}

// UserEnds take users away.
type UserEnds interface {
	// DeleteUser removes a user with all accounts that are left. Errors: NotFound, Conflict, Unavailable.
	DeleteUser(ctx context.Context, project behalf.ProjectID, user behalf.ExternalUserID) ([]behalf.Account, error)
	// ForgetUser leaves a tombstone, before which nothing was sent that will run.
	ForgetUser(ctx context.Context, project behalf.ProjectID, user behalf.ExternalUserID) (behalf.Tombstone, error)
}

// UserQuery says which users to list: those whose id holds a text, at most Limit, behind the cursor of the page before.
type UserQuery struct {
	Project behalf.ProjectID
	Search  string
	After   string
	Limit   int
}

// Accounts are the accounts of one environment, without their credentials.
type Accounts interface {
	// Accounts lists those of a user, or for no user the project's own.
	Accounts(ctx context.Context, project behalf.ProjectID, user behalf.ExternalUserID) ([]behalf.Account, error)
	FindAccount(ctx context.Context, project behalf.ProjectID, id behalf.AccountID) (behalf.Account, error)
	AccountLists
	PutAccount(ctx context.Context, account behalf.Account) error
	DeleteAccount(ctx context.Context, account behalf.Account) error
}

// AccountLists are for many accounts, and for one of many.
type AccountLists interface {
	// ListAccounts lists those of users. A page may be short, even empty, and yet have a cursor. Errors: Invalid for a cursor
	// that is none, Unavailable.
	ListAccounts(ctx context.Context, query AccountQuery) (AccountPage, error)
	// AccountAt finds one of which project, user, app and id are known.
	AccountAt(ctx context.Context, account behalf.Account) (behalf.Account, error)
}

// AccountQuery says which accounts to list. A zero field asks for nothing.
type AccountQuery struct {
	Project  behalf.ProjectID
	User     behalf.ExternalUserID
	App      behalf.AppSlug
	OAuthApp behalf.OAuthAppID
	Limit    int
	// After is the cursor of the page before.
	After string
}

// AccountPage is one page of accounts, and the cursor of the next; empty on the last.
type AccountPage struct {
	Accounts []behalf.Account
	Cursor   string
}

// Credentials keeps the secrets of accounts.
type Credentials interface {
	// Grant tells what may be known of a credential as its owner sent it. Errors: Invalid when it is no credential.
	Grant(credential secret.String) (behalf.Grant, error)
	// PutCredential stores the credential of a new account, a JSON object as its owner sent it. Errors: Invalid when it
	// is no credential, Unavailable.
	PutCredential(ctx context.Context, account behalf.Account, credential secret.String) error
	// DeleteCredential succeeds where there is none.
	DeleteCredential(ctx context.Context, account behalf.Account) error
}

// Secrets reads credentials, for backends that ask for them.
type Secrets interface {
	// Credential is the flat map of the fields of an account, without what makes the next token. Errors: NotFound,
	// Unavailable.
	Credential(ctx context.Context, account behalf.Account) (map[string]secret.String, error)
}

// Eraser takes away what journal, history, timers, dead letters and objects have of a user's runs.
type Eraser interface {
	// Erase may be repeated. Errors: Unavailable; then a part may be erased.
	Erase(ctx context.Context, project behalf.ProjectID, user behalf.ExternalUserID) (Erased, error)
}

// Erased counts what one pass has taken away.
type Erased struct {
	Records     int `json:"records"`
	History     int `json:"history"`
	Timers      int `json:"timers"`
	DeadLetters int `json:"dead_letters"`
	Objects     int `json:"objects"`
	// Kept is what could not be erased, and why. Empty where nothing is left.
	Kept []string `json:"kept"`
}

// Runs reads the journal of one environment. Errors: NotFound, also while the journal knows nothing of a run yet;
// Unavailable.
type Runs interface {
	// Result tells how far a run is. The workflow may be empty.
	Result(ctx context.Context, project behalf.ProjectID, workflow behalf.WorkflowID, run behalf.RunID) (behalf.Run, error)
	// Show tells all of a run.
	Show(ctx context.Context, project behalf.ProjectID, run behalf.RunID) (behalf.Run, error)
	// Find is Result for a caller who will prove by a result token that the run is theirs, whatever its project: its
	// ResultHash says by which.
	Find(ctx context.Context, run behalf.RunID) (behalf.Run, error)
	List(ctx context.Context, query RunQuery) (RunPage, error)
}

// RunQuery says which runs to list, newest first. A zero field asks for nothing.
type RunQuery struct {
	Project  behalf.ProjectID
	Workflow behalf.WorkflowID
	State    behalf.RunState
	User     behalf.ExternalUserID
	Limit    int
	// After is the cursor of the page before.
	After string
}

// RunPage is one page of runs, and the cursor of the next; empty on the last.
type RunPage struct {
	Runs   []behalf.Run
	Cursor string
}

// UserPage is one page of users, and the cursor of the next; empty on the last.
type UserPage struct {
	Users  []behalf.ExternalUser
	Cursor string
}
