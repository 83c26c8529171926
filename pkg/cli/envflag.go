package cli

import (
	"github.com/spf13/cobra"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// envFlag takes a flag's default from the environment or the config file. A value that is none of the flag's kind is told
// when the command runs, unless the flag itself is given.
func envFlag(cmd *cobra.Command, w world, name, variable string) {
	text := w.env(variable, "")
	flag := cmd.Flags().Lookup(name)
	if text == "" {
		return
	}
	if err := flag.Value.Set(text); err == nil {
		flag.DefValue = flag.Value.String()
		return
	}
	wanted := "a whole number"
	if flag.Value.Type() == "duration" {
		wanted = "a duration such as 30s"
	}
	before := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if !flag.Changed {
			return hinted{fault.Newf(fault.Invalid, "cli.settings", "%s must be %s, not %.80q", variable, wanted, text), "see `" + cmd.CommandPath() + " --help`"}
		}
		if before != nil {
			return before(cmd, args)
		}
		return nil
	}
}
