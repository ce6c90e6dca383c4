//go:build guest

package guest

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// sizes are the payloads of pings whose Ethernet frames have 60 to 1514 bytes:
// the last is a full IP packet. Behind an interface with an MTU of 1500 frames
// are cut from 1448 bytes of payload on: 1500-10-14-20-8.
var sizes = []int{18, 19, 56, 143, 214, 470, 726, 982, 1186, 1215, 1400, 1440, 1446, 1447, 1448, 1449, 1450, 1451, 1456, 1458, 1459, 1466, 1471, 1472}

// ping sends pings of all sizes and fails the row if one is lost twice: a busy
// machine may lose a frame between two emulators.
func (w *world) ping(from node, ip string) {
	w.Helper()
	w.eventually(20*time.Second, "a first ping from "+from.label()+" to "+ip, func() error {
		out, err := from.sh("ping -n -q -c 1 -W 1 " + ip)
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	var list strings.Builder
	for _, s := range sizes {
		fmt.Fprintf(&list, " %d", s)
	}
	out, err := from.sh(fmt.Sprintf("p() { ping -n -q -c 1 -W 2 -s $1 %s >/dev/null; }; for s in %s; do p $s || p $s || echo $s; done", ip, list.String()))
	if lost := strings.Fields(out); err != nil || len(lost) > 0 {
		w.Errorf("from %s to %s pings of these sizes are lost: %s %v", from.label(), ip, strings.Join(lost, " "), err)
	}
}

// counted fails the row if a counter of a node has not moved.
func (w *world) counted(n node, names ...string) {
	w.Helper()
	s := statistics(n)
	for _, name := range names {
		if s[name] == 0 {
			w.Errorf("%s has counted no %s: %v", n.label(), name, s)
		}
	}
}

const (
	ip1, ip2, ip3 = "10.9.0.1", "10.9.0.2", "10.9.0.3"
	net24         = "/24"
)

func TestChainKernelAgent(t *testing.T) {
	row(t, "kernel-agent, ping 60..1514 both ways", func(w *world) { chainKA(w, "") })
}

func chainKA(w *world, algo string) {
	lan := w.lan()
	k := w.kernel("k1", MeshConfig{Algo: algo, IPs: []string{ip1 + net24}}, lan)
	a := w.agent("a1", agentConfig{Algo: algo, IPs: []string{ip2 + net24}}, lan)
	w.note("routes after %.1f s", w.routes(k, a).Seconds())
	w.ping(k, ip2)
	w.ping(a, ip1)
	w.counted(k, "frag_tx", "frag_rx")
	w.counted(a, "frag_tx", "frag_rx")
	w.linkCarries(a, k, 1500)
	w.download(k, a, ip2)
	w.download(a, k, ip1)
}

// linkCarries waits until an agent has found out, by the answers of a
// neighbour, that packets of so many bytes get through.
func (w *world) linkCarries(a *agent, to node, bytes int) {
	w.Helper()
	w.eventually(30*time.Second, a.label()+" finds that the link to "+to.label()+" carries large packets", func() error {
		out, err := a.bat("n")
		for line := range strings.Lines(out) {
			if strings.Contains(line, to.mac()) && strings.Contains(line, fmt.Sprintf("  mtu %d", bytes)) {
				return nil
			}
		}
		return fmt.Errorf("%w: %s", err, out)
	})
}

func TestChainKernelAgentKernel(t *testing.T) {
	row(t, "kernel-agent-kernel, ping 60..1514 both ways", func(w *world) { chainKAK(w, "") })
}

func chainKAK(w *world, algo string) {
	left, right := w.lan(), w.lan()
	k1 := w.kernel("k1", MeshConfig{Algo: algo, IPs: []string{ip1 + net24}}, left)
	a := w.agent("a1", agentConfig{Algo: algo, IPs: []string{ip2 + net24}}, left, right)
	k2 := w.kernel("k2", MeshConfig{Algo: algo, IPs: []string{ip3 + net24}}, right)
	w.note("routes after %.1f s", w.routes(k1, a, k2).Seconds())
	w.ping(k1, ip3)
	w.ping(k2, ip1)
	w.ping(a, ip3)
	if s := statistics(a); s["forward"] == 0 || s["frag_fwd"] == 0 {
		w.Errorf("the agent has forwarded nothing: %v", s)
	}
	w.tools(k1, k2, 2)
	w.download(k1, k2, ip3)
}

func TestChainAgentKernelAgent(t *testing.T) {
	row(t, "agent-kernel-agent, ping 60..1514 both ways", func(w *world) { chainAKA(w, "") })
}

func chainAKA(w *world, algo string) {
	left, right := w.lan(), w.lan()
	a1 := w.agent("a1", agentConfig{Algo: algo, IPs: []string{ip1 + net24}}, left)
	k := w.kernel("k1", MeshConfig{Algo: algo, IPs: []string{ip2 + net24}}, left, right)
	a2 := w.agent("a2", agentConfig{Algo: algo, IPs: []string{ip3 + net24}}, right)
	w.note("routes after %.1f s", w.routes(a1, k, a2).Seconds())
	w.ping(a1, ip3)
	w.ping(a2, ip1)
	w.ping(k, ip1)
	w.tools(a1, a2, 2)
	w.download(a1, a2, ip3)
}

// download carries a file over TCP, whose segments the sender's kernel leaves
// uncut and without checksum until a device makes it do better.
func (w *world) download(to, from node, ip string) {
	w.Helper()
	if rate, ok := w.transfer(to, from, net.JoinHostPort(ip, "5001"), 4<<20); ok {
		w.note("TCP %s to %s %s Mbit/s", short(from), short(to), rate)
	}
}

// transfer carries a file of so many bytes over TCP, compares them and returns
// the rate in Mbit/s.
func (w *world) transfer(to, from node, addr string, bytes int) (rate string, ok bool) {
	w.Helper()
	serve := make(chan error, 1)
	go func() {
		out, err := from.sh(fmt.Sprintf("%s %s serve '%s' %d", toolOf(from), toolArg, addr, bytes))
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		serve <- err
	}()
	out, err := to.sh(fmt.Sprintf("%s %s fetch '%s' %d", toolOf(to), toolArg, addr, bytes))
	if served := <-serve; err != nil || served != nil {
		w.Errorf("a file over TCP from %s to %s: %v: %s; %v", from.label(), to.label(), err, out, served)
		return "", false
	}
	return strings.TrimSpace(out), true
}

// toolOf is this program where the node runs.
func toolOf(n node) string {
	if _, ok := n.(kernelNode); ok {
		return "/init"
	}
	return self()
}
