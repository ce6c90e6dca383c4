package mesh

import (
	"fmt"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// ttNet is a line of nodes that only exchange translation tables: what an OGM
// brings goes to all, what is sent to one passes those between.
type ttNet struct {
	t     testing.TB
	now   mono.Time
	nodes []*ttNode
	lost  func() bool // the next message
	queue []ttMail
}

type ttNode struct {
	net *ttNet
	i   int
	m   *Mesh
	out Out
}

type ttMail struct {
	from  int
	u     batman.UnicastTVLV
	tvlvs []byte
}

func newTTNet(t testing.TB, n int) *ttNet {
	w := &ttNet{t: t, now: mono.Time(time.Second), lost: func() bool { return false }}
	for i := range n {
		nd := &ttNode{net: w, i: i}
		nd.out.Pool = &pkt.Pool{}
		w.nodes = append(w.nodes, nd)
		nd.boot()
	}
	return w
}

// boot starts the node anew; its originators are known at once.
func (nd *ttNode) boot() {
	cfg := Default()
	cfg.BLA = false
	nd.m = New(Options{Config: cfg}, nd.net.now)
	nd.m.tt.wire = func(src batman.MAC, o *Originator, tvlvs []byte) {
		u := batman.UnicastTVLV{TTL: batman.TTL, Dst: o.MAC, Src: src}
		nd.net.queue = append(nd.net.queue, ttMail{nd.i, u, append([]byte(nil), tvlvs...)})
	}
	if err := nd.m.SetIface(nd.net.now, 0, IfaceConfig{Name: "eth0", MAC: hardMAC(nd.i+1, 0), MTU: 1500}, &nd.out); err != nil {
		nd.net.t.Fatal(err)
	}
	// After the interface, whose first OGM would commit it.
	nd.m.SetMeshIface(nd.net.now, MeshIfaceConfig{Name: "bat0", MAC: nd.own(), MTU: 1500}, &nd.out)
	for j := range nd.net.nodes {
		nd.know(j)
	}
	for _, other := range nd.net.nodes {
		other.know(nd.i)
	}
}

func (nd *ttNode) own() batman.MAC { return hardMAC(nd.i+1, 0xff) }

// know enters the originator of node j.
func (nd *ttNode) know(j int) {
	mac := hardMAC(j+1, 0)
	if nd.m == nil || j == nd.i || nd.m.origs[mac] != nil {
		return
	}
	o := &Originator{MAC: mac}
	nd.m.origs[mac] = o
	nd.m.origList = append(nd.m.origList, o)
}

// of returns what nd knows of node j.
func (nd *ttNode) of(j int) *Originator { return nd.m.origs[hardMAC(j+1, 0)] }

// container returns the value of the TT container of nd's next OGM.
func (nd *ttNode) container(room int) []byte {
	b := nd.m.ttAppend(nd.net.now, nil, room)
	if len(b) > room {
		nd.net.t.Fatalf("%d bytes of room, %d taken", room, len(b))
	}
	if len(b) == 0 {
		return nil
	}
	c, rest, err := batman.NextTVLV(b)
	if err != nil || len(rest) != 0 || c.Type != batman.TVLVTT || c.Version != batman.VersionTT {
		nd.net.t.Fatalf("container %x: %v", b, err)
	}
	return c.Value
}

// ogmRoom is what an OGM has for the table when DAT and multicast are on.
const ogmRoom = batman.MaxOGM - batman.OGMLen - 4 - 8

// ogm sends the OGM of nd to all others.
func (nd *ttNode) ogm() {
	v := nd.container(ogmRoom)
	for _, o := range nd.net.nodes {
		if o != nd && !nd.net.lost() && v != nil {
			o.m.ttOGM(nd.net.now, o.of(nd.i), v, &o.out)
		}
	}
	nd.net.deliver()
}

// deliver carries what was sent, until nothing is left.
func (w *ttNet) deliver() {
	for len(w.queue) > 0 {
		q := w.queue[0]
		w.queue = w.queue[1:]
		to := q.u.Dst[4] // hardMAC
		step := 1
		if int(to)-1 < q.from {
			step = -1
		}
		for i := q.from + step; !w.lost(); i += step {
			if w.nodes[i].m.unicastTVLVs(w.now, q.u, q.tvlvs, &w.nodes[i].out) || i == int(to)-1 {
				break
			}
		}
	}
	for _, nd := range w.nodes {
		nd.out.Events = nd.out.Events[:0]
	}
}

// second lets each node send an OGM.
func (w *ttNet) second() {
	for _, nd := range w.nodes {
		w.now = w.now.Add(time.Second / time.Duration(len(w.nodes)))
		nd.m.ttExpire(w.now, &nd.out)
		nd.ogm()
		nd.check()
	}
}

// learn makes a client of nd.
func (nd *ttNode) learn(c batman.MAC, v batman.VID) {
	if !nd.m.ttLearn(nd.net.now, c, v, 0, &nd.out) {
		nd.net.t.Fatalf("node %d refuses %v", nd.i, c)
	}
	nd.net.deliver()
}

// finds returns the node that nd sends frames for c to; -1 none, its own
// number if c is its client.
func (nd *ttNode) finds(c batman.MAC, v batman.VID) int {
	if mine, _ := nd.m.ttLocal(c, v); mine {
		return nd.i
	}
	o, _ := nd.m.ttFind(c, v)
	if o == nil {
		return -1
	}
	return int(o.MAC[4]) - 1
}

func testClient(i int) batman.MAC {
	return batman.MAC{2, 0xcc, 0, byte(i >> 16), byte(i >> 8), byte(i)}
}

// check holds the tables against their invariants.
func (nd *ttNode) check() {
	nd.net.t.Helper()
	if err := ttCheck(nd.m); err != nil {
		nd.net.t.Fatalf("node %d: %v", nd.i, err)
	}
}

// ttCheck computes everything anew that the tables keep count of.
func ttCheck(m *Mesh) error {
	t := &m.tt
	if len(t.local) != len(t.localList) || len(t.localList) > MaxLocalClients {
		return fmt.Errorf("%d local clients, %d in the list", len(t.local), len(t.localList))
	}
	type sum struct {
		crc  uint32
		n    int
		live int
	}
	local := map[batman.VID]sum{}
	listening := 0
	for i, c := range t.localList {
		if c.pos != i || t.local[c.ttKey] != c {
			return fmt.Errorf("local client %v is misplaced", c.ttKey)
		}
		s := local[c.vid]
		if c.announced {
			s.crc ^= batman.TTSum(c.mac, c.vid, c.sent)
			s.n++
		}
		if !c.gone {
			s.live++
		}
		if c.gone && !c.announced || c.roamed && !c.gone {
			return fmt.Errorf("local client %v is gone and was never there", c.ttKey)
		}
		if changed := !c.announced || c.gone || c.sent != c.flags; changed && (c.dirty == 0 || t.dirty[c.dirty-1] != c) {
			return fmt.Errorf("local client %v changed and nobody will know", c.ttKey)
		}
		local[c.vid] = s
		if c.mac.IsMulticast() {
			listening++
		}
		if e := t.global[c.ttKey]; e != nil && !c.gone && !c.keep && !e.roaming() {
			return fmt.Errorf("client %v is here and behind %v", c.ttKey, e.places[0].orig.MAC)
		}
	}
	if listening != t.listening || len(local) != len(t.vlans) || len(t.vlans) > ttLocalVLANs {
		return fmt.Errorf("%d listeners, counted %d; %d VLANs, counted %d", listening, t.listening, len(local), len(t.vlans))
	}
	for i, v := range t.vlans {
		if i > 0 && t.vlans[i-1].vid >= v.vid || local[v.vid] != (sum{v.crc, v.n, v.live}) {
			return fmt.Errorf("local VLAN %+v, counted %+v", v, local[v.vid])
		}
	}
	total, entries := 0, map[*ttEntry]bool{}
	for _, o := range m.origList {
		sums := map[batman.VID]sum{}
		temps := 0
		if len(o.tt.clients) > MaxClientsOrig || len(o.tt.vlans) > MaxVLANs || len(o.tt.diff) > ttDiffMax*batman.TTEntryLen {
			return fmt.Errorf("%v has %d clients, %d VLANs, %d bytes of changes", o.MAC, len(o.tt.clients), len(o.tt.vlans), len(o.tt.diff))
		}
		for i, e := range o.tt.clients {
			p := e.place(o)
			if p == nil || int(p.pos) != i || t.global[e.ttKey] != e {
				return fmt.Errorf("client %v of %v is misplaced", e.ttKey, o.MAC)
			}
			if p.state&placeTold != 0 {
				s := sums[e.vid]
				s.crc ^= batman.TTSum(e.mac, e.vid, p.flags)
				s.n++
				sums[e.vid] = s
			}
			if p.state&placeTemp != 0 {
				temps++
				if len(e.places) != 1 || p.state != placeTemp {
					return fmt.Errorf("client %v is temporary and more", e.ttKey)
				}
			}
			entries[e] = true
		}
		total += len(o.tt.clients)
		if temps != o.tt.temps || temps > ttTempMax || len(sums) != len(o.tt.vlans) {
			return fmt.Errorf("%v: %d temporary, counted %d; %d VLANs, counted %d", o.MAC, o.tt.temps, temps, len(o.tt.vlans), len(sums))
		}
		for i, v := range o.tt.vlans {
			if i > 0 && o.tt.vlans[i-1].vid >= v.vid || sums[v.vid] != (sum{v.crc, v.n, 0}) {
				return fmt.Errorf("%v: VLAN %+v, counted %+v", o.MAC, v, sums[v.vid])
			}
		}
	}
	places := 0
	for _, e := range t.global {
		for i, p := range e.places {
			if i > 0 && e.places[i-1].orig.MAC.Compare(p.orig.MAC) >= 0 {
				return fmt.Errorf("places of %v are out of order", e.ttKey)
			}
		}
		places += len(e.places)
	}
	if total != t.total || places != total || len(entries) != len(t.global) || total > MaxClients {
		return fmt.Errorf("%d places, %d by entry, %d by originator; %d entries, %d named", t.total, places, total, len(t.global), len(entries))
	}
	if len(t.roams) != len(t.roamList) || len(t.roamList) > MaxLocalClients {
		return fmt.Errorf("%d roaming clients, %d in the list", len(t.roams), len(t.roamList))
	}
	return nil
}

// agree reports whether every node has every other's table as announced.
func (w *ttNet) agree() error {
	for _, a := range w.nodes {
		for _, b := range w.nodes {
			if a == b {
				continue
			}
			o := a.of(b.i)
			if !o.tt.known || o.tt.ttvn != b.m.tt.ttvn {
				return fmt.Errorf("node %d has version %d of %d, which is at %d (known %v)", a.i, o.tt.ttvn, b.i, b.m.tt.ttvn, o.tt.known)
			}
			n := 0
			for _, c := range b.m.tt.localList {
				if !c.announced {
					continue
				}
				n++
				if !a.m.ttHas(o, c.mac, c.vid) {
					return fmt.Errorf("node %d does not know that %d has %v", a.i, b.i, c.ttKey)
				}
			}
			for _, e := range o.tt.clients {
				if e.place(o).state&placeTold != 0 {
					n--
				}
			}
			if n != 0 {
				return fmt.Errorf("node %d knows %d clients of %d too many", a.i, -n, b.i)
			}
		}
	}
	return nil
}
