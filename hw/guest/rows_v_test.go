//go:build guest

package guest

import (
	"fmt"
	"testing"
	"time"
)

const batmanV = "BATMAN_V"

func TestVChainKernelAgent(t *testing.T) {
	row(t, "V: kernel-agent, ping 60..1514 both ways", func(w *world) { chainKA(w, batmanV) })
}

func TestVChainKernelAgentKernel(t *testing.T) {
	row(t, "V: kernel-agent-kernel, ping 60..1514 both ways", func(w *world) { chainKAK(w, batmanV) })
}

func TestVChainAgentKernelAgent(t *testing.T) {
	row(t, "V: agent-kernel-agent, ping 60..1514 both ways", func(w *world) { chainAKA(w, batmanV) })
}

func TestVTools(t *testing.T) {
	row(t, "V: ping, traceroute, throughput meter, both ways", func(w *world) { toolsKA(w, batmanV) })
}

func TestVAgentRestart(t *testing.T) {
	row(t, "V: the agent restarts", func(w *world) { agentRestart(w, batmanV) })
}

func TestVGuestReboot(t *testing.T) {
	row(t, "V: the guest reboots", func(w *world) { guestReboot(w, batmanV) })
}

func TestVGatewayKernel(t *testing.T) {
	row(t, "V: gateway server in the kernel, DHCP client at the agent", func(w *world) { gatewayK(w, batmanV) })
}

func TestVGatewayAgent(t *testing.T) {
	row(t, "V: gateway server at the agent, DHCP client in the kernel", func(w *world) { gatewayA(w, batmanV) })
}

func TestVTables(t *testing.T) {
	row(t, "V: batctl's tables and ours: columns and JSON keys", func(w *world) { tables(w, batmanV) })
}

// vOriginator is a line of originators_json of BATMAN_V.
type vOriginator struct {
	Orig       string `json:"orig_address"`
	Best       bool   `json:"best"`
	Throughput int    `json:"throughput"` // kbit/s
	Next       string `json:"neigh_address"`
	HardIf     string `json:"hard_ifname"`
}

// TestVThroughputOverride: two nodes share two segments. What is set for an
// interface decides the way on that side, and what a node hears of another is
// what it set itself.
func TestVThroughputOverride(t *testing.T) {
	row(t, "V: throughput override chooses the way", func(w *world) {
		one, two := w.lan(), w.lan()
		k := w.kernel("k1", MeshConfig{Algo: batmanV}, one, two)
		a := w.agent("a1", agentConfig{Algo: batmanV, Override: []int{20000, 60000}}, one, two)
		must(k, fmt.Sprintf("batctl hardif %s to 70mbit; batctl hardif %s to 30mbit", k.nics[0].Dev, k.nics[1].Dev))
		// a mean that moves slowly, from what the driver says
		best := func(n, to node, dev string, kbit int) {
			w.eventually(40*time.Second, fmt.Sprintf("%s reaches %s over %s", n.label(), to.label(), dev), func() error {
				list, err := rows[vOriginator](n, "oj")
				for _, o := range list {
					if o.Best && o.Orig == to.mac() && o.HardIf == dev && 10*o.Throughput > 9*kbit && 10*o.Throughput < 11*kbit {
						return nil
					}
				}
				return fmt.Errorf("%v %v", list, err)
			})
		}
		best(a, k, "hw1", 60000)
		best(k, a, k.nics[0].Dev, 70000)
		must(k, fmt.Sprintf("batctl hardif %s to 10mbit", k.nics[0].Dev))
		best(k, a, k.nics[1].Dev, 30000)
		w.note("agent 60.0 Mbit/s over its second, kernel 70.0 over its first, after a change 30.0 over its second")
	})
}
