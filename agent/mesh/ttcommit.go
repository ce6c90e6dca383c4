package mesh

import (
	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

// ttAppend commits what changed, at most one version per call, and appends
// the TT container of the next OGM in at most room bytes.
//
// Changes that do not fit are left out altogether: the others then ask for
// them, and get them in one packet that may be as long as fragments allow. If
// not even the checksums of all VLANs fit, nothing is appended and nothing is
// committed: the others keep the last version, in which this node reaches all
// clients that did not change. ttLocalVLANs makes that a matter of other
// containers only.
//
// Source: batman-adv translation-table.c, batadv_tt_local_commit_changes.
func (m *Mesh) ttAppend(now mono.Time, dst []byte, room int) []byte {
	t := &m.tt
	vlans := 0
	for i := range t.vlans { // after the commit
		if t.vlans[i].live > 0 {
			vlans++
		}
	}
	room -= batman.TVLVLen + batman.TTLen
	fresh := len(t.dirty) > 0 && room >= vlans*batman.TTVLANLen && m.ttCommit()
	if !fresh {
		vlans = 0
		for i := range t.vlans {
			if t.vlans[i].n > 0 {
				vlans++
			}
		}
		if room < vlans*batman.TTVLANLen {
			return dst
		}
	} else {
		t.rides = 1 + ttRides
	}
	var diff []byte
	if t.rides > 0 {
		t.rides--
		if len(t.diff) <= room-vlans*batman.TTVLANLen {
			diff = t.diff
		}
	}
	dst = batman.AppendTVLV(dst, batman.TVLVTT, batman.VersionTT, batman.TTLen+vlans*batman.TTVLANLen+len(diff))
	dst = t.appendHead(dst, batman.TTOGMDiff)
	return append(dst, diff...)
}

// appendHead appends head and checksums of this node's version.
func (t *tt) appendHead(dst []byte, flags uint8) []byte {
	at := len(dst)
	dst = batman.AppendTT(dst, flags, t.ttvn, 0)
	n := 0
	for _, v := range t.vlans {
		if v.n > 0 {
			dst = batman.TTVLAN{CRC: v.crc, VID: v.vid}.Append(dst)
			n++
		}
	}
	dst[at+2], dst[at+3] = byte(n>>8), byte(n)
	return dst
}

// ttCommit makes the next version out of the clients as they are now. It
// reports false if that is what was announced already: what came and went
// between two OGMs leaves no trace.
func (m *Mesh) ttCommit() bool {
	t := &m.tt
	dirty := t.dirty
	t.dirty = t.dirty[:0]
	changed := false
	for i, c := range dirty {
		dirty[i] = nil
		c.dirty = 0
		if c.announced && !c.gone && c.sent == c.flags {
			continue
		}
		if !changed {
			changed = true
			t.diff = t.diff[:0]
		}
		v := t.vlans.at(c.vid)
		if c.announced {
			v.crc ^= batman.TTSum(c.mac, c.vid, c.sent)
			v.n--
		}
		e := batman.TTEntry{Flags: c.flags, Client: c.mac, VID: c.vid}
		if c.gone {
			e.Flags = c.sent | batman.TTDel
			if c.roamed {
				e.Flags |= batman.TTRoam
			}
			m.ttErase(c)
		} else {
			c.announced, c.sent = true, c.flags
			v.crc ^= batman.TTSum(c.mac, c.vid, c.sent)
			v.n++
		}
		t.diff = e.Append(t.diff)
	}
	if changed {
		t.ttvn++
	}
	return changed
}
