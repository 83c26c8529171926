package worker

import (
	"encoding/json"
	"sync"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/expr"
)

// maxTemplates is how many bytes of props one generation of templates may stand for.
const maxTemplates = 4 << 20

// templates keeps the parsed props of steps, so that a version's expressions are parsed once and not by each run. There
// are two generations: what was used since the younger one began is in it, and what was not goes when it is full. It is
// safe for concurrent use.
type templates struct {
	parse func(props json.RawMessage) (*expr.Template, error)
	most  int // bytes of props in one generation

	mu         sync.Mutex
	young, old map[templateKey]*expr.Template
	weight     int // of the young ones
}

// templateKey names props that never change: a version's id is made of its content.
type templateKey struct {
	version behalf.VersionID
	step    behalf.StepName
}

func newTemplates() *templates {
	return &templates{parse: expr.Parse, most: maxTemplates, young: map[templateKey]*expr.Template{}}
}

// of gives the template of a step's props. What cannot be parsed is not kept.
func (t *templates) of(version behalf.VersionID, s behalf.Step) (*expr.Template, error) {
	key := templateKey{version, s.Name}
	if found := t.find(key, len(s.Props)); found != nil {
		return found, nil
	}
	parsed, err := t.parse(s.Props)
	if err != nil {
		return nil, err
	}
	t.keep(key, parsed, len(s.Props))
	return parsed, nil
}

func (t *templates) find(key templateKey, weight int) *expr.Template {
	t.mu.Lock()
	defer t.mu.Unlock()
	if found := t.young[key]; found != nil {
		return found
	}
	found := t.old[key]
	if found != nil {
		t.add(key, found, weight)
	}
	return found
}

func (t *templates) keep(key templateKey, parsed *expr.Template, weight int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.young[key] == nil { // else another run was as quick
		t.add(key, parsed, weight)
	}
}

// add puts one among the young. The caller holds the lock.
func (t *templates) add(key templateKey, parsed *expr.Template, weight int) {
	if t.weight += weight; t.weight > t.most {
		t.old, t.young, t.weight = t.young, map[templateKey]*expr.Template{}, weight
	}
	t.young[key] = parsed
}
