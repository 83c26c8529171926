package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newConfig(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use: "config", Short: "What the settings are, and where they come from", Args: cobra.NoArgs,
		Long: "Settings are read from the defaults, then the file of --config or BEHALF_CONFIG, then the environment, then the flags;\n" +
			"what comes later wins. A key of the file is the name of its variable without BEHALF_, in small letters. The file holds\n" +
			"no secrets, only paths to them.",
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newConfigShow(w))
	return cmd
}

// settingView is a setting as it is printed by --json.
type settingView struct {
	Key      string `json:"key"`
	Variable string `json:"variable"`
	// Value is empty for a default, which differs from role to role: see the flags of each.
	Value string `json:"value,omitempty"`
	From  string `json:"from"`
	Help  string `json:"help"`
}

func newConfigShow(w world) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "show", Short: "Show every setting, its value and where it comes from", Args: cobra.NoArgs,
		Example: "  behalf config show --config behalf.yaml",
		RunE: func(*cobra.Command, []string) error {
			t := table(w)
			defer func() { _ = t.Flush() }()
			for _, v := range w.settings() {
				var err error
				if asJSON {
					err = printJSON(w, v)
				} else {
					_, err = fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", v.Key, v.From, v.Value, v.Help)
				}
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one object a line")
	return cmd
}

// settings lists every setting as it is now, and the secrets without their values.
func (w world) settings() []settingView {
	var all []settingView
	for _, k := range settingKeys() {
		v := settingView{Key: k.key, Variable: k.variable(), From: "default", Help: k.help}
		if v.Value = w.env(v.Variable, ""); v.Value != "" {
			v.From = w.origin(v.Variable)
		}
		all = append(all, v)
	}
	for _, name := range []string{"BEHALF_CLIENT_SECRET", "VAULT_TOKEN"} {
		v := settingView{Key: name, Variable: name, From: "default", Help: "a secret, from the environment alone"}
		if w.env(name, "") != "" {
			v.Value, v.From = "***", "environment"
		}
		all = append(all, v)
	}
	return all
}

// origin says where a variable that has a value has it from.
func (w world) origin(variable string) string {
	if value, ok := w.lookupEnv(variable); ok && value != "" {
		return "environment"
	}
	return w.config.path
}
