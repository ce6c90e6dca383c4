package mesh

import (
	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

// ttClient is a client of this node.
type ttClient struct {
	ttKey
	lastSeen mono.Time
	flags    uint8 // WIFI, ISOLA as they are now
	// announced: the client is part of version ttvn, with the flags sent. Not
	// announced is what batctl calls New.
	announced bool
	sent      uint8
	gone      bool   // to be taken back with the next version: batctl's X
	roamed    bool   // gone, because it is behind another node now
	keep      bool   // never idle: own MAC, multicast
	mark      uint32 // of the last call of ttListeners that named it
	pos       int    // in localList
	dirty     int    // place in dirty plus 1; 0: not there
}

// ttPacketMax is the size of the largest packet that this node may send: 16
// fragments, or one frame if fragmentation is off. Source: batman-adv
// hard-interface.c, batadv_hardif_min_mtu.
func (m *Mesh) ttPacketMax() int {
	mtu := MaxPacket
	for _, hi := range m.ifaces {
		if hi != nil && hi.active {
			mtu = min(mtu, hi.MTU)
		}
	}
	if !m.cfg.Fragmentation {
		return mtu
	}
	return min((min(mtu, 1280)-batman.FragmentLen)*16, MaxPacket)
}

// ttTableSize is the size of the packet that carries a table.
func ttTableSize(vlans, clients int) int {
	return batman.UnicastTVLVLen + batman.TVLVLen + batman.TTLen + vlans*batman.TTVLANLen + clients*batman.TTEntryLen
}

// ttMark notes that c differs from what was announced.
func (m *Mesh) ttMark(c *ttClient) {
	if c.dirty == 0 {
		m.tt.dirty = append(m.tt.dirty, c)
		c.dirty = len(m.tt.dirty)
	}
}

// ttAdd makes a client that is not announced yet; nil if the table is full:
// one that cannot be sent whole is of no use. Source: batman-adv
// translation-table.c, batadv_tt_local_add.
func (m *Mesh) ttAdd(now mono.Time, k ttKey, flags uint8) *ttClient {
	t := &m.tt
	vlans := len(t.vlans)
	if _, found := t.vlans.find(k.vid); !found {
		if vlans++; vlans > ttLocalVLANs {
			return nil
		}
	}
	if len(t.localList) >= MaxLocalClients || ttTableSize(vlans, len(t.localList)+1) > m.ttPacketMax() {
		return nil
	}
	c := &ttClient{ttKey: k, lastSeen: now, flags: flags, pos: len(t.localList)}
	if k.mac.IsMulticast() {
		c.keep = true
		t.listening++
	}
	t.local[k] = c
	t.localList = append(t.localList, c)
	t.vlans.at(k.vid).live++
	m.ttMark(c)
	return c
}

// ttGone takes c away: at once if nobody knows of it, else with the next
// version. The caller has seen that c is not gone already.
func (m *Mesh) ttGone(c *ttClient, roamed bool) {
	m.tt.vlans.at(c.vid).live--
	c.gone, c.roamed = true, roamed
	if c.announced {
		m.ttMark(c)
		return
	}
	if d := c.dirty; d != 0 { // as if it had never been
		last := m.tt.dirty[len(m.tt.dirty)-1]
		m.tt.dirty[d-1], last.dirty = last, d
		m.tt.dirty = m.tt.dirty[:len(m.tt.dirty)-1]
		c.dirty = 0
	}
	m.ttErase(c)
}

// ttErase takes c out of the table.
func (m *Mesh) ttErase(c *ttClient) {
	t := &m.tt
	last := t.localList[len(t.localList)-1]
	t.localList[c.pos], last.pos = last, c.pos
	t.localList[len(t.localList)-1] = nil
	t.localList = t.localList[:len(t.localList)-1]
	delete(t.local, c.ttKey)
	if c.mac.IsMulticast() {
		t.listening--
	}
	t.vlans.drop(c.vid)
}

// ttLearn notes that client sent a frame into this node's mesh interface.
// flags are batman.TTWifi and batman.TTIsolated. It reports false if the
// client is refused because the table is full; its frames would find no way
// back.
func (m *Mesh) ttLearn(now mono.Time, client batman.MAC, v batman.VID, flags uint8, out *Out) bool {
	if v == batman.VLANTag {
		v = 0
	}
	k := ttKey{client, v}
	c := m.tt.local[k]
	if c == nil {
		if !client.IsStation() || m.blaLoopMAC(client) {
			return true // not a client
		}
		if v != 0 && client != m.meshIf.MAC {
			m.ttOwn(now, v) // the node itself can be reached in that VLAN too
		}
		if c = m.ttAdd(now, k, flags); c == nil {
			m.ttLimit(now, "local translation table", out)
			return false
		}
		if client == m.meshIf.MAC {
			c.keep = true
		}
		m.ttClaim(now, k, out)
		return true
	}
	c.lastSeen = now
	if c.gone {
		c.gone, c.roamed = false, false
		m.tt.vlans.at(v).live++
		m.ttMark(c)
		m.ttClaim(now, k, out)
	}
	if c.flags != flags {
		c.flags = flags
		m.ttMark(c)
	}
	return true
}

// ttOwn makes the mesh interface's MAC a client of VLAN v.
func (m *Mesh) ttOwn(now mono.Time, v batman.VID) {
	if !m.meshIf.MAC.IsStation() {
		return
	}
	k := ttKey{m.meshIf.MAC, v}
	c := m.tt.local[k]
	switch {
	case c == nil:
		if c = m.ttAdd(now, k, 0); c == nil {
			return
		}
	case c.gone:
		c.gone, c.roamed = false, false
		m.tt.vlans.at(v).live++
		m.ttMark(c)
	}
	c.keep = true
}

// ttMeshIface gives the node's own MAC to every VLAN in use.
func (m *Mesh) ttMeshIface(now mono.Time, old MeshIfaceConfig, out *Out) {
	if old.MAC != m.meshIf.MAC {
		for i := len(m.tt.localList) - 1; i >= 0; i-- {
			if c := m.tt.localList[i]; c.mac == old.MAC && c.keep && !c.gone {
				c.keep = false
				m.ttGone(c, false)
			}
		}
	}
	m.ttOwn(now, 0)
	for i := range m.tt.vlans { // ttOwn adds none
		if m.tt.vlans[i].live > 0 {
			m.ttOwn(now, m.tt.vlans[i].vid)
		}
	}
}

// ttListeners tells which multicast addresses this node listens to
// (untagged). More than ttListenMax are not announced.
func (m *Mesh) ttListeners(now mono.Time, groups []batman.MAC) {
	t := &m.tt
	t.mark++
	for _, g := range groups {
		if !g.IsMulticast() || g.IsBroadcast() {
			continue
		}
		k := ttKey{g, 0}
		c := t.local[k]
		switch {
		case c == nil:
			if t.listening < ttListenMax {
				c = m.ttAdd(now, k, 0)
			}
		case c.gone:
			c.gone = false
			t.vlans.at(0).live++
			m.ttMark(c)
		}
		if c != nil {
			c.mark = t.mark
		}
	}
	if t.listening == 0 {
		return
	}
	for i := len(t.localList) - 1; i >= 0; i-- {
		if c := t.localList[i]; c.mac.IsMulticast() && !c.gone && c.mark != t.mark {
			m.ttGone(c, false)
		}
	}
}

// ttLocal reports whether client is one of this node's, and whether it is on
// its way to another node (ROAM).
func (m *Mesh) ttLocal(client batman.MAC, v batman.VID) (mine, roamed bool) {
	c := m.tt.local[ttKey{client, v}]
	if c == nil {
		return false, false
	}
	return !c.gone, c.roamed
}

// ttPurgeLocal drops clients that were silent for long, the node's own MAC
// from VLANs that nobody else uses, and clients that no longer fit into the
// largest packet, the longest silent first.
func (m *Mesh) ttPurgeLocal(now mono.Time) {
	t := &m.tt
	for i := len(t.localList) - 1; i >= 0; i-- {
		c := t.localList[i]
		if c.gone {
			continue
		}
		if c.keep {
			if c.vid == 0 || t.vlans.at(c.vid).live > 1 {
				c.lastSeen = now
				continue
			}
		}
		if now.Sub(c.lastSeen) >= ttIdle {
			m.ttGone(c, false)
		}
	}
	size := ttTableSize(len(t.vlans), len(t.localList))
	most := m.ttPacketMax()
	for idle := ttIdle / 2; size > most && idle > 0; idle /= 2 {
		for i := len(t.localList) - 1; i >= 0 && size > most; i-- {
			if c := t.localList[i]; !c.gone && !c.keep && now.Sub(c.lastSeen) >= idle {
				m.ttGone(c, false)
				size -= batman.TTEntryLen
			}
		}
	}
}
