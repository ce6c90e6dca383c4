package air

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
)

// Sent is a frame of the mesh that a radio sent to another one: Ethernet type
// 0x4305, as it stands behind the headers of 802.11.
type Sent struct {
	From, To *Radio
	Payload  []byte // from the batman-adv header on; valid during the call only
	Got      bool   // it arrived, at whichever attempt
}

// Watch calls f for each unicast frame of the mesh between two radios that
// have a link, after its fate was played. f must not call the medium. nil ends
// it.
func (m *Medium) Watch(f func(Sent)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.watch = f
}

// show tells the watcher of a frame.
func (m *Medium) show(f *frame, got bool) {
	if m.watch == nil || f.multicast() {
		return
	}
	p := meshPayload(f.data)
	if p == nil {
		return
	}
	for _, to := range m.radios {
		if _, ok := m.links[[2]*Radio{f.from, to}]; ok && !to.gone && to.has([6]byte(f.data[4:10])) {
			m.watch(Sent{From: f.from, To: to, Payload: p, Got: got})
			return
		}
	}
}

// Seed lets chance begin anew.
func (m *Medium) Seed(seed uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rnd = rand.New(rand.NewPCG(seed, 0))
}

// snap begins the payload of a data frame of the mesh: LLC/SNAP and the
// Ethernet type of batman-adv. It comes behind at most 30 bytes of header, 2
// of QoS and 18 of 802.11s.
var snap = []byte{0xaa, 0xaa, 3, 0, 0, 0, 0x43, 5}

const snapWithin = 30 + 2 + 18 + 8

// meshPayload returns what a data frame carries of the mesh, nil for others.
func meshPayload(frame []byte) []byte {
	if frame[0]>>2&3 != 2 {
		return nil
	}
	i := bytes.Index(frame[:min(len(frame), snapWithin)], snap)
	if i < 0 {
		return nil
	}
	return frame[i+len(snap):]
}

// Single makes all radios send their frames one by one: each request to
// aggregate is refused by its receiver. Rate control then hears of every frame,
// as it does from real drivers, while hwsim says nothing of those in an
// aggregate. It must be called before stations join.
func (m *Medium) Single() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.single = true
}

// spoilAggregation changes a request for an aggregate (ADDBA) so that it asks
// for delayed instead of immediate acknowledgements, which the receiver's
// mac80211 has not and declines. The sender asks three times at once and then
// each 15 s. Sources: IEEE 802.11-2016, 9.6.5.2 and 9.4.1.14; mac80211 agg-rx.c.
func spoilAggregation(frame []byte) {
	const (
		header        = 24 // of a management frame
		typeAction    = 0xd0
		categoryBlock = 3
		addbaRequest  = 0
		immediate     = 1 << 1
	)
	if len(frame) < header+5 || frame[0] != typeAction || frame[header] != categoryBlock || frame[header+1] != addbaRequest {
		return
	}
	params := frame[header+3:]
	binary.LittleEndian.PutUint16(params, binary.LittleEndian.Uint16(params)&^immediate)
}
