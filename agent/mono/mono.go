// Package mono is the only notion of time that the cores know: nanoseconds
// since the node started. Routers boot in 1970 and their wall clock jumps, so
// nothing that decides anything may look at it; where a protocol needs wall
// time, it enters a core as an event.
//
// The package does not read a clock. The daemon does, once per batch, and
// passes the instant down; the simulator invents it.
package mono

import (
	"math"
	"time"
)

// Time is an instant, in nanoseconds since the node started. The zero value
// is the start itself. Instants of different nodes cannot be compared.
type Time int64

// Never is later than every instant: the deadline of something that waits for
// nothing.
const Never Time = math.MaxInt64

// Add returns t+d. Never stays Never, and sums that would overflow become
// Never.
func (t Time) Add(d time.Duration) Time {
	if t == Never {
		return Never
	}
	s := t + Time(d)
	if d > 0 && s < t {
		return Never
	}
	return s
}

// Sub returns the duration t-u. The result is meaningless if either is Never.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t - u) }

// Min returns the earlier instant.
func Min(t, u Time) Time {
	if t < u {
		return t
	}
	return u
}
