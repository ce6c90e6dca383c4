package identity

import (
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/mono"
)

// A job for another key is not signed.
func TestJobOfAnotherKey(t *testing.T) {
	s := NewSelf(testKey(0).Public(), 1, 0, counting())
	s.SetIfaces([]Iface{{mac1, 1}})
	j := s.Sign(0, Facts{}, func() (d [16]byte) { return d })
	j.Run(testKey(1), func([]byte) {})
	if s.Signed(0, j) || s.Record() != nil {
		t.Error("signed with another key")
	}
	if s.Sign(0, Facts{}, func() (d [16]byte) { return d }) == nil {
		t.Error("it is not tried again")
	}
}

// Link costs alone make a record at most every two minutes.
func TestSignCosts(t *testing.T) {
	k := testKey(0)
	s := signedSelf(k, 1, 0)
	f := s.facts
	n := 0
	for now := mono.Time(0); now < mono.Time(20*time.Minute); now = now.Add(time.Second) {
		f.K = 1
		f.List[0] = LinkCost{mac3, uint16(1 + now/mono.Time(time.Second))}
		if sign(s, k, now, f) {
			n++
		}
	}
	if n < 9 || n > 10 {
		t.Errorf("%d records in 20 minutes of changing costs, want one in 2", n)
	}
	f.Uplink = !f.Uplink
	if !sign(s, k, mono.Time(20*time.Minute), f) || s.parsed.K != 1 {
		t.Error("a change of the uplink waits for costs, or leaves them out")
	}
}

// When records are signed.
func TestSignSchedule(t *testing.T) {
	k := testKey(0)
	s := signedSelf(k, 1, 0)
	f := s.facts
	now := mono.Time(0)
	run := func(d time.Duration, f Facts) (n int) {
		for end := now.Add(d); now < end; now = now.Add(time.Second) {
			if sign(s, k, now, f) {
				n++
			}
		}
		return n
	}
	if n := run(599*time.Second, f); n != 0 {
		t.Errorf("%d records without a reason", n)
	}
	if n := run(2*time.Second, f); n != 1 {
		t.Errorf("%d records after the lifetime", n)
	}
	f.Clock++
	if n := run(100*time.Second, f); n != 0 {
		t.Error("the clock is a reason")
	}
	n := 0
	for range 100 {
		f.TTVN++
		n += run(time.Second, f)
	}
	if n < 10 || n > 12 {
		t.Errorf("%d records in 100 s of changes", n)
	}
	f.Uplink = !f.Uplink // clients leave one signature for worse
	if run(time.Second, f) != 1 {
		t.Error("a change of the uplink has to wait for clients")
	}
	if s.serial < 12 || s.parsed.Serial != s.serial {
		t.Errorf("serial %d", s.serial)
	}
}

// Records ride in four OGMs after a change and in every 16th then.
func TestRideSchedule(t *testing.T) {
	s := signedSelf(testKey(0), 1, 0)
	var rides []int
	for i := range 60 {
		e, _ := s.Element(mac1, 1000+uint32(i))
		due, _ := s.RecordDue()
		if due {
			rides = append(rides, i)
		}
		s.Append(nil, TVLVType, e, due, due)
	}
	want := []int{0, 1, 2, 3, 19, 35, 51}
	if len(rides) != len(want) {
		t.Fatalf("rides %v, want %v", rides, want)
	}
	for i := range want {
		if rides[i] != want[i] {
			t.Errorf("rides %v, want %v", rides, want)
		}
	}
	for i := range 11 { // due in the eighth, put off four times
		e, _ := s.Element(mac1, 1060+uint32(i))
		due, off := s.RecordDue()
		if due != (i >= 7) || !off {
			t.Errorf("OGM %d: due %v, to be put off %v", i, due, off)
		}
		s.Append(nil, TVLVType, e, due, false)
	}
	if due, off := s.RecordDue(); !due || off {
		t.Errorf("due %v, to be put off %v", due, off)
	}
}
