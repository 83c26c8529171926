package subject_test

import (
	"fmt"

	"github.com/behalf-dev/behalf/pkg/subject"
)

// What is not one token is refused, never rewritten.
func ExampleEvent_Subject() {
	s, _ := subject.Event{Environment: "production", Lane: "shared", Project: "proj_a1", Workflow: "p_b2"}.Subject()
	fmt.Println(s)

	_, err := subject.Event{Environment: "production", Lane: "shared", Project: "proj_a.b", Workflow: "p_b2"}.Subject()
	fmt.Println(err)
	// Output:
	// evt.production.shared.proj_a1.p_b2
	// behalf.Parse: project id must be proj_ and letters or digits, at most 64 in all
}
