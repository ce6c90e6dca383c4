package identity

import (
	"slices"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// Next returns the next check to make, nil if there is none or the rate, in
// checks a second, does not allow it yet.
func (t *Table) Next(now mono.Time, rate int) *Job { return t.queue.next(now, rate) }

// Deadline is when Next wants to be called.
func (t *Table) Deadline(rate int) mono.Time {
	if len(t.queue.list) == 0 || t.queue.work != nil {
		return mono.Never
	}
	return t.queue.due(rate)
}

// Outcome is what a check led to.
type Outcome struct {
	Kind uint8 // KindRecord, KindAnswer, KindRoam
	// Bad: the signature is none. Held then are OGMs that go with it.
	Bad  bool
	Held []Held     // to be handed in again, or dropped if Bad
	Node *Node      // whose it is; nil if it is of no use
	MAC  batman.MAC // in whose name it came
	// Begin: the OGM that brought the record fits, so that what is known of the
	// originator begins anew with that number.
	Begin bool
	Seqno uint32
	Certs [][]byte
	Roam  Roam
	Text  string // for the log
	Clone bool   // signed with this node's own key
}

// Done takes back a check that Next gave. It reports false for others, also
// for those that took too long.
func (t *Table) Done(now mono.Time, j *Job) (o Outcome, ok bool) {
	i := t.queue.work
	if i == nil || i.job != j {
		return o, false
	}
	t.queue.work = nil
	o = Outcome{Kind: i.kind, Bad: !j.ok, Held: i.held, MAC: i.mac, Seqno: i.seqno, Certs: i.certs}
	switch {
	case i.kind == KindRecord:
		t.recordDone(now, i, &o)
	case o.Bad:
	case i.kind == KindAnswer:
		t.answered(now, i, &o)
	case i.kind == KindRoam:
		if n := i.node; n.Boot == i.roam.Boot && (!n.roamed || int32(i.roam.Number-n.roam) > 0) {
			n.roamed, n.roam = true, i.roam.Number
			o.Node, o.Roam = n, i.roam
		}
	}
	return o, true
}

func (t *Table) recordDone(now mono.Time, i *item, o *Outcome) {
	switch {
	case o.Bad:
		t.queue.fail(i.id)
		return
	case i.rec.A.SameNode(t.a):
		t.queue.fail(i.id) // it is of no use, so it shall cost nothing again
		o.Clone = true
		return
	}
	n, text := t.install(now, &i.rec, i.id, i.job.key, i.job.ip)
	o.Node, o.Text = n, text
	if n == nil {
		return
	}
	if p := t.peers[i.mac]; i.ogm && p != nil && len(o.Held) == 0 {
		budget := Gap
		m := &OGM{MAC: i.mac, Seqno: i.seqno, Has: true, Container: Container{ID: i.id, Element: i.elem}}
		if k, why := p.fit(m, &budget); why == fitNew {
			o.Begin = t.fits(now, p, k, true, m).Begin
		}
	}
}

func (t *Table) answered(now mono.Time, i *item, o *Outcome) {
	n := i.node
	n.asked = false
	switch {
	case i.answer.boot == n.Boot:
		n.answered = true
	case i.answer.boot < n.Boot:
		n.lower, n.lowerAt, n.lowered = i.answer.boot, now, true
	default:
		return // it will show its record
	}
	o.Node = n
}

// Record takes a record that came as an answer to a request. last is the last
// OGM of its originator; Src and Routed are those of the answer. It reports the
// node if the record is the one that is known already; then nothing is checked.
// ok is false if it is no record of that originator, old, or there is no room.
func (t *Table) Record(now mono.Time, last *OGM, raw []byte, certs [][]byte) (known *Node, ok bool) {
	mac := last.MAC
	r, err := ParseRecord(raw)
	if err != nil || r.MAC() != mac {
		return nil, false
	}
	id := RecordID(raw)
	if n := t.nodes[keyOf(r.A, mac)]; n != nil {
		if n.ID == id {
			return n, true
		}
		if !t.restarted(now, n, &r) {
			return nil, false
		}
	}
	q := &t.queue
	if i := q.has(id); i != nil {
		i.certs = certs
		return nil, true
	}
	if slices.Contains(q.failed, id) || !q.room(classAsked, last.Src, mac, last.Routed) {
		return nil, false
	}
	i := &item{
		class: classAsked, kind: KindRecord, from: last.Src, routed: last.Routed, mac: mac, id: id, raw: raw, rec: r, certs: certs,
		ogm: last.Has, seqno: last.Seqno, elem: last.Element,
	}
	i.job = recordJob(raw, &r)
	q.add(now, i)
	return nil, true
}

// Challenge returns what to ask n with; false if it was asked a moment ago.
func (t *Table) Challenge(now mono.Time, n *Node, random func([]byte)) (Nonce, bool) {
	if n.asked && now.Sub(n.nonceAt) < challengeEvery {
		return Nonce{}, false
	}
	random(n.nonce[:])
	n.nonceAt, n.asked = now, true
	return n.nonce, true
}

// Answer takes the answer to a challenge, which src sent to self.
func (t *Table) Answer(now mono.Time, src, self, from batman.MAC, routed bool, content []byte) bool {
	a, err := parseAnswer(content)
	p := t.peers[src]
	if err != nil || p == nil {
		return false
	}
	for k := range p.claims {
		n := p.claims[k].node
		if !n.asked || n.nonce != a.nonce || now.Sub(n.nonceAt) >= answerLife || n.MAC() != src || !t.queue.room(classRestart, from, src, routed) {
			continue
		}
		i := &item{class: classRestart, kind: KindAnswer, from: from, routed: routed, mac: src, node: n, answer: a}
		i.job = &Job{signer: n.A, msg: between(contextChallenge, src, self, a.append(nil)), sig: bytesOf(a.sig)}
		t.queue.add(now, i)
		return true
	}
	return false
}

// Roaming takes a roaming packet, which src sent to self. It is checked if src
// is verified and the number is new.
func (t *Table) Roaming(now mono.Time, src, self, from batman.MAC, routed bool, content []byte) bool {
	r, body, sig, err := parseRoam(content)
	n := t.Node(now, src)
	if err != nil || n == nil || n.MAC() != src || r.Boot != n.Boot || n.roamed && int32(r.Number-n.roam) <= 0 || !t.queue.room(classRestart, from, src, routed) {
		return false
	}
	i := &item{class: classRestart, kind: KindRoam, from: from, routed: routed, mac: src, node: n, roam: r}
	i.job = &Job{signer: n.A, msg: between(contextRoam, src, self, body), sig: bytesOf(sig)}
	t.queue.add(now, i)
	return true
}

func bytesOf(sig []byte) []byte { return append(make([]byte, 0, cjdns.SignatureLen), sig...) }
