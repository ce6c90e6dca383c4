package air

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/meshagent/meshagent/hw/rig"
	"golang.org/x/sys/unix"
)

// Radio is one simulated radio, in the namespace of its node. It comes with one
// interface, wlan0.
type Radio struct {
	Node *rig.Node
	Dev  string // the interface that the mesh is to use: wlan0, unless the agent makes one

	w    *World
	spec RadioSpec
	gone bool
	macs [][6]byte // of further interfaces
}

// firstDev is the name of a radio's first interface.
const firstDev = "wlan0"

// Radio makes a radio and hands it to a node. Name and MAC are chosen here if
// the specification leaves them empty: the n-th radio of a world is radioN
// with the address 02:00:00:00:NN:00.
func (w *World) Radio(n *rig.Node, s RadioSpec) *Radio {
	w.made++
	if s.Name == "" {
		s.Name = fmt.Sprintf("radio%d", w.made) // a name phyN is refused unless N is its number
	}
	if s.MAC == ([6]byte{}) {
		s.MAC = [6]byte{2, 0, 0, 0, byte(w.made), 0}
	}
	r := &Radio{Node: n, Dev: firstDev, w: w, spec: s}
	w.Medium.mu.Lock()
	w.Medium.radios = append(w.Medium.radios, r)
	w.Medium.mu.Unlock()
	r.plug()
	return r
}

// plug makes the radio and moves it into its namespace.
func (r *Radio) plug() {
	if err := r.w.control.create(r.spec); err != nil {
		r.w.Fatalf("radio %s: %v", r.spec.Name, err)
	}
	r.w.run("iw", "phy", r.spec.Name, "set", "netns", "name", r.Node.NS)
}

// Unplug takes the radio away, as a stick that is pulled out; Plug brings it
// back, with the same name and address, switched off and with no settings.
func (r *Radio) Unplug() {
	r.w.Medium.mu.Lock()
	r.gone = true
	r.w.Medium.mu.Unlock()
	// hwsim lets a radio be taken away only where its phy is.
	err := r.Node.Do(func() error {
		f, err := dialFamily()
		if err != nil {
			return err
		}
		defer f.conn.Close()
		return f.destroy(r.spec.Name)
	})
	if err != nil {
		r.w.Fatalf("radio %s: %v", r.spec.Name, err)
	}
}

// Plug brings back a radio that was unplugged.
func (r *Radio) Plug() {
	r.w.Medium.mu.Lock()
	r.gone = false
	r.w.Medium.mu.Unlock()
	r.plug()
}

// Phy is the name of the radio's phy.
func (r *Radio) Phy() string { return r.spec.Name }

// MAC is the address of the radio's first interface.
func (r *Radio) MAC() string {
	s := fmt.Sprintf("% x", r.spec.MAC[:])
	return strings.ReplaceAll(s, " ", ":")
}

// has reports whether one of the radio's interfaces has an address.
func (r *Radio) has(mac [6]byte) bool {
	for _, m := range r.macs {
		if m == mac {
			return true
		}
	}
	return r.spec.MAC == mac
}

// learn notes an address that the driver was given, or lost.
func (r *Radio) learn(mac [6]byte, add bool) {
	for i, m := range r.macs {
		if m == mac {
			if !add {
				r.macs = append(r.macs[:i], r.macs[i+1:]...)
			}
			return
		}
	}
	if add {
		r.macs = append(r.macs, mac)
	}
}

// Kind is how stations find each other.
type Kind string

// The two kinds of cell that a mesh can use.
const (
	Mesh Kind = "802.11s" // mesh points, without forwarding
	IBSS Kind = "ibss"
)

// Cell is what the radios of a mesh agree on.
type Cell struct {
	Kind Kind
	Name string
	Freq int // MHz
}

// bssid is that of all IBSS cells here.
const bssid = "02:ca:fe:00:00:01"

// Join brings the radio's interface into a cell with iw, as a system's own
// network manager does, and switches it on with room for the mesh's headers.
// iw's refusal is the error.
func (r *Radio) Join(c Cell) error {
	n := r.Node
	typ := "mp"
	if c.Kind == IBSS {
		typ = "ibss"
	}
	if err := r.w.try("ip", "-n", n.NS, "link", "set", firstDev, "down"); err != nil {
		return err
	}
	if err := r.iw("set", "type", typ); err != nil {
		return err
	}
	if err := r.w.try("ip", "-n", n.NS, "link", "set", firstDev, "mtu", "1532", "up"); err != nil {
		return err
	}
	freq := fmt.Sprint(c.Freq)
	if c.Kind == IBSS {
		return r.iw("ibss", "join", c.Name, freq, "HT20", "fixed-freq", bssid)
	}
	return r.iw("mesh", "join", c.Name, "freq", freq, "HT20", "mesh_fwding=0")
}

// iw runs iw for the radio's interface.
func (r *Radio) iw(args ...string) error {
	return r.w.try("ip", append([]string{"netns", "exec", r.Node.NS, "iw", "dev", firstDev}, args...)...)
}

// RFKill blocks the radio, or unblocks it, as a switch on a laptop does.
// Source: include/uapi/linux/rfkill.h, struct rfkill_event.
func (r *Radio) RFKill(block bool) {
	// The node's own view of /sys: the first namespace does not see its phy.
	file := strings.TrimSpace(r.w.Output(r.Node, "sh", "-c", "grep -lx "+r.spec.Name+" /sys/class/rfkill/rfkill*/name"))
	var idx uint32
	if _, err := fmt.Sscanf(file, "/sys/class/rfkill/rfkill%d/name", &idx); err != nil {
		r.w.Fatalf("rfkill of %s: %q", r.spec.Name, file)
	}
	fd, err := unix.Open("/dev/rfkill", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		r.w.Fatalf("rfkill: %v", err)
	}
	defer unix.Close(fd)
	soft := byte(0)
	if block {
		soft = 1
	}
	const typeWLAN, opChange = 1, 2
	if _, err := unix.Write(fd, append(binary.NativeEndian.AppendUint32(nil, idx), typeWLAN, opChange, soft, 0)); err != nil {
		r.w.Fatalf("rfkill: %v", err)
	}
}

// isRefusal tells an answer of the kernel's from the end of the connection.
// ERANGE is for a frame that is longer than hwsim takes from us.
func isRefusal(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ERANGE) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENOBUFS)
}

// Heard is what a radio knows of a station that it hears: a line of "iw
// station dump".
type Heard struct {
	MAC      string
	Signal   int     // dBm
	Rate     float64 // of frames to it, in Mbit/s
	Expected float64 // what rate control expects to get through, in Mbit/s; 0: nothing yet
	Retries  int
	Failed   int
}

// Stations asks the driver for the stations that it hears.
func (r *Radio) Stations() []Heard {
	return parseStations(r.w.Output(r.Node, "iw", "dev", r.Dev, "station", "dump"))
}

func parseStations(dump string) (list []Heard) {
	for line := range strings.Lines(dump) {
		if rest, ok := strings.CutPrefix(line, "Station "); ok {
			mac, _, _ := strings.Cut(rest, " ")
			list = append(list, Heard{MAC: mac})
			continue
		}
		key, value, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok || len(list) == 0 {
			continue
		}
		h := &list[len(list)-1]
		value = strings.TrimSpace(value)
		switch key {
		case "signal":
			_, _ = fmt.Sscan(value, &h.Signal)
		case "tx bitrate":
			_, _ = fmt.Sscan(value, &h.Rate)
		case "expected throughput":
			_, _ = fmt.Sscanf(value, "%fMbps", &h.Expected)
		case "tx retries":
			_, _ = fmt.Sscan(value, &h.Retries)
		case "tx failed":
			_, _ = fmt.Sscan(value, &h.Failed)
		}
	}
	return list
}
