package pathfinder

import (
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// How the table is kept. One step is made at a time; each asks one node, or
// begins a search of a few. The pause between steps doubles as long as nothing
// better comes of them, and begins anew when something does, or when a peer
// comes or goes. Source of the tasks: cjdns dht/dhtcore/Janitor.c.
const (
	upkeepQuick = 2 * time.Second
	upkeepRest  = 2 * time.Minute
	upkeepAsks  = 3 // nodes asked in a search for nodes of a bucket; 1 at rest
	// The search for our own address tells those near to it of us.
	ownFirst = time.Second // after the first peer has come up
	ownQuick = 30 * time.Second
	ownRest  = 30 * time.Minute
	ownAsks  = 8
	// stale is how long a node of the table is believed to be there.
	stale = 10 * time.Minute
)

// upkeep is the state of it.
type upkeep struct {
	next, own       mono.Time // next step, next search for our own address
	pause, ownPause time.Duration
	turn            uint8
	bucket          int           // whose nodes were looked for last
	grown           bool          // a node has got a free place in its bucket
	served          bool          // a supernode answers: only the minimum
	polled          []cjdns.Label // who was asked for a supernode lately
}

// stir lets upkeep begin anew: a peer has come or gone, or the supernode has.
func (f *Finder) stir(now mono.Time) {
	u := &f.upkeep
	pause := upkeepQuick
	switch {
	case u.served:
		pause = upkeepRest
	case u.pause == 0: // the first time
		pause = ownFirst
	}
	if u.pause == 0 {
		u.next, u.own = mono.Never, now
	}
	u.next = mono.Min(u.next, now.Add(f.jitter(pause)))
	u.own = max(u.next, mono.Min(u.own, now.Add(ownQuick)))
	u.pause, u.ownPause = pause, ownQuick
}

// Served tells whether a supernode answers. As long as one does, upkeep takes
// only as many steps as at rest.
func (f *Finder) Served(now mono.Time, yes bool) {
	if f.upkeep.served != yes {
		f.upkeep.served = yes
		if !yes {
			f.stir(now)
		}
	}
}

// upkeepDue returns when the next step is due; never without a peer.
func (f *Finder) upkeepDue() mono.Time {
	if len(f.peers) == 0 || f.upkeep.pause == 0 {
		return mono.Never
	}
	return f.upkeep.next
}

// keepUp makes the step that is due.
func (f *Finder) keepUp(now mono.Time, out *Out) {
	u := &f.upkeep
	if now < f.upkeepDue() {
		return
	}
	u.pause = min(2*u.pause, upkeepRest)
	if u.grown {
		u.pause = upkeepQuick
	}
	if u.grown = false; u.served {
		u.pause = upkeepRest
	}
	u.next = now.Add(f.jitter(u.pause))
	if now >= u.own {
		u.ownPause = min(2*u.ownPause, ownRest)
		u.own = now.Add(f.jitter(u.ownPause))
		f.look(now, f.selfIP, ownAsks, out)
		return
	}
	f.place(now)
	for range 3 {
		u.turn++
		if f.task(now, u.turn%3, out) {
			return
		}
	}
}

// task does one of the tasks of upkeep. It reports false if there is nothing
// to do.
func (f *Finder) task(now mono.Time, kind uint8, out *Out) bool {
	var proven [numBuckets]int
	last := 0
	var claim, old *entry
	for _, e := range f.nodes {
		b := bucketOf(f.selfIP, e.ip)
		if last = max(last, b); e.answered() && e.best(now) != nil {
			proven[b]++
			if e.placed && e.peer == 0 && now.Sub(e.proven()) > stale && (old == nil || f.staler(e, old)) {
				old = e
			}
		}
	}
	switch kind {
	case 0: // find out whether a node that was named is there
		for _, e := range f.nodes {
			if e.placed && !e.answered() && e.version != 0 && (e.asked == 0 || now.Sub(e.asked) > stale) &&
				(claim == nil || f.nearer(now, e, claim)) && f.worth(e) {
				claim = e
			}
		}
		return f.check(now, claim, f.selfIP, out)
	case 1: // ask one that was not asked for long who is near to it
		if old == nil {
			return false
		}
		return f.check(now, old, within(f.selfIP, bucketOf(f.selfIP, old.ip), f.cfg.Rand), out)
	}
	if f.client != nil && f.client.seeks() && f.askSnode(now, out) {
		return true
	}
	// Look for more nodes of a bucket with free places.
	for range last + 1 {
		if f.upkeep.bucket++; f.upkeep.bucket > last {
			f.upkeep.bucket = 0
		}
		if b := f.upkeep.bucket; proven[b] < bucketPlaces {
			asks := upkeepAsks
			if f.upkeep.pause >= upkeepRest {
				asks = 1
			}
			return f.look(now, within(f.selfIP, b, f.cfg.Rand), asks, out)
		}
	}
	return false
}

// worth reports whether e is worth asking: nodes of our mesh without an uplink
// know nothing that we do not.
func (f *Finder) worth(e *entry) bool { return f.cfg.Skip == nil || !f.cfg.Skip(f.selfIP, e.ip) }

// nearer orders nodes that were named by how near they are, in addresses and
// in hops. Source: cjdns dht/dhtcore/RumorMill.c, getBadness.
func (f *Finder) nearer(now mono.Time, a, b *entry) bool {
	x := a.best(now).Label.Len() - bucketOf(f.selfIP, a.ip)
	y := b.best(now).Label.Len() - bucketOf(f.selfIP, b.ip)
	return x < y || x == y && compareDistance(a.ip, b.ip, f.selfIP) < 0
}

func (f *Finder) staler(a, b *entry) bool {
	x, y := a.proven(), b.proven()
	return x < y || x == y && compareDistance(a.ip, b.ip, f.selfIP) < 0
}

// proven returns when e has answered last.
func (e *entry) proven() mono.Time {
	t := mono.Time(-1)
	for i := range e.routes {
		t = max(t, e.routes[i].Verified)
	}
	return t
}

// check asks e for nodes near to target.
func (f *Finder) check(now mono.Time, e *entry, target cjdns.IP, out *Out) bool {
	if e == nil {
		return false
	}
	e.asked = max(now, 1)
	n, _ := f.Path(now, e.ip)
	return f.ask(now, n, "fn", append([]byte(nil), target[:]...), out) != nil
}

// look begins a search for whoever is near to target.
func (f *Finder) look(now mono.Time, target cjdns.IP, most int, out *Out) bool {
	if f.searches[target] != nil || len(f.searches) >= MaxSearches/2 {
		return false
	}
	s := &search{target: target, began: now, most: most, quiet: true, asked: make(map[cjdns.IP]asked)}
	f.searches[target] = s
	f.step(now, s, out)
	return true
}

// prove notes that e has answered for the first time in a while.
func (f *Finder) prove(e *entry) {
	b, n := bucketOf(f.selfIP, e.ip), 0
	for _, o := range f.nodes {
		if o != e && o.answered() && bucketOf(f.selfIP, o.ip) == b {
			n++
		}
	}
	f.upkeep.grown = f.upkeep.grown || n < bucketPlaces
}
