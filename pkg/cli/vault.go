package cli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	policies "github.com/behalf-dev/behalf/deployments/vault"
	"github.com/behalf-dev/behalf/pkg/credential/vault"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// openVault makes the store that the environment names.
func openVault(w world, reg prometheus.Registerer) (*vault.Store, error) {
	cfg, err := readVault(w)
	if err != nil {
		return nil, err
	}
	cfg.Registerer = reg
	log := w.logger()
	if strings.HasPrefix(cfg.Server.Addr, "http://") || cfg.Server.SkipVerify {
		log.Warn().Msg("whoever is between us and vault can read every credential: use https and VAULT_CACERT")
	}
	store, err := vault.New(cfg, log)
	if err != nil {
		return nil, hinted{err, "or keep credentials in a file of this machine: BEHALF_CREDENTIALS=sealed and --allow-sealed"}
	}
	return store, nil
}

// readVault reads Vault's own variables and ours. Errors: Invalid.
func readVault(w world) (vault.Config, error) {
	cfg := vault.Config{
		Server: vault.Server{
			Addr: w.env("VAULT_ADDR", ""), Namespace: w.env("VAULT_NAMESPACE", ""),
			CACert: w.env("VAULT_CACERT", ""), CAPath: w.env("VAULT_CAPATH", ""), ServerName: w.env("VAULT_TLS_SERVER_NAME", ""),
			ClientCert: w.env("VAULT_CLIENT_CERT", ""), ClientKey: w.env("VAULT_CLIENT_KEY", ""),
		},
		Prefix: w.env("BEHALF_VAULT_PREFIX", vault.DefaultPrefix),
	}
	cfg.Login = readVaultLogin(w)
	if text := w.env("VAULT_SKIP_VERIFY", ""); text != "" {
		skip, err := strconv.ParseBool(text)
		if err != nil {
			return cfg, fault.New(fault.Invalid, "cli.vault", "VAULT_SKIP_VERIFY must be true or false")
		}
		cfg.Server.SkipVerify = skip
	}
	if text := w.env("VAULT_CLIENT_TIMEOUT", ""); text != "" {
		if _, err := strconv.Atoi(text); err == nil {
			text += "s"
		}
		timeout, err := time.ParseDuration(text)
		if err != nil || timeout <= 0 {
			return cfg, fault.New(fault.Invalid, "cli.vault", "VAULT_CLIENT_TIMEOUT must be seconds or a duration, such as 5s")
		}
		cfg.Timeout = timeout
	}
	if !validPrefix(cfg.Prefix) {
		return cfg, fault.New(fault.Invalid, "cli.vault", "BEHALF_VAULT_PREFIX must be lower-case letters, digits and -, at most 64")
	}
	return cfg, nil
}

func readVaultLogin(w world) vault.Login {
	l := vault.Login{
		Method: w.env("BEHALF_VAULT_AUTH", vault.Token), Mount: w.env("BEHALF_VAULT_AUTH_MOUNT", ""),
		Role: w.env("BEHALF_VAULT_ROLE", ""), Given: secret.New(w.env("VAULT_TOKEN", "")),
	}
	switch l.Method {
	case vault.Token:
		l.File = w.env("BEHALF_VAULT_TOKEN_FILE", "")
	case vault.AppRole:
		l.Role = w.env("BEHALF_VAULT_ROLE_ID", "")
		l.File = w.env("BEHALF_VAULT_SECRET_ID_FILE", "")
		if wrapped := w.env("BEHALF_VAULT_WRAPPED_SECRET_ID_FILE", ""); wrapped != "" {
			l.File, l.Wrapped = wrapped, true
		}
	case vault.Kubernetes, vault.JWT:
		l.File = w.env("BEHALF_VAULT_JWT_FILE", "")
	}
	return l
}

func validPrefix(prefix string) bool {
	return prefix != "" && len(prefix) <= 64 && strings.Trim(prefix, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

func newProvisionVault(w world) *cobra.Command {
	var asJSON bool
	var layout vault.Layout
	cmd := &cobra.Command{
		Use: "vault", Short: "Make mounts, policies and, if asked to, roles in Vault", Args: cobra.NoArgs,
		Long: "Vault brings a HashiCorp Vault or OpenBao to what Behalf needs: a KV mount for each environment, and a policy for\n" +
			"each role in each environment; the ingress has none. It may be repeated at will. VAULT_ADDR says where Vault is;\n" +
			"the login, by VAULT_TOKEN, `vault login` or as roles log in, must be allowed to make mounts and policies.",
		Example: "  behalf provision vault\n  behalf provision vault --approle --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			environments, err := environmentsOf(w)
			if err != nil {
				return err
			}
			layout.Environments, layout.Policies = environments, policies.All()
			return provisionVault(cmd, w, layout, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one object a line")
	cmd.Flags().BoolVar(&layout.AppRole, "approle", false, "also make the auth method approle, with a role for each policy")
	cmd.Flags().StringVar(&layout.KubernetesNamespace, "kubernetes-namespace", "", "also make a role of the auth method kubernetes for each policy, bound to the service account of its name in this namespace")
	cmd.Flags().StringVar(&layout.KubernetesAudience, "kubernetes-audience", "vault", "what the tokens of those service accounts must be made for")
	return cmd
}

func provisionVault(cmd *cobra.Command, w world, layout vault.Layout, asJSON bool) error {
	cfg, err := readVault(w)
	if err != nil {
		return err
	}
	if cfg.Login.Method == vault.Token && cfg.Login.File == "" && cfg.Login.Given.IsZero() {
		cfg.Login.File = loggedIn(w)
	}
	changes, err := vault.Provision(cmd.Context(), cfg, layout)
	for _, c := range changes {
		if !asJSON {
			w.printf("%-9s %s %s\n", c.Action, c.Kind, c.Name)
		} else if err := printJSON(w, c); err != nil {
			return err
		}
	}
	if fault.Is(err, fault.Forbidden) {
		return hinted{err, "it takes a token that may make mounts, policies and roles: VAULT_TOKEN"}
	}
	return err
}

// loggedIn is where `vault login` leaves its token, if it has.
func loggedIn(w world) string {
	file := filepath.Join(w.env("HOME", ""), ".vault-token")
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return file
}
