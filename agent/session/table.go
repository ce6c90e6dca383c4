package session

import (
	"cmp"
	"encoding/binary"
	"slices"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/cryptoauth"
	"github.com/meshagent/meshagent/agent/mono"
)

// Session is one end-to-end session. Its fields belong to the node; the table
// only needs IP and Recv to stay as they are.
type Session struct {
	// Set once, when the session is made.
	CA   *cryptoauth.Session
	Key  cjdns.Key
	IP   cjdns.IP
	Recv uint32 // the handle under which we receive; at least 4

	Version uint32 // what the other end speaks; 0 unknown
	Send    uint32 // the handle that the other end gave us; 0 unknown
	// Candidate is the handle that came with a handshake which is not yet
	// proven fresh. It replaces Send when the handshake is promoted, so
	// that a replayed hello cannot divert a session.
	Candidate uint32

	Path    cjdns.Label // where we send; 0 none
	Why     Reason      // it is that one
	Changes uint32      // of Path
	Changed mono.Time   // the last one
	// Was is the way before the last change, 0 if there was none, with the
	// costs of both as they were measured then, 0 if they were not.
	Was           cjdns.Label
	Cost, WasCost time.Duration

	Patience Patience
	// Back is where the other end's data came along last. Doubt is since
	// when Path is in doubt because of it, Never if it is not; with Back at
	// Trusted it was found to work all the same.
	Back, Trusted cjdns.Label
	Doubt         mono.Time

	// Alt is another path on which authenticated traffic came in; 0 none.
	Alt   cjdns.Label
	AltAt mono.Time

	Created   mono.Time
	LastIn    mono.Time // last fresh packet
	LastOut   mono.Time // last packet of any kind
	LastData  mono.Time // last packet of a local program, either way: keeps the session alive
	Deaf      mono.Time // first of a row of packets that did not open; 0: none lately
	NextDeaf  mono.Time // before, they begin no handshake
	Errand    mono.Time // last message of this node that has to arrive: the same, but the ways are not measured for it
	Asking    mono.Time // when the first packet went out after the last fresh one; Never if answered
	NextPing  mono.Time
	NextRenew mono.Time
	NextError mono.Time // when the next error frame about it may be believed
	NextHeard mono.Time // when the pathfinder shall next hear that the path works
	Backoff   uint8     // doublings of the time between attempts while nothing answers

	// An outstanding liveness query.
	PingAt mono.Time
	RTT    int64 // ns, smoothed; 0 unknown

	BytesIn, BytesOut uint64
}

// Wanted is when something last needed the session.
func (s *Session) Wanted() mono.Time { return max(s.LastData, s.Errand) }

// Reason says why a session uses its path.
type Reason uint8

// Reasons.
const (
	Found    Reason = iota // the first that was known
	Theirs                 // the other end came along it
	Better                 // it was measured to be clearly better than another
	Broken                 // another one did not answer
	Refused                // a switch on another one has reported an error
	PeerLost               // the peer where another one begins is gone
	Followed               // another one did not answer, and the other end had left it
)

// IsBroken reports whether the way before was left because it does not work.
func (r Reason) IsBroken() bool { return r >= Broken }

// String names the reason as the status shows it.
func (r Reason) String() string {
	return [...]string{"found", "theirs", "better", "broken"}[min(r, Broken)]
}

// Cause is String with the kinds of broken ways told apart.
func (r Reason) Cause() string {
	if r <= Broken {
		return r.String()
	}
	return [...]string{"refused", "peer-lost", "followed"}[min(r, Followed)-Refused]
}

// Table finds sessions by address and by handle. One owner.
type Table struct {
	byIP   map[cjdns.IP]*Session
	byRecv map[uint32]*Session
	list   []*Session // ascending by Recv
	next   uint32
	limit  int
	// Evicted counts sessions dropped to make room.
	Evicted uint64
}

// handleSpan is how far the first handle may lie from the smallest legal one.
// Source: cjdns net/SessionManager.c, firstHandle.
const (
	minHandle  = 4
	handleSpan = 100000
)

// NewTable returns an empty table for at most limit sessions. rand fills a
// slice with random bytes: handles start at a random number, so that a frame
// for a session of an earlier life is recognised as unknown.
func NewTable(limit int, rand func([]byte)) *Table {
	var seed [4]byte
	rand(seed[:])
	return &Table{
		byIP:   make(map[cjdns.IP]*Session),
		byRecv: make(map[uint32]*Session),
		next:   minHandle + binary.BigEndian.Uint32(seed[:])%handleSpan,
		limit:  limit,
	}
}

// Len returns the number of sessions, Limit the bound.
func (t *Table) Len() int { return len(t.byIP) }

// Limit returns the largest number of sessions the table holds.
func (t *Table) Limit() int { return t.limit }

// SetLimit changes the bound. Sessions beyond it stay until they are dropped
// or give way, one for each new one.
func (t *Table) SetLimit(n int) { t.limit = n }

// ByIP returns the session with ip, or nil.
func (t *Table) ByIP(ip cjdns.IP) *Session { return t.byIP[ip] }

// ByHandle returns the session that receives under handle, or nil.
func (t *Table) ByHandle(handle uint32) *Session { return t.byRecv[handle] }

// Add makes a session with the owner of key, whose address must not be in the
// table. A full table first drops the session that Victim names; if none may
// go, Add returns nil.
func (t *Table) Add(now mono.Time, key cjdns.Key, ip cjdns.IP, ca *cryptoauth.Session) *Session {
	if len(t.byIP) >= t.limit {
		v := t.victim(now)
		if v == nil {
			return nil
		}
		t.Drop(v)
		t.Evicted++
	}
	s := &Session{
		CA: ca, Key: key, IP: ip, Recv: t.handle(),
		Created: now, LastIn: -1, LastOut: -1, LastData: now,
		Errand: -1 << 62, // long ago
		Asking: mono.Never, Doubt: mono.Never, NextPing: now, NextRenew: now, PingAt: mono.Never,
	}
	t.byIP[ip] = s
	t.byRecv[s.Recv] = s
	at, _ := t.find(s)
	t.list = slices.Insert(t.list, at, s)
	return s
}

// handle draws the next free handle.
func (t *Table) handle() uint32 {
	for {
		h := t.next
		t.next++
		if t.next >= 0xfffffff0 {
			t.next = minHandle
		}
		if h >= minHandle && t.byRecv[h] == nil {
			return h
		}
	}
}

// Drop removes s.
func (t *Table) Drop(s *Session) {
	if t.byIP[s.IP] == s {
		delete(t.byIP, s.IP)
		delete(t.byRecv, s.Recv)
		if at, ok := t.find(s); ok {
			t.list = slices.Delete(t.list, at, at+1)
		}
	}
}

// find returns where s stands in the list, or would.
func (t *Table) find(s *Session) (at int, ok bool) {
	return slices.BinarySearchFunc(t.list, s, func(a, b *Session) int { return cmp.Compare(a.Recv, b.Recv) })
}

// graceUnused is how long an established session is safe from eviction after
// its last use: strangers cannot push out sessions that carry traffic.
const graceUnused = 10 * time.Second

// victim names the session to drop for a new one: the oldest that never
// became established, else the one idle for longest, but none that local
// programs used in the last ten seconds.
func (t *Table) victim(now mono.Time) *Session {
	var half, idle *Session
	for _, s := range t.list {
		switch {
		case !s.CA.Established():
			if half == nil || older(s.Created, s, half.Created, half) {
				half = s
			}
		case now.Sub(s.Wanted()) > graceUnused:
			if idle == nil || older(s.Wanted(), s, idle.Wanted(), idle) {
				idle = s
			}
		}
	}
	if half != nil {
		return half
	}
	return idle
}

// older orders by time, then by handle, so that map order never shows.
func older(a mono.Time, s *Session, b mono.Time, u *Session) bool {
	return a < b || a == b && s.Recv < u.Recv
}

// All returns the sessions in the order of their handles, as a copy: for status
// and house-keeping, which may drop some.
func (t *Table) All() []*Session { return slices.Clone(t.list) }
