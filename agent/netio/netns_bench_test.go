//go:build netns

package netio

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshagent/meshagent/agent/pkt"
)

// copyBench is two TUN devices with a pump in each direction.
type copyBench struct {
	x, y    *space
	tx, ty  *TUN
	cpu     chan time.Duration
	packets chan int
}

func newCopyBench(b *testing.B, plain bool) *copyBench {
	c := &copyBench{x: newSpace(b), y: newSpace(b), cpu: make(chan time.Duration, 2), packets: make(chan int, 2)}
	c.tx = c.x.newTUN(b, TUNOptions{Name: "ed-a", MTU: tunMTU, NoOffload: plain}, "fc01::1/8")
	c.ty = c.y.newTUN(b, TUNOptions{Name: "ed-b", MTU: tunMTU, NoOffload: plain}, "fc02::1/8")
	for _, p := range [][2]*TUN{{c.tx, c.ty}, {c.ty, c.tx}} {
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			n := 0
			_ = pump(p[0], p[1], func(v []*pkt.Buf) { n += len(v) })
			var ru unix.Rusage
			_ = unix.Getrusage(unix.RUSAGE_THREAD, &ru)
			c.cpu <- time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
			c.packets <- n
		}()
	}
	return c
}

// stop ends the pumps and returns their processor time and packets.
func (c *copyBench) stop() (cpu float64, packets int) {
	c.tx.Close()
	c.ty.Close()
	return float64((<-c.cpu + <-c.cpu).Nanoseconds()), <-c.packets + <-c.packets
}

// BenchmarkNetNSTUNCopyTCP sends a TCP stream through two TUN devices and
// shows what the two copying threads cost per packet on the wire, the kernel's
// receive path included.
func BenchmarkNetNSTUNCopyTCP(b *testing.B) {
	for _, plain := range []bool{true, false} {
		b.Run(fmt.Sprintf("vnet=%v", !plain), func(b *testing.B) {
			cb := newCopyBench(b, plain)
			var l net.Listener
			cb.y.run(b, func() (err error) { l, err = net.Listen("tcp6", "[fc02::1]:5001"); return err })
			var c net.Conn
			cb.x.run(b, func() (err error) { c, err = net.Dial("tcp6", "[fc02::1]:5001"); return err })
			d, err := l.Accept()
			if err != nil {
				b.Fatal(err)
			}
			go io.Copy(io.Discard, d)
			data := make([]byte, 1<<20)
			b.SetBytes(int64(len(data)))
			size := 0
			for b.Loop() {
				if _, err := c.Write(data); err != nil {
					b.Fatal(err)
				}
				size += len(data)
			}
			c.Close()
			cpu, n := cb.stop()
			b.ReportMetric(cpu/(float64(size)/1232), "cpu-ns/packet")
			b.ReportMetric(cpu/float64(size), "cpu-s/GB")
			b.ReportMetric(float64(n)/(float64(size)/1232), "packets/segment")
			l.Close()
			d.Close()
		})
	}
}

// BenchmarkNetNSTUNDeliver writes datagrams into a TUN device and takes them
// out of a socket, all on one thread.
func BenchmarkNetNSTUNDeliver(b *testing.B) {
	for _, size := range []int{64, 1200} {
		for _, mode := range []string{"plain", "vnet", "vnet+uso"} {
			b.Run(fmt.Sprintf("udp/size=%d/%s", size, mode), func(b *testing.B) {
				s := newSpace(b)
				u := s.newTUN(b, TUNOptions{Name: "ed-a", MTU: tunMTU, NoOffload: mode == "plain", Batch: 64}, "fcff::1/8")
				u.wr.merge.udp = u.wr.merge.udp && mode == "vnet+uso"
				var in *UDP
				s.run(b, func() (err error) {
					in, err = OpenUDP(netip.MustParseAddrPort("[fcff::1]:5001"), UDPOptions{NoOffload: true, Batch: 64})
					return err
				})
				defer in.Close()
				p := seg{udp: true, port: 9, pay: fill(size, 1)}.packet()
				self := netip.MustParseAddr("fcff::1").As16()
				copy(p[24:], self[:])
				p[46], p[47] = 0, 0
				binary.BigEndian.PutUint16(p[46:], refTransport(p, 40, protoUDP))
				bufs, got := newBufs(64), newBufs(64)
				for _, v := range bufs {
					v.Set(p)
				}
				n := 0
				for b.Loop() {
					k, err := u.WriteBatch(bufs)
					if err != nil || k != len(bufs) {
						b.Fatal(k, err)
					}
					for k > 0 {
						g, err := in.ReadBatch(got)
						if err != nil {
							b.Fatal(err)
						}
						k -= g
					}
					n += len(bufs)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/packet")
				u.Close()
			})
		}
	}
}

// BenchmarkNetNSPacket sends frames over a veth pair and receives them, all on
// one thread.
func BenchmarkNetNSPacket(b *testing.B) {
	for _, size := range []int{64, 1200} {
		b.Run(fmt.Sprintf("copy/size=%d", size), func(b *testing.B) {
			s := newSpace(b)
			tx, rx := s.openVeth(b, PacketOptions{Batch: 64})
			out, in := newBufs(64), newBufs(64)
			for _, v := range out {
				v.Set(fill(size, 1))
				v.Addr = pkt.MACAddr(rx.HardwareAddr())
			}
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				k, err := tx.WriteBatch(out)
				if err != nil || k != len(out) {
					b.Fatal(k, err)
				}
				for k > 0 {
					g, err := rx.ReadBatch(in)
					if err != nil {
						b.Fatal(err)
					}
					k -= g
				}
				n += len(out)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/packet")
		})
	}
}
