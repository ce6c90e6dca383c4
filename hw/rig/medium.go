package rig

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Dir is a direction of a Medium.
type Dir int

// The two directions, by the order of the ends given to Rig.Medium.
const (
	AtoB Dir = 0
	BtoA Dir = 1
	Both Dir = 2 // for Set and Cut only
)

// Fault is what one direction of a Medium does to frames. The zero value is a
// perfect cable.
type Fault struct {
	Loss    float64       // probability that a frame is lost
	Dup     float64       // probability that a frame arrives twice
	Reorder float64       // probability that a frame is overtaken by later ones
	Delay   time.Duration // added to every frame
	Late    time.Duration // by how much overtaken frames are late; 0: 5 ms
}

// MediumStats counts the frames of one direction.
type MediumStats struct{ In, Out, Lost, Dup, Reordered, Cut uint64 }

// Medium is a cable with faults: a TAP device in each of two namespaces, and
// this process between them. A TAP device carries every frame by itself, with
// its checksum, so the kernel's offloads do not hide packets from the faults.
//
// All methods are safe for concurrent use.
type Medium struct {
	tap [2]*os.File

	mu   sync.Mutex
	rand *rand.Rand
	dir  [2]struct {
		fault Fault
		cut   bool
		stats MediumStats
	}
	watch func(d Dir, frame []byte) bool
}

// Medium joins two nodes by a cable with faults. One seed gives one sequence
// of decisions; the frames they fall on still depend on timing.
func (r *Rig) Medium(a, b End, seed uint64) *Medium {
	m := &Medium{rand: rand.New(rand.NewPCG(seed, seed))}
	for i, e := range []End{a, b} {
		f, err := openTAP(e)
		if err != nil {
			r.fail("%v", err)
		}
		m.tap[i] = f
		r.onClose(func() { _ = f.Close() })
		e.up()
	}
	go m.relay(AtoB)
	go m.relay(BtoA)
	return m
}

// openTAP makes the TAP device e.Dev inside the namespace of e.Node. It lives
// as long as the file.
func openTAP(e End) (f *os.File, err error) {
	err = e.Node.Do(func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			return fmt.Errorf("open /dev/net/tun: %w", err)
		}
		ifr, err := unix.NewIfreq(e.Dev)
		if err == nil {
			ifr.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
			err = unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
		}
		if err != nil {
			_ = unix.Close(fd)
			return fmt.Errorf("make TAP device %s: %w", e.Dev, err)
		}
		f = os.NewFile(uintptr(fd), e.Dev)
		return nil
	})
	return f, err
}

// Set changes the faults of one direction or both, from the next frame on.
func (m *Medium) Set(d Dir, f Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.each(d, func(i int) { m.dir[i].fault = f })
}

// Cut stops all frames of a direction, or lets them through again.
func (m *Medium) Cut(d Dir, cut bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.each(d, func(i int) { m.dir[i].cut = cut })
}

func (m *Medium) each(d Dir, f func(i int)) {
	for i := range m.dir {
		if d == Both || int(d) == i {
			f(i)
		}
	}
}

// Watch calls f with every frame that enters the medium, before the faults;
// a frame for which it returns false is lost. f must not keep the frame, and
// must not call the medium except for Inject in a goroutine of its own. nil
// ends it.
func (m *Medium) Watch(f func(d Dir, frame []byte) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.watch = f
}

// Inject puts a frame, from the Ethernet header on, into the medium behind the
// faults.
func (m *Medium) Inject(d Dir, frame []byte) error {
	_, err := m.tap[1-d].Write(frame)
	return err
}

// Stats returns the counts of one direction.
func (m *Medium) Stats(d Dir) MediumStats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dir[d].stats
}

// relay carries one direction until its TAP device is closed.
func (m *Medium) relay(d Dir) {
	buf := make([]byte, 1<<16)
	for {
		n, err := m.tap[d].Read(buf)
		if err != nil {
			return
		}
		copies, wait := m.decide(d, buf[:n])
		for ; copies > 0; copies-- {
			if wait == 0 {
				_ = m.Inject(d, buf[:n]) // fails only while the device is down: lost
				continue
			}
			late := append([]byte(nil), buf[:n]...)
			time.AfterFunc(wait, func() { _ = m.Inject(d, late) })
		}
	}
}

// decide throws the dice for one frame: how many copies arrive, and when.
func (m *Medium) decide(d Dir, frame []byte) (copies int, wait time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := &m.dir[d]
	l.stats.In++
	switch {
	case l.cut || m.watch != nil && !m.watch(d, frame):
		l.stats.Cut++
		return 0, 0
	case m.rand.Float64() < l.fault.Loss:
		l.stats.Lost++
		return 0, 0
	}
	copies, wait = 1, l.fault.Delay
	if m.rand.Float64() < l.fault.Dup {
		l.stats.Dup++
		copies++
	}
	if m.rand.Float64() < l.fault.Reorder {
		l.stats.Reordered++
		if l.fault.Late == 0 {
			l.fault.Late = 5 * time.Millisecond
		}
		wait += l.fault.Late
	}
	l.stats.Out += uint64(copies)
	return copies, wait
}
