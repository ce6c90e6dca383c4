package pathfinder

import (
	"slices"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
)

// What a supernode holds of one node are the node's own announcements, and
// both fold them into one hash to see whether they hold the same. So both must
// forget alike: an announcement goes when each of its lasting entities has
// been announced again, or when it is agreedTime older than the newest.
// Source: cjdns subnode/ReachabilityAnnouncer.c, addServerStateMsg.
const (
	agreedTime = 20 * time.Minute
	agreedMs   = uint64(agreedTime / time.Millisecond)
	maxStored  = 32       // announcements of one node
	maxLog     = 24 << 10 // bytes of them
)

// entity names something that a newer announcement replaces: a peer by its
// number, or one of those below.
type entity uint32

const (
	entVersion entity = 1<<16 + iota
	entScheme
)

// stored is an announcement that is held.
type stored struct {
	raw  []byte
	time uint64 // ms since 1970
	ents []entity
}

// stateLog is what is held of one node, the oldest first.
type stateLog struct {
	list []stored
	size int             // bytes of all
	hash cjdns.StateHash // of all
	prev cjdns.StateHash // before the newest came
}

// entitiesOf lists what of a lasts.
func entitiesOf(a *cjdns.Announcement) []entity {
	ents := make([]entity, 0, len(a.Peers)+2)
	if a.Version != 0 {
		ents = append(ents, entVersion)
	}
	if a.Scheme != nil {
		ents = append(ents, entScheme)
	}
	for i := range a.Peers {
		ents = append(ents, entity(a.Peers[i].PeerNum))
	}
	return ents
}

// add appends an announcement, which the caller knows to be the newest, and
// forgets what is to be forgotten: of more than most bytes the oldest. raw is
// kept.
func (l *stateLog) add(a *cjdns.Announcement, raw []byte, most int) {
	l.prev = l.hash
	if a.Reset {
		l.list, l.prev = l.list[:0], cjdns.StateHash{}
	}
	l.list = append(l.list, stored{raw, a.Time, entitiesOf(a)})
	l.trim(a.Time, most)
}

// trim forgets what is superseded by something newer, too old, or too much.
func (l *stateLog) trim(newest uint64, most int) {
	known := make(map[entity]bool)
	kept, size := len(l.list), 0
	for i := len(l.list) - 1; i >= 0; i-- {
		m := &l.list[i]
		keep := i == len(l.list)-1
		for _, e := range m.ents {
			keep = keep || !known[e]
		}
		if m.time+agreedMs < newest || len(l.list)-kept >= maxStored || size+len(m.raw) > most {
			keep = false
		}
		if !keep {
			continue
		}
		for _, e := range m.ents {
			known[e] = true
		}
		size += len(m.raw)
		kept--
		l.list[kept] = *m
	}
	l.list = slices.Delete(l.list, 0, kept)
	l.size, l.hash = size, cjdns.StateHash{}
	for i := range l.list {
		l.hash = l.hash.Add(l.list[i].raw)
	}
}

// newest returns the time of the newest announcement; 0 if there is none.
func (l *stateLog) newest() uint64 {
	if n := len(l.list); n > 0 {
		return l.list[n-1].time
	}
	return 0
}
