package mesh

import (
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
)

// FuzzPayload gives a node frames from the air and from clients: b is a list
// of length (2 bytes), kind (1 byte) and frame.
func FuzzPayload(f *testing.F) {
	add := func(kind byte, frames ...[]byte) {
		var b []byte
		for _, p := range frames {
			b = append(append(b, byte(len(p)>>8), byte(len(p)), kind), p...)
		}
		f.Add(b)
	}
	packet, _ := packetForUs(200)
	add(0, unicastTo(50, 7, macC, clientC), unicastTo(50, 6, macC, clientC), unicastTo(1, 0, hardMAC(1, 0), clientA))
	add(0, flooded(macB, macB, 50, 1, "x"), flooded(macB, macC, 50, 1, "x"))
	add(0, parts(macB, 1, 3, packet)...)
	add(1, parts(macC, 9, 2, packet)...)
	add(2, clientFrame(clientC, clientA, 0, "x"), clientFrame(batman.Broadcast, clientA, batman.VLANTag|3, "x"))
	for _, name := range []string{"ping-la-6.1.pcap", "frag-la-6.12.pcap"} {
		var list [][]byte
		for _, c := range readPcap(f, name) {
			list = append(list, c.frame)
		}
		add(0, list...)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, _, _ := between(t, func(c *Config) { c.APIsolation = true; c.BLA = true })
		for len(b) > 3 {
			n, kind := min(int(b[0])<<8|int(b[1]), len(b)-3, 1600), b[2]
			p := b[3 : 3+n]
			b = b[3+n:]
			if kind&3 == 2 {
				s.tx(p)
			} else {
				s.rx(int(kind&1), p)
			}
			air, _ := s.take()
			for _, f := range air {
				if len(f.frame) > batman.EthLen+1500 {
					t.Fatalf("sent %d bytes", len(f.frame))
				}
				if batman.MAC([]byte(f.frame[6:])) != hardMAC(1, f.iface) {
					t.Fatalf("sent with a wrong source: %x", f.frame[:14])
				}
				if f.frame[16] == 0 && f.frame[14] != byte(batman.TypeELP) {
					t.Fatalf("sent with TTL 0: %x", f.frame)
				}
			}
			m := s.m
			if m.frag.held > maxFragBufs || len(m.frag.chains) > maxFragChains || m.bcast.repeats.n+m.bcast.delayed.n > maxBcastQueue {
				t.Fatal("a table is too long")
			}
			s.run(time.Duration(kind>>2) * time.Millisecond)
		}
	})
}
