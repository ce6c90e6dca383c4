//go:build guest

package guest

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// dhcpServer starts a DHCP server for addresses 10.9.0.first on, ten of them,
// at the device bat0 of a node.
func (w *world) dhcpServer(n node, first int) {
	dir := "/tmp"
	if _, ok := n.(*agent); ok {
		dir = w.lab.Rig.Dir
	}
	base := filepath.Join(dir, fmt.Sprintf("dhcp-%s-%d", strings.ReplaceAll(n.label(), " ", "-"), w.bench.rows))
	must(n, fmt.Sprintf(`cat >%[1]s.conf <<.
start 10.9.0.%[2]d
end 10.9.0.%[3]d
interface bat0
lease_file %[1]s.leases
pidfile %[1]s.pid
option subnet 255.255.255.0
option lease 600
.
: >%[1]s.leases
busybox udhcpd -S %[1]s.conf </dev/null >/dev/null 2>&1`, base, first, first+9))
	w.onClose(func() { _, _ = n.sh("kill $(cat " + base + ".pid)") })
}

var lease = regexp.MustCompile(`lease of 10\.9\.0\.([0-9]+) obtained`)

// dhcp asks for an address and returns its last number.
func (w *world) dhcp(n node) string {
	w.Helper()
	out, err := n.sh("busybox udhcpc -i bat0 -n -q -f -t 10 -T 1 -s /bin/true")
	m := lease.FindStringSubmatch(out)
	if err != nil || m == nil {
		w.Errorf("%s: no lease: %v\n%s", n.label(), err, out)
		return ""
	}
	return m[1]
}

// gateway is a line of gateways_json.
type gateway struct {
	Orig string `json:"orig_address"`
	Best bool   `json:"best"`
	Up   int    `json:"bandwidth_up"`
	Down int    `json:"bandwidth_down"`
}

// chosen waits until a node has chosen a gateway of that bandwidth.
func (w *world) chosen(n, gw node, down, up int) {
	w.Helper()
	w.eventually(30*time.Second, n.label()+" chooses "+gw.label(), func() error {
		list, err := rows[gateway](n, "gwj")
		for _, g := range list {
			if g == (gateway{gw.mac(), true, up, down}) {
				return nil
			}
		}
		return fmt.Errorf("%v %v", list, err)
	})
}

// TestGatewayKernel: the kernel is the gateway; another DHCP server, which is
// not announced, must not be asked.
func TestGatewayKernel(t *testing.T) {
	row(t, "gateway server in the kernel, DHCP client at the agent", func(w *world) { gatewayK(w, "") })
}

func gatewayK(w *world, algo string) {
	lan := w.lan()
	k1 := w.kernel("k1", MeshConfig{Algo: algo, Setup: []string{"gw server 20mbit/5mbit"}, IPs: []string{"10.9.0.1/24"}}, lan)
	k2 := w.kernel("k2", MeshConfig{Algo: algo, IPs: []string{"10.9.0.2/24"}}, lan)
	a := w.agent("a1", agentConfig{Algo: algo, Options: []string{"gw_mode", "client"}}, lan)
	w.routes(k1, k2, a)
	w.dhcpServer(k2, 200)
	w.chosen(a, k1, 200, 50)
	time.Sleep(time.Second)
	w.dhcpServer(k1, 100)
	w.leases(a)
}

// leases asks three times and wants addresses of the gateway.
func (w *world) leases(n node) {
	w.Helper()
	for range 3 {
		if got := w.dhcp(n); !strings.HasPrefix(got, "10") {
			w.Errorf("lease .%s, want one of .100 to .109 of the gateway", got)
		}
	}
}

// TestGatewayAgent: the same with the agent as the gateway.
func TestGatewayAgent(t *testing.T) {
	row(t, "gateway server at the agent, DHCP client in the kernel", func(w *world) { gatewayA(w, "") })
}

func gatewayA(w *world, algo string) {
	lan := w.lan()
	k1 := w.kernel("k1", MeshConfig{Algo: algo, Setup: []string{"gw client"}}, lan)
	k2 := w.kernel("k2", MeshConfig{Algo: algo, IPs: []string{"10.9.0.2/24"}}, lan)
	a := w.agent("a1", agentConfig{Algo: algo, Options: []string{"gw_mode", "server", "gw_bandwidth", "30mbit/6mbit"}, IPs: []string{"10.9.0.1/24"}}, lan)
	w.routes(k1, k2, a)
	w.dhcpServer(k2, 200)
	w.chosen(k1, a, 300, 60)
	w.dhcpServer(a, 100)
	w.leases(k1)
}
