// Package cli is the command line: it reads flags and the process environment, puts the house together and prints.
//
// It never holds logic of its own: a command is flags, one call into a package, and a print.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/sandbox"
)

// version is set when the binary is built.
var version = "dev"

// Main runs the command line of this process and returns its exit code.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)                      // a second signal ends us at once, as if nobody listened
	if err := sandbox.SealDescriptors(); err != nil { // what we inherited must not reach a step
		complain(os.Stderr, err)
		return exitCode(err)
	}
	return run(ctx, os.Args[1:], world{lookupEnv: os.LookupEnv, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr})
}

// world is what a command may touch of the process, so that tests bring their own.
type world struct {
	lookupEnv      func(string) (string, bool)
	config         configFile
	stdin          io.Reader
	stdout, stderr io.Writer
}

// env reads a variable, else what the config file says in its place, or gives the default.
func (w world) env(name, otherwise string) string {
	if value, ok := w.lookupEnv(name); ok && value != "" {
		return value
	}
	if value := w.config.values[name]; value != "" {
		return value
	}
	return otherwise
}

func (w world) printf(format string, args ...any) { _, _ = fmt.Fprintf(w.stdout, format, args...) }

// logger writes to stderr: one JSON object a line, or text for people where w.logs says so.
func (w world) logger() zerolog.Logger {
	level, err := zerolog.ParseLevel(w.env("BEHALF_LOG_LEVEL", "info"))
	if err != nil {
		level = zerolog.InfoLevel
	}
	out := w.stderr
	if w.env("BEHALF_LOG_FORMAT", "json") == "text" {
		out = zerolog.ConsoleWriter{Out: w.stderr, TimeFormat: "15:04:05", NoColor: true}
	}
	return zerolog.New(out).Level(level).With().Timestamp().Logger()
}

func run(ctx context.Context, args []string, w world) int {
	config, err := readConfig(w, args) //nolint:contextcheck // it reads the command line, and runs nothing
	if err != nil {
		complain(w.stderr, err)
		return exitCode(err)
	}
	w.config = config
	root := newRoot(w) //nolint:contextcheck // cobra hands the context to the command that is run
	root.SetArgs(args)
	root.SetIn(w.stdin)
	root.SetOut(w.stdout)
	root.SetErr(w.stderr)
	if err = root.ExecuteContext(ctx); err == nil {
		return 0
	}
	complain(w.stderr, err)
	return exitCode(err)
}

func newRoot(w world) *cobra.Command {
	root := &cobra.Command{
		Use:           "behalf",
		Short:         "Run workflows on behalf of your users",
		Long:          "Behalf runs workflows on behalf of an application's end users: each run with its own user's accounts.",
		SilenceErrors: true, SilenceUsage: true,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return hinted{fault.New(fault.Invalid, "", err.Error()), "see `" + cmd.CommandPath() + " --help`"}
	})
	root.PersistentFlags().String("config", w.env("BEHALF_CONFIG", ""), "file of settings, which behalf config explains")
	root.AddCommand(
		newDev(w), newIngress(w), newWorker(w), newAPI(w), newProvision(w),
		newInit(w), newDeploy(w), newPromote(w), newRollback(w), newInvoke(w), newEndpoints(w), newActions(w), newApps(w), newAccounts(w), newOAuthApps(w), newClients(w), newCredentials(w), newUsers(w), newEnv(w), newRuns(w), newEvents(w), newDeadletters(w), newToken(w), newConfig(w), newVersion(w),
	)
	return root
}

// hinted is an error with a line on what to type.
type hinted struct {
	error
	hint string
}

// Unwrap returns the error without its hint.
func (h hinted) Unwrap() error { return h.error }

// complain writes an error as the terminal's rules have it: what, and what to type.
func complain(out io.Writer, err error) {
	text := err.Error()
	var f *fault.Error
	if errors.As(err, &f) && f.Message != "" {
		text = f.Message
		if f.Err != nil {
			text += ": " + f.Err.Error()
		}
	}
	_, _ = fmt.Fprintf(out, "behalf: %s\n", strings.TrimSpace(text))
	if h, ok := errors.AsType[hinted](err); ok {
		_, _ = fmt.Fprintf(out, "hint: %s\n", h.hint)
	}
}

// exitCode is the one table of kinds of this package: 2 for what was typed wrong, 1 for all else.
func exitCode(err error) int {
	if _, ok := errors.AsType[*fault.Error](err); !ok { // cobra's own errors are about what was typed
		return 2
	}
	switch fault.KindOf(err) {
	case fault.Invalid:
		return 2
	case fault.Internal, fault.Unauthenticated, fault.Forbidden, fault.NotFound, fault.Conflict, fault.Exhausted,
		fault.Unavailable, fault.Timeout, fault.Canceled, fault.StepFailed:
		return 1
	}
	return 1
}

func newVersion(w world) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			w.printf("behalf %s\n", version)
			return nil
		},
	}
}
