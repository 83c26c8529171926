package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"time"

	"github.com/behalf-dev/behalf/pkg/api"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/oauth"
	"github.com/behalf-dev/behalf/pkg/secret"
	"github.com/behalf-dev/behalf/pkg/web/localca"
)

// practiceUsers have an account of the practice app from the first start, so that the first two requests can be made
// as two users.
var practiceUsers = [...]behalf.ExternalUserID{"abc-123", "xyz-9"} //nolint:gochecknoglobals // a constant in all but name

// reloadEvery is how often the workflow files are looked at for a change.
const reloadEvery = 500 * time.Millisecond

// greet connects the practice users, deploys the workflows, says where they answer, and deploys them again on change.
func (d *dev) greet(ctx context.Context, args []string) error {
	root, name, err := d.workflows(args)
	if err != nil {
		return err
	}
	if err := d.connectPractice(ctx); err != nil {
		return err
	}
	load, err := loader(d.apps)
	if err != nil {
		return err
	}
	deployer := api.NewDeployer(d.links(), apiEnvironments(d.all, d.secrets), load)
	d.world.printf("Behalf %s serves at %s\n", version, d.file.IngressURL)
	var last [sha256.Size]byte
	tick := time.NewTicker(reloadEvery)
	defer tick.Stop()
	for first := true; ; first = false {
		bundles, err := bundlesIn(root, name)
		if sum := sumOf(bundles, err); sum != last {
			last = sum
			d.reload(ctx, deployer, bundles, err)
			if first {
				d.farewell()
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// sumOf tells two states of the files apart.
func sumOf(bundles []api.Bundle, err error) [sha256.Size]byte {
	data, encoding := json.Marshal(bundles)
	if err != nil || encoding != nil {
		data = append(data, fault.Safe(err)...)
	}
	return sha256.Sum256(data)
}

func (d *dev) reload(ctx context.Context, deployer *api.Deployer, bundles []api.Bundle, err error) {
	if err != nil {
		complain(d.world.stderr, err)
	}
	for _, b := range bundles {
		out, err := deployer.Deploy(ctx, behalf.Development, d.file.ProjectID, b)
		if err != nil {
			complain(d.world.stderr, withAccountHint(err, behalf.Development)) // the others are deployed all the same; the file can be mended while we run
			continue
		}
		d.announce(ctx, b, out)
	}
}

// announce prints where a workflow answers and one line to try.
func (d *dev) announce(ctx context.Context, b api.Bundle, out api.Deployed) {
	d.world.printf("\n%s (%s)\n  %s\n", b.Folder, out.Name, out.PathURL)
	if !out.TriggerToken.IsZero() {
		d.world.printf("  token (shown this once): %s\n", out.TriggerToken.Reveal())
	}
	endpoint, err := d.all[behalf.Development].store.Endpoint(ctx, out.EndpointID)
	if err != nil {
		return
	}
	var line bytes.Buffer
	line.WriteString("  curl -X POST '" + out.PathURL + "' -H 'x-pd-environment: development'")
	switch endpoint.Trigger.Auth {
	case behalf.AuthOAuth:
		line.WriteString(` -H "Authorization: Bearer $(bin/behalf token)"`)
	case behalf.AuthToken:
		line.WriteString(` -H "Authorization: Bearer $TOKEN"`)
	case behalf.AuthNone:
	}
	if len(endpoint.Needs) > 0 {
		line.WriteString(" -H 'x-pd-external-user-id: " + string(practiceUsers[0]) + "'")
	}
	line.WriteString(` -H 'content-type: application/json' -d '{"text":"Hello","name":"Ada"}'`)
	d.world.printf("  %s\n", bytes.TrimSpace(line.Bytes()))
}

func (d *dev) farewell() {
	d.world.printf("\npractice page   http://%s/practice\nconnect more    behalf accounts connect practice --user ID\nmetrics         http://%s/metrics\n", d.ln.Addr(), d.flags.metricsAddr)
	if d.secure != nil {
		d.world.printf("https           https://%s (its authority is %s)\n", d.secure.Addr(), localca.Path(d.flags.dataDir))
	}
	if url := d.server.URL(); url != "" {
		d.world.printf("NATS            %s (credentials in %s)\n", url, d.file.NATSCreds[behalf.Development])
	}
	d.world.printf("clients read    %s\n\nCtrl-C stops it; the data stays in %s\n", devFilePath(d.flags.dataDir), d.flags.dataDir)
}

// connectPractice gives each practice user an account, through the practice app's own consent, in development.
func (d *dev) connectPractice(ctx context.Context) error {
	p := d.all[behalf.Development]
	for _, user := range practiceUsers {
		accounts, err := p.store.Accounts(ctx, d.file.ProjectID, user)
		if err != nil {
			return err
		}
		if len(accounts) > 0 {
			continue
		}
		token, err := d.practice.Connect(ctx, string(user))
		if err != nil {
			return err
		}
		if err := d.keepAccount(ctx, p, user, token.Access, token.Refresh, token.ExpiresAt); err != nil {
			return err
		}
	}
	return nil
}

func (d *dev) keepAccount(ctx context.Context, p *parts, user behalf.ExternalUserID, access, refresh secret.String, expires time.Time) error {
	if _, err := p.store.EnsureUser(ctx, d.file.ProjectID, user); err != nil {
		return err
	}
	now := time.Now().UTC()
	account := behalf.Account{
		V: behalf.FormatVersion, ID: behalf.NewAccountID(), Project: d.file.ProjectID, App: "practice", User: user, Name: string(user),
		Grant:     behalf.Grant{ExpiresAt: expires},
		CreatedAt: now, UpdatedAt: now,
	}
	if !refresh.IsZero() {
		known, _ := d.apps.App(account.App)
		account.RefreshAt = oauth.Next(known.Auth.Tokens, now, expires, true)
	}
	_, err := d.secrets.Put(ctx, credential.PathOf(p.env, account), credential.Credential{
		Fields:       map[string]secret.String{credential.FieldAccessToken: access},
		RefreshToken: refresh, ExpiresAt: expires,
	}, 0)
	if err != nil {
		return err
	}
	_, err = p.store.PutAccount(ctx, account, 0)
	return err
}
