package cryptoauth

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

var (
	modelSeed = flag.Uint64("model.seed", 0, "run the model test with this seed only")
	modelRuns = flag.Int("model.runs", 8, "number of seeds of the model test")
)

const ms = mono.Time(time.Millisecond)

// node is a peer that keeps a session alive as routers do: it answers pings
// and pings when it hears nothing. Payloads are "ping" and "pong" with a text.
type node interface {
	tick(now mono.Time)
	receive(now mono.Time, raw []byte)
	ping(now mono.Time, text string) // of the test, over the current transport
	up() bool
}

// end is what both kinds of node share.
type end struct {
	w      *world
	me     int
	dials  bool
	lastIn mono.Time
	got    map[string]bool // what came as proven traffic
	last   mono.Time       // when it was asked for something last
}

func (e *end) send(now mono.Time, raw []byte) { e.w.send(now, e.me, raw) }

// ours is a node with our session.
type ours struct {
	end
	s         *Session
	asked     mono.Time // since when we wait for an answer
	nextKnock mono.Time
	nextRenew mono.Time
	promoted  int
	cfg       *Config
	clock     int64
}

func (n *ours) up() bool { return n.s.Established() }

func (n *ours) emit(now mono.Time, text string, candidate bool) {
	var b pkt.Buf
	b.Set([]byte(text))
	f := n.s.Seal
	if candidate {
		f = n.s.SealCandidate
	}
	if f(now, &b) == nil {
		n.send(now, bytes.Clone(b.Bytes()))
	}
}

func (n *ours) ping(now mono.Time, text string) {
	if n.s.CanSend() {
		n.emit(now, "ping"+text, false)
	}
	if n.asked == mono.Never {
		n.asked = now
	}
}

func (n *ours) tick(now mono.Time) {
	n.cfg.Wall = WallTime{Sec: n.clock + int64(now/second), Nsec: uint32(now % second)}
	silent := time.Duration(0)
	if n.asked != mono.Never {
		silent = now.Sub(n.asked)
	}
	switch {
	case !n.s.CanSend():
		if n.dials && now >= n.nextKnock {
			n.nextKnock = now + second
			n.emit(now, "ping", true)
		}
	case silent > 1200*time.Millisecond:
		if now >= n.nextRenew {
			n.nextRenew, n.nextKnock = now+2*second, now+400*ms
			n.s.Renew(now)
			n.emit(now, "ping", true)
		} else if n.s.HasCandidate() && now >= n.nextKnock {
			n.nextKnock = now + 400*ms
			n.emit(now, "ping", true)
		}
	case silent > 600*time.Millisecond && now >= n.nextKnock, silent == 0 && now-n.lastIn > 3*second:
		n.nextKnock = now + 600*ms
		if n.asked == mono.Never {
			n.asked = now
		}
		n.emit(now, "ping", n.s.HasCandidate())
	}
}

func (n *ours) receive(now mono.Time, raw []byte) {
	var b pkt.Buf
	b.Set(raw)
	ev, err := n.s.Open(now, &b)
	if err != nil {
		return
	}
	text := string(b.Bytes())
	if ev&Promoted != 0 {
		n.promoted++
	}
	if ev&Fresh != 0 {
		n.lastIn, n.asked = now, mono.Never
		n.got[text] = true
	}
	if len(text) >= 4 && text[:4] == "ping" {
		n.emit(now, "pong"+text[4:], ev&Fresh == 0)
	}
	if ev&Answer != 0 {
		n.emit(now, "ping", n.s.HasCandidate())
	}
}

// theirs is a node with the session of cjdroute.
type theirs struct {
	end
	s *stock
}

func (n *theirs) up() bool { return n.s.established }

func (n *theirs) ping(now mono.Time, text string) {
	if n.s.next >= 4 {
		n.send(now, n.s.encrypt(now, []byte("ping"+text)))
	}
}

func (n *theirs) tick(now mono.Time) {
	if now-n.last < second || now-n.lastIn < 3*second || !n.dials && n.s.key.IsZero() {
		return
	}
	n.last = now
	n.send(now, n.s.encrypt(now, []byte("ping")))
}

func (n *theirs) receive(now mono.Time, raw []byte) {
	if n.s.key.IsZero() && len(raw) >= headerLen && raw[3] > 1 {
		return
	}
	text, err := n.s.decrypt(now, raw)
	if err != 0 {
		return
	}
	if n.s.established && raw[0]|raw[1]|raw[2] != 0 || raw[3] >= 4 {
		n.lastIn = now
		n.got[string(text)] = true
	}
	if len(text) >= 4 && string(text[:4]) == "ping" {
		n.send(now, n.s.encrypt(now, append([]byte("pong"), text[4:]...)))
	}
}

// world is two nodes and a wire.
type world struct {
	rng   *rand.Rand
	rand  func([]byte)
	nodes [2]node
	wire  []flight
	old   []flight // everything ever sent

	loss, dup, replay float64
	replayTo          int // -1: to both
	jitter            int // ms
}

type flight struct {
	at  mono.Time
	to  int
	raw []byte
}

func (w *world) send(now mono.Time, from int, raw []byte) {
	f := flight{to: 1 - from, raw: raw}
	w.old = append(w.old, f)
	for range 1 + b2i(w.rng.Float64() < w.dup) {
		if w.rng.Float64() >= w.loss {
			f.at = now + 5*ms + mono.Time(w.rng.IntN(w.jitter+1))*ms
			w.wire = append(w.wire, f)
		}
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

const modelStep = 20 * ms

func (w *world) step(now mono.Time) {
	if len(w.old) > 0 && w.rng.Float64() < w.replay {
		if f := w.old[w.rng.IntN(len(w.old))]; w.replayTo < 0 || f.to == w.replayTo {
			f.at = now
			w.wire = append(w.wire, f)
		}
	}
	due := w.wire
	w.wire = nil
	for _, f := range due {
		if f.at > now {
			w.wire = append(w.wire, f)
			continue
		}
		w.nodes[f.to].receive(now, f.raw)
	}
	for _, n := range w.nodes {
		n.tick(now)
	}
}

// scenario says who the nodes are. The node 0 has the lower key if low.
type scenario struct {
	name   string
	stock  bool // node 1 is stock
	low    bool
	dials  [2]bool
	noise  [2]bool       // who dials with Noise
	within time.Duration // after the wire is clean
}

func (c scenario) newWorld(t *testing.T, seed uint64) (*world, func(now mono.Time, i int)) {
	ids := identities(t, 2)
	if !c.low {
		ids = []*Identity{ids[1], ids[0]}
	}
	w := &world{rng: rand.New(rand.NewPCG(seed, 1)), rand: chance(seed), replayTo: -1}
	start := func(now mono.Time, i int) {
		users := &Users{}
		if err := users.Set(User{Name: fmt.Sprint("to", i), Password: []byte(fmt.Sprint("in", i))}); err != nil {
			t.Fatal(err)
		}
		cfg := &Config{Self: ids[i], Users: users, Rand: w.rand}
		o := Options{RequireAuth: true}
		if c.dials[i] {
			o = Options{Key: ids[1-i].Public, Password: []byte(fmt.Sprint("in", 1-i)), Login: fmt.Sprint("to", 1-i)}
			o.Noise = c.noise[i]
		}
		clock := int64(1e9)
		if w.rng.IntN(3) == 0 {
			clock = 0 // no battery
		}
		e := end{w: w, me: i, dials: c.dials[i], got: map[string]bool{}, lastIn: now - 10*second, last: now - 2*second}
		if i == 1 && c.stock {
			w.nodes[i] = &theirs{end: e, s: newStock(cfg, o, now)}
			return
		}
		w.nodes[i] = &ours{end: e, s: New(cfg, o, now), asked: mono.Never, cfg: cfg, clock: clock}
	}
	start(0, 0)
	start(0, 1)
	return w, start
}

// run makes trouble for a while, cleans the wire, and returns how long the
// two then needed until traffic flows both ways for good.
func (c scenario) run(t *testing.T, seed uint64) (took time.Duration, w *world, now mono.Time) {
	w, start := c.newWorld(t, seed)
	w.loss, w.dup, w.jitter = w.rng.Float64()*0.6, w.rng.Float64()*0.3, w.rng.IntN(1500)
	w.replay = w.rng.Float64() * 0.4
	trouble := mono.Time(1+w.rng.IntN(100)) * second
	for ; now < trouble; now += modelStep {
		if w.rng.IntN(1000) == 0 {
			start(now, w.rng.IntN(2))
		}
		w.step(now)
	}
	w.loss, w.dup, w.replay, w.jitter = 0, 0, 0, 10
	clean := now
	var since mono.Time = -1
	for i := 0; now < clean+200*second; i++ {
		now += modelStep
		w.step(now)
		works := w.nodes[0].up() && w.nodes[1].up()
		if i%5 == 0 {
			w.nodes[0].ping(now, fmt.Sprint("a", i))
			w.nodes[1].ping(now, fmt.Sprint("b", i))
		}
		if j := i/5*5 - 5; j >= 0 { // a ping of 100 to 180 ms ago
			works = works && got(w.nodes[1])[fmt.Sprint("pinga", j)] && got(w.nodes[0])[fmt.Sprint("pingb", j)]
		}
		switch {
		case !works:
			since = -1
		case since < 0:
			since = now
		case now-since > 20*second:
			return since.Sub(clean), w, now
		}
	}
	return -1, w, now
}

func got(n node) map[string]bool {
	switch n := n.(type) {
	case *ours:
		return n.got
	case *theirs:
		return n.got
	}
	return nil
}

func scenarios() (all []scenario) {
	add := func(c scenario) {
		c.within = 10 * time.Second
		if c.stock && c.dials[1] && !c.dials[0] {
			// A stock node that dials keeps its session for a minute after
			// we lost ours.
			c.within = 75 * time.Second
		}
		c.name = fmt.Sprintf("stock=%v,low=%v,dials=%v,noise=%v", c.stock, c.low, c.dials, c.noise)
		all = append(all, c)
	}
	for _, low := range []bool{true, false} {
		for _, d := range [][2]bool{{true, false}, {false, true}, {true, true}} {
			add(scenario{low: low, dials: d})
			add(scenario{low: low, dials: d, stock: true})
		}
		add(scenario{low: low, dials: [2]bool{true, false}, noise: [2]bool{true, false}})
		add(scenario{low: low, dials: [2]bool{true, true}, noise: [2]bool{true, true}})
		add(scenario{low: low, dials: [2]bool{true, true}, noise: [2]bool{true, false}})
		add(scenario{low: low, dials: [2]bool{true, true}, noise: [2]bool{true, false}, stock: true})
		add(scenario{low: low, dials: [2]bool{true, false}, noise: [2]bool{true, false}, stock: true})
	}
	return all
}

func modelSeeds() (seeds []uint64) {
	if *modelSeed != 0 {
		return []uint64{*modelSeed}
	}
	n := uint64(*modelRuns)
	if testing.Short() {
		n = 1
	}
	for s := uint64(1); s <= n; s++ {
		seeds = append(seeds, s)
	}
	return seeds
}

// TestSessionsConverge: whatever happened on the wire, once it is clean both
// ends agree soon.
func TestSessionsConverge(t *testing.T) {
	for _, c := range scenarios() {
		t.Run(c.name, func(t *testing.T) {
			var worst, sum time.Duration
			for _, seed := range modelSeeds() {
				took, _, _ := c.run(t, seed)
				if took < 0 || took > c.within {
					t.Errorf("seed %d: took %v, want at most %v", seed, took, c.within)
				}
				worst, sum = max(worst, took), sum+took
			}
			t.Logf("mean %v, worst %v", sum/time.Duration(len(modelSeeds())), worst)
		})
	}
}

// TestReplaysDisturbNothing: on a clean wire, packets of the past in any
// number lose no packet of an established pair and begin no handshake. (A
// stock node is disturbed by replays, so it gets none.)
func TestReplaysDisturbNothing(t *testing.T) {
	for _, c := range scenarios() {
		t.Run(c.name, func(t *testing.T) {
			for _, seed := range modelSeeds()[:min(3, len(modelSeeds()))] {
				_, w, now := c.run(t, seed)
				w.replay, w.jitter = 1, 0
				if c.stock {
					w.replayTo = 0
				}
				before := 0
				for _, n := range w.nodes {
					if n, ok := n.(*ours); ok {
						before += n.promoted
					}
				}
				for i := range 3000 {
					now += modelStep
					w.nodes[0].ping(now, fmt.Sprint("A", i))
					w.nodes[1].ping(now, fmt.Sprint("B", i))
					w.step(now)
					if i > 5 && (!got(w.nodes[1])[fmt.Sprint("pingA", i-5)] || !got(w.nodes[0])[fmt.Sprint("pingB", i-5)]) {
						t.Fatalf("seed %d, step %d: a ping was lost", seed, i)
					}
				}
				after := 0
				for _, n := range w.nodes {
					if n, ok := n.(*ours); ok {
						after += n.promoted
					}
				}
				if after != before {
					t.Errorf("seed %d: %d new transports", seed, after-before)
				}
			}
		})
	}
}
