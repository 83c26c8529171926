package journal

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// FuzzDecode reads records that anybody may have written. What is read is written again as it was, whatever it holds.
func FuzzDecode(f *testing.F) {
	paths, err := filepath.Glob("../../behalf/testdata/golden/v1/record-*.json")
	if err != nil || len(paths) < 5 {
		f.Fatal(len(paths), err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"v":99,"kind":"later","finish":{"event":null},"step":{"exports":[1]},"wait":{}}`))
	f.Add([]byte(`{"finish":{"event":{"a":"\ud800"},"result":{"response":{"binary":"AA=="}}},"FINISH":null}`))
	f.Add([]byte(`{"at":"0000-01-01T00:00:00Z","attempt":-1}`))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := decode(1, "run.development.proj_a.p_b.run_c.step.-.-", data)
		if err != nil {
			return
		}
		_ = e.record.State()
		first, err := marshal(e.record)
		if err != nil {
			return // a time beyond the year 9999 can be read and not written
		}
		if !json.Valid(first) {
			t.Fatalf("%s becomes %s", data, first)
		}
		again, err := decode(1, e.subject, first)
		if err != nil {
			t.Fatalf("%s cannot be read again: %v", first, err)
		}
		second, err := marshal(again.record)
		if err != nil || !bytes.Equal(first, second) {
			t.Fatalf("%s becomes %s, %v", first, second, err)
		}
	})
}
