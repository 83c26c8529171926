package credential

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// What an earlier release sealed is read, and written again with nothing lost.
func TestGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/golden/*/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c, err := Decode(data)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		written, err := Encode(c)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		var got, want bytes.Buffer
		if json.Compact(&got, written) != nil || json.Compact(&want, data) != nil || got.String() != want.String() {
			t.Errorf("%s is written as %s", file, written)
		}
	}
}
