package main

import (
	"fmt"
	"net"
	"slices"
	"sync"

	"github.com/meshagent/meshagent/hw/guest"
	"github.com/meshagent/meshagent/hw/rig"
)

// side is the number of nodes along one side of the grid.
const side = 3

// world is the network that every contestant gets: a grid of nodes with one
// radio each. Corner 0 talks to the opposite corner.
type world struct {
	rig    *rig.Rig
	air    *rig.Air
	nodes  []*rig.Node
	radios []*rig.Radio
	procs  []*rig.Proc
	addrs  []string       // where a contestant's node answers, set by its start
	macs   map[string]int // radios by address

	lab                   *guest.Lab // for kinds with a kernel of their own
	radioLANs, clientLANs []*guest.LAN

	mu     sync.Mutex
	probes map[[2]int]int // frames that carry probes, by sender and receiver
}

// radioMAC is the address of the i-th radio.
func radioMAC(i int) string { return fmt.Sprintf("02:00:00:00:00:%02x", i+1) }

// linkAddr is the IPv4 address of the i-th radio, for contestants that need one.
func linkAddr(i int) string { return fmt.Sprintf("10.9.0.%d", i+1) }

// newWorld makes the nodes. A contestant gives them radios (see taps).
func newWorld(r *rig.Rig, seed uint64) *world {
	w := &world{rig: r, air: r.Air(seed), macs: map[string]int{}, probes: map[[2]int]int{}}
	for i := range side * side {
		n := r.Node(fmt.Sprintf("n%d", i+1))
		for _, conf := range []string{"all", "default"} {
			n.Sysctl("ipv4/conf/"+conf+"/send_redirects", "0")
			n.Sysctl("ipv4/conf/"+conf+"/accept_redirects", "0")
			n.Sysctl("ipv4/conf/"+conf+"/rp_filter", "0")
		}
		w.nodes = append(w.nodes, n)
	}
	w.air.Watch(w.see)
	return w
}

// taps gives each node the radio wlan0, with a link-local address if ipv6 is
// true.
func (w *world) taps(ipv6 bool) {
	for i, n := range w.nodes {
		end := rig.End{Node: n, Dev: "wlan0"}
		if ipv6 {
			end.Addr = fmt.Sprintf("fe80::%d/64", i+1)
		}
		w.join(w.air.Join(end), radioMAC(i))
		n.IP("link", "set", "wlan0", "down")
		n.IP("link", "set", "wlan0", "address", radioMAC(i), "mtu", "1532")
		n.IP("link", "set", "wlan0", "up")
		if ipv6 { // the address went with the link
			n.IP("addr", "replace", end.Addr, "dev", "wlan0", "nodad")
		}
	}
}

// join notes the radio of the next node, whose address is mac, or not known
// yet.
func (w *world) join(r *rig.Radio, mac string) {
	w.radios = append(w.radios, r)
	if mac != "" {
		w.macs[mac] = r.Index
	}
}

// lay makes the links of the grid with the same loss everywhere; nobody hears
// anybody before hear.
func (w *world) lay(loss float64) {
	w.cutAll(true)
	w.air.Lay(rig.Grid(side, side), rig.Same(loss))
}

// hear lets all radios hear their neighbours.
func (w *world) hear() { w.cutAll(false) }

func (w *world) cutAll(cut bool) {
	for _, e := range rig.Grid(side, side) {
		w.air.CutBoth(w.radios[e.A], w.radios[e.B], cut)
	}
}

// see counts frames that carry a probe: they are longer than any routing
// message is here, and unicast.
func (w *world) see(from *rig.Radio, frame []byte) {
	if len(frame) < probeSize || frame[0]&1 != 0 {
		return
	}
	to, ok := w.macs[net.HardwareAddr(frame[:6]).String()]
	if !ok {
		return
	}
	w.mu.Lock()
	w.probes[[2]int{from.Index, to}]++
	w.mu.Unlock()
}

// path follows the frames with probes seen since the last call from one node
// to another. It returns nil if they do not lead there.
func (w *world) path(from, to int) (path []int) {
	w.mu.Lock()
	seen := w.probes
	w.probes = map[[2]int]int{}
	w.mu.Unlock()
	for path = []int{from}; from != to; path = append(path, from) {
		best, next := 0, -1
		for i := range w.nodes {
			// the answers flow the other way over the same or other links
			if n := seen[[2]int{from, i}]; n > best && !slices.Contains(path, i) {
				best, next = n, i
			}
		}
		if next < 0 {
			return nil
		}
		from = next
	}
	return path
}

// knowNeighbours spares the nodes ARP on their radios: what is measured is the
// routing.
func (w *world) knowNeighbours() {
	for i, n := range w.nodes {
		n.IP("addr", "add", linkAddr(i)+"/24", "dev", "wlan0", "brd", "+")
		for j := range w.nodes {
			if i != j {
				n.IP("neigh", "replace", linkAddr(j), "lladdr", radioMAC(j), "dev", "wlan0", "nud", "permanent")
			}
		}
	}
}

// sent returns the bytes that all radios have sent.
func (w *world) sent() (frames, bytes uint64) {
	for _, r := range w.radios {
		s := r.Sent()
		frames += s.Frames
		bytes += s.Bytes
	}
	return frames, bytes
}
