package deploy

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/behalf-dev/behalf/configs"
	"github.com/behalf-dev/behalf/pkg/deploy/strict"
)

// object is what the test reads of a schema.
type object struct {
	Additional *bool                      `json:"additionalProperties"`
	Properties map[string]json.RawMessage `json:"properties"`
}

func TestTheSchemaOfEditorsSaysWhatLoadReads(t *testing.T) {
	t.Parallel()
	var schema struct {
		object
		Defs map[string]json.RawMessage `json:"$defs"`
	}
	if err := json.Unmarshal(configs.WorkflowSchema(), &schema); err != nil {
		t.Fatal(err)
	}
	shapes := map[string]strict.Shape{
		"trigger": triggerShape(), "response": respondShape(), "step": stepShape(), "settings": settingsShape(),
	}
	same(t, "workflow", schema.object, workflowShape())
	if len(schema.Defs) != len(shapes) {
		t.Errorf("the schema has %d definitions, Load %d", len(schema.Defs), len(shapes))
	}
	for name, shape := range shapes {
		var def object
		if err := json.Unmarshal(schema.Defs[name], &def); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		same(t, name, def, shape)
	}
}

func same(t *testing.T, name string, def object, shape strict.Shape) {
	t.Helper()
	want := slices.Sorted(slices.Values(shape.Known))
	if got := slices.Sorted(maps.Keys(def.Properties)); !slices.Equal(got, want) {
		t.Errorf("%s: the schema has %v, Load reads %v", name, got, want)
	}
	if def.Additional == nil || *def.Additional {
		t.Errorf("%s: the schema lets other fields pass", name)
	}
}
