package air

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"

	"github.com/mdlayher/netlink"
)

// Link is how well one radio hears another, in one direction.
type Link struct {
	Loss   float64 // chance that one attempt at a rate that the link carries is lost, 0…1
	Signal int     // at the receiver, in dBm
	MCS    int     // the fastest rate that the link carries, 0…7 of one stream of 20 MHz; faster ones are lost
}

// Good is a link in the same room.
var Good = Link{Signal: -50, MCS: 7}

// maxRates is how many rates one frame may be tried at (IEEE80211_TX_MAX_RATES).
const maxRates = 4

// attempt is one entry of a frame's rates: struct hwsim_tx_rate and struct
// hwsim_tx_rate_flag.
type attempt struct {
	idx   int8  // -1: none
	count uint8 // how often
	flags uint16
}

// Rate flags of mac80211 (enum mac80211_rate_control_flags).
const (
	rateMCS = 1 << 3
	rateVHT = 1 << 8
)

// legacyKbit are the rates of hwsim on 2.4 GHz; on 5 GHz the first four are
// left out.
var legacyKbit = [...]int{1000, 2000, 5500, 11000, 6000, 9000, 12000, 18000, 24000, 36000, 48000, 54000}

// mcsKbit are the rates of one stream of 20 MHz.
var mcsKbit = [...]int{6500, 13000, 19500, 26000, 39000, 52000, 58500, 65000}

// carries reports whether a link is good enough for a rate. A frame on two
// streams needs two good ones: only a perfect link (MCS 7) has them.
func (l Link) carries(a attempt, freq uint32) bool {
	var mcs, streams int
	switch {
	case a.flags&rateVHT != 0:
		mcs, streams = int(a.idx)&15, 1+int(a.idx)>>4
	case a.flags&rateMCS != 0:
		mcs, streams = int(a.idx)%8, 1+int(a.idx)/8
	default:
		i := int(a.idx)
		if freq > 4000 {
			i += 4
		}
		return i >= len(legacyKbit) || legacyKbit[i] <= mcsKbit[l.MCS]
	}
	return l.MCS == 7 || streams == 1 && mcs <= l.MCS
}

// frame is one that a radio sends.
type frame struct {
	from  *Radio
	data  []byte // from the header of 802.11 on
	freq  uint32
	tries [maxRates]attempt
}

// multicast reports whether nobody acknowledges the frame.
func (f *frame) multicast() bool { return f.data[4]&1 != 0 }

// Medium is the air between radios. Nobody hears anybody until Link says so.
// Its methods may be called at any time.
type Medium struct {
	fam *family

	mu     sync.Mutex
	rnd    *rand.Rand
	radios []*Radio // in the order of their making, so that one seed gives one course
	links  map[[2]*Radio]Link
	count  Counters
	watch  func(Sent)
	single bool
}

// Counters are totals of a medium since it was opened.
type Counters struct {
	Frames    int // sent by radios, without repetitions
	Delivered int // given to a receiver
	Lost      int // not given to one that has a link
	Refused   int // errors of the kernel: receivers on other channels, or switched off
}

// newMedium makes a medium that chance with the given seed governs.
func newMedium(fam *family, seed uint64) *Medium {
	return &Medium{fam: fam, rnd: rand.New(rand.NewPCG(seed, 0)), links: map[[2]*Radio]Link{}}
}

// Link sets how b hears a and how a hears b.
func (m *Medium) Link(a, b *Radio, l Link) {
	m.LinkOneWay(a, b, l)
	m.LinkOneWay(b, a, l)
}

// LinkOneWay sets how to hears from.
func (m *Medium) LinkOneWay(from, to *Radio, l Link) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l.MCS = min(max(l.MCS, 0), len(mcsKbit)-1)
	m.links[[2]*Radio{from, to}] = l
}

// Cut ends the links between two radios, both ways.
func (m *Medium) Cut(a, b *Radio) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.links, [2]*Radio{a, b})
	delete(m.links, [2]*Radio{b, a})
}

// Counters returns what has passed so far.
func (m *Medium) Counters() Counters {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.count
}

// reception is one radio that gets a frame.
type reception struct {
	to     *Radio
	signal int
}

// decide plays the fate of a frame: who gets it, whether the sender hears an
// acknowledgement, with which signal, and what became of the attempts (in
// f.tries).
func (m *Medium) decide(f *frame) (rx []reception, acked bool, signal int) {
	m.count.Frames++
	signal = -100
	for _, to := range m.radios {
		l, ok := m.links[[2]*Radio{f.from, to}]
		if !ok || to.gone {
			continue
		}
		if f.multicast() {
			if l.carries(f.tries[0], f.freq) && m.rnd.Float64() >= l.Loss {
				rx = append(rx, reception{to, l.Signal})
			} else {
				m.count.Lost++
			}
			continue
		}
		if !to.has([6]byte(f.data[4:10])) {
			continue
		}
		back, heard := m.links[[2]*Radio{to, f.from}]
		got := m.transmit(f, l, heard)
		if got {
			rx = append(rx, reception{to, l.Signal})
		} else {
			m.count.Lost++
		}
		return rx, got && heard, back.Signal
	}
	if !f.multicast() { // nobody there: all attempts are in vain
		m.transmit(f, Link{Loss: 1}, false)
	}
	return rx, false, signal
}

// transmit tries a unicast at the frame's rates, one after the other, until it
// arrives and its acknowledgement is heard, and writes down how often each was
// used. An acknowledgement is short and slow: where there is a way back, it
// gets through.
func (m *Medium) transmit(f *frame, l Link, heard bool) (got bool) {
	for i := range f.tries {
		t := &f.tries[i]
		if t.idx < 0 {
			break
		}
		for n := uint8(1); n <= t.count; n++ {
			if l.carries(*t, f.freq) && m.rnd.Float64() >= l.Loss {
				got = true
				if heard {
					t.count = n
					for j := i + 1; j < maxRates; j++ {
						f.tries[j] = attempt{idx: -1}
					}
					return true
				}
			}
		}
	}
	return got
}

// run relays frames until the connection is closed.
func (m *Medium) run() {
	for {
		msgs, err := m.fam.conn.Receive()
		if err != nil {
			if isRefusal(err) {
				m.mu.Lock()
				m.count.Refused++
				m.mu.Unlock()
				continue
			}
			return
		}
		for _, msg := range msgs {
			if uint16(msg.Header.Type) == m.fam.id && len(msg.Data) >= genlHeader {
				m.handle(msg.Data)
			}
		}
	}
}

// handle serves one message of the kernel.
func (m *Medium) handle(b []byte) {
	a, err := attributes(b)
	if err != nil || len(a[attrTransmitter]) != 6 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	from := m.radio([6]byte(a[attrTransmitter]))
	if from == nil {
		return
	}
	switch b[0] {
	case cmdAddMAC, cmdDelMAC:
		if r := a[attrReceiver]; len(r) == 6 {
			from.learn([6]byte(r), b[0] == cmdAddMAC)
		}
	case cmdFrame:
		m.relay(from, a)
	}
}

// relay delivers one frame and tells the sender what became of it.
func (m *Medium) relay(from *Radio, a map[uint16][]byte) {
	f := &frame{from: from, data: a[attrFrame]}
	flags, freq := a[attrFlags], a[attrFreq]
	if len(f.data) < 10 || len(flags) != 4 || len(a[attrCookie]) != 8 {
		return
	}
	if len(freq) == 4 {
		f.freq = binary.NativeEndian.Uint32(freq)
	}
	f.tries = readAttempts(a[attrTxInfo], a[attrTxInfoFlags])
	if m.single {
		spoilAggregation(f.data)
	}
	rx, acked, signal := m.decide(f)
	m.show(f, len(rx) > 0)
	for _, r := range rx {
		err := m.fam.send(cmdFrame, func(e *netlink.AttributeEncoder) {
			e.Bytes(attrReceiver, r.to.spec.MAC[:])
			e.Bytes(attrFrame, f.data)
			e.Uint32(attrRxRate, 0)
			e.Uint32(attrSignal, uint32(int32(r.signal)))
			if f.freq != 0 {
				e.Uint32(attrFreq, f.freq)
			}
		})
		if err == nil {
			m.count.Delivered++
		}
	}
	got := binary.NativeEndian.Uint32(flags) &^ flagAcked
	if acked && got&flagNoAck == 0 {
		got |= flagAcked
	}
	// The driver holds every frame until it hears this, wanted or not.
	_ = m.fam.send(cmdTxInfo, func(e *netlink.AttributeEncoder) {
		e.Bytes(attrTransmitter, from.spec.MAC[:])
		e.Uint32(attrFlags, got)
		e.Uint32(attrSignal, uint32(int32(signal)))
		e.Bytes(attrTxInfo, appendAttempts(nil, f.tries))
		e.Bytes(attrCookie, a[attrCookie])
	})
}

// readAttempts reads the rates of a frame and their flags. What is missing is
// no attempt; a frame without any is sent once at the slowest rate.
func readAttempts(info, flags []byte) (t [maxRates]attempt) {
	for i := range t {
		t[i] = attempt{idx: -1}
		if len(info) >= 2*i+2 {
			t[i].idx, t[i].count = int8(info[2*i]), info[2*i+1]
		}
		if len(flags) >= 3*i+3 {
			t[i].flags = binary.NativeEndian.Uint16(flags[3*i+1:])
		}
	}
	if t[0].idx < 0 {
		t[0] = attempt{count: 1}
	}
	return t
}

func appendAttempts(b []byte, t [maxRates]attempt) []byte {
	for _, a := range t {
		b = append(b, byte(a.idx), a.count)
	}
	return b
}

// radio finds a radio by its name on the medium.
func (m *Medium) radio(mac [6]byte) *Radio {
	for _, r := range m.radios {
		if r.spec.MAC == mac && !r.gone {
			return r
		}
	}
	return nil
}
