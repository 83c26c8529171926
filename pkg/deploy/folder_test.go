package deploy_test

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/behalf-dev/behalf/configs"
	"github.com/behalf-dev/behalf/pkg/deploy"
	"github.com/behalf-dev/behalf/pkg/fault"
)

func TestReadFolderTakesTheWorkflowAndItsCodeAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{
		"workflow.yaml", "a.mjs", "lib/b.mjs", "README.md", "picture.png", ".env", ".git/c.mjs", "node_modules/x/d.mjs",
		"lib/.hidden.mjs", "lib/workflow.yaml",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	outside := filepath.Join(t.TempDir(), "secret.mjs")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"link.mjs": outside, "linked": filepath.Dir(outside)} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	files, err := deploy.ReadFolder(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	names := slices.Sorted(maps.Keys(files))
	if want := []string{"a.mjs", "lib/b.mjs", "workflow.yaml"}; !slices.Equal(names, want) {
		t.Errorf("read %v, want %v", names, want)
	}
}

func TestReadFolderIsBounded(t *testing.T) {
	t.Parallel()
	large := fstest.MapFS{"a.mjs": {Data: make([]byte, 3<<20)}}
	files, err := deploy.ReadFolder(large)
	if err != nil || len(files["a.mjs"]) != deploy.MaxSource+1 {
		t.Errorf("read %d bytes, %v", len(files["a.mjs"]), err)
	}
	many := fstest.MapFS{}
	for i := range 1001 {
		many[strings.Repeat("x", i%100+1)+string(rune('a'+i/100))+".mjs"] = &fstest.MapFile{}
	}
	if _, err := deploy.ReadFolder(many); !fault.Is(err, fault.Invalid) {
		t.Errorf("1001 files: %v", err)
	}
	heavy := fstest.MapFS{}
	for i := range 20 {
		heavy[strings.Repeat("x", i+1)+".mjs"] = &fstest.MapFile{Data: make([]byte, 1<<20)}
	}
	if _, err := deploy.ReadFolder(heavy); !fault.Is(err, fault.Invalid) {
		t.Errorf("20 MiB: %v", err)
	}
}

func TestFolders(t *testing.T) {
	t.Parallel()
	file := &fstest.MapFile{}
	for name, c := range map[string]struct {
		files fstest.MapFS
		want  []string
	}{
		"the folder itself": {fstest.MapFS{"workflow.yaml": file, "child/workflow.yaml": file}, []string{"."}},
		"its children":      {fstest.MapFS{"b/workflow.yaml": file, "a/workflow.yaml": file, "c/a.mjs": file, "d.yaml": file}, []string{"a", "b"}},
		"no grandchild":     {fstest.MapFS{"a/b/workflow.yaml": file}, nil},
		"nothing hidden":    {fstest.MapFS{".a/workflow.yaml": file, "node_modules/workflow.yaml": file}, nil},
		"no folder of it":   {fstest.MapFS{"a/workflow.yaml/x": file}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := deploy.Folders(c.files)
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

// A workflow.yaml that is a link is none: it may lead to any file of the machine.
func TestFoldersFollowNoLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	outside := filepath.Join(t.TempDir(), "workflow.yaml")
	if err := errors.Join(os.WriteFile(outside, []byte("secret"), 0o600), os.Mkdir(filepath.Join(dir, "a"), 0o755)); err != nil {
		t.Fatal(err)
	}
	for _, link := range []string{"workflow.yaml", "a/workflow.yaml"} {
		if err := os.Symlink(outside, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := deploy.Folders(os.DirFS(dir)); err != nil || len(got) > 0 {
		t.Errorf("found %v, %v", got, err)
	}
}

type brokenFS struct{ err error }

func (b brokenFS) Open(string) (fs.File, error) { return nil, b.err }

func TestAFolderThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		kind fault.Kind
	}{{fs.ErrNotExist, fault.NotFound}, {errors.New("disk on fire"), fault.Unavailable}} {
		if _, got := deploy.Folders(brokenFS{c.err}); !fault.Is(got, c.kind) {
			t.Errorf("Folders: %v", got)
		}
		if _, got := deploy.ReadFolder(brokenFS{c.err}); !fault.Is(got, c.kind) {
			t.Errorf("ReadFolder: %v", got)
		}
	}
}

func TestEveryExampleLoads(t *testing.T) {
	t.Parallel()
	folders, err := deploy.Folders(configs.Examples())
	if err != nil || !slices.Equal(folders, []string{"actions", "hello", "notify"}) {
		t.Fatalf("%v, %v", folders, err)
	}
	for _, folder := range folders {
		example, err := fs.Sub(configs.Examples(), folder)
		if err != nil {
			t.Fatal(err)
		}
		files, err := deploy.ReadFolder(example)
		if err != nil {
			t.Fatal(err)
		}
		loaded, err := deploy.Load(project, folder, files, catalog(t), actions(t))
		if err != nil {
			t.Errorf("%v", err)
		}
		if len(loaded.Sources) != len(files)-1 {
			t.Errorf("%s: %d of its %d files are code of a step", folder, len(loaded.Sources), len(files)-1)
		}
	}
}
