package behalf

import "github.com/behalf-dev/behalf/pkg/fault"

// Environment is one of a customer's two worlds. Nothing crosses from one to the other.
type Environment string

// The environments.
const (
	Development Environment = "development"
	Production  Environment = "production"
)

// Environments lists both, production first: the order in which what spans them is written and read.
func Environments() []Environment { return []Environment{Production, Development} }

// ParseEnvironment reads an environment's name, exactly as written in the constants.
func ParseEnvironment(s string) (Environment, error) {
	switch e := Environment(s); e {
	case Development, Production:
		return e, nil
	}
	return "", fault.New(fault.Invalid, "behalf.ParseEnvironment", "environment must be development or production")
}

// Lane is the queue in which an event waits.
type Lane string

// The lanes.
const (
	// Shared is a project's ordinary lane.
	Shared Lane = "shared"
	// Limited is the lane of a workflow with limits, which has a consumer of its own.
	Limited Lane = "limited"
)
