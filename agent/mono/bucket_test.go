package mono

import (
	"testing"
	"time"
)

func TestBucket(t *testing.T) {
	var b Bucket
	now := Time(time.Hour)
	for i, c := range []struct {
		wait time.Duration
		want bool
	}{{0, true}, {0, true}, {0, true}, {0, false}, {9, false}, {1, true}, {0, false}, {25, true}, {0, true}, {0, false}, {1000, true}, {0, true}, {0, true}, {0, false}} {
		now = now.Add(c.wait)
		if got := b.Take(now, 10, 3); got != c.want {
			t.Errorf("step %d: %v, want %v", i, got, c.want)
		}
	}
}

func TestBucketTakesSeveral(t *testing.T) {
	var b Bucket
	now := Time(time.Hour)
	for i, c := range []struct {
		n    int
		want bool
		left int
	}{{4, false, 3}, {2, true, 1}, {2, false, 1}, {1, true, 0}} {
		if got := b.TakeN(now, c.n, 10, 3); got != c.want || b.Left(now, 10, 3) != c.left {
			t.Errorf("step %d: %v, %d left, want %v, %d", i, got, b.Left(now, 10, 3), c.want, c.left)
		}
	}
	if left := b.Left(now.Add(19), 10, 3); left != 1 {
		t.Errorf("%d left after 19, want 1", left)
	}
}
