package api

import (
	"context"

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
	// Users lists at most limit users behind the cursor of the page before, in an order of the store's own. Errors:
	// Invalid for a cursor that is none, Unavailable.
	Users(ctx context.Context, project behalf.ProjectID, after string, limit int) (UserPage, error)
	EnsureUser(ctx context.Context, project behalf.ProjectID, user behalf.ExternalUserID) (behalf.ExternalUser, error)
}

// Accounts are the accounts of one environment, without their credentials.
type Accounts interface {
	// Accounts lists those of a user, or for no user the project's own.
	Accounts(ctx context.Context, project behalf.ProjectID, user behalf.ExternalUserID) ([]behalf.Account, error)
	FindAccount(ctx context.Context, project behalf.ProjectID, id behalf.AccountID) (behalf.Account, error)
	PutAccount(ctx context.Context, account behalf.Account) error
	DeleteAccount(ctx context.Context, account behalf.Account) error
}

// Clients are read from the leader: a copy may be behind a revocation.
type Clients interface {
	ClientFromLeader(ctx context.Context, id behalf.ClientID) (behalf.Client, error)
}

// Credentials keeps the secrets of accounts. The API can write and delete them; it cannot read.
type Credentials interface {
	// PutCredential stores the credential of a new account, a JSON object as its owner sent it. Errors: Invalid when it
	// is no credential, Unavailable.
	PutCredential(ctx context.Context, account behalf.Account, credential secret.String) error
	// DeleteCredential succeeds where there is none.
	DeleteCredential(ctx context.Context, account behalf.Account) error
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
