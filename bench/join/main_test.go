package main

import (
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	if got := median([]time.Duration{5, 1, 3}); got != 3 {
		t.Errorf("median of 5, 1, 3 is %v", got)
	}
	if got := median[float64](nil); got != 0 {
		t.Errorf("median of nothing is %v", got)
	}
	if got := seconds([]time.Duration{1500 * time.Millisecond, 20 * time.Millisecond}); got != "1.50 0.02" {
		t.Errorf("seconds: %q", got)
	}
}
