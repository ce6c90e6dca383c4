package mesh

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

// ttReplay is this program in the place of a kernel of the captures.
type ttReplay struct {
	t    *testing.T
	nd   *ttNode
	sent []ttMail
}

// ttCaptureNodes are v1 to v3: hardMAC puts the number where the captures
// have it.
func newTTReplay(t *testing.T, number int) *ttReplay {
	w := newTTNet(t, 3)
	return &ttReplay{t: t, nd: w.nodes[number-1]}
}

// frames feeds what other nodes sent from `from` on. ogm, if set, is called
// for each TT container of an OGM; unicast for packets of this node.
func (r *ttReplay) frames(fs []captured, from mono.Time, own func(at mono.Time, u batman.UnicastTVLV, value []byte)) {
	r.t.Helper()
	w := r.nd.net
	begin := w.now
	me := hardMAC(r.nd.i+1, 0)
	for _, f := range fs {
		if f.at < from {
			continue
		}
		e, err := batman.ParseEth(f.frame)
		if err != nil || e.Type != batman.EtherType {
			continue
		}
		w.now = begin.Add(f.at.Sub(from))
		p := f.frame[batman.EthLen:]
		switch batman.PacketType(p[0]) {
		case batman.TypeIVOGM:
			for len(p) >= batman.OGMLen && p[1] == batman.Version {
				h, tvlvs, size, err := batman.ParseOGM(p)
				if err != nil {
					break
				}
				p = p[size:]
				o := r.nd.m.origs[h.Orig]
				if e.Src == me || o == nil {
					continue
				}
				for len(tvlvs) > 0 {
					c, rest, err := batman.NextTVLV(tvlvs)
					if err != nil {
						r.t.Fatal(err)
					}
					tvlvs = rest
					if c.Type == batman.TVLVTT {
						r.nd.m.ttOGM(w.now, o, c.Value, &r.nd.out)
					}
				}
			}
		case batman.TypeUnicastTVLV:
			u, tvlvs, err := batman.ParseUnicastTVLV(p)
			if err != nil {
				r.t.Fatal(err)
			}
			if u.Dst == me {
				r.nd.m.unicastTVLVs(w.now, u, tvlvs, &r.nd.out)
			} else if own != nil && e.Src == me {
				own(f.at, u, tvlvs)
			}
		}
		r.nd.check()
	}
	r.sent = append(r.sent, w.queue...)
	w.queue = nil
}

// tg prints the global table as batctl does, without the mark of the best.
func (r *ttReplay) tg(only batman.MAC) (l []string) {
	for _, g := range r.nd.m.Status(r.nd.net.now).Global {
		if only.IsZero() || g.Orig == only {
			l = append(l, fmt.Sprintf("%v %4d [%s] (%3d) %v (%3d) (0x%08x)", g.MAC, g.VID.Print(), g.Flags, g.TTVN, g.Orig, g.LastTTVN, g.CRC))
		}
	}
	slices.Sort(l)
	return l
}

func ttState(t *testing.T, kernel, section, only string) (l []string) {
	t.Helper()
	b, err := os.ReadFile("testdata/tt-state-" + kernel + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), section+"\n")
	if !ok {
		t.Fatalf("no %q", section)
	}
	for s := range strings.Lines(rest) {
		if s[0] != ' ' {
			break
		}
		if strings.Contains(s, only) {
			l = append(l, strings.TrimRight(s[3:], "\n"))
		}
	}
	slices.Sort(l)
	return l
}

func (r *ttReplay) compare(got, want []string) {
	r.t.Helper()
	if len(want) == 0 || !slices.Equal(got, want) {
		r.t.Errorf("table\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

var ttKernels = []string{"6.1", "6.12"}

// TestTTReplayStart: in the place of v1, which heard the others from their
// first OGM on.
func TestTTReplayStart(t *testing.T) {
	for _, k := range ttKernels {
		r := newTTReplay(t, 1)
		r.frames(readPcap(t, "tt-startup-la-"+k+".pcap"), 0, nil)
		if len(r.sent) != 1 { // the answer to v2
			t.Errorf("%d packets sent", len(r.sent))
		}
		r.compare(r.tg(batman.MAC{}), ttState(t, k, "v1 02-steady", ""))
	}
}

// TestTTReplayRequest: in the place of v2, which came later and asked v1 for
// its table. Our request is the kernel's, and its answer does.
func TestTTReplayRequest(t *testing.T) {
	for _, k := range ttKernels {
		fs := readPcap(t, "tt-startup-la-"+k+".pcap")
		var first mono.Time // OGM of v2
		for _, f := range fs {
			if len(f.frame) > 28 && batman.MAC(f.frame[6:12]) == hardMAC(2, 0) && f.frame[14] == 0 {
				first = f.at
				break
			}
		}
		// The kernel hears an OGM of v1 with a TQ above 0 when the changes
		// are not attached any more.
		first = first.Add(2 * time.Second)
		var want []byte
		r := newTTReplay(t, 2)
		v1 := hardMAC(1, 0)
		r.frames(fs, first, func(_ mono.Time, u batman.UnicastTVLV, tvlvs []byte) {
			if u.Dst == v1 && want == nil {
				want = tvlvs
			}
		})
		var got []byte
		for _, q := range r.sent {
			if q.u.Dst == v1 && got == nil {
				got = q.tvlvs
			}
		}
		if got == nil || !bytes.Equal(got, want) {
			t.Errorf("request %x, want %x", got, want)
		}
		r.compare(r.tg(v1), ttState(t, k, "v2 02-steady", v1.String()))
	}
}

// TestTTReplayRoam: in the place of v1, whose client goes to v2.
func TestTTReplayRoam(t *testing.T) {
	for _, k := range ttKernels {
		r := newTTReplay(t, 1)
		m := r.nd.m
		r.frames(readPcap(t, "tt-startup-la-"+k+".pcap"), 0, nil)
		r.sent = nil
		client := batman.MAC{2, 0xcc, 0, 0, 0, 0x77}
		r.nd.learn(client, 0)
		r.nd.container(ogmRoom)
		fs := readPcap(t, "tt-roam-la-"+k+".pcap")
		r.frames(fs, 0, nil)
		if m.stats.ttRoamRx != 1 || len(r.sent) != 0 {
			t.Errorf("%d ROAM, %d packets sent", m.stats.ttRoamRx, len(r.sent))
		}
		tt, err := batman.ParseTT(r.nd.container(ogmRoom))
		if want := (batman.TTEntry{Flags: batman.TTDel | batman.TTRoam, Client: client}); err != nil || tt.Entries.Len() != 1 || tt.Entries.At(0) != want {
			t.Errorf("changes %x, %v", tt.Entries, err) // as the kernel's version 7 had it
		}
		got := r.tg(batman.MAC{})
		r.compare(got, ttState(t, k, "v1 08-roam", ""))
	}
}
