package main

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/cryptoauth"
	"github.com/meshagent/meshagent/hw/rig"
)

// How the announced nodes are told, and asked about.
const (
	tellPause   = 11 * time.Millisecond // a partner may pass on one in 10 ms
	flightMost  = 8                     // announcements without an answer
	askPause    = 21 * time.Millisecond // one peer may ask 50 in a second
	askTime     = 20 * time.Second
	firstSlot   = 0x13 // label of the first of the slots with the shortest labels
	gatewaySlot = firstSlot + 8
)

// someone is a node that exists only in what it has signed.
type someone struct {
	sign *cjdns.SigningKey
	ip   cjdns.IP
}

func random(b []byte) { _, _ = rand.Read(b) } // documented never to fail

// people draws n nodes whose keys hash into fc00::/8, one key in 256.
func people(n int) []someone {
	all := make([]someone, n)
	var wg sync.WaitGroup
	step := runtime.NumCPU()
	for worker := range step {
		wg.Go(func() {
			for i := worker; i < n; i += step {
				for !all[i].ip.Valid() {
					var p cjdns.PrivateKey
					random(p[:])
					k, err := ecdh.X25519().NewPrivateKey(p[:])
					if err != nil {
						continue
					}
					if all[i].ip = cjdns.Key(k.PublicKey().Bytes()).IP(); all[i].ip.Valid() {
						all[i].sign = cjdns.NewSigningKey(p)
					}
				}
			}
		})
	}
	wg.Wait()
	return all
}

// twoRings links n nodes so that ways are short.
func twoRings(n int) [][4]int {
	links := make([][4]int, n)
	order := mathrand.New(mathrand.NewPCG(1, 1)).Perm(n)
	for i := range n {
		next, a, b := (i+1)%n, order[i], order[(i+1)%n]
		links[i][0], links[next][1] = next, i
		links[a][2], links[b][3] = b, a
	}
	return links
}

// announced measures a supernode that knows many nodes: its memory before and
// after, and what a question for a way costs it. Another supernode, played
// here, passes their announcements on, which is the quickest way to be told.
type announced struct {
	host     *rig.Host
	gateways []*gateway
	self     someone // the first gateway, as a node of the graph
	all      []someone
	links    [][4]int          // of each node: two rings, one of them in random order; next and previous in each
	hashes   []cjdns.StateHash // what the supernode holds of each
	started  uint64            // ms since 1970
}

func measureAnnounced(o options) (err error) {
	r := rig.New(rig.Config{})
	defer r.Close()
	defer func() {
		if f := recover(); f != nil { // a building step that failed
			err = fmt.Errorf("%v", f)
		}
	}()
	r.CloseOnSignal()
	a := &announced{host: r.Node("snode").Agent(o.agent), all: people(o.announced), links: twoRings(o.announced), hashes: make([]cjdns.StateHash, o.announced)}
	n := r.Node("others")
	r.Veth(rig.End{Node: a.host.Node, Dev: "c0", Addr: "10.0.0.1/24"}, rig.End{Node: n, Dev: "c0", Addr: "10.0.0.2/24"})
	var ids []*cryptoauth.Identity
	for range o.askers {
		ids = append(ids, cryptoauth.GenerateIdentity(random))
	}
	const secret = "a password of the bench"
	a.host.Spec = rig.Spec{
		NoTUN: true, LogLevel: "warn", Snode: true, UDP: []rig.UDPSpec{{Bind: "0.0.0.0:5000"}},
		Passwords: []rig.PasswordSpec{{Login: "scale", Password: secret}},
		Extra:     []string{fmt.Sprintf("config supernode other\n\toption public_key '%v'", ids[0].Public)},
	}
	if o.memory != "" {
		os.Setenv("GOMEMLIMIT", o.memory)
		defer os.Unsetenv("GOMEMLIMIT")
	}
	a.host.Start()
	a.host.WaitUp(10 * time.Second)
	for i, id := range ids {
		var conn net.Conn
		if err := n.Do(func() (err error) {
			conn, err = net.Dial("udp4", "10.0.0.1:5000")
			return err
		}); err != nil {
			return err
		}
		defer conn.Close()
		a.gateways = append(a.gateways, newGateway(conn, id, a.host.ID.Key, "scale", secret))
		if i == 0 {
			a.self = someone{cjdns.NewSigningKey(id.Private), id.IP}
		}
	}
	return a.measure(o)
}

func (a *announced) measure(o options) error {
	a.started = uint64(time.Now().UnixMilli()) - uint64(o.rounds)*60_000
	if err := a.gateways[0].open(); err != nil {
		return err
	}
	empty := a.host.Proc.RSS()
	if err := a.introduce(); err != nil {
		return err
	}
	cpu, began := a.host.Proc.CPU(), time.Now()
	for round := range o.rounds {
		if err := a.tell(round); err != nil {
			return err
		}
	}
	per := (a.host.Proc.CPU() - cpu) / time.Duration(o.rounds*len(a.all))
	took := time.Since(began)
	_ = a.gateways[0].serve(5*time.Second, never) // it looks through its graph
	s, err := a.host.Status()
	if err != nil {
		return err
	}
	full := a.host.Proc.RSS()
	fmt.Printf("%d nodes with %d links, %d announcements of each, told in %.0f s: RSS %.1f MB (%.1f before), %v of processor time an announcement\n",
		s.Supernode.Nodes, s.Supernode.Links, o.rounds, took.Seconds(), float64(full)/1e6, float64(empty)/1e6, per.Round(time.Microsecond))
	for _, g := range a.gateways[1:] {
		if err := g.open(); err != nil {
			return err
		}
	}
	return a.askAll(s.Supernode.Routes)
}

func never() bool { return false }

// open makes the link and the session.
func (g *gateway) open() error {
	for range 20 {
		if err := g.control(cjdns.Control{Type: cjdns.CtrlPing, Version: 22, Opaque: make([]byte, 8)}); err != nil {
			return err
		}
		if err := g.serve(200*time.Millisecond, g.link.Established); err != nil {
			return err
		}
		if !g.link.Established() {
			continue
		}
		if g.back == 0 {
			_ = g.control(cjdns.Control{Type: cjdns.CtrlRPathQuery, Version: 22, Opaque: make([]byte, 8)})
		}
		if err := g.ask(&cjdns.Message{SubQuery: "pn", TxID: []byte("1")}); err != nil {
			return err
		}
		done := func() bool { return g.inner.Established() && g.send != 0 && g.back != 0 }
		if err := g.serve(300*time.Millisecond, done); err != nil {
			return err
		}
		if done() {
			return nil
		}
	}
	return fmt.Errorf("the supernode did not let us in: link %v, session %v, label %v", g.link.State(), g.inner.State(), g.back)
}

// introduce announces the gateway itself: its links to the supernode and to
// the first of the nodes.
func (a *announced) introduce() error {
	g := a.gateways[0]
	n := cjdns.Announcement{
		Reset: true, Snode: a.host.ID.Key.IP(), Time: uint64(time.Now().UnixMilli()),
		Version: 22, Scheme: cjdns.SerializeScheme(cjdns.V358),
		Peers: []cjdns.AnnouncedPeer{
			{PeerNum: uint16(slotLabel), IP: a.host.ID.Key.IP(), Label: uint32(g.back)},
			{PeerNum: uint16(slotLabel) + 2, IP: a.all[0].ip, Label: gatewaySlot},
		},
	}
	var last string
	for range 10 {
		n.Time++
		if err := g.ask(&cjdns.Message{SubQuery: "ann", TxID: []byte("2"), Ann: n.AppendSigned(nil, a.self.sign, random)}); err != nil {
			return err
		}
		last = "no answer"
		if err := g.serve(time.Second, func() bool {
			for len(g.answers) > 0 {
				if m := <-g.answers; string(m.TxID) == "2" {
					last = m.Error
				}
			}
			return last == "none"
		}); err != nil || last == "none" {
			return err
		}
	}
	return fmt.Errorf("the supernode does not take our announcement: %s", last)
}

// announcementOf is the first announcement of node i, with all its links, or a
// later one with the state of them.
func (a *announced) announcementOf(i, round int) []byte {
	n := cjdns.Announcement{Snode: a.self.ip, Time: a.started + uint64(round)*60_000}
	if round > 0 {
		n.Links = states(4)
		return n.AppendSigned(nil, a.all[i].sign, random)
	}
	n.Reset, n.Version, n.Scheme = true, 22, cjdns.SerializeScheme(cjdns.V358)
	for slot, to := range a.links[i] {
		n.Peers = append(n.Peers, cjdns.AnnouncedPeer{
			PeerNum: uint16(firstSlot + 2*slot), IP: a.all[to].ip, Label: uint32(firstSlot + 2*(slot^1)),
		})
	}
	if i == 0 {
		n.Peers = append(n.Peers, cjdns.AnnouncedPeer{PeerNum: gatewaySlot, IP: a.self.ip, Label: uint32(slotLabel) + 2})
	}
	return n.AppendSigned(nil, a.all[i].sign, random)
}

// tell passes on one announcement of each node, until all are taken.
func (a *announced) tell(round int) error {
	g, todo := a.gateways[0], make([]int, len(a.all))
	for i := range todo {
		todo[i] = i
	}
	flight, reasons := map[int]time.Time{}, map[string]int{}
	next := time.Now()
	for end := time.Now().Add(10 * time.Minute); len(todo)+len(flight) > 0; {
		if time.Now().After(end) {
			return fmt.Errorf("%d of %d nodes are not taken: %v", len(todo)+len(flight), len(a.all), reasons)
		}
		if len(todo) > 0 && len(flight) < flightMost && time.Now().After(next) {
			i := todo[0]
			todo, flight[i], next = todo[1:], time.Now(), time.Now().Add(tellPause)
			h := a.hashes[i]
			if err := g.ask(&cjdns.Message{SubQuery: "ann", TxID: binary.BigEndian.AppendUint32([]byte("3"), uint32(i)), Ann: a.announcementOf(i, round), StateHash: h[:]}); err != nil {
				return err
			}
		}
		if err := g.serve(tellPause, func() bool { return len(g.answers) > 0 }); err != nil {
			return err
		}
		for len(g.answers) > 0 {
			m := <-g.answers
			if len(m.TxID) != 5 || m.TxID[0] != '3' {
				continue
			}
			i := int(binary.BigEndian.Uint32(m.TxID[1:]))
			delete(flight, i)
			if reasons[m.Error]++; m.Error != "none" {
				todo = append(todo, i)
			} else {
				copy(a.hashes[i][:], m.StateHash)
			}
		}
		for i, at := range flight {
			if time.Since(at) > 3*time.Second {
				reasons["no answer"]++
				delete(flight, i)
				todo = append(todo, i)
			}
		}
	}
	return nil
}

// askAll lets all gateways ask for ways between nodes drawn at random, as
// often as each may.
func (a *announced) askAll(before int) error {
	cpu, began := a.host.Proc.CPU(), time.Now()
	var wg sync.WaitGroup
	counts := make([]struct{ asked, ways int }, len(a.gateways))
	errs := make([]error, len(a.gateways))
	for k, g := range a.gateways {
		wg.Go(func() {
			r := mathrand.New(mathrand.NewPCG(uint64(k), 1))
			c := &counts[k]
			for next := began; time.Since(began) < askTime && errs[k] == nil; next = next.Add(askPause) {
				from, to := &a.all[r.IntN(len(a.all))], &a.all[r.IntN(len(a.all))]
				c.asked++
				errs[k] = g.ask(&cjdns.Message{SubQuery: "gr", TxID: []byte("4"), Source: from.ip[:], Target: to.ip[:]})
				_ = g.serve(time.Until(next.Add(askPause)), never)
				for len(g.answers) > 0 {
					if m := <-g.answers; string(m.TxID) == "4" && len(m.Nodes) == 1 {
						c.ways++
					}
				}
			}
		})
	}
	wg.Wait()
	asked, ways := 0, 0
	for k := range counts {
		if errs[k] != nil {
			return errs[k]
		}
		asked, ways = asked+counts[k].asked, ways+counts[k].ways
	}
	took := time.Since(began)
	s, err := a.host.Status()
	if err != nil {
		return err
	}
	fmt.Printf("%d questions for ways by %d peers in %.0f s: %.0f answered a second, %d with a way; %v of processor time a question; RSS %.1f MB\n",
		asked, len(a.gateways), took.Seconds(), float64(s.Supernode.Routes-before)/took.Seconds(), ways,
		((a.host.Proc.CPU() - cpu) / time.Duration(max(1, asked))).Round(time.Microsecond), float64(a.host.Proc.RSS())/1e6)
	return nil
}
