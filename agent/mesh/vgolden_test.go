package mesh

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// onLink is a frame of one of the two links of the machine in the middle.
type onLink struct {
	captured
	link uint16
}

// readLinks reads the captures of two links that were taken at the same time,
// in the order of time.
func readLinks(t testing.TB, names ...string) (fs []onLink) {
	t.Helper()
	var first [2]time.Duration
	for i, name := range names {
		b, err := os.ReadFile("testdata/" + name)
		if err != nil || len(b) < 32 {
			t.Fatal(name, err)
		}
		le := binary.LittleEndian
		first[i] = time.Duration(le.Uint32(b[24:]))*time.Second + time.Duration(le.Uint32(b[28:]))*time.Microsecond
		for _, c := range readPcap(t, name) {
			c.at = c.at.Add(first[i] - first[0] + time.Second)
			fs = append(fs, onLink{c, uint16(i)})
		}
	}
	slices.SortStableFunc(fs, func(a, b onLink) int { return cmp.Compare(a.at, b.at) })
	return fs
}

// ogm2Key names a forwarded OGM.
type ogm2Key struct {
	link  uint16
	orig  batman.MAC
	seqno uint32
}

// addOGM2s splits an aggregate; own OGMs are left out.
func addOGM2s(t *testing.T, list map[ogm2Key][]byte, link uint16, p []byte, self batman.MAC) {
	for len(p) >= batman.OGM2Len && p[0] == byte(batman.TypeOGM2) {
		o, _, size, err := batman.ParseOGM2(p)
		if err != nil {
			t.Fatal(err)
		}
		key := ogm2Key{link, o.Orig, o.Seqno}
		if list[key] != nil {
			t.Errorf("%v forwarded twice", key)
		}
		if o.Orig != self {
			list[key] = bytes.Clone(p[:size])
		}
		p = p[size:]
	}
}

// Real machines in a line, the middle one replaced by a Mesh: it must forward
// the same OGMs byte for byte as the kernel in the middle did, and send ELP
// and OGM2 headers like its own.
func TestGoldenV(t *testing.T) {
	for _, c := range []struct {
		name   string
		la, lb string
	}{
		{"6.1", "v-startup-la-6.1.pcap", "v-startup-lb-6.1.pcap"},
		{"6.12", "v-mcast-la-6.12.pcap", "v-mcast-lb-6.12.pcap"},
	} {
		t.Run(c.name, func(t *testing.T) { goldenV(t, readLinks(t, c.la, c.lb)) })
	}
}

func goldenV(t *testing.T, fs []onLink) {
	v2 := [2]batman.MAC{{2, 0xba, 0, 0, 2, 0}, {2, 0xba, 0, 0, 2, 1}}
	v1, v3 := batman.MAC{2, 0xba, 0, 0, 1, 0}, batman.MAC{2, 0xba, 0, 0, 3, 0}
	var pool pkt.Pool
	out := Out{Pool: &pool}
	cfg := Default()
	cfg.Algo, cfg.BLA = BatmanV, false
	m := New(Options{Config: cfg}, 0)
	for i, mac := range v2 {
		if err := m.SetIface(0, uint16(i), IfaceConfig{Name: "eth", MAC: mac, MTU: 1500, FullDuplex: true, Speed: 10000}, &out); err != nil {
			t.Fatal(err)
		}
	}
	ours, kernels := map[ogm2Key][]byte{}, map[ogm2Key][]byte{}
	elp, own := map[bool][]byte{}, map[bool][]byte{} // true: the kernel's
	note := func(isKernel bool, link uint16, frame []byte) {
		p := frame[batman.EthLen:]
		switch batman.PacketType(p[0]) {
		case batman.TypeELP:
			elp[isKernel] = bytes.Clone(frame[:batman.EthLen+batman.ELPSent])
		case batman.TypeOGM2:
			list := ours
			if isKernel {
				list = kernels
			}
			addOGM2s(t, list, link, p, v2[0])
			if o, _, _, _ := batman.ParseOGM2(p); o.Orig == v2[0] && o.TVLVLen > 0 {
				own[isKernel] = bytes.Clone(frame)
			}
		}
	}
	drain := func() {
		for _, b := range out.Frames.Bufs {
			note(false, b.Port, b.Bytes())
			pool.Put(b)
		}
		out.Frames.Reset()
		out.Events = out.Events[:0]
	}
	until := func(now mono.Time) {
		for m.Deadline() <= now {
			m.Expire(m.Deadline(), &out)
			drain()
		}
	}
	var end mono.Time
	for _, f := range fs {
		until(f.at)
		if batman.EtherType != int(f.frame[12])<<8|int(f.frame[13]) {
			continue
		}
		if src := batman.MAC(f.frame[6:12]); src == v2[0] || src == v2[1] {
			note(true, f.link, f.frame)
			continue
		}
		b := pool.Get()
		b.Set(f.frame)
		b.Port = f.link
		m.HandleFrame(f.at, b, &out)
		drain()
		end = f.at
	}
	s := m.Status(end) // before the rest of the queue
	until(end.Add(200 * time.Millisecond))

	same, missing := 0, 0
	for key, want := range kernels {
		got := ours[key]
		k, _, _, _ := batman.ParseOGM2(want)
		switch {
		case k.Throughput == 0: // it did not know its link yet
		case got == nil:
			missing++ // its own way in was before the capture
		case !bytes.Equal(got, want):
			t.Errorf("%v: forwarded\n%x, the kernel\n%x", key, got, want)
		default:
			same++
		}
	}
	t.Logf("%d of %d forwarded OGMs are the same", same, len(kernels))
	if same < 30 || missing > 2 {
		t.Errorf("%d OGMs are missing", missing)
	}
	only := 0
	for key := range ours {
		if kernels[key] == nil {
			only++ // the capture ended before the kernel sent it
		}
	}
	if only > 2 {
		t.Errorf("the kernel did not forward %d OGMs that we did", only)
	}
	// Our own: the same but for sequence numbers and TVLVs.
	a, b := elp[false], elp[true]
	if a == nil || b == nil {
		t.Fatal("no ELP")
	}
	copy(a[14+8:14+12], b[14+8:14+12])
	copy(a[6:12], b[6:12]) // either link
	if !bytes.Equal(a, b) {
		t.Errorf("ELP\n%x, the kernel's\n%x", a, b)
	}
	a, b = own[false][:34], own[true][:34]
	copy(a[14+4:14+8], b[14+4:14+8])
	copy(a[14+14:14+16], b[14+14:14+16])
	copy(a[6:12], b[6:12])
	if !bytes.Equal(a, b) {
		t.Errorf("OGM2\n%x, the kernel's\n%x", a, b)
	}
	// The tables, as the kernel printed them: 1000.0 Mbit/s to both.
	var got []string
	for _, o := range s.Originators {
		if o.Throughput != 10000 || o.TQ != 0 || !o.Best || o.MAC != o.Next {
			t.Errorf("%+v", o)
		}
		got = append(got, o.MAC.String()+" "+o.Next.String())
	}
	if want := []string{v1.String() + " " + v1.String(), v3.String() + " " + v3.String()}; !slices.Equal(got, want) {
		t.Errorf("originators %q", got)
	}
	if len(s.Neighbours) != 2 || s.Neighbours[0].Throughput != 10000 || s.Neighbours[1].MAC != v3 {
		t.Errorf("neighbours %+v", s.Neighbours)
	}
}
