package behalf_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/journal"
	"github.com/behalf-dev/behalf/pkg/bus/store"
)

// Records outlive versions: for every format that a release has written there is a file here for ever. Today's code
// knows every field of it, and writes again all that it has read.
func TestGolden(t *testing.T) {
	t.Parallel()
	kinds := map[string]func() any{
		"event":  func() any { return new(behalf.Event) },
		"record": func() any { return new(behalf.Record) },
		"result": func() any { return new(behalf.Result) },
		"timer":  func() any { return new(journal.Suspended) },
		"dead":   func() any { return new(bus.DeadLetter) },

		"workflow":  func() any { return new(behalf.Workflow) },
		"version":   func() any { return new(behalf.Version) },
		"endpoint":  func() any { return new(behalf.Endpoint) },
		"account":   func() any { return new(behalf.Account) },
		"user":      func() any { return new(behalf.ExternalUser) },
		"client":    func() any { return new(behalf.Client) },
		"oauthapp":  func() any { return new(behalf.OAuthApp) },
		"variables": func() any { return new(behalf.Variables) },
		"project":   func() any { return new(store.Project) },
		"place":     func() any { return new(behalf.AccountPlace) },
		"grave":     func() any { return new(behalf.Tombstone) },

		"connecttoken": func() any { return new(behalf.ConnectToken) },
		"consent":      func() any { return new(behalf.Consent) },
	}
	files, err := filepath.Glob("testdata/golden/*/*.json")
	if err != nil || len(files) < 25 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		kind, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".json"), "-")
		t.Run(strings.TrimPrefix(file, "testdata/golden/"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			value := kinds[kind]()
			decoder := json.NewDecoder(bytes.NewReader(data))
			decoder.DisallowUnknownFields()
			if err := decoder.Decode(value); err != nil {
				t.Fatalf("today's code cannot read it: %v", err)
			}
			written, err := json.Marshal(value)
			if err != nil {
				t.Fatal(err)
			}
			for path, want := range flatten(t, data) {
				if got, ok := flatten(t, written)[path]; !ok || !reflect.DeepEqual(got, want) {
					t.Errorf("%s is written as %v, it was %v", path, got, want)
				}
			}
			again := kinds[kind]()
			if err := json.Unmarshal(written, again); err != nil {
				t.Fatalf("today's code cannot read what it writes: %v", err)
			}
			if second, err := json.Marshal(again); err != nil || !bytes.Equal(second, written) {
				t.Errorf("written again it is %s, %v", second, err)
			}
		})
	}
}

// A record of a later release, which has fields that this one does not know, is read all the same.
func TestLaterFieldsAreLeftAlone(t *testing.T) {
	t.Parallel()
	var r behalf.Record
	if err := json.Unmarshal([]byte(`{"v":2,"run":"run_x","kind":"step","news":{"a":1},"step":{"path":"one","more":true}}`), &r); err != nil {
		t.Fatal(err)
	}
	if r.V != 2 || r.Step == nil || r.Step.Path != "one" {
		t.Errorf("%+v", r)
	}
}

// Every field that a stored record may have stands in some golden file, so that none is added without one.
func TestGoldenIsComplete(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/golden/*/*.json")
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]bool{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for path := range flatten(t, data) {
			for part := range strings.SplitSeq(path, "/") {
				said[part] = true
			}
		}
	}
	for _, value := range []any{
		behalf.Event{},
		behalf.Origin{},
		behalf.Record{},
		behalf.StepRecord{},
		behalf.Wait{},
		behalf.Finish{},
		behalf.ObjectRef{},
		behalf.Result{},
		behalf.Response{},
		behalf.Failure{},
		behalf.Timing{},
		behalf.StepError{},
		behalf.Log{},
		behalf.Exit{},
		journal.Suspended{},
		bus.DeadLetter{},
		behalf.Workflow{},
		behalf.Version{},
		behalf.Trigger{},
		behalf.Respond{},
		behalf.Step{},
		behalf.Source{},
		behalf.AccountRef{},
		behalf.Settings{},
		behalf.Need{},
		behalf.Endpoint{},
		behalf.Account{},
		behalf.Grant{},
		behalf.ExternalUser{},
		behalf.Client{},
		behalf.AccountPlace{},
		behalf.Tombstone{},
		behalf.OAuthApp{},
		behalf.ConnectToken{},
		behalf.TokenUse{},
		behalf.Return{},
		behalf.Consent{},
		behalf.Variables{},
		behalf.Variable{},
		store.Project{},
	} {
		of := reflect.TypeOf(value)
		for field := range of.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if name != "-" && !said[name] {
				t.Errorf("%s.%s stands in no golden file", of, name)
			}
		}
	}
}

// flatten gives each leaf of a document by its path. Numbers keep their digits.
func flatten(t *testing.T, data []byte) map[string]any {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var document any
	if err := decoder.Decode(&document); err != nil {
		t.Fatal(err)
	}
	leaves := map[string]any{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, each := range v {
				walk(path+"/"+key, each)
			}
		case []any:
			for i, each := range v {
				walk(path+"/"+string(rune('0'+i)), each)
			}
		default:
			leaves[path] = v
		}
	}
	walk("", document)
	return leaves
}
