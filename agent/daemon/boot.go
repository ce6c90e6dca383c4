package daemon

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// nextBoot counts the starts of the agent: others take signed records only of
// the newest run that they have heard of. The count lies in the state
// directory and is written once a start. If it is lost or cannot be written,
// the clock, in seconds, stands in for it, which is ahead of any count.
func (d *Daemon) nextBoot(wall time.Time) uint32 {
	path := filepath.Join(d.cfg.Main.StateDir, "boot")
	boot := nextBoot(path, wall)
	if err := writeState(path, []byte(strconv.FormatUint(uint64(boot), 10)+"\n")); err != nil {
		d.problem("boot", "the count of starts cannot be stored, others may not believe us after a restart without a clock: "+err.Error())
	}
	return boot
}

// nextBoot returns one more than the file at path says, or the clock if that
// is more.
func nextBoot(path string, wall time.Time) uint32 {
	raw, _ := os.ReadFile(path)
	last, err := strconv.ParseUint(strings.TrimSpace(string(raw)), 10, 32)
	if err != nil {
		last = 0
	}
	boot := uint32(last) + 1 //nolint:gosec // it wraps after 2^32 starts
	if clockBelievable(wall) {
		boot = max(boot, uint32(wall.Unix())) //nolint:gosec // until 2106
	}
	return boot
}
