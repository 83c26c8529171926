package store

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
)

// The public key that an earlier release wrote is read, and written as it was.
func TestGolden(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/golden/v1/public-key.json")
	if err != nil {
		t.Fatal(err)
	}
	key, err := decodePublicKey(data)
	if err != nil || len(key) != 32 || key[31] != 31 {
		t.Errorf("read as %x, %v", key, err)
	}
	record, err := decode[publicKey](data)
	if err != nil {
		t.Fatal(err)
	}
	written, err := encode(record)
	var want bytes.Buffer
	if err != nil || json.Compact(&want, data) != nil || string(written) != want.String() {
		t.Errorf("written as %s, %v", written, err)
	}
}
