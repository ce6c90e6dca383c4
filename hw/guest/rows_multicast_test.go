//go:build guest

package guest

import (
	"fmt"
	"testing"
	"time"
)

// TestMulticast: neighbour discovery of IPv6 needs frames for the group of an
// address. The kernels announce their groups, the agents want everything; the
// newer kernel packs such frames into packets of type MCAST, which the agent
// in the middle has to carry on.
func TestMulticast(t *testing.T) {
	row(t, "multicast: IPv6 neighbour discovery, kernel-agent-kernel-agent", func(w *world) {
		left, right, end := w.lan(), w.lan(), w.lan()
		k1 := w.kernel("k1", MeshConfig{}, left)
		a1 := w.agent("a1", agentConfig{}, left, right)
		k2 := w.kernel("k2", MeshConfig{}, right, end)
		a2 := w.agent("a2", agentConfig{}, end)
		all := []node{k1, a1, k2, a2}
		w.routes(all...)
		for i, n := range all {
			must(n, fmt.Sprintf("echo 0 >/proc/sys/net/ipv6/conf/bat0/disable_ipv6; ip -6 addr add fd00:ba::%d/64 dev bat0 nodad", i+1))
		}
		time.Sleep(5 * time.Second) // until the groups are announced
		before := statistics(a1)
		for i, n := range all {
			for j := range all {
				if i == j {
					continue
				}
				to := fmt.Sprintf("fd00:ba::%d", j+1)
				w.eventually(10*time.Second, n.label()+" reaches "+to, func() error {
					out, err := n.sh("ip -6 neigh flush dev bat0; busybox ping -6 -c 1 -W 1 " + to)
					if err != nil {
						return fmt.Errorf("%v: %s", err, out)
					}
					return nil
				})
			}
		}
		s := statistics(a1)
		mcast := func(name string) uint64 { return s[name] - before[name] }
		w.note("agent in the middle: %d MCAST packets forwarded, %d delivered, %d begun", mcast("mcast_fwd"), mcast("mcast_rx_local"), mcast("mcast_tx_local"))
		if w.kernelHasMCAST() && (mcast("mcast_fwd") == 0 || mcast("mcast_rx_local") == 0 || mcast("mcast_tx_local") == 0) {
			w.Error("the agent has not taken part")
		}
	})
}

// kernelHasMCAST reports whether the guest's module knows packets of type
// MCAST: those since 2024.0 do.
func (w *world) kernelHasMCAST() bool { return w.result.kernel != "6.1" }
