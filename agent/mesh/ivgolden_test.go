package mesh

import (
	"bytes"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// ivReplay is a Mesh in the place of one kernel of a capture. It emits its own
// OGMs when the kernel did and with its numbers; what it forwards is its own
// decision.
type ivReplay struct {
	t             *testing.T
	m             *Mesh
	pool          pkt.Pool
	out           Out
	links         map[uint16]uint16 // capture's link to interface
	ours, kernels map[ogm2Key][][]byte
	now           mono.Time
	at            map[ogm2Key]mono.Time // when we forwarded
}

func newIVReplay(t *testing.T, start mono.Time, ifaces map[uint16]batman.MAC) *ivReplay {
	c := Default()
	c.BLA = false
	r := &ivReplay{t: t, links: map[uint16]uint16{}, ours: map[ogm2Key][][]byte{}, kernels: map[ogm2Key][][]byte{}, at: map[ogm2Key]mono.Time{}}
	r.out.Pool = &r.pool
	r.m = New(Options{Config: c}, start)
	for link := range uint16(2) {
		if mac, ok := ifaces[link]; ok {
			i := uint16(len(r.links))
			r.links[link] = i
			if err := r.m.SetIface(start, i, IfaceConfig{Name: "eth", MAC: mac, MTU: 1500}, &r.out); err != nil {
				t.Fatal(err)
			}
			r.m.ifaces[i].iv.sendAt = mono.Never
		}
	}
	return r
}

// add notes the OGMs of others in a frame. It calls own for the node's own.
func (r *ivReplay) add(list map[ogm2Key][][]byte, link uint16, p []byte, own func(batman.OGM)) {
	for len(p) >= batman.OGMLen && p[0] == byte(batman.TypeIVOGM) {
		o, _, size, err := batman.ParseOGM(p)
		if err != nil {
			r.t.Fatal(err)
		}
		if r.m.isMine(o.Orig) {
			own(o)
		} else {
			k := ogm2Key{link, o.Orig, o.Seqno}
			list[k] = append(list[k], bytes.Clone(p[:size]))
			r.at[k] = r.now
		}
		p = p[size:]
	}
}

func (r *ivReplay) drain() {
	for _, b := range r.out.Frames.Bufs {
		for link, i := range r.links {
			if i == b.Port && b.Bytes()[batman.EthLen] == byte(batman.TypeIVOGM) {
				r.add(r.ours, link, b.Bytes()[batman.EthLen:], func(batman.OGM) {})
			}
		}
		r.pool.Put(b)
	}
	r.out.Frames.Reset()
	r.out.Events = r.out.Events[:0]
}

func (r *ivReplay) until(now mono.Time) {
	for r.m.Deadline() <= now {
		r.now = r.m.Deadline()
		r.m.Expire(r.now, &r.out)
		r.drain()
	}
}

// frame takes one frame of the capture.
func (r *ivReplay) frame(f onLink) {
	i, ok := r.links[f.link]
	if !ok || len(f.frame) < batman.EthLen+2 || f.frame[12] != 0x43 || f.frame[13] != 0x05 {
		return
	}
	r.until(f.at)
	r.now = f.at
	hi := r.m.ifaces[i]
	if r.m.isMine(batman.MAC(f.frame[6:12])) {
		if f.frame[batman.EthLen] != byte(batman.TypeIVOGM) {
			return
		}
		r.add(r.kernels, f.link, f.frame[batman.EthLen:], func(o batman.OGM) {
			if o.Orig == hi.MAC { // else the primary interface's, on another one
				hi.iv.seqno = o.Seqno
				r.m.sendOwn(f.at, hi, &r.out)
				hi.iv.sendAt = mono.Never
				r.drain()
			}
		})
		return
	}
	b := r.pool.Get()
	b.Set(f.frame)
	b.Port = i
	r.m.HandleFrame(f.at, b, &r.out)
	r.drain()
}

// Each kernel of a line of three is replaced by a Mesh in turn: it must
// rebroadcast the same OGMs as the kernel did, byte for byte, TQ included.
func TestGoldenIV(t *testing.T) {
	v := func(node, iface byte) batman.MAC { return batman.MAC{2, 0xba, 0, 0, node, iface} }
	for _, kernel := range []string{"6.1", "6.12"} {
		fs := readLinks(t, "tt-startup-la-"+kernel+".pcap", "tt-startup-lb-"+kernel+".pcap")
		for name, ifaces := range map[string]map[uint16]batman.MAC{
			"v1": {0: v(1, 0)}, "v2": {0: v(2, 0), 1: v(2, 1)}, "v3": {1: v(3, 0)},
		} {
			t.Run(kernel+"/"+name, func(t *testing.T) {
				r := newIVReplay(t, fs[0].at, ifaces)
				up := r.firstSent(fs).Add(-300 * time.Millisecond)
				for _, f := range fs {
					if f.at >= up {
						r.frame(f)
					}
				}
				end := fs[len(fs)-1].at
				ends := map[uint16]mono.Time{} // the captures of the links do not end at once
				for _, f := range fs {
					ends[f.link] = f.at
				}
				for k, list := range r.ours {
					if len(list) > len(r.kernels[k]) && ends[k.link].Sub(r.at[k]) > 50*time.Millisecond {
						t.Errorf("we forwarded %v, %x, the kernel did not", k, list)
					}
				}
				r.until(end.Add(300 * time.Millisecond)) // what the kernel sent earlier
				r.compare()
			})
		}
	}
}

// firstSent is when the kernel sent its first frame: a rebroadcast of what it
// heard 100 ms before or, on a busy machine, 250. Its interfaces were not up when the capture began.
func (r *ivReplay) firstSent(fs []onLink) mono.Time {
	for _, f := range fs {
		if _, ok := r.links[f.link]; ok && f.frame[12] == 0x43 && r.m.isMine(batman.MAC(f.frame[6:12])) {
			return f.at
		}
	}
	r.t.Fatal("the node sent nothing")
	return 0
}

// compare checks what was forwarded.
func (r *ivReplay) compare() {
	total, same, tq := 0, 0, 0
	for k, list := range r.kernels {
		for i, want := range list {
			total++
			if i >= len(r.ours[k]) {
				r.t.Errorf("the kernel forwarded %v: %x, we did not", k, want)
				continue
			}
			got := r.ours[k][i]
			if bytes.Equal(got, want) {
				same++
			} else {
				r.t.Errorf("forwarded\n%x, want\n%x", got, want)
			}
			if got[21] == want[21] {
				tq++
			}
		}
	}
	r.t.Logf("%d OGMs forwarded by the kernel, %d byte for byte the same by us, %d with the same TQ", total, same, tq)
	if total < 15 {
		r.t.Error("nothing to compare")
	}
}
