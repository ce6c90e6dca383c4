package mesh

import (
	"bytes"
	"cmp"
	"sort"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

// The distributed ARP table saves the mesh most floods of ARP requests: every
// node caches which MAC has which IPv4 address, and three nodes, chosen by
// hash, are told of each address and can be asked.
//
// Source: batman-adv distributed-arp-table.c.

const (
	// datDelay is how long a flooded ARP request waits for the answer of the
	// table. Source: ARP_REQ_DELAY.
	datDelay = 250 * time.Millisecond
	// datCandidates is how many nodes keep an address.
	datCandidates = 3
)

// dat is the table of this node.
type dat struct{ cache datCache }

// datOrig is what the table knows of an originator.
type datOrig struct {
	capable bool
	place   uint16 // on the ring
}

func (m *Mesh) datInit(mono.Time) { m.dat.cache.index = map[uint64]uint16{} }

func (m *Mesh) datTick(now mono.Time) { m.dat.cache.expire(now) }

// datOGM notes whether o takes part.
func (m *Mesh) datOGM(o *Originator, capable bool) {
	if capable && !o.dat.capable {
		o.dat.place = datPlace(o.MAC)
	}
	o.dat.capable = capable
}

// parseDAT reads an ARP packet that the table may believe: one of real hosts.
func (m *Mesh) parseDAT(f inner, op uint16) (a arp, ok bool) {
	if !m.cfg.DAT || f.eth.Type != batman.EthARP {
		return a, false
	}
	a, ok = parseARP(f)
	ok = ok && a.op == op && saneIP(a.sip) && saneIP(a.dip) && a.src.IsStation() && (op == arpRequest || a.dst.IsStation())
	return a, ok
}

// datFind returns the MAC to answer a request for ip with: one that the cache
// has and that the mesh knows as a client, ours or another's. A host that came
// back with another MAC would not be reached otherwise for as long as anybody
// asks for it, because the answers keep the old one alive; the module has that.
// A node that came back, with other clients, counts only when its new table is
// there.
func (m *Mesh) datFind(now mono.Time, ip [4]byte, v batman.VID) (mac batman.MAC, ok bool) {
	mac, ok = m.dat.cache.find(now, datKey(ip, v))
	if !ok {
		return mac, false
	}
	if mine, _ := m.ttLocal(mac, v); mine || m.blaClaimedElsewhere(mac, v) {
		return mac, true
	}
	o, _ := m.ttFind(mac, v)
	return mac, o != nil && !o.ttDoubtful(now)
}

// datClientRequest looks at a frame of a client. answered: it is an ARP
// request that needs no flood, because it was answered from the cache, or will
// be by a client on our side. delay: it was sent to the nodes that may know;
// flood it only after datDelay, and only if datAnswered still says no then. A
// unicast ARP request ends here if either is true.
func (m *Mesh) datClientRequest(now mono.Time, f inner, out *Out) (answered, delay bool) {
	a, ok := m.parseDAT(f, arpRequest)
	if !ok {
		return false, false
	}
	m.dat.cache.learn(now, datKey(a.sip, f.vid), a.src, true)
	mac, ok := m.datFind(now, a.dip, f.vid)
	if !ok {
		return false, m.datSend(now, f.b, a.dip, f.vid, batman.SubDATGet, out) > 0
	}
	if mine, roamed := m.ttLocal(mac, f.vid); mine && !roamed {
		return true, false // it hears the request itself
	}
	if m.blaClaimedElsewhere(mac, f.vid) {
		return true, false // that gateway answers
	}
	m.deliver(newARP(out.Pool, a.src, mac, f.vid, arp{arpReply, mac, a.src, a.dip, a.sip}), out)
	return true, false
}

// datAnswered reports whether the delayed ARP request f has its answer in the
// cache now.
func (m *Mesh) datAnswered(now mono.Time, f inner) bool {
	a, ok := m.parseDAT(f, arpRequest)
	if ok {
		_, ok = m.datFind(now, a.dip, f.vid)
	}
	return ok
}

// datClientReply learns from an ARP reply of a client and stores it in the
// table.
func (m *Mesh) datClientReply(now mono.Time, f inner, out *Out) {
	if a, ok := m.parseDAT(f, arpReply); ok {
		m.datPut(now, f.b, f.vid, a, out)
	}
}

// datPut learns both addresses of a reply and sends it to those who keep them.
func (m *Mesh) datPut(now mono.Time, frame []byte, v batman.VID, a arp, out *Out) {
	m.dat.cache.learn(now, datKey(a.sip, v), a.src, true)
	m.dat.cache.learn(now, datKey(a.dip, v), a.dst, true)
	m.datSend(now, frame, a.sip, v, batman.SubDATPut, out)
	m.datSend(now, frame, a.dip, v, batman.SubDATPut, out)
}

// datMeshRequest looks at a frame from the mesh; true: it is an ARP request
// that was answered from the cache and ends here.
func (m *Mesh) datMeshRequest(now mono.Time, f inner, out *Out) bool {
	a, ok := m.parseDAT(f, arpRequest)
	if !ok {
		return false
	}
	m.dat.cache.learn(now, datKey(a.sip, f.vid), a.src, false)
	mac, ok := m.datFind(now, a.dip, f.vid)
	if !ok {
		return false
	}
	o, _ := m.ttFind(a.src, f.vid)
	if o == nil || m.router(o, nil) == nil {
		return false
	}
	m.stats.datCachedReplyTx++
	m.sendUnicast4(now, o, batman.SubDATAnswer, newARP(out.Pool, a.src, mac, f.vid, arp{arpReply, mac, a.src, a.dip, a.sip}), out)
	return true
}

// datMeshReply looks at a frame from the mesh; true: it is an ARP reply that
// must not be delivered. We knew that already, so the client has its answer;
// or another gateway of our LAN delivers it; or it is not for a client of
// ours; or a client of ours is asked and answers itself.
func (m *Mesh) datMeshReply(now mono.Time, f inner, _ *Out) bool {
	a, ok := m.parseDAT(f, arpReply)
	if !ok {
		return false
	}
	c := &m.dat.cache
	old, known := m.datFind(now, a.sip, f.vid)
	c.learn(now, datKey(a.sip, f.vid), a.src, false)
	c.learn(now, datKey(a.dip, f.vid), a.dst, false)
	if known && old == a.src || m.blaClaimedElsewhere(a.src, f.vid) {
		return true
	}
	if mine, roamed := m.ttLocal(a.dst, f.vid); !mine || roamed {
		return true
	}
	mine, roamed := m.ttLocal(a.src, f.vid)
	return mine && !roamed
}

// datSend sends a client's frame to the nodes that keep the address ip, and
// returns to how many.
func (m *Mesh) datSend(now mono.Time, frame []byte, ip [4]byte, v batman.VID, subtype uint8, out *Out) (n int) {
	for _, o := range m.datChoose(ip, v) {
		if o == nil || m.router(o, nil) == nil {
			continue
		}
		b := out.Pool.Get()
		if !b.Set(frame) {
			out.Pool.Put(b)
			continue
		}
		n++
		if subtype == batman.SubDATGet {
			m.stats.datGetTx++
		} else {
			m.stats.datPutTx++
		}
		m.sendUnicast4(now, o, subtype, b, out)
	}
	return n
}

// datChoose returns the nodes that keep the address ip: those whose places
// follow it first, and the lower address where two have the same place.
// This node is none of them.
func (m *Mesh) datChoose(ip [4]byte, v batman.VID) (best [datCandidates]*Originator) {
	key := datKeyPlace(ip, v)
	var dist [datCandidates]uint16
	for _, o := range m.origList {
		if !o.dat.capable {
			continue
		}
		d := datMax - o.dat.place + key
		for i, k := range best {
			if k != nil && (dist[i] > d || dist[i] == d && k.MAC.Compare(o.MAC) < 0) {
				continue
			}
			copy(best[i+1:], best[i:])
			copy(dist[i+1:], dist[i:])
			best[i], dist[i] = o, d
			break
		}
	}
	return best
}

// datStatus lists the cache, by VLAN and address.
func (m *Mesh) datStatus(now mono.Time, s *Status) {
	for _, e := range m.dat.cache.list {
		if age := now.Sub(e.seen); age < datTimeout {
			ip := [4]byte{byte(e.key >> 40), byte(e.key >> 32), byte(e.key >> 24), byte(e.key >> 16)}
			s.DAT = append(s.DAT, DATStatus{IP: ip, MAC: e.mac, VID: batman.VID(e.key), LastSeen: age})
		}
	}
	sort.Slice(s.DAT, func(i, j int) bool {
		a, b := &s.DAT[i], &s.DAT[j]
		return cmp.Or(cmp.Compare(a.VID, b.VID), bytes.Compare(a.IP[:], b.IP[:])) < 0
	})
}
