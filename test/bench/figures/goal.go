package figures

import "math"

// Verdict is what a goal says of a measured ratio.
type Verdict string

// The verdicts, from good to bad.
const (
	// Pass is within the goal.
	Pass Verdict = "PASS"
	// Missed is beyond the goal, but within the limit.
	Missed Verdict = "GOAL"
	// Fail is beyond the limit, or not measured at all.
	Fail Verdict = "FAIL"
)

// Goal bounds one ratio of Behalf to the bare pipeline.
type Goal struct {
	// Name says what is compared.
	Name string
	// Want is what we aim at, Limit what must never be passed. Where Limit is the greater, the ratio should be small,
	// else great.
	Want, Limit float64
}

// Of judges a ratio.
func (g Goal) Of(ratio float64) Verdict {
	switch {
	case math.IsNaN(ratio) || !g.within(ratio, g.Limit):
		return Fail
	case !g.within(ratio, g.Want):
		return Missed
	}
	return Pass
}

// Sign is how Want reads before its number.
func (g Goal) Sign() string {
	if g.Limit > g.Want {
		return "≤"
	}
	return "≥"
}

func (g Goal) within(ratio, bound float64) bool {
	if g.Limit > g.Want {
		return ratio <= bound
	}
	return ratio >= bound
}
