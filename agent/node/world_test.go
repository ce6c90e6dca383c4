package node

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/cryptoauth"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// world is a network in virtual time: hosts with one node each, and wires
// between them that lose and delay what the test says. One seed, one run.
type world struct {
	t     *testing.T
	rng   *rand.Rand
	now   mono.Time
	hosts []*host
	queue []flying
	// drop decides about every frame; nil drops none.
	drop func(from, to *host, frame []byte) bool
	// dropOn decides by the sender's link; nil drops none.
	dropOn func(from, to *host, link uint16) bool
	// delay is how long a frame is under way; nil means a millisecond.
	delay func(from, to *host, frame []byte) time.Duration
	// tap sees every frame that is delivered.
	tap func(from, to *host, frame []byte)
}

type flying struct {
	at   mono.Time
	to   *host
	link uint16
	from pkt.Addr
	data []byte
}

type host struct {
	w    *world
	name string
	id   *cryptoauth.Identity
	sign *cjdns.SigningKey
	node *Node
	out  Out
	pool pkt.Pool
	addr pkt.Addr // of its UDP socket
	mac  pkt.Addr
	segs []int // Ethernet segment by link index; 0 means UDP, below 0 a mesh
	got  [][]byte
	reps []Reply
	evs  []Event
	asks []Ask

	letters []Message
	intros  []Introduction
	dead    bool
	// boots counts the starts of the agent.
	boots uint32
	// skew is how fast its clock is.
	skew time.Duration
}

func newWorld(t *testing.T, seed uint64) *world {
	return &world{t: t, rng: rand.New(rand.NewPCG(seed, 1))}
}

func (w *world) random(b []byte) {
	for i := range b {
		b[i] = byte(w.rng.Uint32())
	}
}

// keyRing holds identities for all worlds: making one takes 256 tries on
// average, and would be most of what these tests do. Each is a function of its
// index, and a world draws from them, so one seed is still one run.
var keyRing [256]*cryptoauth.Identity

// identity draws an identity that no other host of w has.
func (w *world) identity() *cryptoauth.Identity {
	n := len(keyRing)
	if len(w.hosts) < 20 {
		n = 32
	}
	for {
		i := w.rng.IntN(n)
		if keyRing[i] == nil {
			rng := rand.New(rand.NewPCG(uint64(i), 7))
			keyRing[i] = cryptoauth.GenerateIdentity(func(b []byte) {
				for j := range b {
					b[j] = byte(rng.Uint32())
				}
			})
		}
		if !slices.ContainsFunc(w.hosts, func(h *host) bool { return h.id == keyRing[i] }) {
			return keyRing[i]
		}
	}
}

// host adds a host; segs gives the Ethernet segment of each of its links, 0
// for a UDP socket.
func (w *world) host(name string, segs ...int) *host {
	i := byte(len(w.hosts) + 1)
	h := &host{
		w: w, name: name, id: w.identity(), segs: segs,
		addr: pkt.UDPAddr(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, i}), 1000), 0),
		mac:  pkt.MACAddr([6]byte{2, 0, 0, 0, 0, i}),
	}
	h.sign = cjdns.NewSigningKey(h.id.Private)
	w.hosts = append(w.hosts, h)
	h.boot()
	return h
}

// boot starts the host's agent, with nothing left of an earlier life.
func (h *host) boot() {
	h.out.Pool = &h.pool
	h.node = New(Config{Identity: h.id, Rand: h.w.random, Program: "test"}, h.w.now)
	h.tick()
	h.dead = false
	h.boots++
	for i, s := range h.segs {
		c := LinkConfig{Kind: LinkUDP, Name: "udp", MTU: 1472}
		if s < 0 {
			c = LinkConfig{Kind: LinkMesh, Name: "bat0", MTU: 1478}
		} else if s != 0 {
			c = LinkConfig{Kind: LinkEth, Name: "eth", MTU: 1494, Beacon: BeaconSend}
		}
		h.node.SetLink(h.w.now, uint16(i), c, &h.out)
	}
	h.drain()
}

// user lets others in with this password.
func (h *host) user(password string) *host {
	if err := h.node.SetUser(cryptoauth.User{Name: "u-" + password, Password: []byte(password)}); err != nil {
		h.w.t.Fatal(err)
	}
	return h
}

// dial makes h dial to on its first link.
func (h *host) dial(to *host, password string) {
	h.node.SetPeer(h.w.now, PeerConfig{
		Name: to.name, Addrs: []pkt.Addr{to.addr}, Key: to.id.Public, Password: password,
	}, &h.out)
	h.drain()
}

// drain puts what the node wants sent onto the wires.
func (h *host) drain() {
	for _, b := range h.out.Frames.Bufs {
		h.w.send(h, b)
		h.pool.Put(b)
	}
	for _, b := range h.out.TUN.Bufs {
		h.got = append(h.got, slices.Clone(b.Bytes()))
		h.pool.Put(b)
	}
	h.reps = append(h.reps, h.out.Replies...)
	h.evs = append(h.evs, h.out.Events...)
	h.asks = append(h.asks, h.out.Asks...)
	h.letters = append(h.letters, h.out.Messages...)
	h.intros = append(h.intros, h.out.Introductions...)
	jobs := slices.Clone(h.out.Jobs)
	h.out.Reset()
	for _, j := range jobs {
		j.Run(h.sign, h.w.random)
		h.node.JobDone(h.w.now, j, &h.out)
		h.drain()
	}
}

func (w *world) send(from *host, b *pkt.Buf) {
	for _, to := range w.hosts {
		for link, seg := range to.segs {
			match := seg == 0 && from.segs[b.Port] == 0 && to.addr == b.Addr
			src := from.addr
			if seg != 0 && seg == from.segs[b.Port] && to != from {
				match, src = b.Addr == to.mac || b.Addr.IsBroadcast(), from.mac
			}
			if !match || w.drop != nil && w.drop(from, to, b.Bytes()) || w.dropOn != nil && w.dropOn(from, to, b.Port) {
				continue
			}
			if w.tap != nil {
				w.tap(from, to, b.Bytes())
			}
			under := time.Millisecond
			if w.delay != nil {
				under = w.delay(from, to, b.Bytes())
			}
			w.queue = append(w.queue, flying{w.now.Add(under), to, uint16(link), src, slices.Clone(b.Bytes())})
		}
	}
}

// run lets d pass.
func (w *world) run(d time.Duration) {
	end := w.now.Add(d)
	for w.now < end {
		next := end
		for _, f := range w.queue {
			next = mono.Min(next, f.at)
		}
		for _, h := range w.hosts {
			if !h.dead {
				next = mono.Min(next, max(w.now, h.node.Deadline()))
			}
		}
		w.now = next
		w.deliver()
		for _, h := range w.hosts {
			if !h.dead && h.node.Deadline() <= w.now {
				h.tick()
				h.node.Expire(w.now, &h.out)
				h.drain()
				if h.node.Deadline() <= w.now {
					w.t.Fatalf("%s: deadline %d is not after %d", h.name, h.node.Deadline(), w.now)
				}
			}
		}
	}
}

// calm lets the upkeep of the pathfinders take as few steps as at rest, for
// tests that count frames or look at the traffic of others.
func (w *world) calm() {
	for _, h := range w.hosts {
		h.node.finder.Served(w.now, true)
	}
}

// worldStart is when the world began, in seconds since 1970.
const worldStart = 1_700_000_000

// tick tells the node the time of day, as the daemon does.
func (h *host) tick() {
	at := h.w.now.Add(h.skew)
	h.node.SetWall(worldStart+int64(at)/1e9, uint32(int64(at)%1e9))
}

func (w *world) deliver() {
	q := w.queue
	w.queue = nil
	for _, f := range q {
		if f.at > w.now {
			w.queue = append(w.queue, f)
			continue
		}
		f.to.receive(f.link, f.from, f.data)
	}
}

func (h *host) receive(link uint16, from pkt.Addr, data []byte) {
	if h.dead {
		return
	}
	b := h.pool.Get()
	b.Set(data)
	b.Port, b.Addr = link, from
	h.tick()
	in := pkt.Batch{Bufs: []*pkt.Buf{b}}
	h.node.FromLink(h.w.now, &in, &h.out)
	h.drain()
}

// until lets time pass until ok, at most limit, and returns how long it took.
func (w *world) until(limit time.Duration, what string, ok func() bool) time.Duration {
	w.t.Helper()
	begin := w.now
	for !ok() {
		if w.now.Sub(begin) >= limit {
			w.dump()
			w.t.Fatalf("not within %v: %s", limit, what)
		}
		w.run(10 * time.Millisecond)
	}
	return w.now.Sub(begin)
}

// dump logs what every host thinks.
func (w *world) dump() {
	for _, h := range w.hosts {
		if h.dead {
			continue
		}
		s := h.node.Status(w.now)
		w.t.Logf("%s %s drops %v", h.name, s.IP, s.Drops)
		for _, p := range s.Peers {
			w.t.Logf("  peer %+v", p)
		}
		for _, p := range s.Sessions {
			w.t.Logf("  session %+v", p)
		}
	}
}

// packet returns an IPv6 packet of protocol 253 from h to to.
func (h *host) packet(to *host, payload string) []byte {
	p := make([]byte, 40+len(payload))
	p[0] = 0x60
	binary.BigEndian.PutUint16(p[4:], uint16(len(payload)))
	p[6], p[7] = 253, 64
	copy(p[8:], h.id.IP[:])
	copy(p[24:], to.id.IP[:])
	copy(p[40:], payload)
	return p
}

// tell sends payload from a program on h to one on to.
func (h *host) tell(to *host, payload string) {
	b := h.pool.Get()
	b.Set(h.packet(to, payload))
	in := pkt.Batch{Bufs: []*pkt.Buf{b}}
	h.node.FromTUN(h.w.now, &in, &h.out)
	h.drain()
}

// heard reports whether a program on h has got payload.
func (h *host) heard(payload string) bool {
	return slices.ContainsFunc(h.got, func(p []byte) bool { return len(p) > 40 && string(p[40:]) == payload })
}

// up reports whether h has an established peer with the key of to.
func (h *host) up(to *host) bool {
	for _, p := range h.node.peers {
		if p.key == to.id.Public && p.up {
			return true
		}
	}
	return false
}
