package cli

import (
	"context"
	"encoding/json"
	"time"

	"github.com/spf13/cobra"

	"github.com/behalf-dev/behalf/pkg/auth"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/provision"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

func newProvision(w world) *cobra.Command {
	var layout bus.Layout
	var storage string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "provision", Short: "Make streams, buckets, consumers and, at first use, a project and a client", Args: cobra.NoArgs,
		Long: "Provision brings the NATS of each environment to what Behalf needs. It may be repeated at will. The secret of the\n" +
			"client is printed by the run that makes it, and never again.\n\n" + storageHelp,
		RunE: func(cmd *cobra.Command, _ []string) error {
			environments, err := environmentsOf(w)
			if err != nil {
				return err
			}
			s, err := readSettings(w, environments, "")
			if err != nil {
				return err
			}
			if layout.Storage, err = storageOf(storage, environments); err != nil {
				return err
			}
			if err := checkQueued(layout.MaxQueued); err != nil {
				return err
			}
			return provisionAll(cmd.Context(), w, s, layout, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the object of dev.json on one line")
	cmd.Flags().IntVar(&layout.Replicas, "replicas", 1, "replicas of every stream; 3 in production")
	cmd.Flags().StringVar(&storage, "storage", w.env("BEHALF_STORAGE", ""), "disk that the environments reserve together on each NATS server, such as 64GiB; without it half of what each account may store, at most 32GiB, or 2GiB each where it has no limit")
	cmd.Flags().Int64Var(&layout.MaxQueued, "max-queued", 10_000, maxQueuedHelp)
	cmd.Flags().Int64Var(&layout.RunsMaxMsgs, "runs-max-msgs", 1_000_000, "records of live runs that are kept")
	cmd.Flags().DurationVar(&layout.AckWait, "ack-wait", 30*time.Second, "how long a worker may hold an event without a sign of life; the workers must be told the same")
	envFlag(cmd, w, "replicas", "BEHALF_REPLICAS")
	envFlag(cmd, w, "max-queued", "BEHALF_MAX_QUEUED")
	envFlag(cmd, w, "runs-max-msgs", "BEHALF_RUNS_MAX_MSGS")
	envFlag(cmd, w, "ack-wait", "BEHALF_ACK_WAIT")
	cmd.AddCommand(newProvisionVault(w))
	return cmd
}

// checkQueued refuses what NATS would take for no bound at all.
func checkQueued(most int64) error {
	if most < 1 {
		return fault.New(fault.Invalid, "cli.provision", "--max-queued must be 1 or more")
	}
	return nil
}

const maxQueuedHelp = "events of one workflow that may wait in one environment; what goes beyond is answered 503 queue_full, and fills no other workflow's queue"

const storageHelp = "The streams with a limit reserve their storage on disk when they are made: a quarter of it for events that wait, a quarter\n" +
	"for dead letters, half for the history of finished runs, in equal parts for each environment. Streams that were used\n" +
	"keep their size or grow, and grow only when told --storage. Journal, timers, accounts and code have no limit: leave\n" +
	"as much again for them."

// storageOf is the part of each environment, or nothing where none was asked for. Errors: Invalid.
func storageOf(text string, environments []behalf.Environment) (bus.Bytes, error) {
	if text == "" {
		return 0, nil
	}
	total, err := bus.ParseBytes(text)
	if err != nil {
		return 0, hinted{err, "behalf provision --storage 8GiB"}
	}
	each := total / bus.Bytes(len(environments))
	if each < bus.MinStorage {
		return 0, fault.Newf(fault.Invalid, "cli.storage", "--storage must be %s or more", bus.MinStorage*bus.Bytes(len(environments)))
	}
	return each, nil
}

// withRoomHint says what to do where NATS has too little storage.
func withRoomHint(err error, hint string) error {
	if fault.Is(err, fault.Exhausted) {
		return hinted{err, hint}
	}
	return err
}

func provisionAll(ctx context.Context, w world, s roleSettings, layout bus.Layout, asJSON bool) error {
	log := w.logger()
	for _, env := range s.environments {
		conn, err := bus.Connect(ctx, s.connect(env, "provision"), log)
		if err != nil {
			return err
		}
		err = provision.Environment(ctx, conn, env, layout)
		conn.Close()
		if err != nil {
			return withRoomHint(err, "give less by --storage or BEHALF_STORAGE, or NATS more by max_file_store and the limits of its accounts")
		}
	}
	all, err := openAll(ctx, s, "provision", bus.Config{}, log)
	if err != nil {
		return err
	}
	defer all.close()
	file := devFile{APIURL: s.apiURL, IngressURL: s.ingressURL, WorkflowDomain: s.workflowDomain, NATSURL: s.natsURL}
	if err := foundProject(ctx, all, layout, &file); err != nil {
		return err
	}
	if asJSON {
		return printJSON(w, file)
	}
	data, err := json.MarshalIndent(file, "", "  ") //nolint:gosec // G117: the secret is shown this once
	if err == nil {
		w.printf("%s\n", data)
	}
	return err
}

// foundProject finds the project, or makes it with a client of its own, in every environment, production first. What an
// earlier run left half done is mended.
func foundProject(ctx context.Context, all byEnvironment, layout bus.Layout, file *devFile) error {
	known, err := knownProject(ctx, all)
	if err != nil {
		return err
	}
	file.ProjectID = known
	if known == "" {
		file.ProjectID = behalf.NewProjectID()
	}
	for _, env := range behalf.Environments() {
		p, ok := all[env]
		if !ok {
			continue
		}
		if err := provision.Project(ctx, p.conn, p.store, env, file.ProjectID, layout); err != nil {
			return err
		}
	}
	if known != "" && file.ClientID == "" {
		return nil // made by an earlier run, which told the secret
	}
	return foundClient(ctx, all, file)
}

func knownProject(ctx context.Context, all byEnvironment) (behalf.ProjectID, error) {
	for _, env := range behalf.Environments() {
		p, ok := all[env]
		if !ok {
			continue
		}
		projects, err := p.store.Projects(ctx)
		if err != nil {
			return "", err
		}
		if len(projects) > 0 {
			return projects[0].ID, nil
		}
	}
	return "", nil
}

// foundClient makes a client with every scope in these environments, or mends the one that the file names.
func foundClient(ctx context.Context, all byEnvironment, file *devFile) error {
	given := secret.New(file.ClientSecret)
	if file.ClientID == "" {
		file.ClientID, given = behalf.NewClientID(), auth.NewSecret()
		file.ClientSecret = given.Reveal()
	}
	client := behalf.Client{
		V: behalf.FormatVersion, ID: file.ClientID, Project: file.ProjectID, Name: "first client", SecretHash: auth.Hash(given),
		Scopes: []behalf.Scope{behalf.ScopeConnect, behalf.ScopeInvoke, behalf.ScopeManage}, Generation: 1, CreatedAt: time.Now().UTC(),
	}
	for env := range all {
		client.Environments = append(client.Environments, env)
	}
	for _, env := range behalf.Environments() {
		if p, ok := all[env]; ok {
			if err := keepClient(ctx, p, client); err != nil {
				return err
			}
		}
	}
	return nil
}

// keepClient writes the client where it is not yet. One that is there stays as it is: it may have been revoked.
func keepClient(ctx context.Context, p *parts, client behalf.Client) error {
	_, err := p.store.PutClient(ctx, client, 0)
	if fault.Is(err, fault.Conflict) {
		return nil
	}
	return err
}
