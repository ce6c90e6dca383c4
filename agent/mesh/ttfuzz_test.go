package mesh

import (
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
)

// FuzzTT feeds a node with containers, ROAMs, clients and time. The first byte
// of each step says which, the rest are its bytes.
func FuzzTT(f *testing.F) {
	entry := batman.TTEntry{Client: testClient(1)}
	vlan := batman.TTVLAN{CRC: batman.TTSum(testClient(1), 0, 0)}
	diff := entry.Append(vlan.Append(batman.AppendTT(nil, batman.TTOGMDiff, 1, 1)))
	full := entry.Append(vlan.Append(batman.AppendTT(nil, batman.TTResponse|batman.TTFullTable, 7, 1)))
	request := vlan.Append(batman.AppendTT(nil, batman.TTRequest, 1, 1))
	step := func(op byte, value []byte) []byte { return append([]byte{op, byte(len(value))}, value...) }
	join := func(l ...[]byte) (b []byte) {
		for _, s := range l {
			b = append(b, s...)
		}
		return b
	}
	f.Add(join(step(0x10, diff), step(0x04, []byte{0, 0, 1}), step(0x11, request), step(0x05, nil)))
	f.Add(join(step(0x20, batman.AppendTT(nil, 1, 7, 0)), step(0x21, full), step(0x03, []byte{0, 0, 1}), step(0x12, []byte{2, 0xcc, 0, 0, 0, 1, 0, 0})))
	f.Add(join(step(0x04, []byte{0, 0, 1}), step(0x05, nil), step(0x12, []byte{2, 0xcc, 0, 0, 0, 1, 0, 0}), step(0x06, []byte{200}), step(0x07, nil)))
	f.Fuzz(func(t *testing.T, b []byte) {
		w := newTTNet(t, 1)
		nd := w.nodes[0]
		for i := range 4 {
			nd.know(i + 1)
		}
		me := hardMAC(1, 0)
		for len(b) >= 2 {
			op, n := b[0], min(int(b[1]), len(b)-2)
			v := b[2 : 2+n]
			b = b[2+n:]
			o := nd.of(1 + int(op>>4)%4)
			var client batman.MAC
			var vid batman.VID
			if len(v) >= 3 {
				client, vid = testClient(int(v[2]%64)), batman.VID(v[0])<<8|batman.VID(v[1])
			}
			switch op % 16 {
			case 0:
				nd.m.ttOGM(w.now, o, v, &nd.out)
			case 1:
				dst := me
				if len(v)%2 == 1 {
					dst = hardMAC(3, 0)
				}
				if taken := nd.m.ttUnicast(w.now, o.MAC, dst, v, &nd.out); dst == me && !taken {
					t.Fatal("a packet for this node goes on")
				}
			case 2:
				if r, err := batman.ParseRoam(v); err == nil {
					nd.m.ttRoam(w.now, o.MAC, r, &nd.out)
				}
			case 3:
				nd.m.ttTemp(w.now, o, client, vid)
			case 4:
				nd.m.ttLearn(w.now, client, vid, byte(len(v))<<4&0x30, &nd.out)
			case 5:
				nd.container(int(op>>4)*32 + n)
			case 6:
				if n > 0 {
					w.now = w.now.Add(time.Duration(v[0]) * 10 * time.Second)
				}
				nd.m.ttExpire(w.now, &nd.out)
			case 7:
				nd.m.ttRouteLost(w.now, o, &nd.out)
			case 8:
				nd.m.ttBackbone(w.now, o, vid, &nd.out)
			case 9:
				nd.m.ttListeners(w.now, []batman.MAC{{1, 0, 0x5e, 0, 0, op >> 4}, batman.MAC(append(v, make([]byte, 6)...))})
			default:
				nd.m.SetMeshIface(w.now, MeshIfaceConfig{MAC: testClient(int(op) >> 5)}, &nd.out)
			}
			if err := ttCheck(nd.m); err != nil {
				t.Fatalf("after %d on %v: %v", op%16, o.MAC, err)
			}
			for i := range 64 {
				mine, roamed := nd.m.ttLocal(testClient(i), vid)
				if mine && roamed {
					t.Fatalf("client %d is here and is not", i)
				}
				nd.m.ttFind(testClient(i), vid)
			}
			for _, q := range w.queue {
				c, rest, err := batman.NextTVLV(q.tvlvs)
				if err != nil || len(rest) != 0 {
					t.Fatalf("sent %x: %v", q.tvlvs, err)
				}
				if c.Type == batman.TVLVTT {
					if _, err := batman.ParseTT(c.Value); err != nil {
						t.Fatalf("sent %x: %v", c.Value, err)
					}
				}
			}
			w.queue = w.queue[:0]
			nd.out.Events = nd.out.Events[:0]
			nd.m.Status(w.now)
		}
	})
}
