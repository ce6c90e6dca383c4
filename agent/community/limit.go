package community

import (
	"encoding/binary"
	"time"

	"github.com/meshagent/meshagent/agent/mono"
)

// Rates of what others can make us do.
const (
	sourceTime, sourceBurst = 200 * time.Millisecond, 20 // messages and certificates of one source
	allTime, allBurst       = 20 * time.Millisecond, 100 // of all
	checkTime, checkBurst   = 100 * time.Millisecond, 20 // signatures that strangers show
	redeemTime, redeemBurst = 500 * time.Millisecond, 8  // attempts to use an invite

	sourceCells = 128
)

// sourceBuckets limits each source alone. Sources that collide share one; the
// seed keeps strangers from choosing whom they collide with.
type sourceBuckets struct {
	seed  uint32
	cells [sourceCells]mono.Bucket
}

func (s *sourceBuckets) take(now mono.Time, from Source) bool {
	h := s.seed ^ binary.BigEndian.Uint32(from[:4])*0x9e3779b1 ^ binary.BigEndian.Uint32(from[4:])*0x85ebca6b
	h ^= h >> 15
	h *= 0x2c1b3c6d
	h ^= h >> 12
	return s.cells[h%sourceCells].Take(now, sourceTime, sourceBurst)
}
