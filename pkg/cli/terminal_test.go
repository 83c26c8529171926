package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// terminal is somebody at the command line of a running dev.
type terminal struct {
	t   *testing.T
	dir string
}

// run runs a command, with the input as standard input, and returns what it said and how it ended.
func (s terminal) run(input string, args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	var out, errs bytes.Buffer
	code = run(s.t.Context(), args, world{
		lookupEnv: func(name string) (string, bool) { return s.dir, name == "BEHALF_DATA_DIR" },
		stdin:     strings.NewReader(input), stdout: &out, stderr: &errs,
	})
	return out.String(), errs.String(), code
}

// must runs a command that ends well and says nothing on stderr.
func (s terminal) must(args ...string) string {
	s.t.Helper()
	stdout, stderr, code := s.run("", args...)
	if code != 0 || stderr != "" {
		s.t.Fatalf("behalf %v ended with %d\n%s%s", args, code, stdout, stderr)
	}
	return stdout
}

// said is must without the white space around, for what goes into another command.
func (s terminal) said(args ...string) string {
	s.t.Helper()
	return strings.TrimSpace(s.must(args...))
}

// writeFolder writes files into a folder, which it makes.
func writeFolder(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
