package worker

import (
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/expr"
)

// counting is a cache that counts what it parses.
func counting(most int) (*templates, *atomic.Int64) {
	t, n := newTemplates(), new(atomic.Int64)
	t.most = most
	t.parse = func(props json.RawMessage) (*expr.Template, error) {
		n.Add(1)
		return expr.Parse(props)
	}
	return t, n
}

func propsOf(text string) behalf.Step {
	return behalf.Step{Name: "greet", Props: json.RawMessage(`{"text":"` + text + ` {{steps.trigger.event.body.name}}"}`)}
}

func TestExpressionsAreParsedOncePerVersion(t *testing.T) {
	t.Parallel()
	cache, parsed := counting(maxTemplates)
	hello, bye := propsOf("Hello"), propsOf("Bye")
	other := hello
	other.Name = "again"
	for range 100 {
		for _, c := range []struct {
			version behalf.VersionID
			step    behalf.Step
			want    string
		}{
			{"d_1", hello, `{"text":"Hello Ada"}`}, {"d_2", bye, `{"text":"Bye Ada"}`}, {"d_1", other, `{"text":"Hello Ada"}`},
		} {
			template, err := cache.of(c.version, c.step)
			if err != nil {
				t.Fatal(err)
			}
			got, err := template.Eval(json.RawMessage(`{"trigger":{"event":{"body":{"name":"Ada"}}}}`))
			if err != nil || string(got) != c.want {
				t.Fatalf("%s of %s is %s, %v", c.step.Name, c.version, got, err)
			}
		}
	}
	if n := parsed.Load(); n != 3 {
		t.Errorf("300 uses of 3 steps parsed %d times", n)
	}
	for range 2 { // what is no expression is refused each time, and nothing is kept of it
		if _, err := cache.of("d_3", propsOf("{{nonsense(")); err == nil {
			t.Error("what cannot be parsed has a template")
		}
	}
	if n := parsed.Load(); n != 5 {
		t.Errorf("two refusals make %d", n)
	}
}

// However many versions come by, the cache stays within two generations, and what is in use stays.
func TestTemplatesAreBounded(t *testing.T) {
	t.Parallel()
	used := propsOf("used")
	weight := len(used.Props)
	cache, parsed := counting(10 * weight)
	for i := range 1000 {
		for version, step := range map[behalf.VersionID]behalf.Step{"d_used": used, behalf.VersionID(fmt.Sprintf("d_%d", i)): used} {
			if _, err := cache.of(version, step); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(cache.young) + len(cache.old); n > 20 || cache.weight > cache.most {
			t.Fatalf("%d templates are kept, the young ones of %d bytes", n, cache.weight)
		}
	}
	if n := parsed.Load(); n != 1001 {
		t.Errorf("the one in use and 1000 others were parsed %d times", n)
	}
}

func TestTemplatesAreSharedByRuns(t *testing.T) {
	t.Parallel()
	cache, parsed := counting(maxTemplates)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for i := range 200 {
				if _, err := cache.of(behalf.VersionID(fmt.Sprintf("d_%d", i%4)), propsOf("Hello")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := parsed.Load(); n > 4*16 || len(cache.young) != 4 {
		t.Errorf("%d were parsed, %d are kept", n, len(cache.young))
	}
}

// Runs of the worker itself use the cache: props without an expression never get that far.
func TestTheWorkerUsesItsTemplates(t *testing.T) {
	t.Parallel()
	w := &Worker{}
	var parsed *atomic.Int64
	w.templates, parsed = counting(maxTemplates)
	for range 50 {
		got, err := w.filled("d_1", propsOf("Hello"), json.RawMessage(`{"trigger":{"event":{"body":{"name":"Ada"}}}}`), nil)
		if err != nil || string(got) != `{"text":"Hello Ada"}` {
			t.Fatalf("%s, %v", got, err)
		}
		plain := json.RawMessage(`{"text":"plain"}`)
		if got, err := w.filled("d_1", behalf.Step{Name: "plain", Props: plain}, nil, nil); err != nil || string(got) != string(plain) {
			t.Fatalf("%s, %v", got, err)
		}
	}
	if n := parsed.Load(); n != 1 {
		t.Errorf("50 runs parsed %d times", n)
	}
}

func BenchmarkTemplates(b *testing.B) {
	b.ReportAllocs()
	cache, step := newTemplates(), propsOf("Hello")
	for b.Loop() {
		if _, err := cache.of("d_1", step); err != nil {
			b.Fatal(err)
		}
	}
}
