package admin

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mesh"
)

// The functions of this file print tables as batctl does, column by column:
// scripts take them apart. Source: the output of batctl 2026.2. Older ones have
// no P among the multicast flags (before 2024), and in BATMAN_V another header
// of the neighbours and one blank more in the lines of the originators.

// MeshStyle says how a table of the mesh is printed.
type MeshStyle struct {
	Names    func(batman.MAC) string // a name for people, or ""; nil: none
	NoHeader bool
}

// name is a column of 17 characters: a name, or the address.
func (s MeshStyle) name(mac batman.MAC) string {
	if s.Names != nil {
		if n := s.Names(mac); n != "" {
			return fmt.Sprintf("%17s", clean(n))
		}
	}
	return mac.String()
}

// header prints the line above every table, with extra at its end, and the
// names of the columns. If no interface is up there is another line.
func (s MeshStyle) header(w io.Writer, i MeshInfo, extra, columns string) {
	switch {
	case s.NoHeader:
	case i.HardMAC == nil:
		fmt.Fprintf(w, "BATMAN mesh %s disabled\n", clean(i.MeshName))
	default:
		fmt.Fprintf(w, "[B.A.T.M.A.N. adv %s, MainIF/MAC: %s/%s (%s/%s %s)%s]\n%s\n",
			clean(i.Version), clean(i.HardName), *i.HardMAC, clean(i.MeshName), i.MeshMAC, i.Algo, extra, columns)
	}
}

func (i MeshInfo) isV() bool { return i.Algo == mesh.BatmanV.String() }

// WriteMeshOriginators prints batctl originators, and behind the best way of
// each the identity of the node.
func WriteMeshOriginators(w io.Writer, i MeshInfo, rows []MeshOriginator, s MeshStyle) {
	columns := "   Originator        last-seen (#/255) Nexthop           [outgoingIF]"
	if i.isV() {
		columns = "   Originator        last-seen ( throughput)  Nexthop           [outgoingIF]"
	}
	s.header(w, i, "", columns)
	for _, r := range rows {
		metric := "  (  0)"
		switch {
		case r.Throughput != nil:
			metric = fmt.Sprintf("(%9d.%1d)", *r.Throughput/1000, *r.Throughput%1000/100)
		case r.TQ != nil:
			metric = fmt.Sprintf("  (%3d)", *r.TQ)
		}
		identity := ""
		if r.Identity != "" {
			identity = " " + clean(r.Identity)
		}
		fmt.Fprintf(w, " %s %s %s %s %s [%10s]%s\n", star(r.Best), s.name(r.Orig), seen(r.LastSeen), metric, s.name(r.Neigh), clean(r.HardName), identity)
	}
}

// WriteMeshNeighbours prints batctl neighbors. Behind each stands what batctl
// does not print: how large packets the link carries, as soon as that is known,
// and on Wi-Fi what the driver knows of it.
func WriteMeshNeighbours(w io.Writer, i MeshInfo, rows []MeshNeighbour, s MeshStyle) {
	columns := "IF             Neighbor              last-seen"
	if i.isV() {
		columns = "         Neighbor   last-seen      speed           IF"
	}
	s.header(w, i, "", columns)
	for _, r := range rows {
		link := ""
		if r.MTU != 0 {
			link = fmt.Sprintf("  mtu %d", r.MTU)
		}
		if r.Radio != nil {
			link += "  " + radioText(r.Radio)
		}
		if r.Throughput != nil {
			fmt.Fprintf(w, "%s %s (%9d.%1d) [%10s]%s\n", s.name(r.Neigh), seen(r.LastSeen), *r.Throughput/1000, *r.Throughput%1000/100, clean(r.HardName), link)
		} else {
			fmt.Fprintf(w, "   %10s\t  %s %s%s\n", clean(r.HardName), s.name(r.Neigh), seen(r.LastSeen), link)
		}
	}
}

// WriteMeshInterfaces prints batctl interface, with the reason behind one that
// does not work.
func WriteMeshInterfaces(w io.Writer, _ MeshInfo, rows []MeshHardIf, _ MeshStyle) {
	for _, r := range rows {
		state := "active"
		if !r.Active {
			state = "inactive"
			if r.Problem != "" {
				state += " (" + r.Problem + ")"
			}
		}
		fmt.Fprintf(w, "%s: %s\n", clean(r.HardName), clean(state))
	}
}

// WriteMeshLocal prints batctl translocal.
func WriteMeshLocal(w io.Writer, i MeshInfo, rows []MeshLocal, s MeshStyle) {
	s.header(w, i, fmt.Sprintf(", TTVN: %d", i.TTVN), "Client             VID Flags    Last seen (CRC       )")
	for _, r := range rows {
		last := int64(0)
		if r.LastSeen != nil {
			last = *r.LastSeen
		}
		f := r.Flags
		fmt.Fprintf(w, "%s %4d [%s] %3d.%03d   (0x%08x)\n", s.name(r.Client), r.VID,
			letters("RPNXWI", f.Roam, f.NoPurge, f.New, f.Pending, f.Wifi, f.Isolated), last/1000, last%1000, r.CRC)
	}
}

// WriteMeshGlobal prints batctl transglobal.
func WriteMeshGlobal(w io.Writer, i MeshInfo, rows []MeshGlobal, s MeshStyle) {
	s.header(w, i, "", "   Client             VID Flags Last ttvn     Via        ttvn  (CRC       )")
	for _, r := range rows {
		f := r.Flags
		fmt.Fprintf(w, " %s %s %4d [%s] (%3d) %s (%3d) (0x%08x)\n", star(r.Best), s.name(r.Client), r.VID,
			letters("RWIT", f.Roam, f.Wifi, f.Isolated, f.Temp), r.TTVN, s.name(r.Orig), r.LastTTVN, r.CRC)
	}
}

// WriteMeshGateways prints batctl gateways.
func WriteMeshGateways(w io.Writer, i MeshInfo, rows []MeshGateway, s MeshStyle) {
	columns := "  Router            ( TQ) Next Hop          [outgoingIf]  Bandwidth"
	if i.isV() {
		columns = "  Router            ( throughput) Next Hop          [outgoingIf]  Bandwidth"
	}
	s.header(w, i, "", columns)
	for _, r := range rows {
		metric := "(  0)"
		switch {
		case r.Throughput != nil:
			metric = fmt.Sprintf("(%9d.%1d)", *r.Throughput/10, *r.Throughput%10)
		case r.TQ != nil:
			metric = fmt.Sprintf("(%3d)", *r.TQ)
		}
		fmt.Fprintf(w, "%s %s %s %s [%10s]: %d.%d/%d.%d MBit\n", star(r.Best), s.name(r.Orig), metric, s.name(r.Router), clean(r.HardName),
			r.Down/10, r.Down%10, r.Up/10, r.Up%10)
	}
}

// WriteMeshDAT prints batctl dat_cache.
func WriteMeshDAT(w io.Writer, i MeshInfo, rows []MeshDAT, s MeshStyle) {
	s.header(w, i, "", fmt.Sprintf("Distributed ARP Table (%s):\n          IPv4             MAC        VID   last-seen", clean(i.MeshName)))
	for _, r := range rows {
		fmt.Fprintf(w, " * %15s %s %4d %6d:%02d\n", r.IP, s.name(r.MAC), r.VID, r.LastSeen/60_000, r.LastSeen%60_000/1000)
	}
}

// WriteMeshClaims prints batctl claimtable.
func WriteMeshClaims(w io.Writer, i MeshInfo, rows []MeshClaim, s MeshStyle) {
	s.header(w, i, fmt.Sprintf(", group id: 0x%04x", i.BLAGroup), "Client               VID      Originator        [o] (CRC   )")
	for _, r := range rows {
		fmt.Fprintf(w, "%s on %5d by %s [%s] (0x%04x)\n", s.name(r.Client), r.VID, s.name(r.Backbone), star(r.Own), r.CRC)
	}
}

// WriteMeshBackbones prints batctl backbonetable: this node itself is not in
// it.
func WriteMeshBackbones(w io.Writer, i MeshInfo, rows []MeshBackbone, s MeshStyle) {
	s.header(w, i, fmt.Sprintf(", group id: 0x%04x", i.BLAGroup), "Originator           VID   last seen (CRC   )")
	for _, r := range rows {
		if !r.Own {
			fmt.Fprintf(w, "%s on %5d %s (0x%04x)\n", s.name(r.Backbone), r.VID, seen(r.LastSeen), r.CRC)
		}
	}
}

// WriteMeshMcast prints batctl mcast_flags.
func WriteMeshMcast(w io.Writer, i MeshInfo, rows []MeshMcast, s MeshStyle) {
	p := i.McastPriv
	bridged, none, shadow := ".", "?/?", "?/?"
	if p.Bridged {
		bridged = "U"
		none = letters("4", !p.Querier4) + "/" + letters("6", !p.Querier6)
		shadow = letters("4", p.Shadow4) + "/" + letters("6", p.Shadow6)
	}
	s.header(w, i, "", fmt.Sprintf("Multicast flags (own flags: [%s])\n* Bridged [U]\t\t\t\t%s\n* No IGMP/MLD Querier [4/6]:\t\t%s\n"+
		"* Shadowing IGMP/MLD Querier [4/6]:\t%s\n-------------------------------------------\n       Originator Flags",
		mcastLetters(i.McastFlags), bridged, none, shadow))
	for _, r := range rows {
		flags := "-"
		if r.Flags != nil {
			flags = "[" + mcastLetters(*r.Flags) + "]"
		}
		fmt.Fprintf(w, "%s %s\n", s.name(r.Orig), flags)
	}
}

// statOrder are the counters in batctl's order; those of network coding, which
// we do not have, are not among them.
var statOrder = []string{
	"tx", "tx_bytes", "tx_dropped", "rx", "rx_bytes", "forward", "forward_bytes", "mgmt_tx", "mgmt_tx_bytes", "mgmt_rx", "mgmt_rx_bytes",
	"frag_tx", "frag_tx_bytes", "frag_rx", "frag_rx_bytes", "frag_fwd", "frag_fwd_bytes",
	"tt_request_tx", "tt_request_rx", "tt_response_tx", "tt_response_rx", "tt_roam_adv_tx", "tt_roam_adv_rx",
	"mcast_tx", "mcast_tx_bytes", "mcast_tx_local", "mcast_tx_local_bytes", "mcast_rx", "mcast_rx_bytes", "mcast_rx_local", "mcast_rx_local_bytes", "mcast_fwd", "mcast_fwd_bytes",
	"dat_get_tx", "dat_get_rx", "dat_put_tx", "dat_put_rx", "dat_cached_reply_tx",
}

// WriteMeshStatistics prints batctl statistics, and behind it why frames were
// dropped.
func WriteMeshStatistics(w io.Writer, s MeshStatistics) {
	for _, name := range statOrder {
		if n, ok := s.Counters[name]; ok {
			fmt.Fprintf(w, "\t%s: %d\n", name, n)
		}
	}
	for _, name := range sortedNames(s.Counters) {
		if !slices.Contains(statOrder, name) {
			fmt.Fprintf(w, "\t%s: %d\n", clean(name), s.Counters[name])
		}
	}
	for _, name := range sortedNames(s.Drops) {
		fmt.Fprintf(w, "\tdrop %s: %d\n", clean(name), s.Drops[name])
	}
}

// WriteMeshThroughput prints the result of batctl throughputmeter.
func WriteMeshThroughput(w io.Writer, t MeshThroughput) error {
	_, err := fmt.Fprintf(w, "Test duration %dms.\nSent %d Bytes.\nThroughput: %s\n", t.TimeMs, t.Bytes, meshRate(t.Bytes, t.TimeMs))
	return err
}

// WriteMeshLog prints messages, a line each, with the local time.
func WriteMeshLog(w io.Writer, lines []MeshLogLine) error {
	for _, l := range lines {
		at := time.UnixMilli(l.Time).Format("2006-01-02 15:04:05.000")
		if _, err := fmt.Fprintf(w, "%s %-6s %s\n", at, clean(l.Kind), clean(l.Text)); err != nil {
			return err
		}
	}
	return nil
}

// seen is a time since something was seen: "   0.184s".
func seen(ms int64) string { return fmt.Sprintf("%4d.%03ds", ms/1000, ms%1000) }

func star(on bool) string {
	if on {
		return "*"
	}
	return " "
}

// letters prints the letter of each flag that is set, and a dot for the
// others.
func letters(names string, on ...bool) string {
	b := []byte(names)
	for i := range b {
		if !on[i] {
			b[i] = '.'
		}
	}
	return string(b)
}

// mcastLetters prints flags as batctl does: what is wanted, and a P if packet
// type 5 is not understood.
func mcastLetters(f MeshMcastFlags) string {
	s := letters("U46", f.Unsnoopables, f.IPv4, f.IPv6)
	for _, r := range []struct {
		no   bool
		name string
	}{{f.NoRtr4, "R4"}, {f.NoRtr6, "R6"}} {
		if r.no {
			s += ". "
		} else {
			s += r.name
		}
	}
	return s + letters("P", !f.Ptype)
}

func sortedNames(m map[string]uint64) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
