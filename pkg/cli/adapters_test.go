package cli

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/credential/credentialtest"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

const desk = `slug: desk
name: Desk
base_url: https://{subdomain}.desk.example
auth: { type: keys, send: [{ header: Authorization, value: "Bearer {key}" }] }
fields: { subdomain: { from: credential, public: true }, key: { from: credential } }
`

// What a file calls public stays in logs; everything else of a credential is a secret, also what no step sees.
func TestSecretsOfAnAccount(t *testing.T) {
	t.Parallel()
	apps, err := app.Load(fstest.MapFS{"desk.yaml": &fstest.MapFile{Data: []byte(desk)}})
	if err != nil {
		t.Fatal(err)
	}
	store := credentialtest.NewMemory()
	account := behalf.Account{ID: "apn_1", Project: "proj_1", App: "desk", User: "abc-123"}
	_, err = store.Put(t.Context(), credential.PathOf(behalf.Development, account), credential.Credential{
		Fields: map[string]secret.String{
			"subdomain": secret.New("acme-host"), "key": secret.New("the-key"), "unknown": secret.New("unheard-of"),
		},
		RefreshToken: secret.New("the-refresh-token"),
	}, 0)
	if err != nil {
		t.Fatal(err)
	}
	auth, err := stepAuth{asStored{store}, apps}.Auth(t.Context(), account)
	if err != nil {
		t.Fatal(err)
	}
	var secrets []string
	for _, s := range auth.Secrets {
		secrets = append(secrets, s.Reveal())
	}
	slices.Sort(secrets)
	if want := []string{"the-key", "the-refresh-token", "unheard-of"}; !slices.Equal(secrets, want) {
		t.Errorf("secrets are %v, want %v", secrets, want)
	}
	if len(auth.Fields) != 2 || auth.Fields["subdomain"].Reveal() != "acme-host" {
		t.Errorf("a step sees %d fields", len(auth.Fields))
	}
	// A worker without the team's apps is no reason to tell the user to connect again.
	account.App = "acme"
	if _, err := (stepAuth{asStored{store}, apps}).Auth(t.Context(), account); !fault.Is(err, fault.Unavailable) {
		t.Errorf("an app that this worker does not have: %v", err)
	}
}

// asStored hands out what lies there.
type asStored struct{ credential.Store }

func (a asStored) Fresh(ctx context.Context, account behalf.Account) (credential.Credential, error) {
	c, _, err := a.Get(ctx, credential.PathOf(behalf.Development, account))
	return c, err
}

func (a asStored) Renew(ctx context.Context, account behalf.Account, _ credential.Credential) (credential.Credential, error) {
	return a.Fresh(ctx, account)
}

// What a backend brings is refreshed in the background where there is something to refresh it with.
func TestAGrantSaysWhenItIsRefreshed(t *testing.T) {
	t.Parallel()
	ends := time.Now().Add(time.Hour).Truncate(time.Second)
	for refresh, planned := range map[string]bool{"": false, `,"oauth_refresh_token":"r"`: true} {
		grant, err := new(accountSecrets).Grant(secret.New(fmt.Sprintf(`{"oauth_access_token":"t","expires_at":%d%s}`, ends.Unix(), refresh)))
		if err != nil || !grant.ExpiresAt.Equal(ends) {
			t.Fatalf("%+v, %v", grant, err)
		}
		if got := grant.RefreshAt.After(time.Now()) && grant.RefreshAt.Before(ends); got != planned {
			t.Errorf("with %q it is to be refreshed at %v", refresh, grant.RefreshAt)
		}
	}
}

// unsure has new tokens for some, and services that do not answer.
type unsure struct {
	asStored

	fresh map[behalf.AppSlug]string
	asked int
}

func (u *unsure) Fresh(ctx context.Context, account behalf.Account) (credential.Credential, error) {
	u.asked++
	if token, ok := u.fresh[account.App]; ok {
		return credential.Credential{Fields: map[string]secret.String{credential.FieldAccessToken: secret.New(token)}}, nil
	}
	if account.App == "dead" {
		return credential.Credential{}, fault.New(fault.NotFound, "test", "it must be connected again")
	}
	<-ctx.Done()
	return credential.Credential{}, fault.Wrap(fault.KindOf(ctx.Err()), "test", ctx.Err())
}

// A backend that asks for credentials has such that work, and where there are none, what there is, in time.
func TestCredentialsAreHandedOutFresh(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := credentialtest.NewMemory()
		source := &unsure{asStored: asStored{store}, fresh: map[behalf.AppSlug]string{"good": "new"}}
		secrets := &accountSecrets{env: behalf.Development, credentials: store, fresh: source}
		ask := func(slug behalf.AppSlug) string {
			t.Helper()
			account := behalf.Account{ID: "apn_1", Project: "proj_1", App: slug, User: "abc-123"}
			path := credential.PathOf(behalf.Development, account)
			_, revision, _ := store.Get(t.Context(), path)
			if _, err := store.Put(t.Context(), path, credential.Credential{Fields: map[string]secret.String{credential.FieldAccessToken: secret.New("old")}}, revision); err != nil {
				t.Fatal(err)
			}
			fields, err := secrets.Credential(t.Context(), account)
			if err != nil {
				t.Fatal(err)
			}
			return fields[credential.FieldAccessToken].Reveal()
		}
		began := time.Now()
		for slug, want := range map[behalf.AppSlug]string{"good": "new", "dead": "old", "slow": "old"} {
			if got := ask(slug); got != want {
				t.Errorf("%s: %s", slug, got)
			}
		}
		for range 100 { // a page of accounts at a service that does not answer
			ask("slow")
		}
		if took := time.Since(began); took != freshFor || ask("good") != "new" {
			t.Errorf("a page took %v", took)
		}
		time.Sleep(2 * lateFor)
		if asked := source.asked; ask("slow") != "old" || source.asked != asked+1 {
			t.Error("the service is left alone for good")
		}
	})
}
