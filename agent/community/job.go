package community

import (
	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// Bounds of the work that is waiting for signatures.
const (
	MaxWaiting = 64 // tasks
	maxPerFrom = 4  // tasks of one source
)

// Source tells those apart who make us work, for fairness: the first bytes of
// a key, or of a hash of an address. The zero value is ourselves.
type Source [8]byte

// SourceOf returns the Source of a node.
func SourceOf(k cjdns.Key) Source { return Source(k[:8]) }

// Job is the slow part of some work: one signature to make or to check. Run
// may be called by any goroutine and touches nothing else; then JobDone takes
// the job back. There is one Job at a time.
type Job struct {
	check   *Head           // whose signature to check; nil: sign
	by      cjdns.VerifyKey // who should have signed
	of      cjdns.VerifyKey // whom the object is about; zero: nobody
	node    cjdns.Key       // its overlay key and address, once checked
	ip      cjdns.IP
	err     error  // of all that
	draft   []byte // what to sign: head and body
	signed  []byte
	purpose func(now mono.Time, j *Job, out *Out)
}

// Run does the work: 10 to 30 ms on slow routers. k is the key of this node.
func (j *Job) Run(k *cjdns.SigningKey, rand func([]byte)) {
	if j.check != nil {
		if !j.by.Verify(j.check.message(), j.check.signature()) {
			j.err = ErrSignature
		} else if (j.of != cjdns.VerifyKey{}) {
			j.node, j.ip, j.err = nodeOf(j.of)
		}
		return
	}
	j.signed = sign(k, rand, j.draft)
}

// task is work that needs signatures. step does the quick part up to the next
// signature and returns it, or nil when everything is done.
type task struct {
	from Source
	step func(now mono.Time, out *Out) *Job
}

// enqueue adds a task if its source has room. Commands of the operator always
// have.
func (c *Community) enqueue(now mono.Time, t task, out *Out) bool {
	own := t.from == Source{}
	n := 0
	for i := range c.tasks {
		if c.tasks[i].from == t.from {
			n++
		}
	}
	if !own && (n >= maxPerFrom || len(c.tasks) >= MaxWaiting) {
		c.drops[DropQueue]++
		return false
	}
	c.tasks = append(c.tasks, t)
	c.advance(now, out)
	return true
}

// advance works on the tasks until one needs a signature.
func (c *Community) advance(now mono.Time, out *Out) {
	for !c.busy && len(c.tasks) > 0 {
		t := c.tasks[0]
		c.busy = true // a step that enqueues must not step again
		j := t.step(now, out)
		c.busy = j != nil
		if j != nil {
			out.Jobs = append(out.Jobs, j)
			return
		}
		c.tasks[0] = task{}
		c.tasks = c.tasks[1:]
	}
}

// JobDone takes back a job that was run.
func (c *Community) JobDone(now mono.Time, j *Job, out *Out) {
	if j.purpose != nil {
		j.purpose(now, j, out)
	}
	c.busy = false
	c.advance(now, out)
}
