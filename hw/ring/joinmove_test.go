//go:build netns

package ring

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// uplinks joins gateways to a host by a cable and a UDP peering each: the host
// listens, its device has the name of the gateway.
func (n *net) uplinks(c *rig.Host, gateways ...*rig.Host) {
	udpSpec(c, "0.0.0.0:20002")
	for k, g := range gateways {
		n.Veth(
			rig.End{Node: g.Node, Dev: "wan", Addr: fmt.Sprintf("10.9.%d.1/24", k+1)},
			rig.End{Node: c.Node, Dev: g.Node.Name, Addr: fmt.Sprintf("10.9.%d.2/24", k+1)},
		)
		udpSpec(g, "0.0.0.0:20001")
		dials(g, c, fmt.Sprintf("10.9.%d.2:20002", k+1))
	}
}

// twoUplinks draws   a ──air── g1, g2 ──udp── c   and waits until a reaches c.
func (n *net) twoUplinks(seed uint64) (a *rig.Host, gateways map[string]*rig.Host, c *rig.Host) {
	i := n.island(seed, quick)
	a, c = i.agent("a"), n.agent("c")
	g1, g2 := i.agent("g1"), i.agent("g2")
	i.Line(0, g1, a, g2)
	n.uplinks(c, g1, g2)
	startAll(a, g1, g2, c)
	for _, g := range []*rig.Host{g1, g2} {
		i.verified(a, g)
		mustPeer(n.t, g, c, 10*time.Second)
	}
	reach(n.t, a, c, 20*time.Second)
	return a, map[string]*rig.Host{"g1": g1, "g2": g2}, c
}

// busier returns that of two devices of a host over which more packets come in
// within half a second.
func busier(t *testing.T, h *rig.Host, one, two string) string {
	t.Helper()
	count := func(dev string) uint64 {
		c, err := h.Node.Counters(dev)
		if err != nil {
			t.Fatal(err)
		}
		return c.RxPackets
	}
	a, b := count(one), count(two)
	time.Sleep(500 * time.Millisecond)
	if count(one)-a >= count(two)-b {
		return one
	}
	return two
}

// powerCut takes away what a host would lose with its power: devices that the
// agent made, and what lies in memory. The agent must have ended.
func powerCut(h *rig.Host) {
	for _, dev := range []string{"mesh0", "bat0"} {
		_, _ = h.Node.Run(context.Background(), "ip", "link", "del", dev)
	}
	_ = os.Remove(h.Socket + ".seqnos")
}

// talks opens a connection that stands until the test ends.
func talks(t *testing.T, from, to *rig.Host) *rig.Talk {
	t.Helper()
	talk, err := from.Node.Talk(to.Node, to.IP(), 20*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { talk.Close() })
	lives(t, talk, "at rest")
	return talk
}

// lives fails the test unless a connection goes on after an event.
func lives(t *testing.T, talk *rig.Talk, event string) {
	t.Helper()
	if !talk.WaitRounds(25, 30*time.Second) {
		r := talk.Result()
		t.Fatalf("%s: the connection does not go on: %d rounds, still for %v, %v", event, r.Rounds, r.Longest, r.Err)
	}
	t.Logf("%s: the connection stood still for %v", event, talk.Result().Longest.Round(time.Millisecond))
	talk.Mark()
}

// TestJoinMoves: m moves along the line, from the neighbourhood of one node to
// that of the next, five times. A TCP connection and an ssh session of p with
// it go on.
//
//	p ── n1 ── n2 ── n3 ── n4 ── n5 ── n6
//	     m    (m)   (m)   (m)   (m)   (m)
func TestJoinMoves(t *testing.T) {
	n := newNet(t)
	i := n.island(21, quick)
	p, m := i.agent("p"), i.agent("m")
	line := []*rig.Host{p}
	for k := range 6 {
		line = append(line, i.agent(fmt.Sprintf("n%d", k+1)))
	}
	i.Line(0.02, line...)
	at := line[1:]
	i.Link(m, at[0], 0.02)
	startAll(append(line, m)...)
	i.verified(p, m)
	reach(t, p, m, 20*time.Second)
	talk := talks(t, p, m)
	ssh := openSSH(t, n, p, m)
	for k := 1; k < len(at); k++ {
		i.Link(m, at[k], 0.02)
		i.Cut(m, at[k-1], true)
		lives(t, talk, fmt.Sprintf("move %d", k))
		ssh.says(fmt.Sprintf("after-move-%d", k))
		time.Sleep(time.Second)
	}
	if o, _ := i.Best(m, at[5]); o.Next != i.MAC(at[5]) {
		t.Errorf("m is a neighbour of n6, but goes there via %q", o.Next)
	}
}

// sshSession is a session that echoes lines.
type sshSession struct {
	t      *testing.T
	in     *os.File
	client *rig.Proc
}

// openSSH starts a server on one host and logs in from another. Without the
// programs it returns nil, whose says does nothing.
func openSSH(t *testing.T, n *net, from, to *rig.Host) *sshSession {
	t.Helper()
	if err := rig.Need("ssh", "sshd", "ssh-keygen"); err != nil {
		t.Logf("without ssh: %v", err)
		return nil
	}
	dir := filepath.Join(n.Dir, "ssh")
	_ = os.Mkdir(dir, 0o700)
	key, hostKey, fifo := filepath.Join(dir, "key"), filepath.Join(dir, "host"), filepath.Join(dir, "in")
	for _, argv := range [][]string{
		{"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key}, {"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", hostKey},
		{"mkfifo", fifo}, {"mkdir", "-p", "/run/sshd"}, // the server's own place, which its start script makes
	} {
		if out, err := to.Node.Run(context.Background(), argv...); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	sshd, err := to.Node.Run(context.Background(), "sh", "-c", "PATH=$PATH:/usr/sbin command -v sshd")
	if err != nil {
		t.Fatal(err)
	}
	server := to.Node.Start("sshd", strings.TrimSpace(sshd), "-D", "-e", "-f", "/dev/null", "-h", hostKey, "-o", "AuthorizedKeysFile="+key+".pub",
		"-o", "StrictModes=no", "-o", "UsePAM=no", "-o", "PidFile=none", "-o", "PermitRootLogin=yes", "-o", "ListenAddress=["+to.IP()+"]:22")
	if !rig.Until(10*time.Second, 20*time.Millisecond, func() bool { return strings.Contains(server.Output(), "listening") || !server.Alive() }) {
		t.Fatalf("the ssh server does not listen: %s", server.Tail(10))
	}
	client := from.Node.Start("ssh", "sh", "-c", `exec ssh -F none -T -i "$0" -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null `+
		`-o LogLevel=ERROR root@"$1" cat <"$2"`, key, to.IP(), fifo)
	in, err := os.OpenFile(fifo, os.O_RDWR, 0) // for reading too, so that it opens at once
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close() })
	s := &sshSession{t, in, client}
	if !s.echoes("hello") {
		t.Fatalf("no ssh session: %s\n%s", client.Tail(10), server.Tail(10))
	}
	return s
}

// echoes sends a line and waits for it to come back.
func (s *sshSession) echoes(line string) bool {
	if _, err := s.in.WriteString(line + "\n"); err != nil {
		return false
	}
	return rig.Until(30*time.Second, 20*time.Millisecond, func() bool {
		return strings.Contains(s.client.Output(), line+"\n") || !s.client.Alive()
	}) && s.client.Alive()
}

// says fails the test if a line is not echoed.
func (s *sshSession) says(line string) {
	s.t.Helper()
	if s != nil && !s.echoes(line) {
		s.t.Fatalf("the ssh session has ended, or does not answer to %q: %s", line, s.client.Tail(10))
	}
}

// TestJoinConnectionLives: a TCP connection over the mesh outlives what may
// happen to the node at its end.
func TestJoinConnectionLives(t *testing.T) {
	n := newNet(t)
	i := n.island(22, quick)
	a, m, b := i.agent("a"), i.agent("m"), i.agent("b")
	i.Line(0.05, a, m, b)
	startAll(a, m, b)
	i.verified(a, b)
	reach(t, a, b, 20*time.Second)
	talk := talks(t, a, b)

	b.Node.IP("link", "set", "wlan0", "down")
	time.Sleep(1500 * time.Millisecond)
	b.Node.IP("link", "set", "wlan0", "up")
	lives(t, talk, "the radio was off for 1.5s")

	b.Restart()
	lives(t, talk, "the agent was killed and started again")

	if err := b.Proc.Stop(); err != nil {
		t.Errorf("the agent ends with %v", err)
	}
	time.Sleep(time.Second)
	b.Start()
	lives(t, talk, "the agent was stopped for 1s")

	m.Restart()
	lives(t, talk, "the agent in the middle was killed and started again")
}

// TestJoinCableLives: a cable of the mesh is pulled out and another put in; the
// peer of a UDP uplink gets another address.
func TestJoinCableLives(t *testing.T) {
	n := newNet(t)
	hosts := n.joinLine(2)
	a, b := hosts[0], hosts[1]
	reach(t, a, b, 20*time.Second)
	talk := talks(t, a, b)
	rig.End{Node: b.Node, Dev: "left"}.Unplug()
	time.Sleep(1500 * time.Millisecond)
	n.meshVeth(a, 0, b, 1)
	lives(t, talk, "the cable was away for 1.5s")
}

func TestJoinNewAddressLives(t *testing.T) {
	n := newNet(t)
	a, b := n.udpPair(false, false)
	startAll(a, b)
	reach(t, b, a, 5*time.Second)
	talk := talks(t, b, a)
	move := renumber(a, "eb", addrA, "10.9.0.3/24")
	for range 2 {
		move()
		lives(t, talk, "the dialer has another address")
	}
	udpSpec(a, "0.0.0.0:20011")
	a.Restart()
	lives(t, talk, "the dialer has another port")
}

// joinLine is meshLine with the overlay.
func (n *net) joinLine(count int) (hosts []*rig.Host) {
	hosts = n.meshNodes(count, noBLA...)
	for _, h := range hosts {
		h.Spec.NoTUN = false
	}
	startAll(hosts...)
	return hosts
}

// TestTwoUplinks: two cables join c to g, and the one in use is unplugged while
// iperf3 runs from a to c. At most 200 ms of a stream are lost where each link is
// bound to its cable.
//
//	a ──udp── g ══ c
func TestTwoUplinks(t *testing.T) {
	if err := rig.Need("iperf3"); err != nil {
		t.Skip(err)
	}
	t.Parallel()
	t.Run("Ethernet", func(t *testing.T) {
		n := newNet(t)
		a, g, c := n.agent("a"), n.agent("g"), n.agent("c")
		n.chain(a, g)
		for _, dev := range []string{"one", "two"} {
			n.Veth(rig.End{Node: g.Node, Dev: dev}, rig.End{Node: c.Node, Dev: dev})
			for _, h := range []*rig.Host{g, c} {
				h.Spec.Eth = append(h.Spec.Eth, rig.EthSpec{Dev: dev, Beacon: rig.BeaconSend})
			}
		}
		unplugged(t, a, g, c, 200*time.Millisecond)
	})
	// A socket for each uplink, bound to its device, at both ends.
	t.Run("UDP", func(t *testing.T) {
		n := newNet(t)
		a, g, c := n.agent("a"), n.agent("g"), n.agent("c")
		n.chain(a, g)
		for k, dev := range []string{"one", "two"} {
			ours, theirs := fmt.Sprintf("10.8.%d.1", k), fmt.Sprintf("10.8.%d.2", k)
			n.Veth(rig.End{Node: g.Node, Dev: dev, Addr: theirs + "/24"}, rig.End{Node: c.Node, Dev: dev, Addr: ours + "/24"})
			bind := fmt.Sprintf("0.0.0.0:%d", 20003+k)
			c.Spec.UDP = append(c.Spec.UDP, rig.UDPSpec{Bind: bind, Dev: dev})
			g.Spec.UDP = append(g.Spec.UDP, rig.UDPSpec{Bind: bind, Dev: dev})
			dials(c, g, fmt.Sprintf("%s:%d", theirs, 20003+k))
			c.Spec.Peers[len(c.Spec.Peers)-1].Dev = fmt.Sprintf("udp%d", k)
		}
		unplugged(t, a, g, c, 200*time.Millisecond)
	})
	// One socket for both: the called end takes the second call for a move of the
	// caller, and the silence has to be noticed.
	t.Run("one socket", func(t *testing.T) {
		n := newNet(t)
		a, g, c := n.agent("a"), n.agent("g"), n.agent("c")
		n.chain(a, g)
		udpSpec(c, "0.0.0.0:20002")
		for k, dev := range []string{"one", "two"} {
			ours, theirs := fmt.Sprintf("10.8.%d.1", k), fmt.Sprintf("10.8.%d.2", k)
			n.Veth(rig.End{Node: g.Node, Dev: dev, Addr: theirs + "/24"}, rig.End{Node: c.Node, Dev: dev, Addr: ours + "/24"})
			dials(c, g, theirs+":20002")
		}
		unplugged(t, a, g, c, time.Second)
	})
}

// unplugged starts   a ── g ══ c   and unplugs that of the devices one and two
// of c that is in use.
func unplugged(t *testing.T, a, g, c *rig.Host, limit time.Duration) {
	t.Helper()
	startAll(a, g, c)
	reach(t, a, c, 20*time.Second)
	links := func() (up int) {
		peers, _ := c.Peers()
		for _, p := range peers {
			if p.Key == g.ID.Key.String() && p.State == "ESTABLISHED" {
				up++
			}
		}
		return up
	}
	c.Node.Start("iperf3", "iperf3", "-s")
	for range 3 {
		if !rig.Until(30*time.Second, 50*time.Millisecond, func() bool { return links() == 2 }) {
			t.Fatalf("c has %d links to g, want 2", links())
		}
		time.Sleep(time.Second)
		done := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
			defer cancel()
			rep, err := a.Node.Iperf(ctx, c.IP(), 5, "-b", "5M")
			if err == nil && rep.End.Received.Bytes < 2e6 {
				err = fmt.Errorf("only %.0f bytes came through", rep.End.Received.Bytes)
			}
			done <- err
		}()
		var used string
		r := holeOf(t, a, c, 3*time.Second, func() {
			used = busier(t, c, "one", "two")
			c.Node.IP("link", "set", used, "down")
		})
		err := <-done
		t.Logf("%s was unplugged: hole %v (%d lost of %d), iperf3: %v", used, r.Hole.Round(time.Millisecond), r.Lost, r.Sent, err)
		if err != nil {
			t.Fatal(err)
		}
		if r.Received > 0 && r.Hole <= limit {
			return
		}
		c.Node.IP("link", "set", used, "up")
		reach(t, a, c, 30*time.Second)
		time.Sleep(11 * time.Second) // a link that has failed is not trusted for a while
	}
	t.Errorf("the hole was never below %v", limit)
}

// number reads a number of a test's environment, or takes another.
func number(name string, otherwise int) int {
	if v, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return v
	}
	return otherwise
}
