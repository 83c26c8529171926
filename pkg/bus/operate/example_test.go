package operate_test

import (
	"context"
	"fmt"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/operate"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// A run that is over cannot be canceled any more, and whoever asks is told so.
func Example() {
	cancel := func(context.Context, behalf.ProjectID, behalf.RunID) error { // (*operate.Operator).Cancel, of a finished run
		return fault.New(fault.Conflict, "operate.Cancel", "the run is finished already: ok").WithCode(operate.CodeRunFinished)
	}
	err := cancel(context.Background(), "proj_a", "run_0198f3a0c1d27e0f8a1b2c3d4e5f6071")
	fmt.Println(fault.Is(err, fault.Conflict), fault.CodeOf(err))
	// Output: true run_finished
}
