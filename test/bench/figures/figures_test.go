package figures_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/test/bench/figures"
)

func ExampleMedianRatio() {
	bare := []float64{8000, 4000, 7000} // the machine was slow in the second round,
	ours := []float64{6400, 3400, 5600} // for both
	fmt.Printf("%.2f\n", figures.MedianRatio(ours, bare))
	// Output: 0.80
}

func TestMedian(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		values []float64
		want   float64
	}{
		"one":                             {[]float64{3}, 3},
		"odd, unsorted":                   {[]float64{9, 1, 5}, 5},
		"even is the mean of middle two":  {[]float64{4, 1, 3, 2}, 2.5},
		"one outlier does not move it":    {[]float64{1, 1, 1, 1, 1000}, 1},
		"none is not a number":            {nil, math.NaN()},
		"negative numbers sort as such":   {[]float64{-5, 2, -1}, -1},
		"equal values are what they were": {[]float64{7, 7}, 7},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantFloat(t, figures.Median(tt.values), tt.want)
		})
	}
}

func TestMedianLeavesItsArgument(t *testing.T) {
	t.Parallel()
	values := []float64{3, 1, 2}
	figures.Median(values)
	if values[0] != 3 || values[1] != 1 || values[2] != 2 {
		t.Errorf("values were moved: %v", values)
	}
}

func TestMedianRatio(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		ours, theirs []float64
		want         float64
	}{
		"ratios are per round":           {[]float64{1, 10, 300}, []float64{2, 10, 100}, 1},
		"a zero of theirs is left out":   {[]float64{1, 5}, []float64{0, 10}, 0.5},
		"rounds without a pair too":      {[]float64{2, 4, 9}, []float64{1}, 2},
		"no pair is not a number":        {nil, nil, math.NaN()},
		"a zero of ours stays a failure": {[]float64{0}, []float64{10}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantFloat(t, figures.MedianRatio(tt.ours, tt.theirs), tt.want)
		})
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(i+1)*time.Millisecond)
	}
	for name, tt := range map[string]struct {
		sorted []time.Duration
		share  float64
		want   float64
	}{
		"half of a hundred":       {hundred, 0.50, 50},
		"ninety-nine":             {hundred, 0.99, 99},
		"all":                     {hundred, 1, 100},
		"nothing is the smallest": {hundred, 0, 1},
		"of one":                  {hundred[:1], 0.99, 1},
		"half of three":           {hundred[:3], 0.50, 2},
		"of none":                 {nil, 0.50, math.NaN()},
		"below a millisecond":     {[]time.Duration{250 * time.Microsecond}, 0.5, 0.25},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantFloat(t, figures.Percentile(tt.sorted, tt.share), tt.want)
		})
	}
}

func TestSlope(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		x, y []float64
		want float64
	}{
		"a line":             {[]float64{0, 1, 2, 3}, []float64{5, 7, 9, 11}, 2},
		"flat":               {[]float64{10, 20, 30}, []float64{4, 4, 4}, 0},
		"falling":            {[]float64{1, 2}, []float64{3, 1}, -2},
		"noise around a one": {[]float64{0, 1, 2, 3}, []float64{0.5, 0.5, 2.5, 2.5}, 0.8},
		"one point":          {[]float64{1}, []float64{1}, math.NaN()},
		"none":               {nil, nil, math.NaN()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantFloat(t, figures.Slope(tt.x, tt.y), tt.want)
		})
	}
}

func TestGoal(t *testing.T) {
	t.Parallel()
	small := figures.Goal{Name: "p50", Want: 1.5, Limit: 1.6}
	great := figures.Goal{Name: "rate", Want: 0.75, Limit: 0.70}
	for name, tt := range map[string]struct {
		goal  figures.Goal
		ratio float64
		want  figures.Verdict
	}{
		"small enough":            {small, 1.2, figures.Pass},
		"exactly the goal":        {small, 1.5, figures.Pass},
		"between goal and limit":  {small, 1.55, figures.Missed},
		"exactly the limit":       {small, 1.6, figures.Missed},
		"beyond the limit":        {small, 1.61, figures.Fail},
		"great enough":            {great, 0.9, figures.Pass},
		"just less than the goal": {great, 0.74, figures.Missed},
		"too small":               {great, 0.69, figures.Fail},
		"not measured":            {great, math.NaN(), figures.Fail},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := tt.goal.Of(tt.ratio); got != tt.want {
				t.Errorf("%v is %s, want %s", tt.ratio, got, tt.want)
			}
		})
	}
}

func wantFloat(t *testing.T, got, want float64) {
	t.Helper()
	if math.IsNaN(want) != math.IsNaN(got) || math.Abs(got-want) > 1e-9 {
		t.Errorf("got %v, want %v", got, want)
	}
}
