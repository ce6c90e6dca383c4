package switchcore

import "github.com/meshagent/meshagent/agent/cjdns"

// Port is a slot of the switch: what a director names. cjdns calls it an
// interface number.
type Port uint16

const (
	// Self is the slot of the own router.
	Self Port = 1
	// MaxPorts is the number of slots that the encoding scheme can name,
	// Self included: 0..256.
	MaxPorts = 257
)

// State says whether a slot leads anywhere.
type State uint8

// States of a slot.
const (
	Empty State = iota // nobody is there: frames to it have a malformed address
	Up
	Down // somebody is there but does not answer: only the own router may try
)

// Table holds the state of each slot. In the zero value all are Empty; set
// Self to Up before the first frame. It has 257 bytes and no pointers, so a
// copy is a snapshot.
type Table struct{ state [MaxPorts]State }

// Set puts a slot into a state. A port outside the table is ignored.
func (t *Table) Set(p Port, s State) {
	if p < MaxPorts {
		t.state[p] = s
	}
}

// State returns the state of a slot, Empty if there is no such slot.
func (t *Table) State(p Port) State {
	if p < MaxPorts {
		return t.state[p]
	}
	return Empty
}

// Free returns the lowest empty slot that is not below from; Self never is.
// Low slots have short directors. It reports false if all are taken.
func (t *Table) Free(from Port) (Port, bool) {
	for p := from; p < MaxPorts; p++ {
		if t.state[p] == Empty && p != Self {
			return p, true
		}
	}
	return 0, false
}

// Label returns the one-hop label of a slot, in its narrowest form.
func (p Port) Label() cjdns.Label {
	d, bits := cjdns.PortDirector(uint16(p), 0)
	return cjdns.Label(d) | 1<<bits
}
