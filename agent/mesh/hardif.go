package mesh

import (
	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

// HardIface is an interface that the mesh runs on.
type HardIface struct {
	IfaceConfig
	index   uint16
	active  bool
	problem string
	iv      ivIface   // ogm.go
	v       vIface    // elp.go
	idHold  mono.Time // how long its OGMs wait for the first record at most
	// neighbours are the stations heard directly on this interface.
	neighbours []*HardNeigh

	rxFrames, rxBytes, txFrames, txBytes uint64
	drops                                [dropCount]uint64
}

// headerRoom is what a packet may add to a client's frame: the longest
// payload header and the inner Ethernet header. Source: batman-adv
// hard-interface.c.
const headerRoom = 32

// iface returns the hard interface with that index; nil if there is none.
func (m *Mesh) iface(index uint16) *HardIface {
	if int(index) < len(m.ifaces) {
		return m.ifaces[index]
	}
	return nil
}

// SetIface adds hard interface index, or changes it, and takes it into use.
// It reports why it cannot. A changed MAC is a new identity on that link.
func (m *Mesh) SetIface(now mono.Time, index uint16, c IfaceConfig, out *Out) error {
	if err := checkIface(index, c); err != nil {
		return err
	}
	for int(index) >= len(m.ifaces) {
		m.ifaces = append(m.ifaces, nil)
	}
	hi := m.ifaces[index]
	if hi != nil && hi.active && hi.MAC == c.MAC {
		other := hi.MTU != c.MTU
		hi.IfaceConfig = c
		if other {
			m.linksBegin(now, hi)
		}
		return nil
	}
	if hi == nil {
		hi = &HardIface{index: index}
		m.ifaces[index] = hi
	}
	if hi.active {
		m.deactivate(now, hi, "MAC address changed", out)
	}
	hi.IfaceConfig, hi.active, hi.problem = c, true, ""
	if m.primary == nil {
		m.setPrimary(now, hi, out)
	}
	m.ifaceUp(now, hi, out)
	hi.idHold = now.Add(holdTime)
	m.idIfaces(now, out)
	return nil
}

// IfaceDown tells that a hard interface does not work now, and why.
func (m *Mesh) IfaceDown(now mono.Time, index uint16, why string, out *Out) {
	if hi := m.iface(index); hi != nil {
		m.deactivate(now, hi, why, out)
	}
}

// RemoveIface forgets a hard interface.
func (m *Mesh) RemoveIface(now mono.Time, index uint16, out *Out) {
	m.IfaceDown(now, index, "removed", out)
	if int(index) < len(m.ifaces) {
		m.ifaces[index] = nil
	}
}

func (m *Mesh) deactivate(now mono.Time, hi *HardIface, why string, out *Out) {
	hi.problem = why
	if !hi.active {
		return
	}
	hi.active = false
	m.ifaceGone(now, hi, out) // routing: drops every neighbour on it
	if m.primary == hi {
		m.setPrimary(now, m.firstActive(), out)
	}
	m.idIfaces(now, out)
}

func (m *Mesh) firstActive() *HardIface {
	for _, hi := range m.ifaces {
		if hi != nil && hi.active {
			return hi
		}
	}
	return nil
}

// setPrimary gives the node the name of hi, or none.
func (m *Mesh) setPrimary(now mono.Time, hi *HardIface, out *Out) {
	old := m.primary
	m.primary = hi
	m.primaryChanged(now, old, out)
	m.blaPrimaryChanged(now, old, out)
}

// SetMeshIface tells about the interface on which clients enter. Its own MAC
// is a client that never goes away.
func (m *Mesh) SetMeshIface(now mono.Time, c MeshIfaceConfig, out *Out) {
	old := m.meshIf
	m.meshIf = c
	m.ttMeshIface(now, old, out)
	m.mcastMeshIface(now)
	m.blaMeshIface(now, old, out)
}

// isMine reports whether mac is one of this node's active hard interfaces.
func (m *Mesh) isMine(mac batman.MAC) bool {
	for _, hi := range m.ifaces {
		if hi != nil && hi.active && hi.MAC == mac {
			return true
		}
	}
	return false
}

// self returns the node's name, the MAC of the primary hard interface; zero
// if there is none.
func (m *Mesh) self() batman.MAC {
	if m.primary == nil {
		return batman.MAC{}
	}
	return m.primary.MAC
}
