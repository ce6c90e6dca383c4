package mono

import (
	"testing"
	"time"
)

func TestAdd(t *testing.T) {
	for _, c := range []struct {
		t    Time
		d    time.Duration
		want Time
	}{
		{0, time.Second, 1e9},
		{5, -5, 0},
		{Never, time.Hour, Never},
		{Never, -time.Hour, Never},
		{Never - 1, time.Hour, Never},
	} {
		if got := c.t.Add(c.d); got != c.want {
			t.Errorf("%d.Add(%v) = %d, want %d", c.t, c.d, got, c.want)
		}
	}
}

func TestMinSub(t *testing.T) {
	if Min(3, Never) != 3 || Min(Never, 3) != 3 || Min(2, 1) != 1 {
		t.Error("Min does not return the earlier instant")
	}
	if d := Time(3e9).Sub(1e9); d != 2*time.Second {
		t.Errorf("Sub = %v, want 2s", d)
	}
}

// A core adds intervals to deadlines; the order must survive every addition.
func FuzzAddKeepsOrder(f *testing.F) {
	f.Add(int64(0), int64(1), int64(1))
	f.Add(int64(1)<<62, int64(1)<<62, int64(1)<<61)
	f.Fuzz(func(t *testing.T, a, b, d int64) {
		if a < 0 || b < a || d < 0 {
			t.Skip()
		}
		if Time(a).Add(time.Duration(d)) > Time(b).Add(time.Duration(d)) {
			t.Errorf("%d <= %d but not after adding %d", a, b, d)
		}
	})
}
