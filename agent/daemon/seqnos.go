package daemon

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mesh"
)

// seqnoStore keeps the counters of the mesh over a restart: other nodes refuse
// the numbers of a node whose counters jump for half a minute. The file lies
// beside the admin socket, in memory (/var/run): nothing is written to flash,
// and after a reboot the clock has to do, see first.
//
// A clean stop leaves exact numbers. For a crash the file is written every
// few seconds, and the next run skips what may have been sent since then.
type seqnoStore struct {
	path  string
	last  mesh.Seqnos // to begin with
	saved time.Time
	every time.Duration // between two writings
}

// Pauses between two writings of the file, in memory and where it turns out
// to lie on a disk.
const (
	seqnoPause     = 2 * time.Second
	seqnoPauseDisk = 10 * time.Minute
)

// burst is how many broadcasts and fragments the next run skips after a crash.
// Others take a step of less than 65536 for loss.
const (
	burstBroadcast = 8192
	burstFragment  = 4096
)

// seqnoRecord is the content of the file.
type seqnoRecord struct {
	Mesh  string `json:"mesh"`
	Clean bool   `json:"clean"`
	// Interval is that of OGMs; Pause how much time may pass from one writing
	// of the file to the next.
	Interval int64 `json:"interval_ms"`
	Pause    int64 `json:"pause_ms"`
	// At is when the file was written, in milliseconds since 1970.
	At int64 `json:"at_ms"`
	mesh.Seqnos
}

// runFile returns the path of a file beside the admin socket, for what need
// not outlive a reboot.
func (d *Daemon) runFile(kind string) string {
	return strings.TrimSuffix(d.socket, ".sock") + "." + kind
}

func (d *Daemon) seqnoFile() string { return d.runFile("seqnos") }

// load reads the file and returns the name of the mesh device that the last
// run has left; "" if it left none.
func (s *seqnoStore) load(path string) (name string) {
	*s = seqnoStore{path: path, every: seqnoPause}
	if !inMemory(filepath.Dir(path)) {
		s.every = seqnoPauseDisk
	}
	var r seqnoRecord
	if raw, err := os.ReadFile(path); err == nil && json.Unmarshal(raw, &r) == nil {
		s.last, name = r.next(time.Now()), r.Mesh
	}
	return name
}

// next returns the numbers to go on with. After a crash it skips those that
// may have been used since the file was written: as many as the time since
// then allows, or, if the clock was set meanwhile, as the pause does.
func (r seqnoRecord) next(wall time.Time) mesh.Seqnos {
	n := r.Seqnos
	if r.Clean {
		return n
	}
	since := max(r.Pause, 0) / 2 * 3
	if passed := wall.UnixMilli() - r.At; passed >= 0 {
		since = min(since, passed)
	}
	step := uint32(min(since/max(r.Interval, 1)*51/50+2, 32768)) //nolint:gosec // bounded
	skip := func(m map[batman.MAC]uint32, step uint32) map[batman.MAC]uint32 {
		to := map[batman.MAC]uint32{}
		for mac, seqno := range m {
			to[mac] = seqno + step
		}
		return to
	}
	n.OGM = skip(n.OGM, step)
	if n.OGM2 != 0 {
		n.OGM2 += step
	}
	n.ELP = skip(n.ELP, 8*step) // has an interval of its own; only going back harms
	n.Broadcast += burstBroadcast
	n.Fragment += burstFragment
	return n
}

// due reports whether it is time to save.
func (s *seqnoStore) due() bool { return time.Since(s.saved) >= s.every }

// save writes the file. Losing it does little harm, so errors are not told.
func (s *seqnoStore) save(n mesh.Seqnos, name string, interval time.Duration, clean bool) {
	s.last, s.saved = n, time.Now()
	raw, err := json.Marshal(seqnoRecord{
		Mesh: name, Clean: clean, Interval: interval.Milliseconds(), Pause: s.every.Milliseconds(),
		At: s.saved.UnixMilli(), Seqnos: n,
	})
	if err != nil {
		return
	}
	tmp := s.path + ".new"
	if os.WriteFile(tmp, raw, 0o600) == nil {
		_ = os.Rename(tmp, s.path)
	}
}

// inMemory reports whether a directory lies on a file system that never
// writes to flash.
func inMemory(dir string) bool {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return false
	}
	switch uint32(st.Type) { //nolint:gosec // a magic number
	case unix.TMPFS_MAGIC, unix.RAMFS_MAGIC:
		return true
	}
	return false
}

// firstSeqno is where OGMs begin that have no number in the file: time in
// units of their interval. So a node that was rebooted goes on roughly where
// it was, and others see no jump. Without a clock that can be believed it is
// 0, which stands for chance.
func firstSeqno(wall time.Time, interval time.Duration) uint32 {
	if !clockBelievable(wall) || interval <= 0 {
		return 0
	}
	return uint32(wall.UnixMilli() / max(interval.Milliseconds(), 1)) //nolint:gosec // it may wrap
}

// clockBelievable reports whether the time of day was set: routers without a
// battery begin in 1970, or when their image was built.
func clockBelievable(wall time.Time) bool { return wall.Year() >= 2025 }
