package worker_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/step"
	"github.com/behalf-dev/behalf/worker"
)

func TestStepsReadWhatIsStoredBesideTheUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store.version(version("one"))
	w.store.config = map[string]json.RawMessage{"channel": json.RawMessage(`"C1"`), "limits": json.RawMessage(`{"a":[1]}`)}
	var steps json.RawMessage
	w.runner = func(_ context.Context, c step.Call) (behalf.Outcome, error) {
		steps = c.Steps
		return says("done"), nil
	}
	w.start(worker.Config{})
	w.call(eventOf(alice))
	w.settled()
	var read struct {
		Trigger struct {
			Context struct {
				User struct {
					ID     behalf.ExternalUserID      `json:"id"`
					Config map[string]json.RawMessage `json:"config"`
				} `json:"external_user"`
			} `json:"context"`
		} `json:"trigger"`
	}
	w.must(json.Unmarshal(steps, &read))
	user := read.Trigger.Context.User
	if user.ID != alice || string(user.Config["channel"]) != `"C1"` || string(user.Config["limits"]) != `{"a":[1]}` {
		t.Errorf("steps read %s", steps)
	}
}

// Ported code asks whether there is a user by what the platform that it comes from says where there is none.
func TestStepsReadNullWhereThereIsNoUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store.version(version("one"))
	var steps json.RawMessage
	w.runner = func(_ context.Context, c step.Call) (behalf.Outcome, error) {
		steps = c.Steps
		return says("done"), nil
	}
	w.start(worker.Config{})
	w.call(eventOf(""))
	w.settled()
	var read struct {
		Trigger struct {
			Context map[string]json.RawMessage `json:"context"`
		} `json:"trigger"`
	}
	w.must(json.Unmarshal(steps, &read))
	for _, field := range []string{"external_user_id", "external_user"} {
		if got := string(read.Trigger.Context[field]); got != "null" {
			t.Errorf("context.%s is %s", field, got)
		}
	}
}

// TestNothingRunsForWhoWasForgotten has events of before and after, of a user who is gone and of one who was made again.
func TestNothingRunsForWhoWasForgotten(t *testing.T) {
	t.Parallel()
	now := time.Now().UTC()
	for name, c := range map[string]struct {
		there   bool
		grave   time.Time
		refused bool
	}{
		"forgotten while the event waited":           {false, now.Add(time.Hour), true},
		"forgotten before, and not made again":       {false, now.Add(-time.Hour), true},
		"made again, the event is older":             {true, now.Add(time.Hour), true},
		"made again, the event came after the grave": {true, now.Add(-time.Hour), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.store.version(version("one"))
			w.store.users[alice] = c.there
			w.store.graves = map[behalf.ExternalUserID]time.Time{alice: c.grave}
			ran := false
			w.runner = func(context.Context, step.Call) (behalf.Outcome, error) {
				ran = true
				return says(whatIsTold), nil
			}
			w.start(worker.Config{})
			e := eventOf(alice)
			if c.refused {
				e.Trigger, e.Files = json.RawMessage(`{"body":"`+whatIsTold+`"}`), []string{"file-1"}
			}
			r := w.call(e)
			if !c.refused {
				if r.Failure != nil || !ran {
					t.Errorf("it did not run: %+v", r.Failure)
				}
				return
			}
			if r.Failure == nil || r.Failure.Code != behalf.CodeUserNotFound || *r.Failure != *behalf.FailUserForgotten() || ran {
				t.Errorf("the answer is %+v; it ran: %v", r.Failure, ran)
			}
			w.tellsNobody()
		})
	}
}
