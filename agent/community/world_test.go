package community

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// build is the time at which the programs of the tests were built.
const build = 1_760_000_000

// world is some nodes that can send each other messages. Jobs are done at
// once, states are stored at once, unless a test wants it otherwise.
type world struct {
	t     *testing.T
	now   mono.Time
	nodes []*tnode
	cut   func(from, to *tnode) bool // messages that are lost
}

type tnode struct {
	w       *world
	name    string
	key     *cjdns.SigningKey
	c       *Community
	disk    []byte
	refuse  error // of the disk
	hold    bool  // states are not stored yet
	pending uint64
	jobs    int
	peers   []Verdict
	events  []string
	chance  func([]byte)
}

func newWorld(t *testing.T, names ...string) *world {
	w := &world{t: t}
	for _, name := range names {
		w.add(name)
	}
	return w
}

// chance returns a source of bytes that depends on the name only.
func chance(name string) func([]byte) {
	var seed [32]byte
	copy(seed[:], name)
	src := rand.NewChaCha8(seed)
	return func(b []byte) { _, _ = src.Read(b) }
}

// nodeKeys are those that were looked for already: it takes 256 attempts.
var nodeKeys sync.Map

// nodeKey returns a key that hashes into fc00::/8.
func nodeKey(name string) *cjdns.SigningKey {
	if k, ok := nodeKeys.Load(name); ok {
		return k.(*cjdns.SigningKey)
	}
	draw := chance("key " + name)
	for {
		var p cjdns.PrivateKey
		draw(p[:])
		k := cjdns.NewSigningKey(p)
		if _, _, err := nodeOf(k.Public()); err == nil {
			nodeKeys.Store(name, k)
			return k
		}
	}
}

func (w *world) add(name string) *tnode {
	n := &tnode{w: w, name: name, key: nodeKey(name), chance: chance(name)}
	n.boot()
	w.nodes = append(w.nodes, n)
	return n
}

// boot starts the node anew from what is on its disk.
func (n *tnode) boot() {
	c, err := New(Config{Self: n.key.Public(), Rand: n.chance, Build: build}, n.w.now)
	if err != nil {
		n.w.t.Fatal(err)
	}
	n.c, n.peers = c, nil
	var out Out
	if n.disk != nil {
		if err := c.Load(n.disk, &out); err != nil {
			n.w.t.Fatalf("%s: %v", n.name, err)
		}
	}
	n.flush(&out)
}

// clock sets the time of day of all nodes.
func (w *world) clock(unix int64, trusted bool) {
	for _, n := range w.nodes {
		n.c.SetWall(unix, trusted)
	}
}

func (w *world) node(k cjdns.Key) *tnode {
	for _, n := range w.nodes {
		if n.c.self == k {
			return n
		}
	}
	return nil
}

// do calls f for a node and carries out what it wants, and what follows.
func (n *tnode) do(f func(out *Out)) {
	var out Out
	f(&out)
	n.flush(&out)
}

func (n *tnode) flush(out *Out) {
	for round := 0; len(out.Jobs)+len(out.Messages) > 0 || out.Save != 0; round++ {
		if round > 10000 {
			n.w.t.Fatal("it does not come to rest")
		}
		var next Out
		if out.Save != 0 {
			n.save(out.Save, &next)
		}
		for _, j := range out.Jobs {
			n.jobs++
			j.Run(n.key, n.chance)
			n.c.JobDone(n.w.now, j, &next)
		}
		for _, m := range out.Messages {
			if len(m.Body) > MaxMessage {
				n.w.t.Fatalf("message of %d bytes", len(m.Body))
			}
			to := n.w.node(m.To)
			if to == nil || n.w.cut != nil && n.w.cut(n, to) {
				continue
			}
			to.do(func(o *Out) { to.c.Receive(n.w.now, n.c.self, m.Body, o) })
		}
		n.note(out)
		*out = next
	}
	n.note(out)
}

func (n *tnode) note(out *Out) {
	n.peers = append(n.peers, out.Verdicts...)
	for _, e := range out.Events {
		n.events = append(n.events, e.Text)
	}
}

func (n *tnode) save(seq uint64, out *Out) {
	if n.hold {
		n.pending = seq
		return
	}
	if n.refuse == nil {
		n.disk = n.c.Snapshot().Bytes()
	}
	n.c.Saved(seq, n.refuse, out)
}

// run lets time pass.
func (w *world) run(d time.Duration) {
	for end := w.now.Add(d); w.now < end; {
		w.now = w.now.Add(time.Second)
		for _, n := range w.nodes {
			n.do(func(out *Out) { n.c.Expire(w.now, out) })
		}
	}
}

// meet makes a and b peers.
func (w *world) meet(a, b *tnode) {
	a.do(func(out *Out) { a.c.Contact(w.now, b.c.self, out) })
	b.do(func(out *Out) { b.c.Contact(w.now, a.c.self, out) })
}

// rootSecret is the root key of the tests.
func rootSecret() (p cjdns.PrivateKey) {
	chance("root")(p[:])
	return p
}

// found makes n an admin of the community "demo".
func (n *tnode) found() {
	secret := rootSecret()
	root := cjdns.NewSigningKey(secret).Public()
	cert, err := SignRoot(secret, n.chance, n.c.FirstDraft(root))
	if err != nil {
		n.w.t.Fatal(err)
	}
	result := errors.New("not done")
	n.do(func(out *Out) {
		n.c.Found(n.w.now, "demo", root, cert, out, func(err error, _ *Out) { result = err })
	})
	if result != nil {
		n.w.t.Fatal(result)
	}
}

// invite makes a token.
func (n *tnode) invite(o InviteOptions) (token Token) {
	if o.Uses == 0 {
		o.Uses = 1
	}
	if o.Role == 0 {
		o.Role = RoleMember
	}
	result := errors.New("not done")
	n.do(func(out *Out) {
		n.c.Invite(n.w.now, o, out, func(t Token, _ Login, err error, _ *Out) { token, result = t, err })
	})
	if result != nil {
		n.w.t.Fatal(result)
	}
	parsed, err := ParseToken(token.String())
	if err != nil {
		n.w.t.Fatal(err)
	}
	return parsed
}

// only leaves no other admin in a token.
func (n *tnode) only(t Token) Token {
	t.Admins = []cjdns.Key{n.c.self}
	return t
}

var errPending = errors.New("not done")

// join uses a token; the result is errPending until there is one.
func (n *tnode) join(t Token) *error {
	result := errPending
	n.do(func(out *Out) { n.c.Join(n.w.now, t, out, func(err error, _ *Out) { result = err }) })
	return &result
}

func (n *tnode) mustJoin(t Token) {
	n.w.t.Helper()
	if err := n.join(t); *err != nil {
		n.w.t.Fatalf("%s: %v", n.name, *err)
	}
}

func (n *tnode) revoke(selector string, lift bool) (err error) {
	err = errPending
	n.do(func(out *Out) {
		n.c.Revoke(n.w.now, selector, ReasonLost, lift, out, func(_ string, e error, _ *Out) { err = e })
	})
	return err
}

// rootSigns applies what the root signs at this node.
func (n *tnode) rootSigns(draft []byte, err error) error {
	if err != nil {
		return err
	}
	object, err := SignRoot(rootSecret(), n.chance, draft)
	if err != nil {
		return err
	}
	err = errPending
	n.do(func(out *Out) { n.c.Apply(n.w.now, object, out, func(e error, _ *Out) { err = e }) })
	return err
}

func (n *tnode) want(of *tnode, want Standing) {
	n.w.t.Helper()
	if got, why := n.c.Standing(of.c.self); got != want {
		n.w.t.Errorf("%s takes %s for %s (%s), want %s", n.name, of.name, got, why, want)
	}
}

// show presents the certificates of another node.
func (n *tnode) show(of *tnode) {
	n.do(func(out *Out) { n.c.Present(n.w.now, SourceOf(of.c.self), of.c.OwnCerts(), out) })
}

// lastVerdict is the last thing said about a node.
func (n *tnode) lastVerdict(of *tnode) (v Verdict, ok bool) {
	for _, o := range n.peers {
		if o.Key == of.c.self {
			v, ok = o, true
		}
	}
	return v, ok
}

// demo is two admins and a member that have met.
func demo(t *testing.T) (w *world, a, b, m *tnode) {
	t.Helper()
	w = newWorld(t, "a", "b", "m")
	a, b, m = w.nodes[0], w.nodes[1], w.nodes[2]
	a.found()
	b.mustJoin(a.invite(InviteOptions{Role: RoleAdmin}))
	if err := a.rootSigns(a.c.DraftAdmin(b.c.self)); err != nil {
		t.Fatal(err)
	}
	m.mustJoin(a.invite(InviteOptions{Life: 7 * 86400}))
	w.meet(a, b)
	w.meet(a, m)
	w.run(30 * time.Second)
	return w, a, b, m
}

// corrupt flips a bit.
func corrupt(b []byte, at int) []byte {
	b = slices.Clone(b)
	b[at] ^= 1
	return b
}

// booked makes a token out of an invite that is in the book.
func (n *tnode) booked() Token {
	v := n.c.book[0]
	return Token{Role: v.Role, Root: n.c.root.key, Invite: v.ID, Secret: v.Secret, Uses: 1, Admins: []cjdns.Key{n.c.self}, Name: "demo"}
}
