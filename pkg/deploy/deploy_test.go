package deploy_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/behalf-dev/behalf/configs"
	"github.com/behalf-dev/behalf/pkg/action"
	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/deploy"
	"github.com/behalf-dev/behalf/pkg/fault"
)

var update = flag.Bool("update", false, "write the golden files anew")

const project = behalf.ProjectID("proj_test")

func catalog(tb testing.TB) app.Catalog {
	tb.Helper()
	c, err := app.Load(configs.Apps())
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func actions(tb testing.TB) action.Catalog {
	tb.Helper()
	c, err := action.Standard(catalog(tb))
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func unpack(tb testing.TB, path string) map[string][]byte {
	tb.Helper()
	archive, err := txtar.ParseFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	files := map[string][]byte{}
	for _, f := range archive.Files {
		files[f.Name] = f.Data
	}
	return files
}

// golden compares with the file beside the input, or writes it.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs:\n%s", path, got)
	}
}

func inputs(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: %v", pattern, err)
	}
	return paths
}

func TestGoodWorkflows(t *testing.T) {
	t.Parallel()
	for _, path := range inputs(t, "testdata/good/*.txtar") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			loaded, err := deploy.Load(project, "folder", unpack(t, path), catalog(t), actions(t))
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.MarshalIndent(loaded.Version, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, strings.TrimSuffix(path, "txtar")+"json", append(got, '\n'))
		})
	}
}

func TestBadWorkflows(t *testing.T) {
	t.Parallel()
	for _, path := range inputs(t, "testdata/bad/*.txtar") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			_, err := deploy.Load(project, "folder", unpack(t, path), catalog(t), actions(t))
			if !fault.Is(err, fault.Invalid) || fault.Safe(err) != err.Error() {
				t.Fatalf("kind %v, safe %q", fault.KindOf(err), fault.Safe(err))
			}
			golden(t, strings.TrimSuffix(path, "txtar")+"txt", []byte(err.Error()+"\n"))
		})
	}
}

func TestTheIdFollowsTheContentAlone(t *testing.T) {
	t.Parallel()
	id := func(project behalf.ProjectID, folder, name, code string) behalf.VersionID {
		loaded, err := deploy.Load(project, folder, map[string][]byte{
			deploy.File: []byte("name: " + name + "\ntriggers: [{ type: http, auth: oauth }]\nsteps: [{ name: a, run: a.mjs }]\n"),
			"a.mjs":     []byte(code),
		}, catalog(t), actions(t))
		if err != nil {
			t.Fatal(err)
		}
		return loaded.Version.ID
	}
	first := id(project, "f", "n", "code")
	if second := id(project, "f", "n # a comment", "code"); second != first {
		t.Error("a comment changes the id")
	}
	seen := map[behalf.VersionID]string{first: "the first"}
	for what, other := range map[string]behalf.VersionID{
		"another project": id("proj_other", "f", "n", "code"), "another folder": id(project, "g", "n", "code"),
		"another name": id(project, "f", "m", "code"), "other code": id(project, "f", "n", "code;"),
	} {
		if with, same := seen[other]; same {
			t.Errorf("%s has the id of %s", what, with)
		}
		seen[other] = what
	}
}

func TestSourcesAreNamedByTheirContent(t *testing.T) {
	t.Parallel()
	loaded, err := deploy.Load(project, "folder", unpack(t, "testdata/good/everything.txtar"), catalog(t), actions(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(loaded.Sources) != 2 {
		t.Errorf("%d sources", len(loaded.Sources))
	}
	for _, step := range loaded.Version.Steps {
		text := loaded.Sources[step.Source.File]
		if step.Source.Object != behalf.NewObjectID(project, text) || step.Source.Runtime != behalf.RuntimeNode {
			t.Errorf("step %s: %+v", step.Name, step.Source)
		}
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	const head = "name: n\ntriggers: [{ type: http, auth: oauth }]\nsteps:\n"
	step := func(n int) string { return fmt.Sprintf("  - { name: s%d, run: a.mjs }\n", n) }
	many := func(n int) string {
		var steps strings.Builder
		for i := range n {
			steps.WriteString(step(i))
		}
		return steps.String()
	}
	props := func(json string) string { return "  - { name: a, run: a.mjs, props: { x: " + json + " } }\n" }
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for name, c := range map[string]struct {
		yaml string
		code int // bytes
		want string
	}{
		"100 steps":               {head + many(100), 1, ""},
		"101 steps":               {head + many(101), 1, "this one 101"},
		"a source of 1 MiB":       {head + many(1), 1 << 20, ""},
		"a source above":          {head + many(1), 1<<20 + 1, "larger than 1024 KiB"},
		"props of 64 KiB":         {head + props(`"`+strings.Repeat("x", 64<<10-8)+`"`), 1, ""},
		"props above":             {head + props(`"`+strings.Repeat("x", 64<<10-7)+`"`), 1, "larger than 64 KiB"},
		"a deep value":            {head + props(deep(250)), 1, ""},
		"too deep a value":        {head + props(deep(300)), 1, "nested more than 256 deep"},
		"far too deep a value":    {head + props(deep(9_000)), 1, "nested more than 256 deep"},
		"deep in block style":     {head + props("1") + strings.Repeat("- ", 100_000), 1, "words and signs"},
		"deep in block style too": {head + props("1") + strings.Repeat("- ", 9_000), 1, "nested more than 256 deep"},
		"a file above 256 KiB":    {head + many(1) + "#" + strings.Repeat("x", 256<<10), 1, "larger than 256 KiB"},
		"a bomb of anchors":       {head + many(1) + strings.Repeat("&a ", 80_000), 1, "words and signs"},
		"bytes that are no text":  {head + many(1) + "\xff", 1, "not valid UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := map[string][]byte{deploy.File: []byte(c.yaml), "a.mjs": bytes.Repeat([]byte("x"), c.code)}
			_, err := deploy.Load(project, "folder", files, catalog(t), actions(t))
			if c.want == "" {
				if err != nil {
					t.Errorf("got %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestAFolderMustHaveAName(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"", ".", "..", ".hidden", "a/b", `a\b`, "a\nb", "a\xff", strings.Repeat("x", 101)} {
		_, err := deploy.Load(project, folder, unpack(t, "testdata/good/minimal.txtar"), catalog(t), actions(t))
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: got %v", folder, err)
		}
	}
}

func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/good/*.txtar", "testdata/bad/*.txtar"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, path := range paths {
			f.Add(unpack(f, path)[deploy.File])
		}
	}
	apps, all := catalog(f), actions(f)
	f.Fuzz(func(t *testing.T, yaml []byte) {
		code := []byte("export default {};")
		files := map[string][]byte{deploy.File: yaml, "a.mjs": code, "only.mjs": code, "second.mjs": code, "lib/first.mjs": code}
		loaded, err := deploy.Load(project, "folder", files, apps, all)
		if err != nil {
			if !fault.Is(err, fault.Invalid) || err.Error() == "" {
				t.Fatalf("kind %v: %v", fault.KindOf(err), err)
			}
			return
		}
		first, err := json.Marshal(loaded.Version)
		if err != nil {
			t.Fatal(err)
		}
		var again behalf.Version
		if err := json.Unmarshal(first, &again); err != nil {
			t.Fatal(err)
		}
		second, err := json.Marshal(again)
		if err != nil || !bytes.Equal(first, second) {
			t.Fatalf("%s becomes %s, %v", first, second, err)
		}
		if again.ID == "" || len(again.Steps) == 0 || again.Trigger.Auth == "" || again.Settings.Timeout <= 0 {
			t.Fatalf("an unusable version: %s", first)
		}
	})
}

func ExampleLoad() {
	apps, err := app.Load(configs.Apps())
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = deploy.Load("proj_1", "notify", map[string][]byte{
		"workflow.yaml": []byte(`name: Notify
triggers:
  - type: http
    auht: oauth
steps:
  - name: notify
    run: notify.py
    accounts: { slak: end_user }
`),
	}, apps, action.Catalog{})
	fmt.Println(err)
	// Output:
	// notify/workflow.yaml:3: triggers[0].auth is missing; hint: write auth: oauth (your backend's token), auth: token (one fixed token) or auth: none (open to everyone)
	// notify/workflow.yaml:4: there is no field "auht" here; hint: did you mean auth?
	// notify/workflow.yaml:7: Python steps are not built yet; hint: write run: and a .mjs file; Python comes in a later release
	// notify/workflow.yaml:8: there is no app "slak"; hint: did you mean slack?
}
