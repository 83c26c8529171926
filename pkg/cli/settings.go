package cli

import (
	"os"
	"strings"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
	"github.com/behalf-dev/behalf/pkg/web"
)

const defaultDataDir = ".behalf"

// roleSettings are what a role that runs apart from the others reads of the process environment.
type roleSettings struct {
	environments   []behalf.Environment
	natsURL        string
	creds          map[behalf.Environment]secret.String
	natsTLS        bus.ConnTLS
	apiURL         string
	ingressURL     string
	workflowDomain string
	dataDir        string
	addr           string
	metricsAddr    string
	node           string
	proxies        web.Proxies
}

// readSettings reads them for these environments. Errors: Invalid, for a value of no shape and for credentials that
// cannot be read.
func readSettings(w world, environments []behalf.Environment, addr string) (roleSettings, error) {
	s := roleSettings{
		environments: environments,
		natsURL:      w.env("BEHALF_NATS_URL", "nats://127.0.0.1:4222"),
		apiURL:       w.env("BEHALF_API_URL", "http://127.0.0.1:8090"),
		ingressURL:   w.env("BEHALF_INGRESS_URL", "http://127.0.0.1:8080"),
		dataDir:      w.env("BEHALF_DATA_DIR", defaultDataDir),
		addr:         w.env("BEHALF_ADDR", addr), metricsAddr: w.env("BEHALF_METRICS_ADDR", ""),
		workflowDomain: w.env("BEHALF_WORKFLOW_DOMAIN", ""),
		node:           w.env("BEHALF_NODE", ""),
		creds:          make(map[behalf.Environment]secret.String),
	}
	var err error
	if s.proxies, err = web.ParseProxies(w.env("BEHALF_TRUSTED_PROXIES", "")); err != nil {
		return s, err
	}
	if s.natsTLS, err = natsTLS(w); err != nil {
		return s, err
	}
	for _, env := range environments {
		file := w.env(credsVariable(env), w.env("BEHALF_NATS_CREDS", ""))
		if file == "" {
			continue // a server without authentication, as a test may have
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return s, hinted{fault.Newf(fault.Invalid, "cli.settings", "cannot read the NATS credentials %s", file), "set " + credsVariable(env)}
		}
		s.creds[env] = secret.New(string(data))
	}
	return s, nil
}

func credsVariable(env behalf.Environment) string {
	return "BEHALF_NATS_CREDS_" + strings.ToUpper(string(env))
}

func (s roleSettings) connect(env behalf.Environment, role string) bus.ConnConfig {
	return bus.ConnConfig{URL: s.natsURL, TLS: s.natsTLS, Creds: s.creds[env], Name: "behalf " + role + " " + string(env)}
}

// environmentsOf reads which environments a role serves: BEHALF_ENVIRONMENTS, else those with credentials of their own,
// else both.
func environmentsOf(w world) ([]behalf.Environment, error) {
	if list := w.env("BEHALF_ENVIRONMENTS", ""); list != "" {
		var environments []behalf.Environment
		for name := range strings.SplitSeq(list, ",") {
			env, err := behalf.ParseEnvironment(strings.TrimSpace(name))
			if err != nil {
				return nil, err
			}
			environments = append(environments, env)
		}
		return environments, nil
	}
	var named []behalf.Environment
	for _, env := range behalf.Environments() {
		if w.env(credsVariable(env), "") != "" {
			named = append(named, env)
		}
	}
	if len(named) > 0 {
		return named, nil
	}
	return behalf.Environments(), nil
}
