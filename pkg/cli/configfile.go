package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/deploy/strict"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// configFile holds what a file says, as if it stood in the environment: by variable.
type configFile struct {
	path   string
	values map[string]string
}

// readConfig reads the file of --config or BEHALF_CONFIG, where one is named. Errors: Invalid, with every mistake.
func readConfig(w world, args []string) (configFile, error) {
	path := configPath(w, args)
	if path == "" {
		return configFile{}, nil
	}
	text, err := os.ReadFile(path) //nolint:gosec // the file that the operator named is the point
	if err != nil {
		return configFile{}, hinted{fault.Newf(fault.Invalid, "cli.config", "cannot read the config file %s", path), "--config or BEHALF_CONFIG names a YAML file"}
	}
	return parseConfig(path, text)
}

// configPath is what --config says, wherever it stands, else BEHALF_CONFIG. It reads the command line as the command will,
// on a copy of it; what is wrong there is told by the command itself.
func configPath(w world, args []string) string {
	probe := newRoot(w)
	probe.SetOut(io.Discard)
	probe.SetErr(io.Discard)
	cmd, flags, err := probe.Find(args)
	if err == nil {
		cmd.InitDefaultHelpFlag()
		_ = cmd.ParseFlags(flags) // after a mistake, --config counts as far as it was read
		if flag := cmd.Flag("config"); flag != nil {
			return flag.Value.String()
		}
	}
	return w.env("BEHALF_CONFIG", "")
}

// parseConfig reads a file: a mapping of the keys below, each the name of its variable without BEHALF_ in small letters.
func parseConfig(path string, text []byte) (configFile, error) {
	c := configFile{path: path, values: map[string]string{}}
	mistakes := strict.Read(path, text, func(root strict.Value) {
		fields, ok := root.Fields("write addr: 127.0.0.1:8080, and other keys each on a line of its own")
		if !ok {
			return
		}
		for _, name := range fields.Names() {
			c.read(name, fields.Field(name))
		}
	})
	return c, mistakes.Err()
}

func (c configFile) read(name string, field strict.Value) {
	if until, secret := secretKeys()[name]; secret {
		field.Mistake(name+" is a secret, and this file holds none", until)
		return
	}
	all := settingKeys()
	i := slices.IndexFunc(all, func(k settingKey) bool { return k.key == name })
	if i < 0 {
		field.Mistake(fmt.Sprintf("there is no setting %.80q", name), nearest(name))
		return
	}
	if value, ok := all[i].read(field); ok {
		c.values[all[i].variable()] = value
	}
}

// nearest finds what was meant: a key of the same letters, or one that begins so.
func nearest(name string) string {
	plain := strings.NewReplacer("-", "_", ".", "_", "behalf_", "").Replace(strings.ToLower(name))
	for _, k := range settingKeys() {
		if k.key == plain || strings.HasPrefix(k.key, plain) || strings.HasPrefix(plain, k.key) {
			return "did you mean " + k.key + "?"
		}
	}
	return "`behalf config show` lists the settings"
}

// secretKeys are what somebody could look for, with where it belongs.
func secretKeys() map[string]string {
	return map[string]string{ //nolint:gosec // advice, no values
		"client_secret":   "set BEHALF_CLIENT_SECRET in the environment",
		"vault_token":     "set VAULT_TOKEN in the environment, or write vault_token_file: and a path",
		"vault_secret_id": "write vault_secret_id_file: and a path",
	}
}

// settingKind is what a setting's value must look like.
type settingKind int

const (
	kindText settingKind = iota
	kindURL
	kindList
	kindCount
	kindNumber
	kindDuration
	kindStorage
)

// settingKey is one key of the config file.
type settingKey struct {
	key  string
	kind settingKind
	help string
}

// variable is the setting's name in the environment.
func (k settingKey) variable() string {
	name := strings.ToUpper(k.key)
	if slices.Contains(vaultsOwn(), k.key) {
		return name
	}
	return "BEHALF_" + name
}

// vaultsOwn are the keys whose variables are those of every client of Vault.
func vaultsOwn() []string { return []string{"vault_addr", "vault_cacert", "vault_namespace"} }

func (k settingKey) read(field strict.Value) (string, bool) {
	switch k.kind {
	case kindList:
		return readConfigList(k, field)
	case kindCount:
		n, ok := field.Int(1, 1<<40)
		return fmt.Sprint(n), ok
	case kindNumber:
		return readConfigNumber(k, field)
	case kindText, kindURL, kindDuration, kindStorage:
	}
	text, ok := field.Text("write " + k.key + ": and a text, in quotes where it looks like a number")
	if !ok {
		return "", false
	}
	if what, hint := k.wrong(text); what != "" {
		field.Mistake(k.key+" "+what, hint)
		return "", false
	}
	return text, true
}

// wrong says what speaks against a text.
func (k settingKey) wrong(text string) (what, hint string) {
	switch k.kind {
	case kindDuration:
		if d, err := time.ParseDuration(text); err != nil || d <= 0 {
			return "must be a duration above 0 with its unit", "write 30s or 2m"
		}
	case kindStorage:
		if _, err := bus.ParseBytes(text); err != nil {
			return "must be an amount with its unit", "write 8GiB or 512MiB"
		}
	case kindURL:
		u, err := url.Parse(text)
		if err != nil || u.Host == "" {
			return "must be a URL", "write https://api.example.com"
		}
		if u.User != nil {
			return "must hold no user and password: this file holds no secrets", "nats_creds names a file of credentials"
		}
	case kindText, kindList, kindCount, kindNumber:
	}
	if text == "" {
		return "is empty", "leave the line out for the default"
	}
	return "", ""
}

// readConfigNumber reads a number that is not negative.
func readConfigNumber(k settingKey, field strict.Value) (string, bool) {
	value, ok := field.JSON(func(strict.Value, string) {})
	if number, isNumber := value.(json.Number); isNumber && !strings.HasPrefix(number.String(), "-") {
		return number.String(), ok
	}
	if ok {
		field.Mistake(k.key+" must be a number of 0 or more", "write 50 or 0.5")
	}
	return "", false
}

func readConfigList(k settingKey, field strict.Value) (string, bool) {
	items, ok := field.Items("write " + k.key + ": [one, two]")
	texts := make([]string, 0, len(items))
	for _, item := range items {
		text, good := item.Text("")
		texts, ok = append(texts, text), ok && good
	}
	return strings.Join(texts, ","), ok
}
