package node

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/pkt"
)

// FuzzMesh feeds a node with frames from the mesh, from its peering there, from
// inside its sessions, and with news of nodes, while time goes on. Nothing may
// panic, no table may grow beyond its bound, and in the end the two nodes must
// reach each other.
func FuzzMesh(f *testing.F) {
	hello := make([]byte, 130)
	f.Add(append([]byte{0, byte(len(hello))}, hello...))
	f.Add([]byte("\x00\x14" + introductionMark + "\x00\x0412345678\x00\x00"))
	f.Add([]byte("\x03\x08abcdefgh\x04\x20"))
	letter := binary.BigEndian.AppendUint16([]byte{0x10, 0}, contentMessage)
	letter = append(letter, "for the community"...)
	f.Add(append([]byte{2, byte(len(letter))}, letter...))
	msg := cjdns.Message{Query: "fn", Version: 20, TxID: []byte("01abcdefgh"), Target: make([]byte, 16)}
	body := msg.Append([]byte{0x10, 0, 1, 0})
	f.Add(append([]byte{2, byte(len(body))}, body...))
	f.Add([]byte("\x05\x02\x01\x00\x04\xff\x02\x01x"))
	f.Fuzz(fuzzMesh)
}

func fuzzMesh(t *testing.T, script []byte) {
	w, a, b := meshPair(t, 91)
	a.tell(b, "x")
	w.run(50 * time.Millisecond)
	for steps := 0; len(script) >= 2 && steps < 64; steps++ {
		kind, n := script[0], min(int(script[1]), len(script)-2)
		data := script[2 : 2+n]
		script = script[2+n:]
		switch kind % 6 {
		case 0: // from anywhere, in the name of a's key where a key would be
			frame := append([]byte(nil), data...)
			if len(frame) >= 72 {
				copy(frame[40:], a.id.Public[:])
			}
			b.receive(0, pkt.MACAddr([6]byte{2, byte(n)}), frame)
		case 1: // inside the link's session
			p := a.node.mesh.peers[b.id.IP]
			buf := a.pool.Get()
			buf.Set(data)
			if p != nil && p.ca.CanSend() && p.ca.Seal(w.now, buf) == nil {
				b.receive(0, pkt.MACAddr([6]byte{2, byte(n)}), buf.Bytes())
			}
			a.pool.Put(buf)
		case 2: // inside the end-to-end session
			buf := a.pool.Get()
			buf.Set(data)
			s := a.session(b)
			if s != nil && s.CA.CanSend() && buf.Len() > 0 {
				a.node.sendSession(w.now, s, s.Path, buf, &a.out)
				a.drain()
			} else {
				a.pool.Put(buf)
			}
		case 3: // a key in the mesh that nobody has
			k := cjdns.Key{}
			copy(k[:], data)
			b.told(MeshNode{Key: k, IP: k.IP(), MAC: [6]byte{2, byte(n)}, Reachable: true, Uplink: true, Boot: uint32(n)})
		case 4:
			w.run(time.Duration(n) * 20 * time.Millisecond)
		case 5: // news about a
			m := a.meshNode()
			m.MAC[5], m.Boot, m.Reachable = byte(n), m.Boot+uint32(n)%3, n%2 == 0
			b.told(m)
		}
	}
	a.within(t)
	b.within(t)
	if n := len(b.node.mesh.deferred); n > maxDeferred {
		t.Errorf("%d questions wait", n)
	}
	last := a.meshNode()
	last.Boot += 100
	b.told(last)
	w.flows(a, b, 8*time.Second)
}

// A frame cut off anywhere is dropped without harm.
func TestMeshTruncation(t *testing.T) {
	w, a, b := meshPair(t, 550)
	var frames [][]byte
	w.tap = func(from, _ *host, frame []byte) {
		if from == a {
			frames = append(frames, append([]byte(nil), frame...))
		}
	}
	a.node.SetIntroduction([]byte("12345678"))
	a.tell(b, "hello")
	w.run(time.Second)
	w.tap = nil
	for _, f := range frames {
		for n := range len(f) {
			b.receive(0, a.mac, f[:n])
		}
	}
	b.within(t)
	w.flows(a, b, time.Second)
}
