package identity

import (
	"slices"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

// Limits of what waits to be verified.
const (
	maxItems     = 64
	maxStrangers = 16 // of these, brought by stations without a route
	maxFrom      = 8  // brought by one station
	maxSame      = 2  // of one class and originator, brought by one station
	maxAsked     = 16 // beyond maxItems, for records that were asked for
	maxHeld      = 8  // OGMs that wait for one record
	itemLife     = 5 * time.Second
	jobLife      = 10 * time.Second // after that a job is taken for lost
	maxFailed    = 64
)

// class says how urgent a check is.
type class uint8

const (
	classKnown   class = iota // of a node that is verified and whose OGM fits
	classRestart              // by the key of a node that is verified
	classAsked                // a record that was asked for
	classFirst                // all others
)

// turns is the order in which classes have their turn. If the one whose turn
// it is has nothing, the next one has it: so known nodes get at least half,
// and nobody starves.
var turns = [...]class{classKnown, classRestart, classKnown, classAsked, classKnown, classFirst}

// Held is an OGM that waits for a record: the whole message, and how it came.
type Held struct {
	Raw      []byte
	Port     uint16
	Src, Dst batman.MAC
}

// item is something to verify.
type item struct {
	class  class
	kind   uint8      // KindRecord, KindAnswer, KindRoam
	from   batman.MAC // the station that brought it
	routed bool
	mac    batman.MAC // originator in whose name it is
	id     ID         // of a record
	raw    []byte     // record
	rec    Record
	at     mono.Time
	job    *Job

	// The OGM that brought the record, if it did, and copies of it that wait.
	ogm   bool
	seqno uint32
	elem  Element
	held  []Held

	certs  [][]byte // came with the record
	answer answer
	node   *Node // that answered, or sent
	roam   Roam
}

// queue is what waits. One item is at work at a time.
type queue struct {
	list   []*item
	work   *item
	begun  mono.Time
	turn   int
	served []batman.MAC // whom it served, the last one at the end
	bucket mono.Time    // of checks: when it is full again
	failed []ID         // of records that proved bad, the oldest first
}

// Challenges.
const (
	challengeEvery = 2 * time.Second // to one node
	answerLife     = 10 * time.Second
)

// verifyBurst is how many checks there may be in a row.
const verifyBurst = 4

// has returns the item of a record that waits or is at work.
func (q *queue) has(id ID) *item {
	if w := q.work; w != nil && w.kind == KindRecord && w.id == id {
		return w
	}
	for _, i := range q.list {
		if i.kind == KindRecord && i.id == id {
			return i
		}
	}
	return nil
}

// room reports whether there is room for one more item.
func (q *queue) room(c class, from, mac batman.MAC, routed bool) bool {
	switch {
	case c == classAsked:
		return len(q.list) < maxItems+maxAsked
	case len(q.list) >= maxItems:
		return false
	}
	strangers, his, same := 0, 0, 0
	for _, i := range q.list {
		if !i.routed {
			strangers++
		}
		if i.from == from && i.routed == routed {
			his++
			if i.mac == mac && i.class == c {
				same++
			}
		}
	}
	return his < maxFrom && same < maxSame && (routed || strangers < maxStrangers)
}

// add appends an item. There is room.
func (q *queue) add(now mono.Time, i *item) {
	i.at = now
	q.list = append(q.list, i)
}

// next begins the next check if the rate, checks a second, allows it.
func (q *queue) next(now mono.Time, rate int) *Job {
	if len(q.list) == 0 || q.work != nil || now < q.due(rate) {
		return nil
	}
	full := max(q.bucket, now)
	q.bucket = full.Add(time.Second / time.Duration(rate))
	best := -1
	for try := range turns {
		want := turns[(q.turn+try)%len(turns)]
		for i, it := range q.list {
			if it.class == want && (best < 0 || q.before(it, q.list[best])) {
				best = i
			}
		}
		if best >= 0 {
			break
		}
	}
	q.turn = (q.turn + 1) % len(turns)
	q.work, q.begun = q.list[best], now
	q.list = slices.Delete(q.list, best, best+1)
	q.serve(q.work)
	return q.work.job
}

// due is when the rate allows the next check.
func (q *queue) due(rate int) mono.Time {
	return q.bucket.Add(-time.Second / time.Duration(rate) * (verifyBurst - 1))
}

// party is whom an item counts for: strangers share one place.
func (i *item) party() batman.MAC {
	if i.routed {
		return i.from
	}
	return batman.MAC{}
}

// before reports whether a goes before b of the same class: the one whose
// station was served longer ago.
func (q *queue) before(a, b *item) bool {
	x, y := slices.Index(q.served, a.party()), slices.Index(q.served, b.party())
	return x < y || x == y && a.at < b.at
}

func (q *queue) serve(i *item) {
	p := i.party()
	if at := slices.Index(q.served, p); at >= 0 {
		q.served = slices.Delete(q.served, at, at+1)
	} else if len(q.served) >= maxItems {
		q.served = slices.Delete(q.served, 0, 1)
	}
	q.served = append(q.served, p)
}

// fail remembers a bad record, so that it costs nothing the next time.
func (q *queue) fail(id ID) {
	if len(q.failed) >= maxFailed {
		q.failed = slices.Delete(q.failed, 0, 1)
	}
	q.failed = append(q.failed, id)
}

// expire forgets what waited for too long and returns the OGMs that waited
// with it.
func (q *queue) expire(now mono.Time) (lost []Held) {
	if q.work != nil && now.Sub(q.begun) >= jobLife {
		lost = append(lost, q.work.held...)
		q.work = nil
	}
	q.list = slices.DeleteFunc(q.list, func(i *item) bool {
		if now.Sub(i.at) < itemLife {
			return false
		}
		lost = append(lost, i.held...)
		return true
	})
	return lost
}
