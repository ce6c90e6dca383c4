//go:build guest

package guest

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/hw/forge"
	"github.com/meshagent/meshagent/hw/rig"
)

// overlayType is the packet type of frames of the overlay in the mesh.
const overlayType = 0x6d

func TestOverlayThroughKernels(t *testing.T) {
	row(t, "agent-kernel-kernel-agent, overlay through stock relays", func(w *world) { overlayAKKA(w, "") })
}

func TestVOverlayThroughKernels(t *testing.T) {
	row(t, "V: agent-kernel-kernel-agent, overlay through stock relays", func(w *world) { overlayAKKA(w, batmanV) })
}

// overlayAKKA: two agents know each other by their signed identities, and reach
// each other's overlay address, through two nodes that know nothing of it.
// What they relay is what was sent, to the byte.
func overlayAKKA(w *world, algo string) {
	if err := rig.Need("iperf3"); err != nil {
		w.Fatal(err)
	}
	left, middle, right := w.lan(), w.lan(), w.lan()
	a1 := w.agent("a1", agentConfig{Algo: algo, Overlay: true}, left)
	k1 := w.kernel("k1", MeshConfig{Algo: algo}, left, middle)
	k2 := w.kernel("k2", MeshConfig{Algo: algo}, middle, right)
	a2 := w.agent("a2", agentConfig{Algo: algo, Overlay: true}, right)
	sent, came := w.capture(a1), w.capture(a2)
	w.routes(a1, k1, k2, a2)
	known := w.identified(a1, a2)
	begin := time.Now()
	w.overlayPing(a1, a2, 1, 56)
	w.note("identity known after %.1f s, first encrypted ping %.1f s later", known.Seconds(), time.Since(begin).Seconds())
	for _, size := range []int{8, 56, 500, 1000, 1208, 1232, 1256} { // the last is a packet of the TUN's MTU
		w.overlayPing(a1, a2, 3, size)
		w.overlayPing(a2, a1, 3, size)
	}
	const files = 10
	for k := range files {
		from, to := a1, a2
		if k%2 == 1 {
			from, to = a2, a1
		}
		if _, ok := w.transfer(to, from, fmt.Sprintf("[%s]:5001", from.IP()), 64<<10); !ok {
			return
		}
	}
	w.note("%d files of 64 KiB right to the byte, iperf3 %.1f Mbit/s", files, w.iperf(a1, a2))
	w.relayed(a1, sent, came)
}

// capture notes what passes by the hard interface of an agent until the row
// ends.
type capture struct {
	mu       sync.Mutex
	identity map[string][]byte // of an originator and sequence number
	overlay  map[string]bool   // packets, without TTL
}

func (w *world) capture(a *agent) *capture {
	raw, err := a.Node.Raw("hw0")
	if err != nil {
		w.Fatal(err)
	}
	c := &capture{identity: map[string][]byte{}, overlay: map[string]bool{}}
	w.onClose(raw.Close)
	w.background(func() {
		if frame, _, err := raw.Receive(100 * time.Millisecond); err == nil {
			c.note(frame)
		}
	})
	return c
}

// background does something again and again until the row ends.
func (w *world) background(f func()) {
	stop, done := make(chan struct{}), make(chan struct{})
	w.onClose(func() { close(stop); <-done })
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				f()
			}
		}
	}()
}

func (c *capture) note(frame []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range forge.Identities(frame) {
		c.identity[fmt.Sprint(id.Orig, id.Seqno)] = id.Value
	}
	if len(frame) > batman.EthLen+22 && frame[12] == 0x43 && frame[13] == 5 && frame[batman.EthLen] == overlayType {
		p := bytes.Clone(frame[batman.EthLen:])
		p[2] = 0 // TTL
		c.overlay[string(p)] = true
	}
}

// relayed compares what an agent sent with what came out behind the relays.
func (w *world) relayed(from *agent, sent, came *capture) {
	w.Helper()
	sent.mu.Lock()
	defer sent.mu.Unlock()
	came.mu.Lock()
	defer came.mu.Unlock()
	ids, packets := 0, 0
	for key, v := range came.identity {
		if was, ok := sent.identity[key]; ok {
			if ids++; !bytes.Equal(was, v) {
				w.Errorf("the identity of %s has changed on the way:\n%x\nwas\n%x", key, v, was)
			}
		}
	}
	for p := range came.overlay {
		if sent.overlay[p] {
			packets++
		}
	}
	if ids < 5 || packets < 20 {
		w.Errorf("%d identities of %s and %d packets of the overlay came through unchanged", ids, from.label(), packets)
	}
	w.note("%d containers and %d packets 0x6d unchanged", ids, packets)
}

// identified waits until two agents know each other's addresses, and returns
// how long that took.
func (w *world) identified(a, b *agent) time.Duration {
	w.Helper()
	return w.eventually(30*time.Second, "the agents know each other's addresses", func() error {
		for _, p := range [][2]*agent{{a, b}, {b, a}} {
			o, err := way(p[0], p[1])
			if err != nil {
				return err
			}
			if o.Identity != p[1].IP() {
				return fmt.Errorf("%s takes %s for %q", p[0].label(), p[1].label(), o.Identity)
			}
		}
		return nil
	})
}

// overlayPing pings over the overlay until all of a run come back.
func (w *world) overlayPing(from, to *agent, count, size int) {
	w.Helper()
	w.eventually(15*time.Second, fmt.Sprintf("pings of %d bytes from %s to %s", size, from.label(), to.label()), func() error {
		ctx, stop := bounded()
		defer stop()
		res, err := from.Node.Ping(ctx, to.IP(), rig.PingOpts{Count: count, Interval: 20 * time.Millisecond, Size: size, DF: true})
		if err == nil && res.Received != count {
			err = fmt.Errorf("%d of %d came back: %s", res.Received, count, res.Output)
		}
		return err
	})
}

// iperf measures TCP over the overlay for two seconds, in Mbit/s.
func (w *world) iperf(from, to *agent) float64 {
	w.Helper()
	server := to.Node.Start("iperf3", "iperf3", "-s", "-1")
	defer func() { _ = server.Stop() }()
	time.Sleep(300 * time.Millisecond)
	ctx, stop := bounded()
	defer stop()
	rep, err := from.Node.Iperf(ctx, to.IP(), 2)
	if err != nil || rep.End.Received.Bits == 0 {
		w.Errorf("iperf3 over the overlay: %v", err)
	}
	return rep.End.Received.Bits / 1e6
}

// TestForgedAtKernel: x forges OGMs of a2. The kernel believes them; the agents
// do not, and go round the kernel.
//
//	x ─┐
//	a1 ┴── k1 ── a2
//	 └──── a3 ───┘     worse
func TestForgedAtKernel(t *testing.T) {
	row(t, "forged OGMs at a stock relay", func(w *world) {
		one, two, three, four := w.lan(), w.lan(), w.lan(), w.lan()
		k1 := w.kernel("k1", MeshConfig{}, one, two)
		a1 := w.agent("a1", agentConfig{Overlay: true}, one, three)
		a2 := w.agent("a2", agentConfig{Overlay: true}, two, four)
		a3 := w.agent("a3", agentConfig{Overlay: true, Options: []string{"hop_penalty", "80"}}, three, four)
		x := w.phone("10.66.0.1/24", one)
		mac, err := batman.ParseMAC(x.MAC)
		if err != nil {
			w.Fatal(err)
		}
		raw, err := x.Raw("eth0")
		if err != nil {
			w.Fatal(err)
		}
		w.onClose(raw.Close)
		w.routes(a1, a2, a3, k1)
		w.identified(a1, a2)
		w.overlayPing(a1, a2, 3, 56)
		w.eventually(30*time.Second, "a1 goes to a2 via k1", func() error {
			if o, err := way(a1, a2); err != nil || o.Next != k1.mac() || o.TQ < 200 {
				return fmt.Errorf("via %s with TQ %d %w", o.Next, o.TQ, err)
			}
			return nil
		})
		o := w.overheard(raw, a2)

		// x is a neighbour like any other: k1 hears that x hears it
		station := &forge.Station{MAC: mac, Lie: func(o forge.OGM) forge.OGM {
			if o.Orig.String() == a2.mac() {
				o.TQ = 0 // the true ones are not repeated as good
			}
			return o
		}}
		w.background(func() {
			frame, _, err := raw.Receive(20 * time.Millisecond)
			if err != nil {
				return
			}
			for _, f := range station.Hear(frame) {
				_ = raw.Send(f)
			}
		})
		w.background(func() { _ = raw.Send(station.Hello()); time.Sleep(interval * time.Millisecond) })
		w.eventually(20*time.Second, "k1 takes x for a neighbour", func() error {
			list, err := rows[rig.BatOriginator](k1, "oj")
			for _, l := range list {
				if l.Orig == x.MAC && l.TQ > 200 {
					return nil
				}
			}
			return fmt.Errorf("%v %w", list, err)
		})

		ping := a1.Node.PingWhile(a2.IP(), 750, 20*time.Millisecond)
		time.Sleep(time.Second)
		begin := time.Now()
		var lured, moved time.Duration // when k1 sends to x, and a1 to a3
		for k := range uint32(60) {
			ahead := 50 + 2*k // near enough for an agent to try the hash chain
			if k >= 10 {
				ahead = 3000 + 10*k // a stock node then takes the true numbers for old ones
			}
			if err := raw.Send(o.As(o.Orig, mac, ahead).Frame(mac)); err != nil {
				w.Fatal(err)
			}
			if lured == 0 {
				if l, _ := way(k1, a2); l.Next == x.MAC {
					lured = time.Since(begin)
				}
			}
			if moved == 0 {
				if l, _ := way(a1, a2); l.HardIf == "hw1" {
					moved = time.Since(begin)
				}
			}
			time.Sleep(time.Until(begin.Add(time.Duration(k+1) * interval * time.Millisecond)))
		}
		lure := "believes none of them"
		if lured > 0 {
			back := w.eventually(60*time.Second, "k1 finds a2 again", func() error {
				if l, err := way(k1, a2); err != nil || l.Next == x.MAC {
					return fmt.Errorf("via %s %w", l.Next, err)
				}
				return nil
			})
			lure = fmt.Sprintf("sends to the forger after %.1f s, until %.1f s after the last", lured.Seconds(), back.Seconds())
		}
		res, err := ping.Result()
		if err != nil {
			w.Fatal(err)
		}
		gap, lost := res.Gap()
		if gap > 5*time.Second || lost > 250 {
			w.Errorf("traffic stood still for %v (%d pings lost), want 5 s at most", gap, lost)
		}
		if l, err := way(a1, a2); err != nil || l.Identity == "" || l.Next == x.MAC {
			w.Errorf("a1's way to a2: %+v %v", l, err)
		}
		forged := w.dropped(a1, "forged", "unchecked")
		if w.dropped(a1, "forged") == 0 || forged < 40 {
			w.Errorf("a1 has refused %d OGMs, of these as forged %d", forged, w.dropped(a1, "forged"))
		}
		w.note("the kernel %s; a1 refuses %d, its traffic stands still for %.1f s, it has another way after %.1f s", lure, forged, gap.Seconds(), moved.Seconds())
	})
}

// overheard waits for an OGM of an agent with its record.
func (w *world) overheard(raw *rig.Raw, of *agent) (o forge.OGM) {
	w.Helper()
	w.eventually(20*time.Second, "an OGM with a record", func() error {
		for end := time.Now().Add(time.Second); time.Now().Before(end); {
			frame, _, err := raw.Receive(100 * time.Millisecond)
			if err != nil {
				continue
			}
			for _, p := range forge.Parse(frame) {
				if p.Orig.String() == of.mac() && p.HasRecord() {
					o = p
					return nil
				}
			}
		}
		return context.DeadlineExceeded
	})
	return o
}

// dropped adds up what an agent has refused for some reasons.
func (w *world) dropped(a *agent, reasons ...string) (sum uint64) {
	var s struct{ Drops map[string]uint64 }
	if err := a.Bat(&s, "s"); err != nil {
		w.Error(err)
	}
	for _, r := range reasons {
		sum += s.Drops[r]
	}
	return sum
}
