package identity

import (
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// Chains and records of this node.
const (
	// firstChain is the length of the chains of a start, short because the
	// first OGM waits for them; laterChain is that of all others, which are
	// built 64 elements with each OGM.
	firstChain = 640
	laterChain = 4096
	buildStep  = 64
	// When renewAt numbers are left, the next chain is begun. It is in use
	// overlap numbers later, of which the last 64 are for its record to spread.
	renewAt = 576
	overlap = 128
	// lateChain is how many OGMs before its first number the record of a new
	// chain has to be signed; else another one is begun.
	lateChain = 24

	signEvery = 10 * time.Second // records, on the average
	signBurst = 3                // at once
	signCosts = 2 * time.Minute  // since the last record, if only link costs have changed that were told before
	signAgain = Lifetime * time.Second
	pointAge  = Gap / 2 // numbers after which the points of a record are old
	signLimit = 10 * time.Second

	recordEvery = 16 // OGMs of the primary interface
	recordRides = 4  // OGMs that carry a new record
	maxPut      = 4  // OGMs for which changes of the table go before the record
)

// Facts are what a node says in its record beside its chains.
type Facts struct {
	Uplink  bool
	Clock   uint32
	TTVN    uint8
	Gateway batman.Gateway
	Member  [8]byte
	Costs   // as many as there is room for are told
}

// flags are those of a record.
func (f *Facts) flags() (b uint8) {
	if f.Uplink {
		b |= FlagUplink
	}
	if f.Clock != 0 {
		b |= FlagTime
	}
	return b
}

// Iface is a hard interface of this node and the number of its next OGM.
type Iface struct {
	MAC  batman.MAC
	Next uint32
}

// Self is the identity of this node: its chains, its record, and what signs.
type Self struct {
	a      cjdns.VerifyKey
	boot   uint32
	serial uint32
	random func([]byte)

	chains []*selfChain // of the interfaces in the record, the primary first
	facts  Facts        // of the record
	record []byte
	id     ID
	parsed Record
	since  mono.Time // when it was signed
	rides  int       // OGMs that still carry it in a row
	count  int       // OGMs since one carried it
	put    int       // OGMs that should have

	want    bool // something changed
	signing *Job
	begun   mono.Time // of signing
	draft   Record
	bucket  mono.Time // when there will be signBurst signatures again
	roams   uint32    // number of the last roaming packet
}

// selfChain is a hard interface's chain, and the one to come.
type selfChain struct {
	mac  batman.MAC
	next uint32 // number of the next OGM
	now  *Chain
	then *Chain // nil while there is time
	told bool   // then is in the record
}

// NewSelf makes the identity of the key a. Its records are numbered from
// serial+1, which must be more than what an earlier one of the same boot has
// used. random fills a slice with bytes that nobody else can know.
func NewSelf(a cjdns.VerifyKey, boot, serial uint32, random func([]byte)) *Self {
	return &Self{a: a, boot: boot, serial: serial, random: random, want: true}
}

// Record returns the newest record with its signature; nil if there is none.
func (s *Self) Record() []byte { return s.record }

// Gateway is what the record says, and so what OGMs must say.
func (s *Self) Gateway() batman.Gateway { return s.parsed.Gateway }

// Ready reports whether there is a record and its chains are those in use.
func (s *Self) Ready(mac batman.MAC) bool {
	c := s.chain(mac)
	return s.record != nil && c != nil && s.parsed.names(mac, c.now.id)
}

func (r *Record) names(mac batman.MAC, chain uint32) bool {
	for i := range r.Points[:r.N] {
		if r.Points[i].MAC == mac && r.Points[i].Chain == chain {
			return true
		}
	}
	return false
}

func (s *Self) chain(mac batman.MAC) *selfChain {
	for _, c := range s.chains {
		if c.mac == mac {
			return c
		}
	}
	return nil
}

func (s *Self) newChain(mac batman.MAC, first uint32, length int) *Chain {
	var id [4]byte
	var secret Element
	s.random(id[:])
	s.random(secret[:])
	return NewChain(&s.a, mac, be.Uint32(id[:]), first, length, secret)
}

// SetIfaces says which interfaces belong to this node, the primary first. Only
// the first four are signed. A new one costs 640 hashes.
func (s *Self) SetIfaces(list []Iface) {
	list = list[:min(len(list), MaxIfaces)]
	old := s.chains
	s.chains = make([]*selfChain, 0, len(list))
	for i, f := range list {
		var c *selfChain
		for _, o := range old {
			if o.mac == f.MAC && o.now.Left(f.Next) > 1 {
				c = o
			}
		}
		if c == nil {
			c = &selfChain{mac: f.MAC, now: s.newChain(f.MAC, f.Next-1, firstChain)}
			c.now.Build(firstChain)
		}
		c.next = f.Next
		s.chains = append(s.chains, c)
		s.want = s.want || i >= len(old) || old[i] != c
	}
	s.want = s.want || len(old) != len(s.chains)
}

// Element returns the element of an OGM that is about to be sent, and prepares
// the next chain. false: the OGM goes unsigned, because the record does not name
// the chain yet.
func (s *Self) Element(mac batman.MAC, seqno uint32) (Element, bool) {
	c := s.chain(mac)
	if c == nil {
		return Element{}, false
	}
	c.next = seqno + 1
	if c.now.Left(seqno) == 0 { // nobody signed in time
		c.now, c.then, c.told = s.newChain(mac, seqno-1, firstChain), nil, false
		c.now.Build(firstChain)
		s.want = true
	}
	s.renew(c, seqno)
	e, ok := c.now.At(seqno)
	return e, ok && s.parsed.names(mac, c.now.id)
}

// renew takes the next chain of an interface a step further. One interface
// does so at a time, because a record has room for one more point only.
func (s *Self) renew(c *selfChain, seqno uint32) {
	t := c.then
	if t == nil {
		if c.now.Left(seqno) > renewAt || s.renewing() {
			return
		}
		t = s.newChain(c.mac, seqno+overlap-1, laterChain)
		c.then, c.told = t, false
	}
	ahead := int32(t.first - seqno) // OGMs of the present chain behind this one
	switch {
	case c.told && ahead < 0:
		c.now, c.then, c.told = t, nil, false
	case !c.told && ahead < lateChain:
		c.then = nil // its record did not come about
	case t.todo > 0 && t.Build(buildStep):
		s.want = true
	}
}

func (s *Self) renewing() bool {
	for _, c := range s.chains {
		if c.then != nil {
			return true
		}
	}
	return false
}

// Sign returns the job of signing a new record if there is a reason for one,
// and none was begun too lately. digest returns that of the translation table
// of f's TTVN.
func (s *Self) Sign(now mono.Time, f Facts, digest func() [16]byte) *Job {
	if s.signing != nil && now.Sub(s.begun) < signLimit || len(s.chains) == 0 {
		return nil
	}
	s.want = s.want || s.signing != nil // that one was lost
	same := f
	same.Clock = s.facts.Clock
	tokens := 1
	switch {
	case s.want, s.record == nil, now.Sub(s.since) >= signAgain, s.pointsOld():
	case same == s.facts:
		return nil
	default:
		same.Costs = s.facts.Costs
		if same == s.facts && s.facts.K > 0 && now.Sub(s.since) < signCosts {
			return nil
		}
		same.TTVN = s.facts.TTVN
		if same == s.facts {
			tokens = 2 // clients and costs come and go; what is worse has to wait for nothing
		}
	}
	full := max(s.bucket, now)
	if full.Sub(now) > signEvery*time.Duration(signBurst-tokens) {
		return nil
	}
	s.bucket = full.Add(signEvery)
	s.serial++
	s.want, s.facts = false, f
	r := Record{Flags: f.flags(), Boot: s.boot, Serial: s.serial, Time: f.Clock, Lifetime: Lifetime, TTVN: f.TTVN, Gateway: f.Gateway, Digest: digest(), Member: f.Member, A: s.a}
	add := func(c *Chain, seqno uint32) {
		if p, ok := c.point(seqno); ok && r.N < MaxPoints {
			r.Points[r.N] = p
			r.N++
		}
	}
	for _, c := range s.chains {
		add(c.now, c.next-1)
	}
	for _, c := range s.chains {
		if c.then != nil && c.then.todo == 0 {
			add(c.then, c.then.first)
		}
	}
	if r.N == 0 || r.Points[0].MAC != s.chains[0].mac {
		return nil
	}
	r.Costs = f.Costs
	for ; r.K > r.room(); r.K-- {
		r.List[r.K-1] = LinkCost{}
	}
	s.draft, s.begun = r, now
	s.signing = &Job{signer: s.a, sign: true, msg: r.appendContent([]byte(contextRecord))}
	return s.signing
}

// pointsOld reports whether newcomers have much to hash.
func (s *Self) pointsOld() bool {
	return s.record != nil && s.chains[0].next-s.parsed.Points[0].Seqno > pointAge && s.parsed.Points[0].Chain == s.chains[0].now.id
}

// Signing reports whether j is the job of Sign that is under way.
func (s *Self) Signing(j *Job) bool { return j != nil && j == s.signing }

// Signed takes the job back. It reports whether there is a new record.
func (s *Self) Signed(now mono.Time, j *Job) bool {
	s.signing = nil
	if !j.ok {
		s.want = true
		return false
	}
	s.record = append(append([]byte(nil), j.msg[len(contextRecord):]...), j.out[:]...)
	s.parsed, s.id, s.since = s.draft, RecordID(s.record), now
	s.rides, s.count, s.put = recordRides, 0, 0
	for _, c := range s.chains {
		c.told = c.then != nil && s.parsed.names(c.mac, c.then.id)
	}
	return true
}

// RecordDue reports whether the next OGM of the primary interface should carry
// the record. It may be put off for some OGMs if there is something better to
// do with the room.
func (s *Self) RecordDue() (due, putOff bool) {
	due = s.record != nil && (s.rides > 0 || s.count >= recordEvery-1)
	return due, s.put < maxPut
}

// AppendOther appends our container for an OGM of an interface that is not the
// primary one.
func (s *Self) AppendOther(dst []byte, typ uint8, e Element) []byte {
	return appendContainer(dst, typ, &Container{ID: s.id, Element: e})
}

// Append appends our container for an OGM of the primary interface with that
// element. due is what RecordDue said, with is whether the record comes along.
func (s *Self) Append(dst []byte, typ uint8, e Element, due, with bool) []byte {
	c := Container{ID: s.id, Element: e}
	switch {
	case with:
		c.Record = s.record
		s.count, s.put, s.rides = 0, 0, max(0, s.rides-1)
	case due:
		s.put++
	default:
		s.count++
	}
	return appendContainer(dst, typ, &c)
}

// AnswerJob signs the answer to a challenge; the content comes out of Content.
func (s *Self) AnswerJob(src, dst batman.MAC, n Nonce) *Job {
	a := answer{nonce: n, boot: s.boot}
	return &Job{signer: s.a, sign: true, msg: between(contextChallenge, src, dst, a.append(nil))}
}

// RoamJob signs a roaming packet, of which the clients are given.
func (s *Self) RoamJob(src, dst batman.MAC, clients []Moved) *Job {
	s.roams++
	r := Roam{Boot: s.boot, Number: s.roams, Clients: clients}
	return &Job{signer: s.a, sign: true, msg: between(contextRoam, src, dst, r.append(nil))}
}

// Content returns the signed content of a packet, the signature at its end;
// false if the job was not done.
func (j *Job) Content() ([]byte, bool) {
	const head = len(contextRecord) + 12 // all contexts are 16 bytes
	if !j.sign || !j.ok || len(j.msg) < head {
		return nil, false
	}
	return append(append([]byte(nil), j.msg[head:]...), j.out[:]...), true
}
