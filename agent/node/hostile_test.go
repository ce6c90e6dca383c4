package node

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/cryptoauth"
	"github.com/meshagent/meshagent/agent/pkt"
)

// within checks that no table has grown beyond its bound.
func (h *host) within(t *testing.T) {
	t.Helper()
	for _, s := range h.node.Status(h.w.now).Tables {
		if s.Used > s.Limit {
			t.Errorf("table %s holds %d, limit %d", s.Name, s.Used, s.Limit)
		}
	}
	if len(h.node.peers) > MaxPeers+MaxHalfOpen || len(h.node.byAddr) > 2*(MaxPeers+MaxHalfOpen) {
		t.Errorf("%d peers at %d addresses", len(h.node.peers), len(h.node.byAddr))
	}
}

// strangerAddr is the address of the i-th stranger.
func strangerAddr(i int) pkt.Addr {
	return pkt.UDPAddr(netip.AddrPortFrom(netip.AddrFrom4([4]byte{172, 16, byte(i >> 8), byte(i)}), 999), 0)
}

// A flood of hellos with the right password from thousands of addresses costs
// bounded memory and does not disturb the peer that is there.
func TestFloodOfHellos(t *testing.T) {
	w, a, b := pair(t, 80)
	// Making keys is slow, so a few strangers call from many addresses.
	var strangers [20]*cryptoauth.Identity
	for i := range strangers {
		strangers[i] = cryptoauth.GenerateIdentity(w.random)
	}
	for i := range 3000 {
		cfg := cryptoauth.Config{Self: strangers[i%len(strangers)], Users: new(cryptoauth.Users), Rand: w.random}
		s := cryptoauth.New(&cfg, cryptoauth.Options{Key: b.id.Public, Password: []byte("p")}, w.now)
		buf := a.pool.Get()
		buf.Set([]byte("not a switch frame, but payload"))
		if err := s.Seal(w.now, buf); err != nil {
			t.Fatal(err)
		}
		b.receive(0, strangerAddr(i), buf.Bytes())
		a.pool.Put(buf)
		if i%100 == 0 {
			w.run(10 * time.Millisecond)
			b.within(t)
		}
	}
	b.within(t)
	if b.node.drops[dropBusy] == 0 && b.node.drops[dropTableFull] == 0 {
		t.Error("nothing was refused")
	}
	w.flows(a, b, 100*time.Millisecond)
	w.run(time.Minute)
	if n := b.node.halfOpen(); n != 0 {
		t.Errorf("%d half-open handshakes are left after a minute", n)
	}
}

// A peer opens end-to-end sessions with one new key after another.
func TestFloodOfSessions(t *testing.T) {
	w, a, b := pair(t, 81)
	kept := a.node.sessions.ByIP(b.id.IP)
	for i := range 2 * MaxSessions {
		s := b.node.sessions.Add(w.now, cjdns.Key{byte(i), byte(i >> 8), 1}, cjdns.IP{0xfc, byte(i), byte(i >> 8)}, cryptoauth.New(&b.node.ca, cryptoauth.Options{Key: cjdns.Key{1}}, w.now))
		if s == nil {
			t.Fatal("a table of unused sessions refuses a new one")
		}
	}
	b.within(t)
	w.flows(a, b, time.Second)
	if a.node.sessions.ByIP(b.id.IP) != kept {
		t.Error("the session in use was dropped")
	}
}

// Garbage of every length and first word is dropped and counted.
func TestGarbage(t *testing.T) {
	w, a, b := pair(t, 82)
	var before int64
	for _, c := range b.node.Status(w.now).Drops {
		before += c
	}
	n := int64(0)
	for size := range 300 {
		for _, word := range []uint32{0, 1, 2, 3, 4, 20, 0xfffffffb, 0xfffffffc, 0xffffffff} {
			frame := make([]byte, size)
			w.random(frame)
			if size >= 4 {
				binary.BigEndian.PutUint32(frame, word)
			}
			b.receive(0, a.addr, frame)
			b.receive(0, strangerAddr(size), frame)
			n += 2
		}
	}
	var after int64
	for reason, c := range b.node.Status(w.now).Drops {
		if len(reason) < 5 || reason[:5] != "auth." { // those are counted under auth as well
			after += c
		}
	}
	if after-before < n {
		t.Errorf("%d frames of garbage, %d counted: %v", n, after-before, b.node.Status(w.now).Drops)
	}
	b.within(t)
	w.flows(a, b, time.Second)
}

// FuzzNode feeds a node with frames from its peer's address, from its peer's
// session (so that the inner layers are reached), and from strangers, while
// time goes on. Nothing may panic, no table may grow beyond its bound, and
// the peer must still be served in the end.
func FuzzNode(f *testing.F) {
	ping := cjdns.SwitchHeader{Label: directLabel, LabelShift: directShift}.Append(nil)
	ping = cjdns.Control{Type: cjdns.CtrlPing, Version: 20, Opaque: []byte("12345678")}.Append(ping)
	f.Add(append([]byte{0, byte(len(ping))}, ping...))
	f.Add(append([]byte{1, byte(len(ping))}, ping...))
	err := cjdns.SwitchHeader{Label: directLabel, LabelShift: directShift}.Append(nil)
	err = cjdns.Control{Type: cjdns.CtrlError, Code: 8, CauseData: make([]byte, 20)}.Append(err)
	f.Add(append([]byte{1, byte(len(err))}, err...))
	msg := cjdns.Message{Query: "fn", Version: 20, TxID: []byte("01abcdefgh"), Target: make([]byte, 16)}
	body := msg.Append([]byte{0x10, 0, 1, 0})
	f.Add(append([]byte{2, byte(len(body))}, body...))
	f.Fuzz(func(t *testing.T, script []byte) {
		w := newWorld(t, 90)
		a, b := w.host("a", 0), w.host("b", 0)
		b.user("p")
		a.dial(b, "p")
		w.run(50 * time.Millisecond)
		a.tell(b, "x")
		w.run(50 * time.Millisecond)
		for steps := 0; len(script) >= 2 && steps < 64; steps++ {
			kind, n := script[0], min(int(script[1]), len(script)-2)
			data := script[2 : 2+n]
			script = script[2+n:]
			switch kind % 5 {
			case 0:
				b.receive(0, a.addr, data)
			case 1: // inside the link's session
				buf := a.pool.Get()
				buf.Set(data)
				p := a.node.peers[0]
				if p.ca.CanSend() && p.ca.Seal(w.now, buf) == nil {
					b.receive(0, a.addr, buf.Bytes())
				}
				a.pool.Put(buf)
			case 2: // inside the end-to-end session
				buf := a.pool.Get()
				buf.Set(data)
				s := a.node.sessions.ByIP(b.id.IP)
				if s != nil && s.CA.CanSend() {
					a.node.sendSession(w.now, s, s.Path, buf, &a.out)
					a.drain()
				}
			case 3:
				b.receive(0, strangerAddr(n), data)
			case 4:
				w.run(time.Duration(n) * 20 * time.Millisecond)
			}
		}
		a.within(t)
		b.within(t)
		w.flows(a, b, 6*time.Second)
	})
}

// The costs of the data path: relay (open, forward, seal), and both ends.
func BenchmarkDataPath(b *testing.B) {
	for _, size := range []int{64, 1304} {
		t := new(testing.T)
		w := newWorld(t, 100)
		hosts := []*host{w.host("a", 0), w.host("b", 0), w.host("c", 0)}
		for i, h := range hosts {
			h.user("p")
			if i > 0 {
				hosts[i-1].dial(h, "p")
			}
		}
		w.talk(3 * time.Second)
		a, mid, c := hosts[0], hosts[1], hosts[2]
		p := a.packet(c, string(make([]byte, size-40)))
		in := pkt.Batch{}
		step := func(name string, n int) {
			b.Run(name, func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(size))
				for b.Loop() {
					buf := a.pool.Get()
					buf.Set(p)
					in.Add(buf)
					a.node.FromTUN(w.now, &in, &a.out)
					a.out.Frames.Bufs[0].Addr, in.Bufs = a.addr, append(in.Bufs, a.out.Frames.Bufs[0])
					a.out.Frames.Reset()
					if n > 0 {
						mid.node.FromLink(w.now, &in, &mid.out)
						mid.out.Frames.Bufs[0].Addr, in.Bufs = mid.addr, append(in.Bufs, mid.out.Frames.Bufs[0])
						mid.out.Frames.Reset()
					}
					if n > 1 {
						c.node.FromLink(w.now, &in, &c.out)
						in.Bufs = append(in.Bufs, c.out.TUN.Bufs[0])
						c.out.TUN.Reset()
					}
					in.Recycle(&a.pool)
				}
			})
		}
		suffix := map[int]string{64: "size=64", 1304: "size=1304"}[size]
		step("send/"+suffix, 0)
		step("send+relay/"+suffix, 1)
		step("send+relay+receive/"+suffix, 2)
	}
}
