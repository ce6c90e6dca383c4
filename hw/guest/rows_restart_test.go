//go:build guest

package guest

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// answered waits for a ping to be answered.
func (w *world) answered(d time.Duration, n node, ip string) time.Duration {
	w.Helper()
	return w.eventually(d, n.label()+" reaches "+ip, func() error {
		out, err := n.sh("ping -n -q -c 1 -W 1 " + ip)
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}

// seqnoPatience is how long a node may be kept out after its sequence numbers
// have jumped: half a minute from its first contact and some OGMs, and as much
// again for a slow machine.
const seqnoPatience = 90 * time.Second

// TestAgentRestart: an agent that stops and starts, or is killed and starts,
// goes on where it was; so does one whose machine was rebooted, by the clock.
func TestAgentRestart(t *testing.T) {
	row(t, "the agent restarts", func(w *world) { agentRestart(w, "") })
}

func agentRestart(w *world, algo string) {
	left, right := w.lan(), w.lan()
	k1 := w.kernel("k1", MeshConfig{Algo: algo, IPs: []string{ip1 + net24}}, left)
	a := w.agent("a1", agentConfig{Algo: algo, IPs: []string{ip2 + net24}}, left, right)
	k2 := w.kernel("k2", MeshConfig{Algo: algo, IPs: []string{ip3 + net24}}, right)
	w.routes(k1, a, k2)
	w.answered(10*time.Second, k1, ip3)
	for _, how := range []string{"stopped", "killed", "rebooted"} {
		if how == "killed" {
			a.Proc.Kill()
		} else if err := a.Proc.Stop(); err != nil {
			w.Errorf("the agent ends with %v", err)
		}
		if how == "rebooted" { // what lay in memory is lost
			if err := os.Remove(a.Socket + ".seqnos"); err != nil {
				w.Error(err)
			}
		}
		time.Sleep(2 * time.Second)
		a.up()
		begin := time.Now()
		w.answered(8*time.Second, k1, ip2)
		w.answered(8*time.Second, k2, ip1)
		w.note("%s: through again after %.1f s", how, time.Since(begin).Seconds())
		w.ping(k1, ip3)
		w.ping(a, ip1)
	}
}

// TestGuestReboot: a kernel that boots anew begins with other numbers.
func TestGuestReboot(t *testing.T) {
	row(t, "the guest reboots", func(w *world) { guestReboot(w, "") })
}

func guestReboot(w *world, algo string) {
	lan := w.lan()
	start := func() kernelNode {
		k := w.kernel("k1", MeshConfig{Algo: algo, IPs: []string{ip1 + net24}}, lan)
		// Else it is another one after each boot, and what is measured is how
		// long the hosts keep their ARP entries.
		must(k, "ip link set bat0 address 02:b0:00:00:00:01")
		return k
	}
	k := start()
	a := w.agent("a1", agentConfig{Algo: algo, IPs: []string{ip2 + net24}}, lan)
	a2 := w.agent("a2", agentConfig{Algo: algo, IPs: []string{ip3 + net24}}, lan)
	w.routes(k, a, a2)
	w.ping(a, ip1)
	w.judgeLog() // what the kernel said so far
	mac := k.mac()
	w.guest.Reboot()
	w.nodes = w.nodes[1:]
	begin := time.Now()
	if k = start(); k.mac() != mac {
		w.Fatalf("the rebooted node has the address %s, had %s", k.mac(), mac)
	}
	w.answered(seqnoPatience, a, ip1)
	w.answered(seqnoPatience, a2, ip1)
	w.note("reached again after %.1f s", time.Since(begin).Seconds())
	w.ping(k, ip2)
	w.ping(a2, ip1)
}
