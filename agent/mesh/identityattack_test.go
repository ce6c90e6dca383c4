package mesh

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/identity"
	"github.com/meshagent/meshagent/agent/mono"
)

// scene is an observer, a victim that it hears, and somebody who hears the
// victim, keeps its OGMs and sends what he likes to the observer.
type scene struct {
	*world
	o, v *wnode
	ogms [][]byte // of the victim's primary interface, the newest last
}

func newScene(t *testing.T, algo Algo, policy SignPolicy) *scene {
	s := &scene{world: newWorld(t, 7)}
	s.jobTime = 20 * time.Millisecond
	set := func(c *Config) { c.Algo, c.RequireSigned = algo, policy }
	s.o, s.v = s.signed("o", set), s.signed("v", set)
	s.link(s.o, 0, s.v, 0, 0)
	s.tap = func(from *wnode, _ int, frame []byte) {
		f := bytes.Clone(frame)
		if from == s.v && isOGM(f) && batman.MAC(f[batman.EthLen+8:][:6]) == s.v.primary() {
			s.ogms = append(s.ogms, f)
		}
	}
	s.until(10*time.Second, "verified", func() bool { return s.o.verified(s.v) && s.v.verified(s.o) })
	s.run(20 * time.Second)
	return s
}

func isOGM(f []byte) bool {
	t := batman.PacketType(f[batman.EthLen])
	return binary.BigEndian.Uint16(f[12:]) == batman.EtherType && (t == batman.TypeIVOGM || t == batman.TypeOGM2)
}

// last is a copy of the victim's newest OGM, as a station of the attacker
// sends it on.
func (s *scene) last() []byte {
	f := bytes.Clone(s.ogms[len(s.ogms)-1])
	copy(f[6:12], liarMAC[:])
	f[batman.EthLen+2] = 49
	return f
}

var liarMAC = batman.MAC{2, 0xee, 0, 0, 0, 1}

// header is the length of the OGM's header, seqno the place of its number; both
// algorithms have it in the same place.
func ogmHeader(f []byte) int {
	if batman.PacketType(f[batman.EthLen]) == batman.TypeOGM2 {
		return batman.OGM2Len
	}
	return batman.OGMLen
}

func seqnoOf(f []byte) uint32 { return binary.BigEndian.Uint32(f[batman.EthLen+4:]) }

func setSeqno(f []byte, n uint32) { binary.BigEndian.PutUint32(f[batman.EthLen+4:], n) }

// setTVLVs replaces the containers.
func setTVLVs(f, tvlvs []byte) []byte {
	end := batman.EthLen + ogmHeader(f)
	f = append(slices.Clone(f[:end]), tvlvs...)
	if ogmHeader(f) == batman.OGM2Len {
		binary.BigEndian.PutUint16(f[batman.EthLen+14:], uint16(len(tvlvs)))
	} else {
		binary.BigEndian.PutUint16(f[batman.EthLen+22:], uint16(len(tvlvs)))
	}
	return f
}

func tvlvsOf(f []byte) []byte { return f[batman.EthLen+ogmHeader(f):] }

// mapTVLVs rewrites every container; nil leaves it away.
func mapTVLVs(f []byte, change func(t batman.TVLV) []byte) []byte {
	var out []byte
	for b := tvlvsOf(f); len(b) > 0; {
		t, rest, err := batman.NextTVLV(b)
		if err != nil {
			break
		}
		b = rest
		if v := change(t); v != nil {
			out = append(batman.AppendTVLV(out, t.Type, t.Version, len(v)), v...)
		}
	}
	return setTVLVs(f, out)
}

// withoutID takes our container away.
func withoutID(f []byte) []byte {
	return mapTVLVs(f, func(t batman.TVLV) []byte {
		if t.Type == identity.TVLVType {
			return nil
		}
		return t.Value
	})
}

// hear gives a frame to a node as if it heard it.
func (s *scene) hear(n *wnode, f []byte) {
	b := s.pool.Get()
	b.Set(f)
	b.Port = 0
	n.m.HandleFrame(s.now, b, &n.out)
	n.drain()
}

// elpOf lets the attacker's station be a neighbour in B.A.T.M.A.N. V.
func (s *scene) greet(src batman.MAC) {
	h := make([]byte, batman.EthLen)
	batman.Eth{Dst: batman.Broadcast, Src: src, Type: batman.EtherType}.Put(h)
	s.hear(s.o, append(h, header(batman.ELPSent, batman.ELP{Orig: src, Seqno: uint32(s.now / mono.Time(time.Millisecond)), IntervalMS: 500}.Put)...))
}

// standing is what must not change by an attack.
type standing struct {
	next  string
	seqno uint32
	ways  int
	table int
}

func (s *scene) standing() standing {
	o := s.o.m.originator(s.v.primary())
	return standing{s.o.next(s.v), o.routes[0].lastSeqno, len(o.neighbours), len(o.tt.clients)}
}

func TestIdentityAttacks(t *testing.T) {
	for _, c := range []struct {
		name  string
		make  func(s *scene) []byte
		why   dropReason
		state string // shown after it; "": the address
	}{
		{"higher number", func(s *scene) []byte { f := s.last(); setSeqno(f, seqnoOf(f)+5); return f }, dropForged, "forged"},
		{"next number", func(s *scene) []byte { f := s.last(); setSeqno(f, seqnoOf(f)+1); return f }, dropForged, "forged"},
		{"another record's id", func(s *scene) []byte {
			f := s.last()
			setSeqno(f, seqnoOf(f)+1)
			return mapTVLVs(f, func(t batman.TVLV) []byte {
				v := bytes.Clone(t.Value)
				if t.Type == identity.TVLVType {
					v[1], v[2] = 0x10, v[2]^1
					v = v[:24]
				}
				return v
			})
		}, dropUnchecked, ""},
		{"far number", func(s *scene) []byte { f := s.last(); setSeqno(f, seqnoOf(f)+100000); return f }, dropUnchecked, ""},
		{"far back", func(s *scene) []byte { f := s.last(); setSeqno(f, seqnoOf(f)-100000); return f }, dropDuplicate, ""},
		{"same number, other element", func(s *scene) []byte {
			f := s.last()
			return mapTVLVs(f, func(t batman.TVLV) []byte {
				v := bytes.Clone(t.Value)
				if t.Type == identity.TVLVType {
					v[20] ^= 1
				}
				return v
			})
		}, dropForged, "forged"},
		{"no container", func(s *scene) []byte { f := s.last(); setSeqno(f, seqnoOf(f)+5); return withoutID(f) }, dropStripped, "stripped"},
		{"no containers at all", func(s *scene) []byte { f := s.last(); setSeqno(f, seqnoOf(f)+5); return setTVLVs(f, nil) }, dropStripped, "stripped"},
		{"cut container", func(s *scene) []byte {
			f := s.last()
			return mapTVLVs(f, func(t batman.TVLV) []byte {
				if t.Type == identity.TVLVType {
					return t.Value[:22]
				}
				return t.Value
			})
		}, dropStripped, "stripped"},
		{"replay of a number 70 back", func(s *scene) []byte {
			s.run(90 * time.Second) // so that all of them name the record with the costs
			f := bytes.Clone(s.ogms[len(s.ogms)-71])
			copy(f[6:12], liarMAC[:])
			return f
		}, dropDuplicate, ""},
		{"record of another boot, wrong signature", func(s *scene) []byte {
			f := s.last()
			setSeqno(f, seqnoOf(f)+3)
			return s.withRecord(f, func(r []byte) { binary.BigEndian.PutUint32(r[4:], 77) })
		}, dropBadRecord, "verified"},
		{"record flipped, id not", func(s *scene) []byte {
			f := s.last()
			setSeqno(f, seqnoOf(f)+3)
			f = s.withRecord(f, func(r []byte) { r[7]++ })
			return mapTVLVs(f, func(t batman.TVLV) []byte {
				v := bytes.Clone(t.Value)
				if t.Type == identity.TVLVType {
					v[3] ^= 1
				}
				return v
			})
		}, dropBadRecord, "forged"},
	} {
		for _, algo := range []Algo{BatmanIV, BatmanV} {
			t.Run(c.name+" "+algo.String(), func(t *testing.T) {
				s := newScene(t, algo, SignOverlay)
				f := c.make(s)
				if algo == BatmanV {
					s.greet(liarMAC)
				}
				before, drops := s.standing(), s.o.m.drops[c.why]
				s.hear(s.o, f)
				s.run(100 * time.Millisecond)
				if after := s.standing(); after != before && after.seqno-before.seqno > 1 {
					t.Errorf("%+v became %+v", before, after)
				}
				if s.o.m.drops[c.why] == drops {
					t.Errorf("not counted as %s: %v", dropNames[c.why], dropMap(&s.o.m.drops))
				}
				want := c.state
				if want == "" || want == "verified" {
					want = s.v.ip()
				}
				if got := s.o.identity(s.v.primary()); got != want {
					t.Errorf("shown is %q, want %q", got, want)
				}
				s.run(65 * time.Second)
				if !s.o.verified(s.v) {
					t.Errorf("a minute later shown is %q", s.o.identity(s.v.primary()))
				}
				if s.o.next(s.v) != "v" || s.o.m.drops[dropProtected] > 0 {
					t.Errorf("next hop %q, drops %v", s.o.next(s.v), dropMap(&s.o.m.drops))
				}
			})
		}
	}
}

// A copy of the victim's record under an address of nobody is counted, and says
// nothing about who that is. Attacks are told, and the same one not again and
// again.
func TestIdentityCopiedRecord(t *testing.T) {
	s := newScene(t, BatmanIV, SignOverlay)
	copied := func(n uint32) []byte {
		f := s.withRecord(s.last(), func([]byte) {})
		copy(f[batman.EthLen+8:], liarMAC[:]) // the originator
		copy(f[batman.EthLen+14:], liarMAC[:])
		copy(f[6:12], liarMAC[:])
		setSeqno(f, 1000+n)
		return f
	}
	told := func() (list []string) {
		for _, e := range s.o.evs {
			if e.Kind == EventIdentity {
				list = append(list, fmt.Sprint(e.Orig, " ", e.Text))
			}
		}
		return list
	}
	for n := range uint32(5) {
		s.hear(s.o, copied(n))
		s.run(time.Second)
	}
	if n := s.o.m.drops[dropBadRecord]; n != 5 {
		t.Errorf("%d of 5 counted", n)
	}
	if got := s.o.identity(liarMAC); strings.HasPrefix(got, "fc") {
		t.Errorf("the liar is taken for %s", got)
	}
	if list := told(); len(list) != 1 || !strings.HasPrefix(list[0], liarMAC.String()) || !strings.Contains(list[0], "bad-record") {
		t.Errorf("told: %q", list)
	}
	s.run(reportTime)
	f := s.last()
	setSeqno(f, seqnoOf(f)+5)
	s.hear(s.o, f)
	if list := told(); len(list) != 2 || !strings.Contains(list[1], s.v.primary().String()) || !strings.Contains(list[1], "forged") {
		t.Errorf("told: %q", list)
	}
}

// withRecord puts the victim's record, changed, into f, with its id.
func (s *scene) withRecord(f []byte, change func([]byte)) []byte {
	rec := bytes.Clone(s.v.m.id.self.Record())
	change(rec)
	id := identity.RecordID(rec)
	return mapTVLVs(f, func(t batman.TVLV) []byte {
		if t.Type != identity.TVLVType {
			return t.Value
		}
		v := bytes.Clone(t.Value[:24])
		v[1] |= 1
		copy(v[2:8], id[:])
		return append(v, rec...)
	})
}

// A signed node that restarts is taken at once, whether its numbers go on or
// not; nothing of it is refused.
func TestIdentityRestart(t *testing.T) {
	for _, algo := range []Algo{BatmanIV, BatmanV} {
		for _, keep := range []bool{true, false} {
			s := newScene(t, algo, SignOverlay)
			for round := range 3 {
				numbers := Seqnos{}
				if keep {
					numbers = s.v.m.Seqnos()
				}
				s.ogms = nil
				s.v.boot(numbers)
				s.until(2*time.Second, "first OGM", func() bool { return len(s.ogms) > 0 })
				s.run(200 * time.Millisecond)
				o := s.o.m.originator(s.v.primary())
				if got := o.routes[0].lastSeqno; got != seqnoOf(s.ogms[len(s.ogms)-1]) {
					t.Errorf("%v, numbers kept %v, round %d: the number is %d, not that of the first OGM %d", algo, keep, round, got, seqnoOf(s.ogms[0]))
				}
				if !s.o.verified(s.v) || s.o.dropsOf() != "" || s.o.m.drops[dropProtected] != 0 {
					t.Errorf("%v, numbers kept %v, round %d: shown is %q, drops %v", algo, keep, round, s.o.identity(s.v.primary()), dropMap(&s.o.m.drops))
				}
				if n := s.o.changes[len(s.o.changes)-1]; n.Boot != s.v.boots || !n.Reachable {
					t.Errorf("told was %+v", n)
				}
				s.run(3 * time.Second)
				s.flows(s.o, s.v, 5*time.Second)
			}
		}
	}
}

// Jobs that never come back, or late, change nothing but that nobody is
// verified.
func TestIdentityJobsNeverDone(t *testing.T) {
	for _, algo := range []Algo{BatmanIV, BatmanV} {
		w := newWorld(t, 3)
		w.jobTime = -1
		set := func(c *Config) { c.Algo = algo }
		a, b := w.signed("a", set), w.signed("b", set)
		w.link(a, 0, b, 0, 0)
		w.flows(a, b, 20*time.Second)
		w.run(time.Minute)
		if a.identity(b.primary()) != "-" || a.dropsOf() != "" {
			t.Errorf("%v: shown is %q, drops %s", algo, a.identity(b.primary()), a.dropsOf())
		}
		if !slices.ContainsFunc(a.evs, func(e Event) bool { return e.Kind == EventIdentity }) {
			t.Error("nobody was told that the node is unsigned")
		}
		w.jobTime = 12 * time.Second // later than they are waited for
		w.run(2 * time.Minute)
		w.flows(a, b, time.Second)
		w.jobTime = time.Millisecond
		w.run(2 * time.Minute)
		if !a.verified(b) || !b.verified(a) {
			t.Errorf("%v: in the end shown is %q", algo, a.identity(b.primary()))
		}
	}
}

// A core that follows another one in the same run is believed at once.
func TestIdentitySameBoot(t *testing.T) {
	for _, algo := range []Algo{BatmanIV, BatmanV} {
		s := newScene(t, algo, SignOverlay)
		for range 3 {
			s.v.boots-- // boot counts it again
			s.v.boot(s.v.m.Seqnos())
			s.run(4 * time.Second)
			if !s.o.verified(s.v) || s.o.dropsOf() != "" {
				t.Errorf("%v: shown is %q, drops %s", algo, s.o.identity(s.v.primary()), s.o.dropsOf())
			}
		}
	}
}

// OGMs of another interface than the primary one are checked alike, and a
// record that names the interface of somebody else does not get it.
func TestIdentitySecondInterface(t *testing.T) {
	s := newScene(t, BatmanIV, SignOverlay)
	s.v.iface(1, nil)
	s.o.iface(1, nil)
	s.link(s.o, 1, s.v, 1, 0)
	var last []byte
	second := hardMAC(s.v.id, 1)
	s.tap = func(from *wnode, i int, f []byte) {
		if from == s.v && i == 1 && isOGM(f) {
			for p := f[batman.EthLen:]; len(p) >= batman.OGMLen; {
				o, _, size, err := batman.ParseOGM(p)
				if err != nil {
					return
				}
				if o.Orig == second {
					last = append(bytes.Clone(f[:batman.EthLen]), p[:size]...)
				}
				p = p[size:]
			}
		}
	}
	s.run(20 * time.Second)
	if n := s.o.m.id.known.Node(s.now, second); n == nil || n.MAC() != s.v.primary() {
		t.Fatalf("the other interface belongs to %v", n)
	}
	o := s.o.m.originator(second)
	for name, c := range map[string]struct {
		f   []byte
		why dropReason
	}{
		"higher number": {func() []byte { f := bytes.Clone(last); setSeqno(f, seqnoOf(f)+3); return f }(), dropForged},
		"no container":  {func() []byte { f := bytes.Clone(last); setSeqno(f, seqnoOf(f)+3); return setTVLVs(f, nil) }(), dropStripped},
	} {
		seqno, drops := o.routes[0].lastSeqno, s.o.m.drops[c.why]
		b := s.pool.Get()
		b.Set(c.f)
		b.Port = 1
		s.o.m.HandleFrame(s.now, b, &s.o.out)
		s.o.drain()
		if s.o.m.drops[c.why] != drops+1 || o.routes[0].lastSeqno != seqno {
			t.Errorf("%s: drops %s, number %d became %d", name, s.o.dropsOf(), seqno, o.routes[0].lastSeqno)
		}
	}
	k := testKey(50)
	f := newForger(k, BatmanIV, 1, liarMAC, 9)
	f.self.SetIfaces([]identity.Iface{{MAC: liarMAC, Next: 9}, {MAC: second, Next: 1 << 20}})
	s.run(time.Second)
	f.sign(mono.Time(time.Minute), k, identity.Facts{})
	for range 5 {
		s.hear(s.o, f.frame(liarMAC, nil))
		s.run(time.Second)
	}
	e, ok := f.self.Element(second, 1<<20)
	tv := f.self.AppendOther(nil, identity.TVLVType, e)
	x := setTVLVs(last, tv)
	setSeqno(x, 1<<20)
	s.hear(s.o, x)
	if n := s.o.m.id.known.Node(s.now, second); !ok || n == nil || n.MAC() != s.v.primary() || s.o.m.drops[dropConflict] != 1 {
		t.Errorf("%v: the other interface belongs to %v now, drops %s", ok, n, s.o.dropsOf())
	}
}

// Big gaps cost hashes, of which a station has 1024 at once and 200 a second;
// others are not harmed.
func TestIdentityHashFlood(t *testing.T) {
	s := newScene(t, BatmanIV, SignOverlay)
	for range 60 {
		for i := range 1000 {
			f := s.last()
			setSeqno(f, seqnoOf(f)+uint32(i))
			s.hear(s.o, f)
			s.run(time.Millisecond)
		}
	}
	if n := s.o.m.stats.idHashes; n > identity.Gap+60*200+200 || n < 10000 {
		t.Errorf("%d hashes in a minute", n)
	}
	if s.o.m.drops[dropUnchecked] == 0 || s.o.next(s.v) != "v" || s.o.m.id.known.Node(s.now, s.v.primary()) == nil {
		t.Errorf("next hop %q, drops %s", s.o.next(s.v), s.o.dropsOf())
	}
	if d := s.now.Sub(s.o.m.originator(s.v.primary()).lastSeen); d > 2*time.Second {
		t.Errorf("the victim was not heard for %v", d)
	}
}

// A node that loses its primary interface is known by the next one at once, and
// not under the old address any more.
func TestIdentityPrimaryChanges(t *testing.T) {
	for _, algo := range []Algo{BatmanIV, BatmanV} {
		s := newScene(t, algo, SignOverlay)
		for i := range 2 {
			s.v.iface(i, nil)
			s.o.iface(i, nil)
			s.link(s.o, i, s.v, i, 0)
		}
		s.run(20 * time.Second)
		old, second := s.v.primary(), hardMAC(s.v.id, 1)
		s.o.changes = nil
		s.v.m.IfaceDown(s.now, 0, "cut", &s.v.out)
		s.v.drain()
		d := s.until(5*time.Second, "known by the other address", func() bool {
			n := s.o.m.id.known.Node(s.now, second)
			return n != nil && n.MAC() == second
		})
		s.run(1500 * time.Millisecond)
		state := map[batman.MAC]bool{}
		for _, n := range s.o.changes {
			state[n.MAC] = n.Reachable
		}
		if state[old] || !state[second] || s.o.dropsOf() != "" {
			t.Errorf("%v: told was %v after %v, drops %s", algo, state, d, s.o.dropsOf())
		}
		s.v.iface(0, nil) // it comes back as the second one
		s.run(10 * time.Second)
		if n := s.o.m.id.known.Node(s.now, second); n == nil || n.MAC() != second || s.o.dropsOf() != "" {
			t.Errorf("%v: then %v, drops %s", algo, n, s.o.dropsOf())
		}
	}
}
