package mesh

import (
	"fmt"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

// TestDATHash has the places that the kernel gives.
func TestDATHash(t *testing.T) {
	for mac, want := range map[string]uint16{
		"02:ba:00:00:01:00": 37558, "02:ba:00:00:02:00": 48222, "02:ba:00:00:03:00": 31016,
	} {
		m, err := batman.ParseMAC(mac)
		if err != nil {
			t.Fatal(err)
		}
		if got := datPlace(m); got != want {
			t.Errorf("place of %s is %d, want %d", mac, got, want)
		}
	}
	for last, want := range map[byte]uint16{1: 55230, 2: 26496, 3: 23391, 77: 21477} {
		if got := datKeyPlace([4]byte{10, 9, 0, last}, 0); got != want {
			t.Errorf("place of 10.9.0.%d is %d, want %d", last, got, want)
		}
	}
	if a, b := datKeyPlace([4]byte{10, 9, 0, 1}, 0), datKeyPlace([4]byte{10, 9, 0, 1}, 0x800a); a == b {
		t.Error("the VLAN does not change the place")
	}
}

// TestDATChoice compares the search for candidates with the rule as the
// kernel states it: the largest distances, the lower address at a tie.
func TestDATChoice(t *testing.T) {
	m := New(Options{Config: Default()}, 0)
	for i := range 40 {
		o := &Originator{MAC: hardMAC(i+1, 0)}
		m.origs[o.MAC] = o
		m.origList = append(m.origList, o)
		m.datOGM(o, i%5 != 0)
		if i%7 == 0 {
			o.dat.place = 1000 // several at one place
		}
	}
	for i := range 300 {
		ip := [4]byte{10, 9, byte(i), 3}
		got := m.datChoose(ip, 0)
		key := datKeyPlace(ip, 0)
		var taken []*Originator
		for k := range datCandidates {
			var best *Originator
			var max uint16
			for _, o := range m.origList {
				if !o.dat.capable || len(taken) > 0 && taken[0] == o || len(taken) > 1 && taken[1] == o {
					continue
				}
				d := 65535 - o.dat.place + key
				if best == nil || d > max || d == max && o.MAC.Compare(best.MAC) < 0 {
					best, max = o, d
				}
			}
			if got[k] != best {
				t.Fatalf("%v: candidate %d is %v, want %v", ip, k, got[k].MAC, best.MAC)
			}
			taken = append(taken, best)
		}
	}
	for _, o := range m.origList {
		m.datOGM(o, false)
	}
	if got := m.datChoose([4]byte{10, 0, 0, 1}, 0); got != [datCandidates]*Originator{} {
		t.Errorf("chose %v among nodes that take no part", got)
	}
}

// TestDATCaptureChoice: the kernel v1 asked v3 first and then v2.
func TestDATCaptureChoice(t *testing.T) {
	m := New(Options{Config: Default()}, 0)
	for _, n := range []int{2, 3} {
		o := &Originator{MAC: hardMAC(n, 0)}
		m.origList = append(m.origList, o)
		m.datOGM(o, true)
	}
	got := m.datChoose([4]byte{10, 9, 0, 3}, 0)
	if got[0].MAC != hardMAC(3, 0) || got[1].MAC != hardMAC(2, 0) || got[2] != nil {
		t.Errorf("candidates %v", got)
	}
}

// arpFrame is a client's ARP frame.
func arpFrame(dst, src batman.MAC, v batman.VID, a arp) []byte {
	var w world
	b := newARP(&w.pool, dst, src, v, a)
	return append([]byte(nil), b.Bytes()...)
}

func mustInner(t testing.TB, b []byte) inner {
	t.Helper()
	f, ok := parseInner(b)
	if !ok {
		t.Fatalf("no frame: %x", b)
	}
	return f
}

func TestARPFrame(t *testing.T) {
	a := arp{arpReply, hardMAC(1, 1), hardMAC(2, 2), [4]byte{10, 9, 0, 1}, [4]byte{10, 9, 0, 2}}
	got := arpFrame(hardMAC(2, 2), hardMAC(1, 1), 0x800a, a)
	want := "02ba0000020202ba000001018100000a08060001080006040002" + "02ba000001010a090001" + "02ba000002020a090002"
	if fmt.Sprintf("%x", got) != want {
		t.Errorf("frame %x\nwant  %s", got, want)
	}
	if b, ok := parseARP(mustInner(t, got)); !ok || b != a {
		t.Errorf("parsed %+v, %v", b, ok)
	}
	for n := batman.EthLen + batman.VLANLen; n < len(got); n++ {
		if f, ok := parseInner(got[:n]); ok {
			if _, ok := parseARP(f); ok {
				t.Errorf("%d of %d bytes are taken for ARP", n, len(got))
			}
		}
	}
}

func TestDATInsane(t *testing.T) {
	m := New(Options{Config: Default()}, 0)
	good := arp{arpReply, hardMAC(1, 1), hardMAC(2, 2), [4]byte{10, 9, 0, 1}, [4]byte{10, 9, 0, 2}}
	ask := good
	ask.op, ask.dst = arpRequest, batman.MAC{}
	if _, ok := m.parseDAT(mustInner(t, arpFrame(batman.Broadcast, good.src, 0, good)), arpReply); !ok {
		t.Fatal("a good reply is refused")
	}
	if _, ok := m.parseDAT(mustInner(t, arpFrame(batman.Broadcast, ask.src, 0, ask)), arpRequest); !ok {
		t.Fatal("a request without target address is refused")
	}
	for name, change := range map[string]func(a *arp){
		"loopback sender":    func(a *arp) { a.sip = [4]byte{127, 0, 0, 1} },
		"multicast sender":   func(a *arp) { a.sip = [4]byte{224, 0, 0, 1} },
		"zero sender":        func(a *arp) { a.sip = [4]byte{} },
		"network 0 sender":   func(a *arp) { a.sip = [4]byte{0, 1, 2, 3} },
		"broadcast sender":   func(a *arp) { a.sip = [4]byte{255, 255, 255, 255} },
		"loopback target":    func(a *arp) { a.dip = [4]byte{127, 255, 0, 1} },
		"multicast target":   func(a *arp) { a.dip = [4]byte{239, 0, 0, 1} },
		"zero target":        func(a *arp) { a.dip = [4]byte{} },
		"broadcast target":   func(a *arp) { a.dip = [4]byte{255, 255, 255, 255} },
		"zero MAC":           func(a *arp) { a.src = batman.MAC{} },
		"multicast MAC":      func(a *arp) { a.src = batman.Broadcast },
		"zero target MAC":    func(a *arp) { a.dst = batman.MAC{} },
		"group target MAC":   func(a *arp) { a.dst = batman.MAC{1, 0, 0x5e} },
		"another operation":  func(a *arp) { a.op = 3 },
		"the wrong one":      func(a *arp) { a.op = arpRequest },
		"operation overflow": func(a *arp) { a.op = 0x102 },
	} {
		a := good
		change(&a)
		if _, ok := m.parseDAT(mustInner(t, arpFrame(batman.Broadcast, hardMAC(1, 1), 0, a)), arpReply); ok {
			t.Errorf("%s: believed", name)
		}
	}
	for off := range 6 { // hardware, protocol and lengths
		b := arpFrame(batman.Broadcast, good.src, 0, good)
		b[batman.EthLen+off] ^= 0x11
		if _, ok := m.parseDAT(mustInner(t, b), arpReply); ok {
			t.Errorf("byte %d changed: believed", off)
		}
	}
	m.cfg.DAT = false
	if _, ok := m.parseDAT(mustInner(t, arpFrame(batman.Broadcast, good.src, 0, good)), arpReply); ok {
		t.Error("believed although the table is off")
	}
}

func TestDATCache(t *testing.T) {
	var c datCache
	c.index = map[uint64]uint16{}
	key := func(i int) uint64 { return datKey([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}, 0) }
	now := mono.Time(time.Hour)
	c.learn(now, key(1), hardMAC(1, 1), true)
	if mac, ok := c.find(now, key(1)); !ok || mac != hardMAC(1, 1) {
		t.Fatal("not found")
	}
	if _, ok := c.find(now, datKey([4]byte{10, 0, 0, 1}, 0x800a)); ok {
		t.Error("found on another VLAN")
	}
	c.learn(now.Add(4*time.Minute), key(1), hardMAC(2, 2), true)
	c.expire(now.Add(6 * time.Minute))
	if mac, ok := c.find(now.Add(6*time.Minute), key(1)); !ok || mac != hardMAC(2, 2) {
		t.Error("a refreshed entry is gone")
	}
	if _, ok := c.find(now.Add(9*time.Minute), key(1)); ok {
		t.Error("found after five minutes")
	}
	c.expire(now.Add(9 * time.Minute))
	if len(c.list) != 0 || len(c.index) != 0 {
		t.Errorf("%d entries, %d indexed after expiry", len(c.list), len(c.index))
	}
}

// TestDATFlood: a flood of invented addresses leaves the confirmed ones and
// costs bounded memory.
func TestDATFlood(t *testing.T) {
	var c datCache
	c.index = map[uint64]uint16{}
	now := mono.Time(time.Hour)
	key := func(i int) uint64 { return datKey([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}, 0) }
	const real = 2000
	learnReal := func() {
		for i := range real {
			c.learn(now, key(i), hardMAC(i, 1), false)
		}
	}
	learnReal()
	now = now.Add(2 * time.Second)
	learnReal() // seen twice
	for i := range 200000 {
		now = now.Add(500 * time.Microsecond)
		c.learn(now, key(1<<20+i), hardMAC(9, 9), false)
		if i%40000 == 0 {
			learnReal()
		}
	}
	if len(c.list) > MaxDAT-datReserve || len(c.index) != len(c.list) {
		t.Errorf("%d entries, %d indexed", len(c.list), len(c.index))
	}
	for i := range real {
		if mac, ok := c.find(now, key(i)); !ok || mac != hardMAC(i, 1) {
			t.Fatalf("entry %d is gone", i)
		}
	}
	for i := range datReserve {
		c.learn(now, key(1<<22+i), hardMAC(8, 8), true)
	}
	for i := range datReserve {
		if _, ok := c.find(now, key(1<<22+i)); !ok {
			t.Fatalf("no room for client %d", i)
		}
	}
	for i := range 100000 {
		c.learn(now, key(1<<23-1-i), hardMAC(7, 7), true)
	}
	if len(c.list) > MaxDAT || len(c.index) != len(c.list) {
		t.Errorf("%d entries, %d indexed", len(c.list), len(c.index))
	}
	for i, e := range c.list {
		if int(c.index[e.key]) != i {
			t.Fatalf("entry %d is indexed at %d", i, c.index[e.key])
		}
	}
}
