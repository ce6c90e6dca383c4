//go:build netns

package netio

import (
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/pkt"
)

func TestDbg(t *testing.T) {
	for it := range 300 {
		s := newSpace(t)
		var tx, rx *Packet
		s.run(t, func() error { return addVeth("ed-a", "ed-b") })
		s.run(t, func() error { return vethUp("ed-a", "ed-b") })
		s.run(t, func() (err error) { tx, err = OpenPacket("ed-a", 0xfc00, PacketOptions{Batch: 64}); return err })
		s.run(t, func() (err error) { rx, err = OpenPacket("ed-b", 0xfc00, PacketOptions{Batch: 64}); return err })
		out, in := newBufs(64), newBufs(64)
		for _, v := range out {
			v.Set(fill(1200, 1))
			v.Addr = pkt.MACAddr(rx.HardwareAddr())
		}
		for i := range 500 {
			k, err := tx.WriteBatch(out)
			if err != nil || k != 64 {
				t.Fatal(it, i, k, err, tx.Stats())
			}
			tm := time.AfterFunc(3*time.Second, func() {
				st, _ := rx.conn.Stats()
				t.Error(it, i, "stuck", st, rx.Stats(), tx.Stats(), rx.down, time.Now())
				rx.Close()
			})
			for k > 0 {
				g, err := rx.ReadBatch(in)
				if err != nil {
					t.Fatal(it, i, k, err, rx.Stats())
				}
				k -= g
			}
			tm.Stop()
		}
		tx.Close()
		rx.Close()
	}
}
