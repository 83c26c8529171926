package cli

import (
	"encoding/json"
	"text/tabwriter"
	"time"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// printJSON prints one object on one line.
func printJSON(w world, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return fault.Wrap(fault.Internal, "cli.print", err)
	}
	w.printf("%s\n", data)
	return nil
}

// table prints rows with aligned columns.
func table(w world) *tabwriter.Writer { return tabwriter.NewWriter(w.stdout, 0, 8, 2, ' ', 0) }

// decoded reads one entry of a list.
func decoded[T any](raw json.RawMessage) (T, error) {
	var v T
	err := json.Unmarshal(raw, &v)
	return v, fault.Wrap(fault.Internal, "cli.print", err)
}

func ago(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}
