package node

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/pkt"
)

// icmpError finds an ICMPv6 error of that type among what local programs got,
// checks its checksum, and returns its parameter.
func (h *host) icmpError(typ byte) (param uint32, ok bool) {
	for _, p := range h.got {
		if p[6] != pkt.ProtoICMP6 || p[40] != typ {
			continue
		}
		sum := pkt.PseudoSum([16]byte(p[8:24]), [16]byte(p[24:40]), pkt.ProtoICMP6, len(p)-40)
		if pkt.Fold(pkt.Sum(sum, p[40:])) != 0xffff {
			h.w.t.Errorf("ICMPv6 error with a wrong checksum: %x", p)
		}
		return binary.BigEndian.Uint32(p[44:]), true
	}
	return 0, false
}

func TestUnknownDestinationIsUnreachable(t *testing.T) {
	w, a, _ := pair(t, 70)
	stranger := w.host("stranger", 0)
	a.got = nil
	a.tell(stranger, "hello")
	w.until(11*time.Second, "unreachable", func() bool { _, ok := a.icmpError(icmpUnreachable); return ok })
}

func TestTooBig(t *testing.T) {
	w, a, b := pair(t, 71)
	for size := 1200; size <= 1264; size++ {
		a.tell(b, string(make([]byte, size)))
	}
	w.run(10 * time.Millisecond)
	if _, ok := a.icmpError(icmpTooBig); ok {
		t.Error("a packet within the MTU was called too big")
	}
	if last := b.got[len(b.got)-1]; len(last) != DefaultMTU {
		t.Errorf("largest packet has %d bytes, want %d", len(last), DefaultMTU)
	}
	a.tell(b, string(make([]byte, 1265)))
	if mtu, ok := a.icmpError(icmpTooBig); !ok || mtu != DefaultMTU {
		t.Errorf("no packet-too-big with MTU %d, but %d", DefaultMTU, mtu)
	}
	// A link that carries less.
	a.got = nil
	c := a.node.links[0].LinkConfig
	c.MTU = 1310
	a.node.SetLink(w.now, 0, c, &a.out)
	a.drain()
	a.tell(b, string(make([]byte, 1260)))
	if mtu, ok := a.icmpError(icmpTooBig); !ok || mtu != 1290 {
		t.Errorf("MTU over a link of 1310 bytes: %d, want 1290", mtu)
	}
}

func TestTUNRefusesForeignPackets(t *testing.T) {
	w, a, b := pair(t, 72)
	for name, spoil := range map[string]func(p []byte) []byte{
		"short":            func(p []byte) []byte { return p[:39] },
		"IPv4":             func(p []byte) []byte { p[0] = 0x45; return p },
		"wrong length":     func(p []byte) []byte { p[5]++; return p },
		"foreign source":   func(p []byte) []byte { p[23] ^= 1; return p },
		"outside fc00::/8": func(p []byte) []byte { p[24] = 0x20; return p },
	} {
		before := a.node.drops[dropTUN]
		buf := a.pool.Get()
		buf.Set(spoil(a.packet(b, "x")))
		in := pkt.Batch{Bufs: []*pkt.Buf{buf}}
		a.node.FromTUN(w.now, &in, &a.out)
		a.drain()
		if a.node.drops[dropTUN] != before+1 {
			t.Errorf("%s: not dropped and counted", name)
		}
	}
	a.got = nil
	a.tell(a, "to myself")
	if !a.heard("to myself") {
		t.Error("a packet to the own address does not come back")
	}
}

// The data path allocates nothing: packets from the TUN of a to that of b,
// both layers sealed and opened.
func TestDataPathAllocs(t *testing.T) {
	w, a, b := pair(t, 73)
	p := a.packet(b, string(make([]byte, 1200)))
	in, mid := pkt.Batch{}, pkt.Batch{}
	one := func() {
		buf := a.pool.Get()
		buf.Set(p)
		in.Add(buf)
		a.node.FromTUN(w.now, &in, &a.out)
		for _, f := range a.out.Frames.Bufs {
			f.Addr = a.addr
			mid.Add(f)
		}
		a.out.Frames.Reset()
		b.node.FromLink(w.now, &mid, &b.out)
		if b.out.TUN.Len() != 1 {
			t.Fatalf("%d packets arrived", b.out.TUN.Len())
		}
		for _, f := range b.out.TUN.Bufs {
			a.pool.Put(f)
		}
		b.out.TUN.Reset()
	}
	one()
	if n := testing.AllocsPerRun(500, one); n != 0 {
		t.Errorf("%v allocations per packet", n)
	}
}
