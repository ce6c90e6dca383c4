package mesh

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/identity"
	"github.com/meshagent/meshagent/agent/mono"
)

// bogus returns the frame of an OGM in the name of mac with a record that is
// well formed but for its signature.
func bogus(algo Algo, from, mac batman.MAC, seqno uint32, n uint64) []byte {
	r := make([]byte, 84+30+64)
	r[0], r[2] = 1, 1
	binary.BigEndian.PutUint32(r[4:], uint32(n)) // boot
	binary.BigEndian.PutUint64(r[52:], n)        // key
	copy(r[84:], mac[:])
	binary.BigEndian.PutUint32(r[94:], seqno-1)
	id := identity.RecordID(r)
	v := append([]byte{0xa7, 0x11}, id[:]...)
	v = append(append(v, make([]byte, 16)...), r...)
	tv := append(batman.AppendTVLV(nil, identity.TVLVType, 1, len(v)), v...)
	h := make([]byte, batman.EthLen)
	batman.Eth{Dst: batman.Broadcast, Src: from, Type: batman.EtherType}.Put(h)
	if algo == BatmanV {
		h = append(h, header(batman.OGM2Len, batman.OGM2{TTL: 50, Seqno: seqno, Orig: mac, TVLVLen: uint16(len(tv)), Throughput: 1000}.Put)...)
	} else {
		h = append(h, header(batman.OGMLen, batman.OGM{TTL: 50, Seqno: seqno, Orig: mac, Prev: from, TQ: 255, TVLVLen: uint16(len(tv))}.Put)...)
	}
	return append(h, tv...)
}

// Ten thousand bogus records a second for a minute, from one station and from
// many, do not keep living neighbours from working and from renewing, and one
// that comes to the mesh by a known neighbour is found.
func TestIdentityFlood(t *testing.T) {
	minute := 60 * 1000 // ms
	if testing.Short() {
		minute /= 2
	}
	for _, algo := range []Algo{BatmanIV, BatmanV} {
		for _, many := range []bool{false, true} {
			for _, victims := range []bool{false, true} { // in the name of those that live
				name := fmt.Sprintf("%v many %v victims %v", algo, many, victims)
				w := newWorld(t, 21)
				w.jobTime = 20 * time.Millisecond
				set := func(c *Config) { c.Algo, c.VerifyRate = algo, 2 }
				a, b, c := w.signed("a", set), w.signed("b", set), w.signed("c", set)
				w.link(a, 0, b, 0, 0)
				w.link(b, 0, c, 0, 0)
				w.run(30 * time.Second)
				s := &scene{world: w, o: a}
				if algo == BatmanV {
					s.greet(liarMAC)
				}
				serial := func() uint32 {
					p, _ := identity.ParseRecord(b.m.id.self.Record())
					return p.Serial
				}
				old := serial()
				newcomer := w.signed("d", set)
				for i := range minute {
					for k := range 10 {
						n := uint64(i*10 + k)
						from := liarMAC
						if many {
							binary.BigEndian.PutUint32(from[2:], uint32(n%50000))
							if algo == BatmanV && n%100 == 0 {
								s.greet(from)
							}
						}
						mac := batman.MAC{2, 0xed, 0, byte(n >> 16), byte(n >> 8), byte(n)}
						if victims {
							mac = b.primary()
						}
						s.hear(a, bogus(algo, from, mac, uint32(n), n))
					}
					if i == minute/3 {
						w.link(newcomer, 0, c, 0, 0)
						b.client(clientFrame(batman.Broadcast, clientB, 0, "x")) // a new record
					}
					w.run(time.Millisecond)
				}
				if !a.verified(c) && a.identity(c.primary()) != "forged" || a.next(b) != "b" || a.next(c) != "b" {
					t.Errorf("%s: c shows as %q, next hops %q and %q", name, a.identity(c.primary()), a.next(b), a.next(c))
				}
				if serial() == old {
					t.Errorf("%s: b signed nothing new", name)
				}
				if n := a.m.id.known.Node(w.now, b.primary()); n == nil || n.Serial != serial() {
					t.Errorf("%s: a does not know the newest record of b", name)
				}
				if !a.m.originator(b.primary()).id.confirmed {
					t.Errorf("%s: b's table is not confirmed", name)
				}
				if n := a.m.id.known.Node(w.now, newcomer.primary()); n == nil {
					t.Errorf("%s: the newcomer is not verified", name)
				}
				w.flows(a, c, 5*time.Second)
				w.flows(a, newcomer, 5*time.Second)
				t.Logf("%s: checked %d, bad %d; %v", name, a.m.stats.idChecked, a.m.stats.idBad, dropMap(&a.m.drops))
			}
		}
	}
}

// ownOGM is an OGM that the key k signs for mac: chain, record and all.
type forger struct {
	self *identity.Self
	mac  batman.MAC
	seq  uint32
	algo Algo
}

func newForger(k *cjdns.SigningKey, algo Algo, boot uint32, mac batman.MAC, seq uint32) *forger {
	var c byte
	f := &forger{identity.NewSelf(k.Public(), boot, 0, func(b []byte) { c++; b[0] = c }), mac, seq, algo}
	f.self.SetIfaces([]identity.Iface{{MAC: mac, Next: seq}})
	f.sign(0, k, identity.Facts{})
	return f
}

func (f *forger) sign(now mono.Time, k *cjdns.SigningKey, facts identity.Facts) {
	if j := f.self.Sign(now, facts, func() (d [16]byte) { return d }); j != nil {
		j.Run(k, func([]byte) {})
		f.self.Signed(now, j)
	}
}

// frame is the next OGM, from the station from.
func (f *forger) frame(from batman.MAC, more []byte) []byte {
	e, _ := f.self.Element(f.mac, f.seq)
	tv := f.self.Append(bytes.Clone(more), identity.TVLVType, e, true, true)
	h := make([]byte, batman.EthLen)
	batman.Eth{Dst: batman.Broadcast, Src: from, Type: batman.EtherType}.Put(h)
	if f.algo == BatmanV {
		h = append(h, header(batman.OGM2Len, batman.OGM2{TTL: 50, Seqno: f.seq, Orig: f.mac, TVLVLen: uint16(len(tv)), Throughput: 1000}.Put)...)
	} else {
		h = append(h, header(batman.OGMLen, batman.OGM{TTL: 50, Seqno: f.seq, Orig: f.mac, Prev: from, TQ: 255, TVLVLen: uint16(len(tv))}.Put)...)
	}
	f.seq++
	return append(h, tv...)
}

// Who signs a record of his own key for the address of another does not get
// it while that one is heard, and gets it when it is silent.
func TestIdentityOwnKeyOtherAddress(t *testing.T) {
	for _, algo := range []Algo{BatmanIV, BatmanV} {
		s := newScene(t, algo, SignOverlay)
		f := newForger(testKey(50), algo, 9, s.v.primary(), 77)
		for range 30 {
			s.greet(liarMAC)
			s.hear(s.o, f.frame(liarMAC, nil))
			s.run(time.Second)
			if n := s.o.m.id.known.Node(s.now, s.v.primary()); n == nil || n.IP.String() != s.v.ip() {
				t.Fatalf("%v: the address went over", algo)
			}
		}
		if got := s.o.identity(s.v.primary()); got != "conflict" || s.o.m.drops[dropConflict] < 20 {
			t.Errorf("%v: shown is %q, drops %s", algo, got, s.o.dropsOf())
		}
		// The victim answered a challenge, the other one could not: there is no
		// way to it.
		if n := s.o.m.id.known.Node(s.now, s.v.primary()); !n.Alive() {
			t.Errorf("%v: the victim is not known to be alive", algo)
		}
		s.cut(s.o, 0, s.v, 0)
		s.o.changes = nil
		for range 15 {
			s.greet(liarMAC)
			s.hear(s.o, f.frame(liarMAC, nil))
			s.run(time.Second)
		}
		if n := s.o.m.id.known.Node(s.now, s.v.primary()); n == nil || n.IP.String() == s.v.ip() {
			t.Errorf("%v: the address did not go over after 15 s of silence", algo)
		}
		if len(s.o.changes) == 0 || s.o.changes[0].Reachable || s.o.changes[0].IP.String() != s.v.ip() {
			t.Errorf("%v: told was %+v", algo, s.o.changes)
		}
	}
}

// A lower boot counter is believed of who answers a challenge only.
func TestIdentityLowerBoot(t *testing.T) {
	for _, algo := range []Algo{BatmanIV, BatmanV} {
		s := newScene(t, algo, SignOverlay)
		s.v.boots = 1000
		s.v.boot(s.v.m.Seqnos())
		s.run(10 * time.Second)
		if n := s.o.m.id.known.Node(s.now, s.v.primary()); n == nil || n.Boot != 1001 {
			t.Fatalf("%v: boot is not known", algo)
		}
		// somebody plays what he recorded of an earlier boot, and cannot answer
		f := newForger(s.v.key, algo, 500, s.v.primary(), seqnoOf(s.last())+50)
		for range 10 {
			s.hear(s.o, f.frame(s.v.primary(), nil))
			s.run(time.Second)
		}
		if n := s.o.m.id.known.Node(s.now, s.v.primary()); n == nil || n.Boot != 1001 {
			t.Errorf("%v: a replayed boot was believed", algo)
		}
		s.v.boots = 2
		s.v.boot(s.v.m.Seqnos()) // factory reset, with the key
		d := s.until(20*time.Second, "lower boot believed", func() bool {
			n := s.o.m.id.known.Node(s.now, s.v.primary())
			return n != nil && n.Boot == 3
		})
		t.Logf("%v: believed after %v", algo, d)
		s.run(2 * time.Second)
		s.flows(s.o, s.v, 5*time.Second)
	}
}
