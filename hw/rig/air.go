package rig

import (
	"math"
	"os"
	"sync"
)

// Air is a radio channel in user space. Each Radio is a device in a namespace;
// this process carries frames between them, and each directed link has a loss
// of its own. Two radios without a link do not hear each other.
//
// A broadcast or multicast frame goes to all that hear the sender and is lost
// on each link with probability p. A unicast frame goes to the radio with that
// address alone and is lost with p^7, as an 802.11 sender tries seven times.
// A radio has the address that its last frame came from, like a card whose
// address may change; at first that of its device.
//
// The n-th frame of a kind on a link has the same fate in every run with the
// same seed. There is no delay, no collision and no limit of the rate.
//
// All methods are safe for concurrent use.
type Air struct {
	rig  *Rig
	seed uint64

	mu     sync.Mutex
	radios []*Radio
	links  map[[2]int]*airLink // by index of sender and receiver
	watch  func(from *Radio, frame []byte)
}

// Radio is one station on an Air.
type Radio struct {
	End
	Index int // in the order of joining, from 0

	air  *Air
	dev  *os.File
	mac  [6]byte
	sent RadioStats
	deaf func(frame []byte) bool
}

// RadioStats counts what a radio has sent: frames with their Ethernet header,
// once each, however many hear them and however often 802.11 would try.
type RadioStats struct{ Frames, Bytes, Broadcasts, BroadcastBytes uint64 }

// LinkStats counts the frames of one direction of a link.
type LinkStats struct{ In, Out, Lost, Cut uint64 }

// airLink is one direction.
type airLink struct {
	loss  float64
	cut   bool
	drawn [2]uint64 // broadcasts and unicasts whose fate has been drawn
	stats LinkStats
}

// retries is how often an 802.11 station sends a unicast frame at most.
const retries = 7

// Air makes a channel without anybody on it.
func (r *Rig) Air(seed uint64) *Air {
	return &Air{rig: r, seed: seed, links: map[[2]int]*airLink{}}
}

// Join makes the device e.Dev, a TAP device, and puts it on the air. It hears
// nobody yet: see Link.
func (a *Air) Join(e End) *Radio {
	f, err := openTAP(e)
	if err != nil {
		a.rig.fail("%v", err)
	}
	e.up()
	return a.join(e, f)
}

// Attach puts a device that is there already on the air: what it receives is
// sent, what the air delivers goes out of it. So a guest's TAP device, which
// belongs to the emulator, becomes a radio. The radio's address is not known
// before its first frame.
func (a *Air) Attach(e End) *Radio {
	f, err := openPacket(e)
	if err != nil {
		a.rig.fail("%v", err)
	}
	return a.join(e, f)
}

func (a *Air) join(e End, f *os.File) *Radio {
	a.rig.onClose(func() { _ = f.Close() })
	r := &Radio{End: e, air: a, dev: f}
	r.mac = deviceMAC(e)
	a.mu.Lock()
	r.Index = len(a.radios)
	a.radios = append(a.radios, r)
	a.mu.Unlock()
	go r.relay()
	return r
}

// Link lets from hear to and to hear from: loss is the probability that a
// broadcast frame is lost, there and back. A link that was cut stays cut.
func (a *Air) Link(from, to *Radio, there, back float64) {
	a.Set(from, to, there)
	a.Set(to, from, back)
}

// Set changes one direction of a link from the next frame on, and makes it if
// it was not there.
func (a *Air) Set(from, to *Radio, loss float64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.link(from, to).loss = loss
}

// Cut stops all frames of one direction, or lets them through again.
func (a *Air) Cut(from, to *Radio, cut bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.link(from, to).cut = cut
}

// CutBoth is Cut for both directions.
func (a *Air) CutBoth(x, y *Radio, cut bool) {
	a.Cut(x, y, cut)
	a.Cut(y, x, cut)
}

// link returns the state of one direction. The caller holds a.mu.
func (a *Air) link(from, to *Radio) *airLink {
	key := [2]int{from.Index, to.Index}
	l := a.links[key]
	if l == nil {
		l = &airLink{}
		a.links[key] = l
	}
	return l
}

// Refuse keeps frames for which f returns true from a radio, whoever sends
// them; they count as cut. f must not keep the frame and must not call the
// air. nil ends it. So a station is made that floods broadcasts and swallows
// what it is given to forward: see Unicast.
func (a *Air) Refuse(r *Radio, f func(frame []byte) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r.deaf = f
}

// Unicast reports whether an Ethernet frame is for one station.
func Unicast(frame []byte) bool { return frame[0]&1 == 0 }

// Loss returns the loss of one direction, and false if there is no link or it
// is cut.
func (a *Air) Loss(from, to *Radio) (loss float64, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.links[[2]int{from.Index, to.Index}]
	if l == nil || l.cut {
		return 0, false
	}
	return l.loss, true
}

// Radios lists the stations in the order of joining.
func (a *Air) Radios() []*Radio {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]*Radio(nil), a.radios...)
}

// LinkStats returns the counts of one direction.
func (a *Air) LinkStats(from, to *Radio) LinkStats {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.link(from, to).stats
}

// Sent returns what the radio has sent.
func (r *Radio) Sent() RadioStats {
	r.air.mu.Lock()
	defer r.air.mu.Unlock()
	return r.sent
}

// Watch calls f with every frame that a radio sends, heard or not; f must not
// keep the frame and must not call the air. nil ends it.
func (a *Air) Watch(f func(from *Radio, frame []byte)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.watch = f
}

// relay carries what one radio sends until its device is closed.
func (r *Radio) relay() {
	buf := make([]byte, 1<<16)
	var to []*Radio
	for {
		n, err := r.dev.Read(buf)
		if err != nil {
			if downForNow(err) {
				continue
			}
			return
		}
		if n < 14 {
			continue
		}
		to = r.air.carry(r, buf[:n], to[:0])
		for _, d := range to {
			_, _ = d.dev.Write(buf[:n]) // fails only while the device is down: lost
		}
	}
}

// carry counts a frame and appends to heard those that receive it.
func (a *Air) carry(from *Radio, frame []byte, heard []*Radio) []*Radio {
	a.mu.Lock()
	defer a.mu.Unlock()
	dst, src := [6]byte(frame[:6]), [6]byte(frame[6:12])
	from.mac = src
	group := dst[0]&1 != 0
	from.sent.count(group, len(frame))
	if a.watch != nil {
		a.watch(from, frame)
	}
	for _, d := range a.radios {
		if d == from || !group && d.mac != dst {
			continue
		}
		l := a.links[[2]int{from.Index, d.Index}]
		if l == nil {
			continue
		}
		if d.deaf != nil && d.deaf(frame) {
			l.stats.In++
			l.stats.Cut++
			continue
		}
		if l.passes(a.seed, from.Index, d.Index, group) {
			heard = append(heard, d)
		}
	}
	return heard
}

func (s *RadioStats) count(group bool, n int) {
	s.Frames++
	s.Bytes += uint64(n)
	if group {
		s.Broadcasts++
		s.BroadcastBytes += uint64(n)
	}
}

// passes decides over one frame.
func (l *airLink) passes(seed uint64, from, to int, group bool) bool {
	l.stats.In++
	if l.cut {
		l.stats.Cut++
		return false
	}
	p, kind := l.loss, 0
	if !group {
		p, kind = math.Pow(p, retries), 1
	}
	nth := l.drawn[kind]
	l.drawn[kind]++
	if chance(seed, uint64(from), uint64(to), uint64(kind), nth) < p {
		l.stats.Lost++
		return false
	}
	l.stats.Out++
	return true
}

// chance draws a number in [0, 1) that depends on nothing but its arguments,
// so that the fate of a frame does not depend on the order in which other
// links carry theirs. Mixing step: SplitMix64.
func chance(words ...uint64) float64 {
	var h uint64
	for _, w := range words {
		h += w + 0x9e3779b97f4a7c15
		h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
		h = (h ^ h>>27) * 0x94d049bb133111eb
		h ^= h >> 31
	}
	return float64(h>>11) / (1 << 53)
}
