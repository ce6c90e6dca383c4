//go:build netns

package ring

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/hw/forge"
	"github.com/meshagent/meshagent/hw/rig"
)

// forger is a station on an air that no program plays.
type forger struct {
	*island
	radio *rig.Radio
	raw   *rig.Raw
	mac   batman.MAC

	mu   sync.Mutex
	last map[batman.MAC]forge.OGM // the newest overheard with a record, by originator
	old  map[batman.MAC][]forge.OGM
}

// forger joins a station to the air and lets it listen.
func (i *island) forger() *forger {
	node := i.Node("x")
	x := &forger{island: i, radio: i.Air.Join(rig.End{Node: node, Dev: "wlan0"}), last: map[batman.MAC]forge.OGM{}, old: map[batman.MAC][]forge.OGM{}}
	x.mac = mustMAC(i.StationMAC(x.radio))
	node.IP("link", "set", "wlan0", "address", x.mac.String(), "mtu", "1532")
	raw, err := node.Raw("wlan0")
	if err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(raw.Close)
	x.raw = raw
	return x
}

func mustMAC(s string) batman.MAC {
	m, err := batman.ParseMAC(s)
	if err != nil {
		panic(err)
	}
	return m
}

// hears lets the station and a host hear each other.
func (x *forger) hears(h *rig.Host) { x.Air.Link(x.radio, x.Radio(h), 0, 0) }

// listen notes the OGMs of others until the test ends; each frame is given to
// also, if that is not nil.
func (x *forger) listen(also func(frame []byte)) {
	stop, done := make(chan struct{}), make(chan struct{})
	x.t.Cleanup(func() { close(stop); <-done })
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			frame, _, err := x.raw.Receive(100 * time.Millisecond)
			if err != nil || len(frame) < batman.EthLen || batman.MAC(frame[6:12]) == x.mac {
				continue
			}
			x.note(frame)
			if also != nil {
				also(frame)
			}
		}
	}()
}

func (x *forger) note(frame []byte) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, o := range forge.Parse(frame) {
		if o.HasRecord() {
			x.last[o.Orig] = o
		}
		if len(x.old[o.Orig]) < 200 {
			x.old[o.Orig] = append(x.old[o.Orig], o)
		}
	}
}

// overheard waits for an OGM of a host with its record, and returns it with
// the newest sequence number.
func (x *forger) overheard(h *rig.Host) (o forge.OGM) {
	x.t.Helper()
	orig := mustMAC(x.MAC(h))
	if !rig.Until(meshWait, 20*time.Millisecond, func() bool {
		x.mu.Lock()
		defer x.mu.Unlock()
		var ok bool
		o, ok = x.last[orig]
		return ok
	}) {
		x.t.Fatalf("x never hears an OGM of %s with a record", h.Node.Name)
	}
	return o.Clone()
}

// send sends frames, one each 50 ms.
func (x *forger) send(frames ...[]byte) {
	x.t.Helper()
	for _, f := range frames {
		if err := x.raw.Send(f); err != nil {
			x.t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// meshStats is what "bat s --json" counts.
type meshStats struct{ Counters, Drops map[string]uint64 }

func statsOf(t *testing.T, h *rig.Host) (s meshStats) {
	t.Helper()
	if err := h.Bat(&s, "s"); err != nil {
		t.Fatal(err)
	}
	return s
}

// drops adds up what an agent has refused for some reasons.
func drops(t *testing.T, h *rig.Host, reasons ...string) (sum uint64) {
	t.Helper()
	s := statsOf(t, h)
	for _, why := range reasons {
		sum += s.Drops[why]
	}
	return sum
}

// TestForgers: x is heard by a alone and sends what it has no right to.
//
//	v ── b ── a ── x
//
// Nothing changes in a: not its way to v, not who v is, not what is behind v,
// not its peerings; no ping is lost, and each attempt is counted.
func TestForgers(t *testing.T) {
	n := newNet(t)
	i := n.island(31, quick)
	const client = "02:c1:00:00:00:01" // v's own device is the client that x is after
	v, b, a := i.agent("v", "mac", client), i.agent("b"), i.agent("a")
	i.Line(0, v, b, a)
	x := i.forger()
	x.hears(a)
	startAll(v, b, a)
	x.listen(nil)
	i.verified(a, v)
	i.verified(a, b)
	reach(t, a, v, 20*time.Second)
	waitOwner(t, a, client, i.MAC(v))
	var (
		me         = x.mac
		victim     = mustMAC(i.MAC(v))
		near, here = mustMAC(i.MAC(b)), mustMAC(i.MAC(a))
	)
	higher := func(o forge.OGM, change func(forge.OGM) forge.OGM) (frames [][]byte) {
		for k := range uint32(20) {
			frames = append(frames, change(o.As(victim, me, 40+2*k)).Frame(me))
		}
		return frames
	}
	same := func(o forge.OGM) forge.OGM { return o }
	for _, c := range []struct {
		name    string
		reasons []string // one of them must be counted; none: it is a duplicate
		frames  func(o forge.OGM) [][]byte
	}{
		{"higher sequence numbers", []string{"forged"}, func(o forge.OGM) [][]byte { return higher(o, same) }},
		{"much higher sequence numbers", []string{"forged", "unchecked"}, func(o forge.OGM) (frames [][]byte) {
			for k := range uint32(20) {
				frames = append(frames, o.As(victim, me, 500+100*k).Frame(me))
			}
			return frames
		}},
		{"container left out", []string{"stripped"}, func(o forge.OGM) [][]byte {
			return higher(o, func(o forge.OGM) forge.OGM { return o.Without(forge.Identity) })
		}},
		{"a flipped bit in the record", []string{"bad-record", "forged"}, func(o forge.OGM) [][]byte {
			return higher(o, func(o forge.OGM) forge.OGM { o.Get(forge.Identity)[forge.RecordAt+90] ^= 4; return o })
		}},
		{"its record under another MAC", []string{"bad-record", "forged"}, func(o forge.OGM) (frames [][]byte) {
			for k := range uint32(20) {
				frames = append(frames, o.As(me, me, k).Frame(me))
			}
			return frames
		}},
		{"old OGMs again", nil, func(forge.OGM) (frames [][]byte) {
			x.mu.Lock()
			defer x.mu.Unlock()
			for _, o := range x.old[victim] {
				if frames = append(frames, o.As(victim, me, 0).Frame(me)); len(frames) == 40 {
					break
				}
			}
			return frames
		}},
		{"a client that is v's", nil, func(forge.OGM) (frames [][]byte) {
			for k := range uint32(20) {
				own := forge.OGM{OGM: batman.OGM{Seqno: 1 + k}}.As(me, me, 0)
				frames = append(frames, own.Clients(1, mustMAC(client)).Frame(me))
			}
			return frames
		}},
		{"the client has moved to b", []string{"forged-roam"}, func(forge.OGM) (frames [][]byte) {
			for range 5 {
				frames = append(frames, forge.Roam(here, me, here, near, mustMAC(client)))
			}
			return frames
		}},
	} {
		o := x.overheard(v)
		frames := c.frames(o)
		before := drops(t, a, c.reasons...)
		peers, _ := a.Peers()
		ping := a.Node.PingWhile(v.IP(), 60, 25*time.Millisecond)
		x.send(frames...)
		res, err := ping.Result()
		if err != nil || res.Received < res.Sent-2 {
			t.Errorf("%s: %d of %d pings to v came back, %v", c.name, res.Received, res.Sent, err)
		}
		counted := drops(t, a, c.reasons...) - before
		if len(c.reasons) > 0 && counted == 0 {
			t.Errorf("%s: nothing counted as %v: %v", c.name, c.reasons, statsOf(t, a).Drops)
		}
		best, ok := i.Best(a, v)
		if !ok || best.Next != i.MAC(b) {
			t.Errorf("%s: a goes to v via %q, want b", c.name, best.Next)
		}
		if best.Identity != v.IP() && best.Identity != "forged" && best.Identity != "stripped" {
			t.Errorf("%s: a takes v for %q", c.name, best.Identity)
		}
		if at := owner(t, a, client); at != i.MAC(v) {
			t.Errorf("%s: a finds v's client at %q", c.name, at)
		}
		if now, _ := a.Peers(); len(now) != len(peers) {
			t.Errorf("%s: a has %d peers, had %d", c.name, len(now), len(peers))
		}
		for _, l := range originators(t, a) {
			if l.Orig == me.String() && strings.HasPrefix(l.Identity, "fc") {
				t.Errorf("%s: a takes x for %s", c.name, l.Identity)
			}
		}
		t.Logf("%s: %d frames, counted %d times as %v; %d of %d pings; v is shown as %s", c.name, len(frames), counted, c.reasons, res.Received, res.Sent, best.Identity)
	}
	problem(t, a, i.MAC(v), "forged") // it is said, too
}

// originators returns a host's table.
func originators(t *testing.T, h *rig.Host) []rig.BatOriginator {
	t.Helper()
	list, err := h.Originators()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// owner returns the originator that a host finds an untagged client behind.
func owner(t *testing.T, h *rig.Host, client string) string {
	t.Helper()
	var list []rig.BatGlobal
	if err := h.Bat(&list, "tg"); err != nil {
		t.Fatal(err)
	}
	for _, g := range list {
		if g.Client == client && g.Best {
			return g.Orig
		}
	}
	return ""
}

func waitOwner(t *testing.T, h *rig.Host, client, orig string) {
	t.Helper()
	if !rig.Until(meshWait, 50*time.Millisecond, func() bool { return owner(t, h, client) == orig }) {
		t.Fatalf("%s finds %s at %q, want %s", h.Node.Name, client, owner(t, h, client), orig)
	}
}

// relays makes the station relay the mesh between hosts that hear it, but each
// OGM as lie leaves it.
func (x *forger) relays(lie func(forge.OGM) forge.OGM) {
	s := &forge.Station{MAC: x.mac, Lie: lie}
	x.listen(func(frame []byte) {
		for _, f := range s.Hear(frame) {
			_ = x.raw.Send(f)
		}
	})
	stop, done := make(chan struct{}), make(chan struct{})
	x.t.Cleanup(func() { close(stop); <-done })
	go func() {
		defer close(done)
		for {
			_ = x.raw.Send(s.Hello())
			select {
			case <-stop:
				return
			case <-time.After(x.Interval):
			}
		}
	}()
}

// TestLyingRelay:   v ── x ── a   where x relays with the true elements and
// other contents: a gateway and a client that v does not have.
func TestLyingRelay(t *testing.T) {
	n := newNet(t)
	i := n.island(32, quick)
	const invented = "02:c1:00:00:00:99"
	v, a := i.agent("v"), i.agent("a")
	x := i.forger()
	x.hears(v)
	x.hears(a)
	x.relays(func(o forge.OGM) forge.OGM {
		if o.Orig != mustMAC(i.MAC(v)) {
			return o
		}
		return o.Gateway(1000, 100).AddClient(mustMAC(invented))
	})
	startAll(v, a)
	i.verified(a, v)
	reach(t, a, v, 20*time.Second) // what is encrypted passes
	for _, why := range []string{"forged-gw", "forged-tt"} {
		if !rig.Until(meshWait, 100*time.Millisecond, func() bool { return drops(t, a, why) > 0 }) {
			t.Errorf("nothing counted as %s: %v", why, statsOf(t, a).Drops)
		}
	}
	if out := bat(t, a, "gwl"); strings.Contains(out, i.MAC(v)) {
		t.Errorf("a takes v for a gateway:\n%s", out)
	}
	if at := owner(t, a, invented); at != "" {
		t.Errorf("a finds a client that there is not at %s", at)
	}
}
