package configs_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"testing"

	"github.com/behalf-dev/behalf/configs"
)

// What the files say is tested where they are read: the catalogue in pkg/app, the actions in pkg/action, the examples and
// the schema in pkg/deploy.
func TestEveryFolderShips(t *testing.T) {
	t.Parallel()
	for name, fsys := range map[string]fs.FS{"apps": configs.Apps(), "actions": configs.Actions(), "examples": configs.Examples()} {
		entries, err := fs.ReadDir(fsys, ".")
		if err != nil || len(entries) == 0 {
			t.Errorf("%s: %d entries, %v", name, len(entries), err)
		}
	}
	if !json.Valid(configs.WorkflowSchema()) {
		t.Error("the schema is not JSON")
	}
}

func ExampleExamples() {
	entries, err := fs.ReadDir(configs.Examples(), ".")
	for _, entry := range entries {
		fmt.Println(entry.Name())
	}
	fmt.Println(err)
	// Output:
	// actions
	// hello
	// notify
	// <nil>
}
