package mesh

import (
	"fmt"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
)

// ogmMeter looks at every OGM that leaves an interface.
type ogmMeter struct {
	t       *testing.T
	largest int // OGM, header and containers
	frame   int // packet with aggregated OGMs
	ogms    int
	bare    map[batman.MAC]map[uint8]bool // versions of a table that came without their changes
}

// newOGMMeter watches what w sends.
func newOGMMeter(t *testing.T, w *world) *ogmMeter {
	o := &ogmMeter{t: t, bare: map[batman.MAC]map[uint8]bool{}}
	w.tap = func(from *wnode, _ int, frame []byte) { o.see(from, frame[batman.EthLen:]) }
	return o
}

func (o *ogmMeter) see(from *wnode, p []byte) {
	t := batman.PacketType(p[0])
	if t != batman.TypeIVOGM && t != batman.TypeOGM2 {
		return
	}
	o.frame = max(o.frame, len(p))
	for len(p) > 0 {
		var orig batman.MAC
		var tvlvs []byte
		var size int
		var err error
		if t == batman.TypeIVOGM {
			var h batman.OGM
			h, tvlvs, size, err = batman.ParseOGM(p)
			orig = h.Orig
		} else {
			var h batman.OGM2
			h, tvlvs, size, err = batman.ParseOGM2(p)
			orig = h.Orig
		}
		if err != nil {
			o.t.Fatalf("%s sends a bad OGM: %v", from.name, err)
		}
		o.ogms++
		o.largest = max(o.largest, size)
		o.containers(orig, tvlvs)
		p = p[size:]
	}
}

func (o *ogmMeter) containers(orig batman.MAC, b []byte) {
	for len(b) > 0 {
		c, rest, err := batman.NextTVLV(b)
		if err != nil {
			o.t.Fatalf("container of %v: %v", orig, err)
		}
		b = rest
		if c.Type != batman.TVLVTT {
			continue
		}
		tt, err := batman.ParseTT(c.Value)
		if err != nil {
			o.t.Fatalf("table of %v: %v", orig, err)
		}
		v := o.bare[orig]
		if v == nil {
			v = map[uint8]bool{}
			o.bare[orig] = v
		}
		if _, seen := v[tt.TTVN]; !seen {
			v[tt.TTVN] = tt.Entries.Len() == 0
		}
	}
}

// tablesAgree reports whether every node of w has every other's table as it
// was announced.
func (w *world) tablesAgree() error {
	for _, a := range w.nodes {
		for _, b := range w.nodes {
			if a == b {
				continue
			}
			o := a.m.originator(hardMAC(b.id, 0))
			if o == nil || !o.tt.known || o.tt.short || o.tt.ttvn != b.m.tt.ttvn || len(b.m.tt.dirty) > 0 {
				return fmt.Errorf("%s does not have the version of %s", a.name, b.name)
			}
			told := 0
			for _, c := range b.m.tt.localList {
				if !a.m.ttHas(o, c.mac, c.vid) {
					return fmt.Errorf("%s does not know that %s has %v", a.name, b.name, c.ttKey)
				}
			}
			for _, v := range o.tt.vlans {
				told += v.n
			}
			if told != len(b.m.tt.localList) {
				return fmt.Errorf("%s has %d clients of %s, which has %d", a.name, told, b.name, len(b.m.tt.localList))
			}
		}
	}
	return nil
}

// TestHallRoams: 200 clients on 16 VLANs roam at once, with every container
// that an OGM can have switched on. No OGM is larger than 512 bytes; changes
// that do not fit are left out and asked for; all nodes know all clients in the
// end. The same with the clients all over the place and with losses.
func TestHallRoams(t *testing.T) {
	const clients, vlans = 200, 16
	vid := func(c int) batman.VID { return batman.VLANTag | batman.VID(100+c%vlans) }
	for _, set := range []func(*Config){fast, fastV} {
		w := newWorld(t, 5)
		for i := range 5 {
			w.node(fmt.Sprint(i), func(c *Config) {
				set(c)
				c.GWMode = GWServer
			})
		}
		meter := newOGMMeter(t, w)
		loss := func(p int) {
			for i := range 4 {
				w.link(w.nodes[i], 0, w.nodes[i+1], 0, p)
			}
			w.link(w.nodes[0], 0, w.nodes[2], 0, p)
		}
		loss(0)
		w.run(5 * time.Second)
		move := func(what string, to func(c int) int) {
			t.Helper()
			asked := what[0] != 'g' // groups may fit
			before := w.requests()
			for c := range clients {
				w.nodes[to(c)].client(clientFrame(batman.Broadcast, testClient(c), vid(c), "here I am"))
			}
			took := w.until(30*time.Second, what, func() bool {
				if w.tablesAgree() != nil {
					return false
				}
				for c := range clients {
					for i, n := range w.nodes {
						mine, _ := n.m.ttLocal(testClient(c), vid(c))
						o, _ := n.m.ttFind(testClient(c), vid(c))
						if i == to(c) && !mine || i != to(c) && (mine || o == nil || o.MAC != hardMAC(to(c)+1, 0)) {
							return false
						}
					}
				}
				return true
			})
			t.Logf("%s, %s: all know all after %v, %d requests", w.nodes[0].cfg.Algo, what, took, w.requests()-before)
			if asked && w.requests() == before {
				t.Errorf("%s: nobody asked", what)
			}
		}
		move("arrival", func(int) int { return 0 })
		move("roaming", func(int) int { return 4 })
		move("roaming back", func(int) int { return 1 })
		move("scattering", func(c int) int { return c / vlans % 5 })
		// Groups around the number that just fits.
		move("roaming again", func(int) int { return 4 })
		for k := 20; k <= 30; k++ {
			move(fmt.Sprint("group of ", k), func(c int) int {
				if c < k {
					return k % 4
				}
				return 4
			})
			w.run(time.Second)
		}
		loss(150)
		move("roaming with losses", func(int) int { return 3 })
		for _, i := range []int{0, 1, 3, 4} { // those to which all came at once
			left := 0
			for _, bare := range meter.bare[hardMAC(i+1, 0)] {
				if bare {
					left++
				}
			}
			if left == 0 {
				t.Errorf("%s: node %d never left changes out", w.nodes[0].cfg.Algo, i)
			}
		}
		if meter.largest <= batman.MaxOGM-batman.TTEntryLen {
			t.Errorf("%s: no OGM has more than %d bytes: the limit was not tried", w.nodes[0].cfg.Algo, meter.largest)
		}
		if meter.largest > batman.MaxOGM || meter.frame > batman.MaxOGM {
			t.Errorf("%s: OGM of %d bytes, packet of %d, at most %d are allowed", w.nodes[0].cfg.Algo, meter.largest, meter.frame, batman.MaxOGM)
		}
		t.Logf("%s: %d OGMs, the largest had %d bytes, the largest packet %d", w.nodes[0].cfg.Algo, meter.ogms, meter.largest, meter.frame)
		for _, n := range w.nodes {
			if err := ttCheck(n.m); err != nil {
				t.Errorf("%s: %v", n.name, err)
			}
		}
	}
}

// requests counts requests for tables.
func (w *world) requests() (n uint64) {
	for _, k := range w.nodes {
		n += k.m.stats.ttRequestTx
	}
	return n
}
