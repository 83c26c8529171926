package vault_test

import (
	"fmt"

	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/credential/vault"
	"github.com/behalf-dev/behalf/pkg/fault"
)

func Example() {
	cfg := vault.Config{Login: vault.Login{Method: vault.Kubernetes, Role: "behalf-worker-production"}}
	fmt.Println(cfg.Mount(behalf.Production))

	store, err := vault.New(cfg, zerolog.Nop())
	fmt.Println(store.Ready(), err) // until Run has logged in

	_, err = vault.New(vault.Config{Login: vault.Login{Method: vault.JWT}}, zerolog.Nop())
	fmt.Println(fault.Safe(err))
	// Output:
	// behalf-production
	// [credentials: not logged in to Vault yet] <nil>
	// the login to Vault by jwt needs BEHALF_VAULT_ROLE
}
