package community

import (
	"encoding/binary"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// Bounds of the tables.
const (
	MaxAdmins   = 16
	MaxMembers  = 4096
	MaxInvites  = 256
	maxContacts = 64
)

// Life times, in seconds.
const (
	membershipLife = 365 * 86400
	revocationLife = 2 * membershipLife // of an entry about a member
	clockSlack     = 86400              // by which the clocks of two nodes may differ
)

// Drop is a reason for which something from outside was not taken.
type Drop uint8

// Values of Drop.
const (
	DropMalformed Drop = iota
	DropCommunity      // of another community
	DropSigner         // signed by nobody whom the root has certified
	DropSignature
	DropKey // no node's key, or not that of the sender
	DropOld // we know a newer one
	DropRevoked
	DropRate
	DropQueue // too much waits for signatures
	DropFull  // a table has no room
	DropStranger
	numDrops
)

var dropNames = [numDrops]string{
	"malformed", "other-community", "unknown-signer", "bad-signature", "bad-key", "old", "revoked", "rate", "queue-full", "table-full", "stranger",
}

// Config is what a Community must know when it is made.
type Config struct {
	Self  cjdns.VerifyKey // A of this node
	Rand  func([]byte)
	Build int64 // when the program was built, seconds since 1970: no clock is earlier
}

// Community is the state of one node: the community it is in, if any, and
// what it knows of it. One goroutine owns it.
type Community struct {
	cfg  Config
	self cjdns.Key
	ip   cjdns.IP

	name   string
	root   signer // root.key is zero if we are in no community
	admins []*signer
	own    *Membership // ours, if we are no admin
	number uint32      // of the last thing we signed
	book   []*invite   // open and used invites: our own and those of other admins

	members              map[cjdns.Key]*member
	certs                map[Hash]bool    // of the members
	uses                 map[InviteID]int // members by the invite that they have used
	revokedMembers       map[cjdns.IP]Reason
	revokedInvites       map[InviteID]Reason
	revokedAdmins        map[cjdns.IP]uint32 // the number up to which what they signed counts
	trustedAt            int64               // the latest time that a trusted clock has shown
	wall                 int64
	wallTrusted          bool
	join                 *joining
	contacts             []contact
	nextTick, sync       mono.Time
	lastSync             mono.Time
	again                int       // rounds that repeat the last news
	nextLook             mono.Time // at what may have expired
	nextRenew            mono.Time
	renewAt              int // index of the admin to ask next
	tasks                []task
	busy                 bool
	punishing            bool // a double use is being revoked
	sources              sourceBuckets
	all, redeems, checks mono.Bucket
	saveSeq, saved       uint64
	held                 []held
	drops                [numDrops]uint64
}

// signer is the root or an admin, with what it has signed.
type signer struct {
	id    ID
	key   cjdns.VerifyKey
	node  cjdns.Key // overlay key; zero for the root
	ip    cjdns.IP
	cert  Admin // of an admin
	pages [Pages]Page
	// through is the number up to which we know its memberships and invites.
	through uint32
	told    bool // that it is a member
}

// Out collects what a Community wants. The owner carries it out and empties
// it.
type Out struct {
	Jobs     []*Job
	Messages []Message
	Verdicts []Verdict
	Events   []Event
	// Save is the number of a state that must be stored: give it to Saved
	// with the outcome. Zero: nothing to store.
	Save uint64
	// Certs says that OwnCerts has changed, Logins that Logins has.
	Certs, Logins bool
	// Revoked says that Revoked has changed.
	Revoked bool
}

// Message is a message to another node, for its overlay session.
type Message struct {
	To   cjdns.Key
	Body []byte // at most MaxMessage bytes
}

// Verdict says whether a node is a member from now on.
type Verdict struct {
	Key    cjdns.Key
	Member bool
	Reason string // why not
}

// Event is something for the log.
type Event struct {
	Warn bool
	Text string
}

// New returns the Community of a node that is in none.
func New(cfg Config, now mono.Time) (*Community, error) {
	c := &Community{cfg: cfg}
	var err error
	if c.self, c.ip, err = nodeOf(cfg.Self); err != nil {
		return nil, err
	}
	var seed [4]byte
	cfg.Rand(seed[:])
	c.sources.seed = binary.BigEndian.Uint32(seed[:])
	c.reset()
	c.nextTick, c.sync, c.nextRenew = now, now, now
	return c, nil
}

// reset forgets the community, but not the invites for stock nodes.
func (c *Community) reset() {
	c.name, c.root, c.admins, c.own = "", signer{}, nil, nil
	var stock []*invite
	for _, v := range c.book {
		if v.stock {
			stock = append(stock, v)
		}
	}
	c.book = stock
	c.members, c.certs, c.uses = make(map[cjdns.Key]*member), make(map[Hash]bool), make(map[InviteID]int)
	for i := range c.contacts {
		c.contacts[i].told, c.contacts[i].tries = 0, 0
	}
	c.rebuild()
}

// In reports whether the node is in a community.
func (c *Community) In() bool { return c.root.key != cjdns.VerifyKey{} }

// admin returns the admin of this ID, or nil.
func (c *Community) admin(id ID) *signer {
	for _, s := range c.admins {
		if s.id == id {
			return s
		}
	}
	return nil
}

// adminNode returns the admin with this overlay key, or nil.
func (c *Community) adminNode(k cjdns.Key) *signer {
	for _, s := range c.admins {
		if s.node == k {
			return s
		}
	}
	return nil
}

// signer returns the root or an admin, or nil.
func (c *Community) signer(id ID) *signer {
	if id == c.root.id && c.In() {
		return &c.root
	}
	return c.admin(id)
}

// isAdmin reports whether we are an admin in good standing.
func (c *Community) isAdmin() bool {
	s, _ := c.standing(c.self)
	return s == StandingAdmin
}

// SetWall tells the time of day, seconds since 1970. trusted means that a
// time server has set it.
func (c *Community) SetWall(unix int64, trusted bool) {
	c.wall, c.wallTrusted = unix, trusted
	if trusted {
		c.trustedAt = max(c.trustedAt, unix)
	}
}

// clock returns what time it is, seconds since 1970. If sure is false, it is
// at least that: nothing that has ended by then is valid, but nothing can be
// called too new.
//
// A trusted clock outranks what was stored and what others have signed:
// otherwise one wrong instant would end every membership for good.
func (c *Community) clock() (now int64, sure bool) {
	if c.wallTrusted && c.wall >= c.cfg.Build-clockSlack {
		return max(c.cfg.Build, c.wall), true
	}
	now = max(c.cfg.Build, c.trustedAt)
	if c.In() {
		now = max(now, c.timeOf(&c.root))
	}
	for _, s := range c.admins {
		now = max(now, c.timeOf(s))
	}
	return now, false
}

// timeOf is the latest time in a page of s that counts.
func (c *Community) timeOf(s *signer) (t int64) {
	for i := range s.pages {
		if p := &s.pages[i]; p.Raw != nil && c.counts(s, p.Number) {
			t = max(t, int64(p.Time))
		}
	}
	return t
}

// signers returns the root and the admins.
func (c *Community) signers() []*signer {
	if !c.In() {
		return nil
	}
	return append([]*signer{&c.root}, c.admins...)
}

// guess is the time that we write into what we sign: the clock of the host
// unless it is impossible.
func (c *Community) guess() int64 {
	now, sure := c.clock()
	const tooFar = 20 * 365 * 86400
	if !sure && c.wall > now && c.wall < now+tooFar {
		return c.wall
	}
	return now
}

// signedTime is the time for pages, from which others learn it: 0 unless we
// are sure.
func (c *Community) signedTime() uint32 {
	if now, sure := c.clock(); sure {
		return stamp(now)
	}
	return 0
}

// stamp brings a time into the 32 bits of an object.
func stamp(unix int64) uint32 {
	return uint32(min(max(unix, 0), 1<<32-1)) //nolint:gosec // bounded in this line
}

// save asks for the state to be stored.
func (c *Community) save(out *Out) {
	c.saveSeq++
	out.Save = c.saveSeq
}

// held is an answer that waits until the state it speaks of is stored.
type held struct {
	seq  uint64
	done func(err error, out *Out)
}

// whenSaved stores the state, and calls done when that is done.
func (c *Community) whenSaved(out *Out, done func(err error, out *Out)) {
	c.save(out)
	c.held = append(c.held, held{c.saveSeq, done})
}

// Urgent reports whether somebody waits until the state is stored.
func (c *Community) Urgent() bool { return len(c.held) > 0 }

// Saved tells what became of storing the state numbered seq, and so of all
// before it.
func (c *Community) Saved(seq uint64, err error, out *Out) {
	c.saved = max(c.saved, seq)
	var rest []held
	for _, h := range c.held {
		if h.seq <= seq {
			h.done(err, out)
		} else {
			rest = append(rest, h)
		}
	}
	c.held = rest
}

// Deadline returns when Expire wants to be called.
func (c *Community) Deadline() mono.Time { return c.nextTick }

const tickTime = time.Second

// Expire does what is due.
func (c *Community) Expire(now mono.Time, out *Out) {
	if now < c.nextTick {
		return
	}
	c.nextTick = now.Add(tickTime)
	c.joinTick(now, out)
	if now >= c.nextLook {
		c.nextLook = now.Add(time.Minute)
		out.Logins = out.Logins || len(c.book) > 0 // some may have expired
		c.review(out)
	}
	if !c.In() {
		return
	}
	c.syncTick(now, out)
	c.renewTick(now, out)
}

// event says something for the log.
func (out *Out) event(warn bool, text string) { out.Events = append(out.Events, Event{warn, text}) }
