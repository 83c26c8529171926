package action

import (
	"cmp"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/behalf-dev/behalf/configs"
	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/deploy/strict"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// Catalog is all actions, of every major version.
type Catalog struct{ actions map[string]*Action }

// Standard loads the actions that ship with Behalf. Requests go to the apps as this catalogue has them. The error is that
// of Load.
func Standard(apps app.Catalog) (Catalog, error) { return Load(configs.Actions(), apps) }

// Load reads actions: one .yaml file for each, named by its Ref. Every mistake of every file is told at once, as
// strict.Mistakes of kind Invalid; a folder that cannot be read is Unavailable.
func Load(files fs.FS, apps app.Catalog) (Catalog, error) {
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		return Catalog{}, fault.Wrap(fault.Unavailable, "action.Load", err)
	}
	actions := make(map[string]*Action, len(names))
	var mistakes strict.Mistakes
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return Catalog{}, fault.Wrap(fault.Unavailable, "action.Load", err)
		}
		read, wrong := readAction(name, text, apps)
		mistakes = append(mistakes, wrong...)
		actions[read.Ref()] = read
	}
	if err := mistakes.Err(); err != nil {
		return Catalog{}, err
	}
	return Catalog{actions}, nil
}

// List returns the actions in the order of their keys, and of their versions.
func (c Catalog) List() []*Action {
	return slices.SortedFunc(maps.Values(c.actions), func(a, b *Action) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Version, b.Version))
	})
}

// Find returns the action that a workflow names by `uses`. The error says what to write; its kind is NotFound, or Invalid
// for what is no reference.
func (c Catalog) Find(uses string) (*Action, error) {
	const op = "action.Find"
	if a, ok := c.actions[uses]; ok {
		return a, nil
	}
	key, version, _ := strings.Cut(uses, "@")
	var refs []string
	for _, a := range c.List() {
		if a.Key == key {
			refs = append(refs, a.Ref())
		}
	}
	switch _, err := strconv.Atoi(version); {
	case len(refs) == 0:
		return nil, fault.Newf(fault.NotFound, op, "there is no action %.80q; there are %s", key, c.keys())
	case err != nil:
		return nil, fault.Newf(fault.Invalid, op, "an action is named with its major version: write %s", strict.Alternatives(refs))
	}
	return nil, fault.Newf(fault.NotFound, op, "there is no version %.20s of %s; write %s", version, key, strict.Alternatives(refs))
}

func (c Catalog) keys() string {
	var keys []string
	for _, a := range c.List() {
		keys = append(keys, a.Key)
	}
	return strings.Join(slices.Compact(keys), ", ")
}
