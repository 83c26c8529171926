package deploy_test

import (
	"bytes"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/behalf-dev/behalf/configs"
	"github.com/behalf-dev/behalf/pkg/deploy"
)

// schema is what editors hold a workflow.yaml against.
func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(configs.WorkflowSchema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("workflow.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("workflow.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// valid holds a file against the schema as an editor does, which reads YAML less strictly than a deploy.
func valid(t *testing.T, s *jsonschema.Schema, text []byte) error {
	t.Helper()
	asJSON, err := yaml.YAMLToJSON(text)
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		return err
	}
	return s.Validate(value)
}

func TestTheSchemaTakesWhatDeployTakes(t *testing.T) {
	t.Parallel()
	s := schema(t)
	for _, file := range inputs(t, "testdata/good/*.txtar") {
		if err := valid(t, s, unpack(t, file)[deploy.File]); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	folders, err := deploy.Folders(configs.Examples())
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		text, err := fs.ReadFile(configs.Examples(), path.Join(folder, deploy.File))
		if err != nil {
			t.Fatal(err)
		}
		if err := valid(t, s, text); err != nil {
			t.Errorf("%s: %v", folder, err)
		}
	}
}

// beyondSchemas are the bad folders whose workflow.yaml looks well: what is wrong with them no schema can say.
func beyondSchemas() map[string]string {
	return map[string]string{
		"no-file":      "it is called workflow.yml",
		"public-users": "what one step uses depends on what the trigger says",
		"sharing":      "anchors, aliases and tags are gone when YAML has become values",
	}
}

func TestTheSchemaRefusesWhatDeployRefuses(t *testing.T) {
	t.Parallel()
	s, passed := schema(t), map[string]bool{}
	for _, file := range inputs(t, "testdata/bad/*.txtar") {
		text, ok := unpack(t, file)[deploy.File]
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		if !ok || valid(t, s, text) == nil {
			passed[name] = true
		}
	}
	want := slices.Sorted(maps.Keys(beyondSchemas()))
	if got := slices.Sorted(maps.Keys(passed)); !slices.Equal(got, want) {
		t.Errorf("the schema takes %v, and should take no other than %v", got, want)
	}
}
