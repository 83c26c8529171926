package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/fault"
)

func newEnv(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use: "env", Short: "Environment variables and secrets of the project", Args: cobra.NoArgs,
		Long: "Environment variables lie in the credential store, one set an environment. Code steps read those that they name\n" +
			"(env: [STRIPE_KEY]) as process.env.STRIPE_KEY, and props read them as {{env.STRIPE_KEY}}. A change is seen within\n" +
			"seconds, without a deploy.",
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newEnvSet(w), newEnvList(w), newEnvUnset(w))
	return cmd
}

// variableValue is what PUT takes. It is the one place of this package where the value is written out.
type variableValue struct {
	Value string `json:"value"`
	Plain bool   `json:"plain,omitempty"`
}

func newEnvSet(w world) *cobra.Command {
	var flags remoteFlags
	var plain bool
	cmd := &cobra.Command{
		Use: "set NAME [-]", Short: "Set a variable to what standard input says",
		Long: "Set reads the value from standard input, without the line break at its end, and keeps it as a secret: nothing shows\n" +
			"it again, and it is taken out of logs, exports, answers and errors of runs. With --plain it is no secret: then it\n" +
			"may be given by argument, NAME=VALUE, and is not taken out.",
		Example: "  printf %s \"$STRIPE_KEY\" | behalf env set STRIPE_KEY --env production\n  behalf env set --plain REGION=eu-west-1 --env production",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, value, err := readVariable(w, args, plain)
			if err != nil {
				return err
			}
			r, err := flags.open(w)
			if err != nil {
				return err
			}
			var set json.RawMessage
			path := "/v1/env/" + url.PathEscape(string(name))
			if err := r.call(cmd.Context(), http.MethodPut, path, variableValue{value, plain}, &set); err != nil {
				return err
			}
			return printVariable(w, set, flags.json)
		},
	}
	flags.add(cmd, w)
	cmd.Flags().BoolVar(&plain, "plain", false, "the value is no secret")
	return cmd
}

func printVariable(w world, set json.RawMessage, asJSON bool) error {
	if asJSON {
		return printJSON(w, set)
	}
	v, err := decoded[variableShown](set)
	if err != nil {
		return err
	}
	w.printf("%s is set in %s\n", v.Name, v.Environment)
	return nil
}

// readVariable reads the name from the arguments, and the value from standard input or, where it is no secret, from
// NAME=VALUE.
func readVariable(w world, args []string, plain bool) (behalf.VariableName, string, error) {
	given, value, byArgument := strings.Cut(args[0], "=")
	name, err := behalf.ParseVariableName(given)
	switch {
	case err != nil:
		return "", "", err
	case byArgument && !plain || len(args) == 2 && args[1] != "-":
		return "", "", hinted{
			fault.New(fault.Invalid, "cli.env", "a secret never comes by argument"),
			fmt.Sprintf("write it to standard input: printf %%s \"$VALUE\" | behalf env set %s; or, if it is no secret: behalf env set --plain %s=VALUE", name, name),
		}
	case byArgument && len(args) == 2:
		return "", "", fault.New(fault.Invalid, "cli.env", "the value comes by argument or from standard input, not both")
	case byArgument:
		return name, value, nil
	}
	text, err := io.ReadAll(io.LimitReader(w.stdin, credential.MaxVariable+3))
	if err != nil {
		return "", "", fault.Wrap(fault.Invalid, "cli.env", err)
	}
	value = strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	if value == "" {
		return "", "", hinted{fault.New(fault.Invalid, "cli.env", "standard input has no value"), "to remove a variable: behalf env unset " + string(name)}
	}
	return name, value, nil
}

// variableShown is a variable as the API shows it.
type variableShown struct {
	behalf.Variable

	Environment behalf.Environment `json:"environment"`
}

func newEnvList(w world) *cobra.Command {
	var flags remoteFlags
	cmd := &cobra.Command{
		Use: "list", Short: "List the names of the variables, never their values", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := flags.open(w)
			if err != nil {
				return err
			}
			t := table(w)
			err = r.all(cmd.Context(), "/v1/env", url.Values{}, 0, func(raw json.RawMessage) error {
				if flags.json {
					return printJSON(w, raw)
				}
				v, err := decoded[variableShown](raw)
				if err != nil {
					return err
				}
				kind := "secret"
				if v.Plain {
					kind = "plain"
				}
				_, err = fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", v.Name, v.Environment, kind, ago(v.UpdatedAt))
				return err
			})
			_ = t.Flush()
			return err
		},
	}
	flags.add(cmd, w)
	return cmd
}

func newEnvUnset(w world) *cobra.Command {
	var flags remoteFlags
	cmd := &cobra.Command{
		Use: "unset NAME", Short: "Remove a variable and its value", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := behalf.ParseVariableName(args[0])
			if err != nil {
				return err
			}
			r, err := flags.open(w)
			if err != nil {
				return err
			}
			if err := r.call(cmd.Context(), http.MethodDelete, "/v1/env/"+url.PathEscape(string(name)), nil, nil); err != nil {
				return err
			}
			if flags.json {
				return printJSON(w, map[string]any{"name": name, "unset": true})
			}
			w.printf("%s is not set any more\n", name)
			return nil
		},
	}
	flags.add(cmd, w)
	return cmd
}
