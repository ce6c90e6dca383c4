package identity

import (
	"bytes"
	"slices"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

// OGM is what Check looks at.
type OGM struct {
	MAC   batman.MAC // originator
	Seqno uint32
	Has   bool // there is a container of ours
	Container
	Held        // the whole of it, and how it came; Raw is copied if it has to wait
	Routed bool // there is a route to the station Src
}

// Result says what to do with an OGM.
type Result uint8

// Results.
const (
	Unsigned  Result = iota // as if there were no identities
	Valid                   // it fits
	Wait                    // it will be handed back when its record is checked
	Forged                  // refuse: the element does not fit
	Stripped                // refuse: there is no container
	Unchecked               // refuse: too far ahead, no hashes left, or its record is not known
	Past                    // refuse: a valid one that is too old to be of use
	Conflict                // refuse: another key has the address
	BadRecord               // refuse: the record is none, or proved bad
)

// Verdict is what Check found.
type Verdict struct {
	Result
	// Begin: what is known of the originator begins anew with this OGM.
	Begin bool
	// Ask: its record should be asked for.
	Ask bool
	// Bad: it is taken as unsigned, but it carries a record that cannot be its
	// own, such as a copy of somebody else's.
	Bad bool
	// Heard and Rival should be asked whether they are alive: the node whose OGM
	// this is, and the one that is believed.
	Heard, Rival *Node
}

// Check looks at an OGM before anything else is done with it. budget is how
// many hashes there may be beyond the free ones; it is lowered by those spent.
func (t *Table) Check(now mono.Time, o *OGM, budget *int) Verdict {
	p := t.peers[o.MAC]
	switch {
	case p == nil && !o.Has:
		return Verdict{}
	case p == nil:
		if o.Record != nil {
			return Verdict{Bad: !t.first(now, o)}
		}
		return Verdict{Ask: !slices.Contains(t.queue.failed, o.ID)}
	case !o.Has && p.trusted(now):
		p.stripped.see(now)
		return Verdict{Result: Stripped}
	case !o.Has:
		return Verdict{}
	}
	i, why := p.fit(o, budget)
	if why == fitNew || why == fitOld {
		return t.fits(now, p, i, why == fitNew, o)
	}
	return t.unfit(now, p, why, o)
}

// fit finds the claim and chain that the element belongs to. If there is none
// it returns why it is not the one that is in use.
func (p *Peer) fit(o *OGM, budget *int) (i int, why fit) {
	why, first := fitNo, true
	for n := range p.claims {
		i = (p.cur + n) % len(p.claims)
		c := &p.claims[i]
		for j := range c.chains {
			f := &c.chains[j]
			if !f.have {
				continue
			}
			switch got := f.take(&c.links[j], o.Seqno, &o.Element, budget); got {
			case fitNew, fitOld:
				if j == 1 && got == fitNew { // the next chain is in use now
					c.chains[0], c.chains[1] = c.chains[1], c.chains[0]
					c.links[0], c.links[1] = c.links[1], c.links[0]
				}
				return i, got
			default:
				if first {
					why, first = got, false
				}
			}
		}
	}
	return 0, why
}

// fits takes an OGM whose element belongs to claim i.
func (t *Table) fits(now mono.Time, p *Peer, i int, fresh bool, o *OGM) (v Verdict) {
	c := &p.claims[i]
	trusted := p.trusted(now)
	if fresh {
		if !c.heard || now.Sub(c.lastNew) >= c.protect() {
			c.since = now
		}
		c.heard, c.lastNew = true, now
	}
	if o.Record != nil && o.ID != c.node.ID {
		t.renewal(now, c.node, o)
	}
	v.Ask = o.Record == nil && o.ID != c.node.ID && fresh
	if i != p.cur {
		if !p.gives(now, c) {
			p.conflict.see(now)
			v.Result = Conflict
			if !c.node.Alive() {
				v.Heard = c.node
			}
			if old := p.claims[p.cur].node; !old.Alive() {
				v.Rival = old
			}
			return v
		}
		p.cur = i
		c.begun = false
	}
	v.Result = Valid
	if !c.begun || !trusted {
		c.begun, v.Begin = true, true
	}
	return v
}

// gives reports whether the claim that is believed gives way to c.
func (p *Peer) gives(now mono.Time, c *claim) bool {
	old := &p.claims[p.cur]
	return !old.heard || now.Sub(old.lastNew) >= staleClaim || c.node.Alive() && !old.node.Alive()
}

// unfit takes an OGM whose element belongs to nobody that is known.
func (t *Table) unfit(now mono.Time, p *Peer, why fit, o *OGM) Verdict {
	trusted := p.trusted(now)
	refuse := Verdict{Result: Forged}
	switch other := o.Record == nil && !p.knows(o.ID); {
	case other, why == fitFar: // another run perhaps, of which the record got lost
		refuse = Verdict{Result: Unchecked, Ask: o.Record == nil}
	case why == fitUnpaid:
		refuse.Result = Unchecked
	case why == fitPast:
		refuse.Result = Past
	}
	if o.Record != nil {
		r, err := ParseRecord(o.Record)
		if err != nil || r.MAC() != o.MAC {
			return t.refused(now, p, trusted, Verdict{Result: BadRecord})
		}
		i := p.claimOf(&r.A)
		switch {
		case i < 0:
			t.queueRecord(now, classFirst, &r, o, nil)
		case t.restarted(now, p.claims[i].node, &r):
			class, hold := classRestart, o
			if !trusted {
				hold = nil // it is taken as unsigned
			}
			switch t.queueRecord(now, class, &r, o, hold) {
			case queued:
				if trusted {
					return Verdict{Result: Wait}
				}
			case queueBad:
				return t.refused(now, p, trusted, Verdict{Result: BadRecord})
			default:
				if trusted {
					return Verdict{Result: Unchecked}
				}
			}
		case r.Boot < p.claims[i].node.Boot:
			refuse.Heard = p.claims[i].node
		}
	}
	return t.refused(now, p, trusted, refuse)
}

// knows reports whether id is that of a record that is known.
func (p *Peer) knows(id ID) bool {
	return slices.ContainsFunc(p.claims, func(c claim) bool { return c.node.ID == id })
}

// refused is what becomes of an OGM that does not fit: it counts as unsigned if
// nobody is known to have the address.
func (t *Table) refused(now mono.Time, p *Peer, trusted bool, v Verdict) Verdict {
	if !trusted {
		return Verdict{Ask: v.Ask, Heard: v.Heard, Bad: v.Result == BadRecord}
	}
	if v.Result == Forged || v.Result == BadRecord {
		p.forged.see(now)
	}
	return v
}

// restarted reports whether r may be a later record of n.
func (t *Table) restarted(now mono.Time, n *Node, r *Record) bool {
	return r.Newer(&n.Record) || r.Boot < n.Boot && n.lowered && n.lower == r.Boot && now.Sub(n.lowerAt) < lowerTime
}

// first takes the record of an originator that is not known. It reports false
// if it cannot be its own.
func (t *Table) first(now mono.Time, o *OGM) bool {
	r, err := ParseRecord(o.Record)
	if err != nil || r.MAC() != o.MAC {
		return false
	}
	t.queueRecord(now, classFirst, &r, o, nil)
	return true
}

// renewal takes the next record of n, whose OGM fitted.
func (t *Table) renewal(now mono.Time, n *Node, o *OGM) {
	r, err := ParseRecord(o.Record)
	if err == nil && r.MAC() == o.MAC && r.A.SameNode(n.A) && r.Newer(&n.Record) {
		t.queueRecord(now, classKnown, &r, o, nil)
	}
}

// How queueRecord went.
const (
	queued = iota
	queueFull
	queueBad
)

// queueRecord lets the record of an OGM be checked. If hold is given it waits
// for the result.
func (t *Table) queueRecord(now mono.Time, c class, r *Record, o *OGM, hold *OGM) int {
	q := &t.queue
	i := q.has(o.ID)
	if i == nil {
		switch {
		case slices.Contains(q.failed, o.ID):
			return queueBad
		case !q.room(c, o.Src, o.MAC, o.Routed):
			return queueFull
		case RecordID(o.Record) != o.ID:
			return queueBad
		}
		i = &item{class: c, kind: KindRecord, from: o.Src, routed: o.Routed, mac: o.MAC, id: o.ID, raw: bytes.Clone(o.Record), rec: *r, ogm: true, seqno: o.Seqno, elem: o.Element}
		i.job = recordJob(i.raw, r)
		q.add(now, i)
	}
	if hold != nil {
		if len(i.held) >= maxHeld {
			return queueFull
		}
		h := hold.Held
		h.Raw = bytes.Clone(h.Raw)
		i.held = append(i.held, h)
	}
	return queued
}

func recordJob(raw []byte, r *Record) *Job {
	j := &Job{signer: r.A}
	j.msg, j.sig = signedRecord(raw)
	return j
}
