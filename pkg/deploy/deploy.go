// Package deploy turns the files of a workflow's folder into a checked version, or into a list of all that is wrong with
// them.
//
// It never talks to anything, never writes into the folder and never runs the code it is given: Load is a pure function.
package deploy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/behalf-dev/behalf/pkg/action"
	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/deploy/strict"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// File is the name of the file that makes a folder a workflow.
const File = "workflow.yaml"

// The limits of a workflow.
const (
	// MaxSource is the size of one step's code in bytes.
	MaxSource = 1 << 20
	// MaxProps is the size of one step's props as JSON in bytes.
	MaxProps = 64 << 10
	// MaxSteps is how many steps a workflow may have.
	MaxSteps = 100
	// MaxRetries is how often a failed step may be tried again.
	MaxRetries = 20
	// MaxName is the length of a workflow's name and of its folder's in characters.
	MaxName = 100
)

// Mistake is one thing to mend in a file: `folder/workflow.yaml:12: what; hint: what to write`.
type Mistake = strict.Mistake

// Mistakes is all that is wrong with a workflow, as one error of kind Invalid.
type Mistakes = strict.Mistakes //nolint:errname // one error of many mistakes, and its callers read them

// Loaded is a workflow that may be deployed.
type Loaded struct {
	Version behalf.Version
	// Sources are the texts of the version's code steps, by file. Whoever deploys stores them before the version, each
	// under the object id that its step names.
	Sources map[string][]byte
}

// Load checks the files of a folder, by their paths in it, and makes the version that they say. The same files always
// give the same version, under the same id. The folder's name identifies the workflow in its project, unless the file
// does by an id. The error is Mistakes.
func Load(project behalf.ProjectID, folder string, files map[string][]byte, catalog app.Catalog, actions action.Catalog) (Loaded, error) {
	l := &loader{
		folder:  folder,
		files:   files,
		catalog: catalog,
		actions: actions,
		loaded:  Loaded{Sources: map[string][]byte{}},
	}
	l.version = &l.loaded.Version
	l.version.V, l.version.Project = behalf.FormatVersion, project
	l.checkFolder()
	if text, ok := l.workflowFile(); ok {
		l.mistakes = append(l.mistakes, strict.Read(l.file(), text, l.workflow)...)
	}
	if err := l.mistakes.Err(); err != nil {
		return Loaded{}, err
	}
	return l.named()
}

// loader holds one workflow while it is read.
type loader struct {
	folder   string
	files    map[string][]byte
	catalog  app.Catalog
	actions  action.Catalog
	loaded   Loaded
	version  *behalf.Version
	before   []behalf.StepName // the steps read so far
	mistakes Mistakes
}

func (l *loader) file() string { return l.folder + "/" + File }

func (l *loader) checkFolder() {
	if !validName(l.folder) || strings.ContainsAny(l.folder, `/\`) || strings.HasPrefix(l.folder, ".") {
		l.mistakes = append(l.mistakes, Mistake{
			File: strings.ToValidUTF8(l.folder, "?"),
			What: fmt.Sprintf("the folder's name cannot name a workflow: it must have 1 to %d characters, none of them / \\ or a control character, and no dot in front", MaxName),
			Hint: "rename the folder, for example to notify",
		})
	}
}

func validName(s string) bool {
	if s == "" || !utf8.ValidString(s) || utf8.RuneCountInString(s) > MaxName {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 })
}

func (l *loader) workflowFile() ([]byte, bool) {
	if text, ok := l.files[File]; ok {
		return text, true
	}
	hint := "write one; the examples have the format"
	if _, ok := l.files["workflow.yml"]; ok {
		hint = "rename workflow.yml to " + File
	}
	l.mistakes = append(l.mistakes, Mistake{File: l.file(), What: "there is no such file", Hint: hint})
	return nil, false
}

// named gives the version its id, made of all its content: of the sources through their hashes, of the id not.
func (l *loader) named() (Loaded, error) {
	content, err := json.Marshal(l.version)
	if err != nil {
		return Loaded{}, fault.Wrap(fault.Internal, "deploy.Load", err)
	}
	l.version.ID = behalf.ContentVersionID(content)
	return l.loaded, nil
}

// source makes the reference to a code step's text.
func (l *loader) source(file string, runtime behalf.Runtime, text []byte) *behalf.Source {
	sum := sha256.Sum256(text)
	l.loaded.Sources[file] = text
	return &behalf.Source{
		File:    file,
		Runtime: runtime,
		Object:  behalf.NewObjectID(l.version.Project, text),
		SHA256:  hex.EncodeToString(sum[:]),
	}
}
