package mesh

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

// isDAT reports whether a frame carries a question or an entry of the
// distributed ARP table.
func isDAT(frame []byte) bool {
	return len(frame) > batman.EthLen+batman.Unicast4Len && frame[12] == 0x43 && frame[13] == 5 &&
		frame[14] == byte(batman.TypeUnicast4) && frame[30] != batman.SubData
}

// plain returns a 4ADDR frame without its TTVN, which depends on what the
// clients did before.
func plain(frame []byte) string {
	b := append([]byte(nil), frame...)
	b[17] = 0
	return string(b)
}

// answerARP answers ARP requests that reached n's clients, as its mesh
// interface with address ip would.
func (n *wnode) answerARP(ip [4]byte) {
	got := n.got
	n.got = nil
	for _, b := range got {
		f, ok := parseInner(b)
		if !ok {
			continue
		}
		if a, ok := parseARP(f); ok && a.op == arpRequest && a.dip == ip {
			n.client(arpFrame(a.src, n.mac, f.vid, arp{arpReply, n.mac, a.src, ip, a.sip}))
		}
	}
}

// TestGoldenDAT has v1 ask for v3's address, untagged and on VLAN 10, and for
// v2's: what goes over the link between v1 and v2 is what the kernels sent.
func TestGoldenDAT(t *testing.T) {
	for _, name := range []string{"dat-la-6.12.pcap"} { // in the other capture v1 knows the answers
		var want []string
		for _, c := range readPcap(t, name) {
			if isDAT(c.frame) {
				want = append(want, plain(c.frame))
			}
		}
		w, v1, v2, v3 := trio(t)
		var got []string
		w.tap = func(from *wnode, iface int, frame []byte) {
			if isDAT(frame) && (from == v1 || from == v2 && iface == 0) {
				got = append(got, plain(frame))
			}
		}
		for _, q := range []struct {
			net, host byte
			vid       batman.VID
			to        *wnode
		}{{0, 3, 0, v3}, {10, 3, 0x800a, v3}, {0, 2, 0, v2}} {
			ip := [4]byte{10, 9, q.net, q.host}
			v1.client(arpFrame(batman.Broadcast, v1.mac, q.vid, arp{arpRequest, v1.mac, batman.MAC{}, [4]byte{10, 9, q.net, 1}, ip}))
			w.run(10 * time.Millisecond)
			q.to.answerARP(ip)
			w.run(10 * time.Millisecond)
		}
		missing := 0
		for _, x := range want {
			if i := slices.Index(got, x); i < 0 {
				missing++
				t.Errorf("%s: we do not send %x", name, x)
			} else {
				got = slices.Delete(got, i, i+1)
			}
		}
		for _, x := range got {
			t.Errorf("%s: the kernels do not send %x", name, x)
		}
		if len(want) < 8 {
			t.Errorf("%s: only %d frames in the capture", name, len(want))
		}
	}
}

// appear has a client of the nth node speak, so that all nodes know it.
func (w *world) appear(n int, client batman.MAC, v batman.VID) {
	w.nodes[n-1].client(clientFrame(batman.Broadcast, client, v, "I am here"))
	w.run(50 * time.Millisecond)
}

// TestDATClientRules has a row for each way that a client's ARP request can
// go.
func TestDATClientRules(t *testing.T) {
	const asker, target = 0x41, 0x42
	src, dst := batman.MAC{2, 0xcc, 0, 0, 0, asker}, batman.MAC{2, 0xcc, 0, 0, 0, target}
	sip, dip := [4]byte{10, 9, 0, asker}, [4]byte{10, 9, 0, target}
	ask := arpFrame(batman.Broadcast, src, 0x800a, arp{arpRequest, src, batman.MAC{}, sip, dip})
	reply := arpFrame(src, dst, 0x800a, arp{arpReply, dst, src, dip, sip})
	stale := func(w *world, n *wnode) { n.m.dat.cache.learn(w.now, datKey(dip, 0x800a), dst, false) }
	know := func(w *world, n *wnode) {
		w.appear(3, dst, 0x800a)
		stale(w, n)
	}
	for _, c := range []struct {
		name          string
		prep          func(w *world, n *wnode)
		frame         []byte
		answered      bool
		delay         bool
		sent          int    // frames to the nodes that may know
		said          []byte // to the client
		learns, later bool
	}{
		{"unknown", nil, ask, false, true, 2, nil, true, false},
		{"known", know, ask, true, false, 0, reply, true, true},
		{"known with a MAC that nobody has", stale, ask, false, true, 2, nil, true, false},
		{"known with a MAC of a node whose table changed", func(w *world, n *wnode) {
			know(w, n)
			o := n.m.originator(hardMAC(3, 0))
			n.m.ttOGM(w.now, o, batman.AppendTT(nil, batman.TTOGMDiff, o.tt.ttvn+7, 0), &n.out)
			n.out.Frames.Recycle(&w.pool)
		}, ask, false, true, 2, nil, true, false},
		{"known too long ago", func(w *world, n *wnode) { know(w, n); w.now = w.now.Add(datTimeout) }, ask, false, true, 2, nil, true, false},
		{"known on another VLAN", func(w *world, n *wnode) { n.m.dat.cache.learn(w.now, datKey(dip, 0), dst, false) }, ask, false, true, 2, nil, true, false},
		{"a client of ours", func(w *world, n *wnode) {
			know(w, n)
			n.client(clientFrame(hardMAC(77, 1), dst, 0x800a, "I am here"))
		}, ask, true, false, 0, nil, true, true},
		{"claimed by another gateway", func(w *world, n *wnode) {
			know(w, n)
			n.m.cfg.BLA = true
			n.m.addClaim(w.now, dst, 0x800a, n.m.backbone(w.now, hardMAC(3, 0), 0x800a, &n.out))
		}, ask, true, false, 0, nil, true, true},
		{"nobody takes part", func(_ *world, n *wnode) {
			for _, o := range n.m.origList {
				n.m.datOGM(o, false)
			}
		}, ask, false, false, 0, nil, true, false},
		{"table off", func(_ *world, n *wnode) { n.m.cfg.DAT = false }, ask, false, false, 0, nil, false, false},
		{"a reply", nil, reply, false, false, 0, nil, false, false},
		{"no ARP", nil, clientFrame(batman.Broadcast, src, 0x800a, "hello, this is no ARP at all, but long"), false, false, 0, nil, false, false},
	} {
		w, v1, _, _ := trio(t)
		if c.prep != nil {
			c.prep(w, v1)
		}
		v1.drain()
		v1.got = nil
		f := mustInner(t, c.frame)
		answered, delay := v1.m.datClientRequest(w.now, f, &v1.out)
		if answered != c.answered || delay != c.delay {
			t.Errorf("%s: answered %v, delay %v", c.name, answered, delay)
		}
		if n := len(v1.out.Frames.Bufs); n != c.sent {
			t.Errorf("%s: %d frames sent, want %d", c.name, n, c.sent)
		}
		v1.drain()
		if c.said == nil && len(v1.got) != 0 || c.said != nil && (len(v1.got) != 1 || !bytes.Equal(v1.got[0], c.said)) {
			t.Errorf("%s: the client hears %x, want %x", c.name, v1.got, c.said)
		}
		if _, ok := v1.m.dat.cache.find(w.now, datKey(sip, 0x800a)); ok != c.learns {
			t.Errorf("%s: the asker is known: %v", c.name, ok)
		}
		if got := v1.m.datAnswered(w.now, f); got != c.later {
			t.Errorf("%s: answered later: %v", c.name, got)
		}
	}
}

// TestDATMeshRules has a row for each way that ARP from the mesh can go.
func TestDATMeshRules(t *testing.T) {
	far, near := batman.MAC{2, 0xcc, 0, 0, 0, 0x51}, batman.MAC{2, 0xcc, 0, 0, 0, 0x52}
	fip, nip := [4]byte{10, 9, 0, 0x51}, [4]byte{10, 9, 0, 0x52}
	reply := arp{arpReply, far, near, fip, nip}
	for _, c := range []struct {
		name string
		prep func(w *world, n *wnode)
		a    arp
		drop bool
	}{
		{"reply for a client of ours", nil, reply, false},
		{"reply that we know", func(w *world, n *wnode) {
			w.appear(3, far, 0)
			n.m.dat.cache.learn(w.now, datKey(fip, 0), far, false)
		}, reply, true},
		{"reply that we know, but not of which node", func(w *world, n *wnode) { n.m.dat.cache.learn(w.now, datKey(fip, 0), far, false) }, reply, false},
		{"reply with another MAC than we know", func(w *world, n *wnode) { n.m.dat.cache.learn(w.now, datKey(fip, 0), near, false) }, reply, false},
		{"reply for a stranger", nil, arp{arpReply, far, hardMAC(66, 1), fip, nip}, true},
		{"reply in the name of a client of ours", nil, arp{arpReply, near, near, fip, nip}, true},
		{"reply claimed by another gateway", func(w *world, n *wnode) {
			n.m.cfg.BLA = true
			n.m.addClaim(w.now, far, 0, n.m.backbone(w.now, hardMAC(3, 0), 0, &n.out))
		}, reply, true},
		{"a request", nil, arp{arpRequest, far, batman.MAC{}, fip, nip}, false},
		{"an insane reply", nil, arp{arpReply, far, near, [4]byte{127, 0, 0, 1}, nip}, false},
	} {
		w, v1, _, _ := trio(t)
		v1.client(clientFrame(hardMAC(77, 1), near, 0, "I am here"))
		if c.prep != nil {
			c.prep(w, v1)
		}
		if got := v1.m.datMeshReply(w.now, mustInner(t, arpFrame(near, far, 0, c.a)), &v1.out); got != c.drop {
			t.Errorf("%s: dropped %v, want %v", c.name, got, c.drop)
		}
	}
}

// TestDATCacheReply: a node that is asked and knows answers the asker through
// the mesh; one that does not know lets the request pass.
func TestDATCacheReply(t *testing.T) {
	w, v1, _, v3 := trio(t)
	host := batman.MAC{2, 0xcc, 0, 0, 0, 0x61}
	hip := [4]byte{10, 9, 0, 0x61}
	ask := mustInner(t, arpFrame(batman.Broadcast, v1.mac, 0, arp{arpRequest, v1.mac, batman.MAC{}, [4]byte{10, 9, 0, 1}, hip}))
	if v3.m.datMeshRequest(w.now, ask, &v3.out) || len(v3.out.Frames.Bufs) != 0 {
		t.Error("answers what it does not know")
	}
	v3.m.dat.cache.learn(w.now, datKey(hip, 0), host, false)
	if v3.m.datMeshRequest(w.now, ask, &v3.out) || len(v3.out.Frames.Bufs) != 0 {
		t.Error("answers with a MAC that no node has")
	}
	w.appear(2, host, 0)
	if !v3.m.datMeshRequest(w.now, ask, &v3.out) || len(v3.out.Frames.Bufs) != 1 {
		t.Fatal("does not answer what it knows")
	}
	p := v3.out.Frames.Bufs[0].Bytes()
	u, err := batman.ParseUnicast4(p[batman.EthLen:])
	if err != nil || u.Subtype != batman.SubDATAnswer || u.Dest != hardMAC(1, 0) || u.Src != hardMAC(3, 0) || u.TTL != 50 {
		t.Errorf("answer %+v, %v", u, err)
	}
	want := arpFrame(v1.mac, host, 0, arp{arpReply, host, v1.mac, hip, [4]byte{10, 9, 0, 1}})
	if got := p[batman.EthLen+batman.Unicast4Len:]; !bytes.Equal(got, want) {
		t.Errorf("answer %x, want %x", got, want)
	}
	v1.got = nil
	v3.drain()
	w.run(10 * time.Millisecond)
	if len(v1.got) != 1 || !bytes.Equal(v1.got[0], want) {
		t.Errorf("the asker hears %x", v1.got)
	}
	stranger := mustInner(t, arpFrame(batman.Broadcast, hardMAC(66, 6), 0, arp{arpRequest, hardMAC(66, 6), batman.MAC{}, [4]byte{10, 9, 0, 66}, hip}))
	if v3.m.datMeshRequest(w.now, stranger, &v3.out) || len(v3.out.Frames.Bufs) != 0 {
		t.Error("answers somebody whose node is unknown")
	}
}

// dhcpFrame is a DHCP message of a server to a client.
func dhcpFrame(v batman.VID, kind byte, change func(udp []byte)) []byte {
	server, client := hardMAC(1, 0xff), batman.MAC{2, 0xcc, 0, 0, 0, 1}
	d := make([]byte, bootpOptions)
	d[0], d[1], d[2] = bootpReply, 1, 6
	copy(d[bootpYourIP:], []byte{10, 9, 0, 57})
	copy(d[bootpHardware:], client[:])
	binary.BigEndian.PutUint32(d[bootpMagic:], dhcpMagic)
	d = append(d, 0, 0, 1, 4, 255, 255, 255, 0, dhcpOptType, 1, kind, 54, 4, 10, 9, 0, 1, dhcpOptEnd)
	ip := make([]byte, 24+8, 24+8+len(d)) // with an IP option
	ip[0], ip[9] = 0x46, protoUDP
	copy(ip[12:], []byte{10, 9, 0, 1, 10, 9, 0, 57})
	binary.BigEndian.PutUint16(ip[24:], dhcpServer)
	binary.BigEndian.PutUint16(ip[26:], 68)
	ip = append(ip, d...)
	if change != nil {
		change(ip)
	}
	f := clientFrame(client, server, v, string(ip))
	binary.BigEndian.PutUint16(f[len(f)-len(ip)-2:], batman.EthIPv4)
	return f
}

func TestDATFromDHCP(t *testing.T) {
	good := dhcpFrame(0x800a, dhcpACK, nil)
	for name, fromMesh := range map[string]bool{"from a client": false, "from the mesh": true} {
		w, v1, _, _ := trio(t)
		v1.m.datDHCP(w.now, mustInner(t, good), fromMesh, &v1.out)
		for ip, mac := range map[[4]byte]batman.MAC{{10, 9, 0, 57}: {2, 0xcc, 0, 0, 0, 1}, {10, 9, 0, 1}: hardMAC(1, 0xff)} {
			if got, ok := v1.m.dat.cache.find(w.now, datKey(ip, 0x800a)); !ok || got != mac {
				t.Errorf("%s: %v is %v, %v", name, ip, got, ok)
			}
		}
		want := 4 // two nodes for each of two addresses
		if fromMesh {
			want = 0
		}
		if n := len(v1.out.Frames.Bufs); n != want {
			t.Errorf("%s: %d entries sent, want %d", name, n, want)
		}
		for _, b := range v1.out.Frames.Bufs {
			arp := arpFrame(hardMAC(1, 0xff), batman.MAC{2, 0xcc, 0, 0, 0, 1}, 0x800a,
				arp{arpReply, batman.MAC{2, 0xcc, 0, 0, 0, 1}, hardMAC(1, 0xff), [4]byte{10, 9, 0, 57}, [4]byte{10, 9, 0, 1}})
			if p := b.Bytes(); p[30] != batman.SubDATPut || !bytes.Equal(p[32:], arp) {
				t.Errorf("%s: sent %x, want %x", name, p[30:], arp)
			}
		}
	}
	m := New(Options{Config: Default()}, 0)
	var out Out
	var w world
	out.Pool = &w.pool
	for name, b := range map[string][]byte{
		"offer":             dhcpFrame(0, 2, nil),
		"request":           dhcpFrame(0, dhcpACK, func(p []byte) { p[32] = 1 }),
		"other hardware":    dhcpFrame(0, dhcpACK, func(p []byte) { p[33] = 2 }),
		"other length":      dhcpFrame(0, dhcpACK, func(p []byte) { p[34] = 8 }),
		"no magic":          dhcpFrame(0, dhcpACK, func(p []byte) { p[32+bootpMagic]++ }),
		"not from port 67":  dhcpFrame(0, dhcpACK, func(p []byte) { p[25]++ }),
		"TCP":               dhcpFrame(0, dhcpACK, func(p []byte) { p[9] = 6 }),
		"IPv6":              dhcpFrame(0, dhcpACK, func(p []byte) { p[0] = 0x66 }),
		"short IP header":   dhcpFrame(0, dhcpACK, func(p []byte) { p[0] = 0x44 }),
		"a later fragment":  dhcpFrame(0, dhcpACK, func(p []byte) { p[7] = 1 }),
		"insane address":    dhcpFrame(0, dhcpACK, func(p []byte) { p[32+bootpYourIP] = 127 }),
		"no address":        dhcpFrame(0, dhcpACK, func(p []byte) { clear(p[32+bootpYourIP : 32+bootpYourIP+4]) }),
		"multicast client":  dhcpFrame(0, dhcpACK, func(p []byte) { p[32+bootpHardware] = 1 }),
		"endless options":   dhcpFrame(0, dhcpACK, func(p []byte) { p[32+bootpOptions+2], p[32+bootpOptions+3] = 99, 255 }),
		"type of two bytes": dhcpFrame(0, dhcpACK, func(p []byte) { p[32+bootpOptions+9] = 2 }),
	} {
		if m.datDHCP(0, mustInner(t, b), true, &out); len(m.dat.cache.list) != 0 {
			t.Errorf("%s: believed", name)
			m.dat.cache = datCache{index: map[uint64]uint16{}}
		}
	}
	ack := bytes.LastIndex(good, []byte{dhcpOptType, 1, dhcpACK}) + 3
	for n := batman.EthLen + batman.VLANLen; n < ack; n++ {
		if m.datDHCP(0, mustInner(t, good[:n]), true, &out); len(m.dat.cache.list) != 0 {
			t.Fatalf("%d of %d bytes: believed", n, len(good))
		}
	}
}

// TestDATStatus lists by VLAN and address.
func TestDATStatus(t *testing.T) {
	m := New(Options{Config: Default()}, 0)
	for _, e := range []struct {
		ip [4]byte
		v  batman.VID
	}{{[4]byte{10, 0, 0, 9}, 0x800a}, {[4]byte{10, 0, 0, 2}, 0}, {[4]byte{9, 0, 0, 9}, 0}} {
		m.dat.cache.learn(mono.Time(time.Second), datKey(e.ip, e.v), hardMAC(1, 1), true)
	}
	var s Status
	m.datStatus(mono.Time(3*time.Second), &s)
	want := []DATStatus{
		{[4]byte{9, 0, 0, 9}, hardMAC(1, 1), 0, 2 * time.Second},
		{[4]byte{10, 0, 0, 2}, hardMAC(1, 1), 0, 2 * time.Second},
		{[4]byte{10, 0, 0, 9}, hardMAC(1, 1), 0x800a, 2 * time.Second},
	}
	if !slices.Equal(s.DAT, want) {
		t.Errorf("got %+v\nwant %+v", s.DAT, want)
	}
}

// FuzzDAT: frames of clients and of the mesh keep the cache in order.
func FuzzDAT(f *testing.F) {
	f.Add([]byte{0}, arpFrame(batman.Broadcast, hardMAC(1, 1), 0, arp{arpRequest, hardMAC(1, 1), batman.MAC{}, [4]byte{10, 9, 0, 1}, [4]byte{10, 9, 0, 2}}))
	f.Add([]byte{1, 2}, arpFrame(hardMAC(1, 1), hardMAC(2, 2), 0x800a, arp{arpReply, hardMAC(2, 2), hardMAC(1, 1), [4]byte{10, 9, 0, 2}, [4]byte{10, 9, 0, 1}}))
	f.Add([]byte{4, 5}, dhcpFrame(0, dhcpACK, nil))
	f.Fuzz(func(t *testing.T, ops []byte, b []byte) {
		fr, ok := parseInner(b)
		if !ok || len(b) > 2000 {
			return
		}
		l := newLone(t, 2)
		l.m.datOGM(l.know(hardMAC(1, 0)), true)
		for _, op := range ops {
			l.now = l.now.Add(time.Duration(op) * time.Second)
			switch op % 7 {
			case 0:
				l.m.datClientRequest(l.now, fr, &l.out)
			case 1:
				l.m.datClientReply(l.now, fr, &l.out)
			case 2:
				l.m.datMeshRequest(l.now, fr, &l.out)
			case 3:
				l.m.datMeshReply(l.now, fr, &l.out)
			case 4:
				l.m.datDHCP(l.now, fr, op&8 != 0, &l.out)
			case 5:
				l.m.datTick(l.now)
			default:
				l.m.datAnswered(l.now, fr)
			}
			c := &l.m.dat.cache
			if len(c.list) != len(c.index) || len(c.list) > MaxDAT {
				t.Fatalf("%d entries, %d indexed", len(c.list), len(c.index))
			}
			for i, e := range c.list {
				ip := [4]byte{byte(e.key >> 40), byte(e.key >> 32), byte(e.key >> 24), byte(e.key >> 16)}
				if int(c.index[e.key]) != i || !saneIP(ip) || !e.mac.IsStation() {
					t.Fatalf("entry %d: %+v", i, e)
				}
			}
		}
	})
}
