//go:build guest

package guest

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// TestVLAN: hosts with tagged frames behind a kernel, behind the other kernel
// at the end of the chain, and behind the agent between them.
func TestVLAN(t *testing.T) {
	row(t, "802.1Q clients behind kernel-agent-kernel", func(w *world) {
		left, right, behind := w.lan(), w.lan(), w.lan()
		k1 := w.kernel("k1", MeshConfig{}, left)
		a := w.agent("a1", agentConfig{Client: behind}, left, right)
		k2 := w.kernel("k2", MeshConfig{}, right)
		h := kernelNode{w.guest.Host("h1", behind, "ip link add link $dev name v10 type vlan id 10\nip addr add 10.10.0.2/24 dev v10\nip link set v10 up")}
		w.onClose(h.Close)
		for i, k := range []node{k1, k2} {
			must(k, fmt.Sprintf("ip link add link bat0 name v10 type vlan id 10; ip addr add 10.10.0.%d/24 dev v10; ip link set v10 up", 1+2*i))
		}
		w.routes(k1, a, k2)
		w.ping(k1, "10.10.0.2")
		w.ping(h, "10.10.0.3")
		w.ping(k2, "10.10.0.1")
		for _, k := range []node{k1, k2} {
			w.eventually(10*time.Second, "the host behind the agent is known with its VLAN", func() error {
				orig, err := owner(k, h.mac(), 10)
				if orig != a.mac() {
					return fmt.Errorf("%s says %q, want %s: %v", k.label(), orig, a.mac(), err)
				}
				return nil
			})
		}
	})
}

// TestARP: addresses of a host that has gone are answered out of the table.
func TestARP(t *testing.T) {
	row(t, "ARP through DAT", func(w *world) {
		lan, behindK, behindA := w.lan(), w.lan(), w.lan()
		k1 := w.kernel("k1", MeshConfig{Client: behindK}, lan)
		k2 := w.kernel("k2", MeshConfig{IPs: []string{"10.9.0.2/24"}}, lan)
		k3 := w.kernel("k3", MeshConfig{IPs: []string{"10.9.0.3/24"}}, lan)
		a1 := w.agent("a1", agentConfig{Client: behindA}, lan)
		a2 := w.agent("a2", agentConfig{IPs: []string{"10.9.0.5/24"}}, lan)
		a3 := w.agent("a3", agentConfig{IPs: []string{"10.9.0.6/24"}}, lan)
		w.routes(k1, k2, k3, a1, a2, a3)
		const hosts = 8
		for i, behind := range []struct {
			lan    *LAN
			asker  node // makes the host known
			others []node
		}{{behindA, k2, []node{k3, a3}}, {behindK, a2, []node{k3, a3}}} {
			p := w.phone(fmt.Sprintf("10.9.0.%d/24", 20*(i+1)), behind.lan)
			var all strings.Builder
			for j := range hosts {
				ip := fmt.Sprintf("10.9.0.%d", 20*(i+1)+j)
				if j > 0 {
					p.IP("addr", "add", ip+"/24", "dev", "eth0")
				}
				fmt.Fprintf(&all, " %s", ip)
			}
			must(behind.asker, fmt.Sprintf("for ip in%s; do ping -n -q -c 2 -i 0.2 -W 1 $ip >/dev/null; done; true", all.String()))
			time.Sleep(300 * time.Millisecond)
			p.IP("link", "set", "eth0", "down")
			for _, n := range behind.others {
				out, err := n.sh(fmt.Sprintf("for ip in%s; do busybox arping -f -w 5 -I bat0 $ip & done; wait", all.String()))
				got := strings.Count(strings.ToLower(out), "["+p.MAC+"]")
				w.note("%s has %d of %d addresses of a gone host", short(n), got, hosts)
				if err != nil || got < hosts {
					w.Errorf("%s: %d of %d addresses are answered: %v\n%s", n.label(), got, hosts, err, out)
				}
			}
		}
		var put, get, served uint64
		for _, a := range []node{a1, a2, a3} {
			s := statistics(a)
			put, get, served = put+s["dat_put_tx"], get+s["dat_get_tx"], served+s["dat_get_rx"]
		}
		w.note("agents: %d puts, %d gets sent, %d gets answered", put, get, served)
		if put == 0 || get == 0 || served == 0 {
			w.Error("the agents have not taken part in DAT")
		}
	})
}

// TestRoaming: a host goes from the kernel to the agent and back while two
// others, behind one node of each kind, ping it.
func TestRoaming(t *testing.T) {
	row(t, "a client roams between kernel and agent", func(w *world) {
		lan, behindK, behindA := w.lan(), w.lan(), w.lan()
		k1 := w.kernel("k1", MeshConfig{Client: behindK}, lan)
		k2 := w.kernel("k2", MeshConfig{IPs: []string{"10.9.0.2/24"}}, lan)
		a1 := w.agent("a1", agentConfig{Client: behindA}, lan)
		a2 := w.agent("a2", agentConfig{IPs: []string{"10.9.0.5/24"}}, lan)
		w.routes(k1, k2, a1, a2)
		p := w.phone("10.9.0.9/24", behindK)
		for _, n := range []node{k2, a2} {
			w.ping(n, "10.9.0.9")
		}
		// An agent gives a client up to a node without identity only when it was
		// silent for 1 s, so that nobody can take those that are in use.
		const keep = time.Second
		for _, to := range []struct {
			n   node
			lan *LAN
			gap time.Duration
		}{{a1, behindA, 3 * time.Second}, {k1, behindK, keep + 3*time.Second}, {a1, behindA, 3 * time.Second}} {
			g := a2.Node.PingWhile("10.9.0.9", 90, 100*time.Millisecond)
			time.Sleep(time.Second)
			p.port.Move(to.lan)
			must(p, "busybox arping -U -c 1 -w 1 -I eth0 10.9.0.9; true") // what a host says that comes to a new place
			for _, n := range []node{k2, a2} {
				w.eventually(10*time.Second, "the tables follow the client", func() error {
					orig, err := owner(n, p.MAC, -1)
					if orig != to.n.mac() {
						return fmt.Errorf("%s has the client at %q, not at %s: %v", n.label(), orig, to.n.label(), err)
					}
					return nil
				})
			}
			res, err := g.Result()
			gap, lost := res.Gap()
			w.note("to %s: gap %d ms, %d pings lost", short(to.n), gap.Milliseconds(), lost)
			if err != nil || gap > to.gap || res.Received < 25 {
				w.Errorf("roaming to %s: %v, gap %v, %d of %d pings answered", to.n.label(), err, gap, res.Received, res.Sent)
			}
			if out, err := k2.sh("ping -n -q -c 5 -i 0.2 -W 1 10.9.0.9"); err != nil {
				w.Errorf("from %s: %v\n%s", k2.label(), err, out)
			}
		}
		w.counted(a1, "tt_roam_adv_tx", "tt_roam_adv_rx")
		w.counted(k1, "tt_roam_adv_tx", "tt_roam_adv_rx")
	})
}

// TestCrowd: a thousand hosts behind the kernel and as many behind the agent
// are known to the other, and to a node that comes later.
func TestCrowd(t *testing.T) {
	row(t, "1000 clients behind one node", func(w *world) {
		const n = 1000
		lan, behindK, behindA := w.lan(), w.lan(), w.lan()
		k1 := w.kernel("k1", MeshConfig{Client: behindK}, lan)
		a1 := w.agent("a1", agentConfig{Client: behindA}, lan)
		w.routes(k1, a1)
		crowd := func(lan *LAN, first string) (last string) {
			p := w.phone("10.9.9.9/24", lan)
			for range 2 { // a frame may be lost in front of a busy guest
				must(p, fmt.Sprintf("%s %s crowd eth0 %d %s", self(), toolArg, n, first))
			}
			mac, _ := net.ParseMAC(first)
			return CrowdMAC(mac, n-1).String()
		}
		known := func(at, behind node, first string) time.Duration {
			return w.eventually(30*time.Second, at.label()+" knows the crowd", func() error {
				list, err := rows[rig.BatGlobal](at, "tgj")
				got := 0
				for _, g := range list {
					if g.Orig == behind.mac() && strings.HasPrefix(g.Client, first[:8]) {
						got++
					}
				}
				if err != nil || got != n {
					return fmt.Errorf("%d of %d clients of %s: %v", got, n, behind.label(), err)
				}
				return nil
			})
		}
		const ofKernel, ofAgent = "02:cc:01:00:00:00", "02:cc:02:00:00:00"
		crowd(behindK, ofKernel)
		w.note("agent knows those of the kernel %.1f s after the last has spoken", known(a1, k1, ofKernel).Seconds())
		crowd(behindA, ofAgent)
		w.note("kernel those of the agent %.1f s", known(k1, a1, ofAgent).Seconds())
		a2 := w.agent("a2", agentConfig{}, lan)
		k2 := w.kernel("k2", MeshConfig{}, lan)
		w.routes(k1, k2, a1, a2)
		w.note("newcomers: agent %.1f s, kernel %.1f s", max(known(a2, k1, ofKernel), known(a2, a1, ofAgent)).Seconds(),
			max(known(k2, k1, ofKernel), known(k2, a1, ofAgent)).Seconds())
		time.Sleep(time.Second)
		requests := func() (sum uint64) {
			for _, n := range []node{k1, k2, a1, a2} {
				sum += statistics(n)["tt_request_tx"]
			}
			return sum
		}
		before := requests()
		time.Sleep(3 * time.Second)
		if more := requests() - before; more > 0 {
			w.Errorf("the tables do not agree: %d requests in 3 s of rest", more)
		}
	})
}
