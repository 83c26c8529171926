package cli

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// The example in configs is read, says every setting there is, and changes nothing: it holds the defaults of dev.
func TestTheExampleOfAConfigFile(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../configs/dev.yaml")
	if err != nil {
		t.Fatal(err)
	}
	config, err := parseConfig("dev.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, match := range regexp.MustCompile(`(?m)^(?:# )?([a-z_]+): \S`).FindAllSubmatch(text, -1) {
		said = append(said, string(match[1]))
	}
	var keys []string
	for _, k := range settingKeys() {
		keys = append(keys, k.key)
	}
	slices.Sort(keys)
	if slices.Sort(said); !slices.Equal(said, keys) {
		t.Errorf("the example says %v, the settings are %v", said, keys)
	}
	w := world{lookupEnv: func(string) (string, bool) { return "", false }}
	plain := newDev(w)
	w.config = config
	configured := newDev(w)
	for name, variable := range map[string]string{
		"addr": "BEHALF_ADDR", "metrics-addr": "BEHALF_METRICS_ADDR", "practice-addr": "BEHALF_PRACTICE_ADDR", "data-dir": "BEHALF_DATA_DIR",
		"nats-addr": "BEHALF_NATS_ADDR", "max-queued": "BEHALF_MAX_QUEUED", "runs-max-msgs": "BEHALF_RUNS_MAX_MSGS", "slots": "BEHALF_SLOTS",
	} {
		if config.values[variable] == "" || plain.Flag(name).Value.String() != configured.Flag(name).Value.String() {
			t.Errorf("%s is %s by itself, and %s by the example", name, plain.Flag(name).Value, configured.Flag(name).Value)
		}
	}
	// What stands behind a # is well formed too, but for the ids, which nobody has yet.
	all := regexp.MustCompile(`(?m)^# ([a-z_]+: \S)`).ReplaceAll(text, []byte("$1"))
	if _, err := parseConfig("dev.yaml", all); err != nil {
		t.Error(err)
	}
}

// Every variable that is read here is a key of the file, or is known to be none.
func TestEverySettingIsAKey(t *testing.T) {
	t.Parallel()
	none := []string{
		"BEHALF_CLIENT_SECRET",                                                                                    // a secret
		"BEHALF_CONFIG",                                                                                           // the file itself
		"BEHALF_FAILPOINT", "BEHALF_FAILPOINT_DIR", "BEHALF_FAILPOINT_APP_URLS", "BEHALF_FAILPOINT_OAUTH_CLIENTS", // for tests
		"BEHALF_NATS_CREDS_", // the beginning of two
	}
	keys := map[string]bool{}
	for _, k := range settingKeys() {
		if keys[k.variable()] || k.help == "" {
			t.Errorf("%s stands there twice, or without a word", k.key)
		}
		keys[k.variable()] = true
	}
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	read := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, match := range regexp.MustCompile(`"((?:BEHALF)_[A-Z_]+)"`).FindAllSubmatch(text, -1) {
			read[string(match[1])] = true
		}
	}
	for _, variable := range slices.Sorted(maps.Keys(read)) {
		if !keys[variable] && !slices.Contains(none, variable) {
			t.Errorf("%s is read, and is no key of the config file: add it to settingKeys and configs/dev.yaml", variable)
		}
	}
	if len(read) < 20 {
		t.Errorf("only %d variables were found", len(read))
	}
}

func TestMistakesOfAConfigFile(t *testing.T) {
	t.Parallel()
	_, err := parseConfig("behalf.yaml", []byte(`addr: 8080
adr: 127.0.0.1:8080
metrics-addr: 127.0.0.1:9091
client_secret: canary
vault_token: canary
nats_url: nats://user:canary@nats:4222
storage: much
ack_wait: 30
ack_wait: 30s
slots: none
trusted_proxies: 10.0.0.0/8
frobnicate: true
node: ""
rate: fast
`))
	if !fault.Is(err, fault.Invalid) || strings.Contains(err.Error(), "canary") {
		t.Fatalf("got %v", err)
	}
	want := `behalf.yaml:1: addr must be a text, not a number; hint: write addr: and a text, in quotes where it looks like a number
behalf.yaml:2: there is no setting "adr"; hint: ` + "`behalf config show` lists the settings" + `
behalf.yaml:3: there is no setting "metrics-addr"; hint: did you mean metrics_addr?
behalf.yaml:4: client_secret is a secret, and this file holds none; hint: set BEHALF_CLIENT_SECRET in the environment
behalf.yaml:5: vault_token is a secret, and this file holds none; hint: set VAULT_TOKEN in the environment, or write vault_token_file: and a path
behalf.yaml:6: nats_url must hold no user and password: this file holds no secrets; hint: nats_creds names a file of credentials
behalf.yaml:7: storage must be an amount with its unit; hint: write 8GiB or 512MiB
behalf.yaml:8: ack_wait must be a text, not a number; hint: write ack_wait: and a text, in quotes where it looks like a number
behalf.yaml:9: ack_wait is given twice; it is on line 8 already; hint: keep one of them
behalf.yaml:10: slots must be a whole number, not a text; hint: write a number from 1 to 1099511627776
behalf.yaml:11: trusted_proxies must be a list, not a text; hint: write trusted_proxies: [one, two]
behalf.yaml:12: there is no setting "frobnicate"; hint: ` + "`behalf config show` lists the settings" + `
behalf.yaml:13: node is empty; hint: leave the line out for the default
behalf.yaml:14: rate must be a number of 0 or more; hint: write 50 or 0.5`
	if err.Error() != want {
		t.Errorf("got\n%v", err)
	}
}

// The file is found wherever --config stands, and as the last word of what says so.
func TestConfigPath(t *testing.T) {
	t.Parallel()
	w := world{lookupEnv: func(name string) (string, bool) { return "env.yaml", name == "BEHALF_CONFIG" }, stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}}
	for line, want := range map[string]string{
		"worker --config a.yaml": "a.yaml", "--config=a.yaml worker --env development": "a.yaml", "worker --help --config a.yaml": "a.yaml",
		"worker": "env.yaml", "frobnicate --config a.yaml": "a.yaml", "invoke x -d --config": "env.yaml", "apps list --config a.yaml --config b.yaml": "b.yaml",
		"": "env.yaml",
	} {
		if got := configPath(w, strings.Fields(line)); got != want {
			t.Errorf("behalf %s reads %s, want %s", line, got, want)
		}
	}
	if out := w.stdout.(*bytes.Buffer).String() + w.stderr.(*bytes.Buffer).String(); out != "" {
		t.Errorf("it printed %s", out)
	}
}
