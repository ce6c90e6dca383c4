package mono

import "time"

// Bucket limits how often something may happen: once per interval on the
// average, burst times in a row. It holds the instant at which it will be full
// again, so the zero value is full and it costs eight bytes. Who uses it always
// passes the same interval and burst.
type Bucket Time

// Take takes one token and reports whether there was one.
func (b *Bucket) Take(now Time, interval time.Duration, burst int) bool {
	return b.TakeN(now, 1, interval, burst)
}

// TakeN takes n tokens, all or none, and reports whether there were as many.
func (b *Bucket) TakeN(now Time, n int, interval time.Duration, burst int) bool {
	full := max(Time(*b), now)
	if full.Sub(now) > interval*time.Duration(burst-n) {
		return false
	}
	*b = Bucket(full.Add(interval * time.Duration(n)))
	return true
}

// Left returns how many tokens there are.
func (b *Bucket) Left(now Time, interval time.Duration, burst int) int {
	owed := Time(*b).Sub(now)
	if owed <= 0 {
		return burst
	}
	return max(0, burst-int((owed+interval-1)/interval))
}
