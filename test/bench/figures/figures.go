// Package figures holds what the bench measures and the arithmetic that compares it: percentiles, medians, ratios, a
// slope, and the verdict on a goal.
//
// It never measures anything itself, and never starts a process.
package figures

import (
	"math"
	"slices"
	"time"
)

// Load is what the generator saw of one system in one go. The generator prints it as JSON, the driver reads it.
type Load struct {
	// Total counts every request that was answered rightly, warm-up included. CPU is shared out over it.
	Total int `json:"total"`
	// Measured counts those of them that were answered within the measured time.
	Measured int `json:"measured"`
	// Rate is Measured per second.
	Rate float64 `json:"rate"`
	// P50 and P99 are latencies in milliseconds.
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
	// Errors counts every request that was not answered rightly, warm-up included.
	Errors Errors `json:"errors"`
	// Statuses counts the answers by HTTP status.
	Statuses map[int]int `json:"statuses"`
	// Histogram counts latencies by the power of two, in microseconds, that they stay below.
	Histogram map[int]int `json:"histogram_us"`
}

// Errors are the ways in which a request was not answered rightly.
type Errors struct {
	Transport int `json:"transport"`
	Status    int `json:"status"`
	Echo      int `json:"echo"`
	// First says what the first of them was.
	First string `json:"first,omitempty"`
}

// Sum counts them all.
func (e Errors) Sum() int { return e.Transport + e.Status + e.Echo }

// Median is the middle value, or the mean of the middle two; NaN of none. Its argument is left as it is.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// MedianRatio is the median of the ratios of pairs. Each pair was measured in the same round, so that what slowed the
// machine slowed both. A pair whose second is zero is left out; NaN of no pairs.
func MedianRatio(ours, theirs []float64) float64 {
	var ratios []float64
	for i := range min(len(ours), len(theirs)) {
		if theirs[i] != 0 {
			ratios = append(ratios, ours[i]/theirs[i])
		}
	}
	return Median(ratios)
}

// Percentile is the smallest latency that the given share of all stays at or below, by nearest rank, in milliseconds;
// NaN of none. The latencies must be sorted.
func Percentile(sorted []time.Duration, share float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	rank := int(math.Ceil(share * float64(len(sorted))))
	rank = min(max(rank, 1), len(sorted))
	return float64(sorted[rank-1]) / float64(time.Millisecond)
}

// Slope is the least-squares slope of y over x; NaN where two points do not say one.
func Slope(x, y []float64) float64 {
	n := float64(min(len(x), len(y)))
	var sx, sy, sxx, sxy float64
	for i := range int(n) {
		sx, sy = sx+x[i], sy+y[i]
		sxx, sxy = sxx+x[i]*x[i], sxy+x[i]*y[i]
	}
	spread := n*sxx - sx*sx
	if spread == 0 {
		return math.NaN()
	}
	return (n*sxy - sx*sy) / spread
}
