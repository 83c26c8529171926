package migrate_test

import (
	"context"
	"fmt"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/credential/credentialtest"
	"github.com/behalf-dev/behalf/pkg/credential/migrate"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// one is a source with one credential.
type one struct{ *credentialtest.Memory }

func (one) Keys(context.Context, behalf.Environment) ([]string, error) {
	return []string{"proj_a/_env/STRIPE_KEY"}, nil
}

func Example() {
	ctx := context.Background()
	from, to := one{credentialtest.NewMemory()}, credentialtest.NewMemory()
	path := credential.VariablePath(behalf.Production, "proj_a", "STRIPE_KEY")
	_, _ = from.Put(ctx, path, credential.Credential{Fields: map[string]secret.String{"value": secret.New("sk_live")}}, 0)

	say := func(o migrate.Outcome, done, total int) { fmt.Println(done, "of", total, o.Path, o.Result) }
	for range 2 {
		if err := migrate.New(migrate.Config{}, from, to).Environment(ctx, behalf.Production, say); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// 1 of 1 production/proj_a/_env/STRIPE_KEY moved
	// 1 of 1 production/proj_a/_env/STRIPE_KEY same
}
