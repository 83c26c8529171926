package vault

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// Layout is what Behalf needs in Vault.
type Layout struct {
	// Environments that get a mount.
	Environments []behalf.Environment
	// Policies by role, such as worker-production, written for the prefix "behalf-".
	Policies map[string]string
	// AppRole also makes the auth method approle, and a role for each policy.
	AppRole bool
	// KubernetesNamespace also makes a role of the auth method kubernetes for each policy, bound to the service account
	// of its name in this namespace. The method itself must be there: only the operator knows the cluster.
	KubernetesNamespace string
	// KubernetesAudience is what the tokens of those service accounts must be made for.
	KubernetesAudience string
}

// Change is one thing that was looked at.
type Change struct {
	// Kind is mount, policy, auth or role.
	Kind string `json:"kind"`
	Name string `json:"name"`
	// Action is created, updated or unchanged.
	Action string `json:"action"`
}

// What becomes of a thing.
const (
	created   = "created"
	updated   = "updated"
	unchanged = "unchanged"
)

// maxVersions is how many versions of a credential Vault keeps: an old refresh token is still a secret.
const maxVersions = 3

// tokenPeriod is how long a token lives unless it is renewed.
const tokenPeriod = "30m"

// Provision brings Vault to the layout with the rights of the login, and says what it has done. It may be repeated at
// will. Errors: Invalid, Forbidden (the login may not), Conflict (something else has the name), Unavailable.
func Provision(ctx context.Context, cfg Config, layout Layout) ([]Change, error) {
	cfg = cfg.withDefaults()
	p := provisioner{cfg: cfg}
	if err := p.login(ctx); err != nil {
		return nil, err
	}
	for _, env := range layout.Environments {
		if err := p.mount(ctx, cfg.Mount(env)); err != nil {
			return p.changes, err
		}
	}
	for _, role := range slices.Sorted(maps.Keys(layout.Policies)) {
		if err := p.policy(ctx, role, layout.Policies[role]); err != nil {
			return p.changes, err
		}
	}
	return p.changes, p.roles(ctx, layout)
}

type provisioner struct {
	cfg     Config
	client  *api.Client
	changes []Change
}

func (p *provisioner) login(ctx context.Context) (err error) {
	if p.client, err = p.cfg.Server.client(p.cfg.Timeout); err != nil {
		return err
	}
	method, err := p.cfg.Login.method()
	if err != nil {
		return err
	}
	fresh, err := p.client.CloneWithHeaders()
	if err != nil {
		return invalid("the client of Vault cannot be made", err)
	}
	got, err := method(ctx, fresh)
	if err != nil {
		return p.wrong(ctx, "login", err)
	}
	p.client.SetToken(got.Auth.ClientToken)
	return nil
}

func (p *provisioner) did(kind, name, action string) {
	p.changes = append(p.changes, Change{kind, name, action})
}

// wrong gives the errors of an operator's command their kind. Unlike those of the store they may name what they are
// about: nothing here is a user's.
func (p *provisioner) wrong(ctx context.Context, what string, err error) error {
	var answered *api.ResponseError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &answered) && answered.StatusCode == http.StatusForbidden:
		return fault.Newf(fault.Forbidden, "vault.Provision", "Vault does not let this login do it: %s", what)
	case errors.As(err, &answered) && answered.StatusCode == http.StatusBadRequest:
		return fault.Newf(fault.Invalid, "vault.Provision", "Vault refuses it: %s: %s", what, strings.Join(answered.Errors, "; "))
	case ctx.Err() != nil:
		return fault.Wrap(fault.KindOf(ctx.Err()), "vault.Provision", ctx.Err())
	}
	why := refusal(err)
	return fault.Newf(fault.Unavailable, "vault.Provision", "%s: %s", what, why).Because(causeOf(err))
}

// mount makes a mount of KV version 2 and sets how it keeps values.
func (p *provisioner) mount(ctx context.Context, path string) error {
	mounts, err := p.client.Sys().ListMountsWithContext(ctx)
	if err != nil {
		return p.wrong(ctx, "list the mounts", err)
	}
	found, ok := mounts[path+"/"]
	if ok && (found.Type != "kv" || found.Options["version"] != "2") {
		return fault.Newf(fault.Conflict, "vault.Provision", "the mount %s is not KV version 2: give ours another name by --prefix or BEHALF_VAULT_PREFIX", path)
	}
	action := unchanged
	if !ok {
		action = created
		err := p.client.Sys().MountWithContext(ctx, path, &api.MountInput{
			Type: "kv", Description: "credentials of Behalf", Options: map[string]string{"version": "2"},
		})
		if err != nil {
			return p.wrong(ctx, "make the mount "+path, err)
		}
	}
	changed, err := p.configure(ctx, path)
	if err != nil {
		return err
	}
	if changed && ok {
		action = updated
	}
	p.did("mount", path, action)
	return nil
}

// configure has every write name what it replaces. A mount that was just made answers 400 until it is ready.
func (p *provisioner) configure(ctx context.Context, path string) (changed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 12*p.cfg.Timeout)
	defer cancel()
	var is *api.Secret
	err = p.patiently(ctx, func() error {
		is, err = p.client.Logical().ReadWithContext(ctx, path+"/config")
		return err
	})
	if err != nil {
		return false, p.wrong(ctx, "read the settings of the mount "+path, err)
	}
	if is != nil && is.Data["cas_required"] == true && is.Data["max_versions"] == json.Number("3") {
		return false, nil
	}
	_, err = p.client.Logical().WriteWithContext(ctx, path+"/config", map[string]any{"cas_required": true, "max_versions": maxVersions})
	return true, p.wrong(ctx, "set up the mount "+path, err)
}

func (p *provisioner) patiently(ctx context.Context, try func() error) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		var answered *api.ResponseError
		if !errors.As(err, &answered) || answered.StatusCode != http.StatusBadRequest {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// named gives a role or a policy the prefix of this installation.
func (p *provisioner) named(role string) string { return p.cfg.Prefix + "-" + role }

func (p *provisioner) policy(ctx context.Context, role, text string) error {
	text = strings.ReplaceAll(text, `path "`+DefaultPrefix+`-`, `path "`+p.cfg.Prefix+`-`)
	name := p.named(role)
	is, err := p.client.Sys().GetPolicyWithContext(ctx, name)
	if err != nil {
		return p.wrong(ctx, "read the policy "+name, err)
	}
	if is == text {
		p.did("policy", name, unchanged)
		return nil
	}
	if err := p.client.Sys().PutPolicyWithContext(ctx, name, text); err != nil {
		return p.wrong(ctx, "write the policy "+name, err)
	}
	p.did("policy", name, either(is == "", created, updated))
	return nil
}

func either(is bool, yes, no string) string {
	if is {
		return yes
	}
	return no
}

// roles makes the roles of the auth methods that the layout asks for. One that serves both environments has the policies
// of both.
func (p *provisioner) roles(ctx context.Context, layout Layout) error {
	of := map[string][]string{}
	for role := range layout.Policies {
		of[role] = []string{p.named(role)}
		if kind, _, ok := strings.Cut(role, "-"); ok && kind == "api" {
			of[kind] = append(of[kind], p.named(role))
		}
	}
	if layout.AppRole {
		if err := p.enable(ctx, AppRole); err != nil {
			return err
		}
	}
	for _, role := range slices.Sorted(maps.Keys(of)) {
		slices.Sort(of[role])
		token := map[string]any{"token_policies": of[role], "token_period": tokenPeriod, "token_no_default_policy": true}
		if layout.AppRole {
			if err := p.role(ctx, AppRole, role, token, map[string]any{"bind_secret_id": true}); err != nil {
				return err
			}
		}
		if layout.KubernetesNamespace != "" {
			bound := map[string]any{
				"bound_service_account_names":      []string{p.named(role)},
				"bound_service_account_namespaces": []string{layout.KubernetesNamespace},
				"audience":                         layout.KubernetesAudience,
			}
			if err := p.role(ctx, Kubernetes, role, token, bound); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *provisioner) enable(ctx context.Context, method string) error {
	is, err := p.client.Sys().ListAuthWithContext(ctx)
	if err != nil {
		return p.wrong(ctx, "list the auth methods", err)
	}
	found, ok := is[method+"/"]
	switch {
	case ok && found.Type != method:
		return fault.Newf(fault.Conflict, "vault.Provision", "the auth method at %s is %s", method, found.Type)
	case ok:
		p.did("auth", method, unchanged)
		return nil
	}
	if err := p.client.Sys().EnableAuthWithOptionsWithContext(ctx, method, &api.EnableAuthOptions{Type: method}); err != nil {
		return p.wrong(ctx, "enable the auth method "+method, err)
	}
	p.did("auth", method, created)
	return nil
}

// role makes a role, or brings the settings that are ours to what they should be and leaves the others alone.
func (p *provisioner) role(ctx context.Context, method, role string, settings ...map[string]any) error {
	name := p.named(role)
	path := "auth/" + method + "/role/" + name
	is, err := p.client.Logical().ReadWithContext(ctx, path)
	if err != nil {
		return p.wrong(ctx, "read the role "+name+" of "+method, err)
	}
	ours := map[string]any{}
	for _, s := range settings {
		maps.Copy(ours, s)
	}
	if is != nil && same(is.Data, ours) {
		p.did("role", method+"/"+name, unchanged)
		return nil
	}
	if _, err := p.client.Logical().WriteWithContext(ctx, path, ours); err != nil {
		return p.wrong(ctx, "write the role "+name+" of "+method, err)
	}
	p.did("role", method+"/"+name, either(is == nil, created, updated))
	return nil
}

// same compares what Vault has with what we write: it answers durations in seconds.
func same(is, ours map[string]any) bool {
	for name, want := range ours {
		if text, ok := want.(string); ok {
			if d, err := time.ParseDuration(text); err == nil {
				want = int(d.Seconds())
			}
		}
		a, errA := json.Marshal(is[name])
		b, errB := json.Marshal(want)
		if cmp.Or(errA, errB) != nil || string(a) != string(b) {
			return false
		}
	}
	return true
}
