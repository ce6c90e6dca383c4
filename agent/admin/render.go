package admin

import (
	"fmt"
	"io"
	"sort"
	"strings"
	"time"

	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/node"
)

// WriteStatus prints one screen about the node.
func WriteStatus(w io.Writer, s node.Status) error {
	t := newTable(w)
	t.row("node", s.PublicKey)
	t.row("address", s.IP)
	t.row("version", fmt.Sprintf("%s, protocol %d, up %s", s.Version, s.Protocol, Age(time.Duration(s.UptimeMs)*time.Millisecond)))
	switch {
	case s.TUN.State == "off" || s.TUN.State == "":
		t.row("tun", "off")
	default:
		t.row("tun", fmt.Sprintf("%s %s, mtu %d, inbound %s, %s", clean(s.TUN.Name), s.TUN.State, s.TUN.MTU, s.TUN.Inbound, s.TUN.Offload))
	}
	if bus := busLine(s.Bus); bus != "" {
		t.row("ubus", bus)
	}
	if line := supernodeLine(s.Supernode); line != "" {
		t.row("supernode", line)
	}
	if line := roleLine(s.Supernode); line != "" {
		t.row("serving", line)
	}
	if len(s.Drops) > 0 {
		t.row("drops", drops(s.Drops))
	}
	if full := fullTables(s.Tables); full != "" {
		t.row("tables", full)
	}
	if err := t.flush(); err != nil {
		return err
	}
	if err := writeLinks(w, s.Links); err != nil {
		return err
	}
	fmt.Fprintln(w)
	if err := WritePeers(w, s.Peers); err != nil {
		return err
	}
	if n := len(s.Sessions); n > 0 {
		fmt.Fprintf(w, "\n%s; list: meshagent sessions\n", plural(n, "session"))
	}
	for i, p := range s.Problems {
		if i == 0 {
			fmt.Fprintln(w)
		}
		if _, err := fmt.Fprintln(w, "problem:", clean(p)); err != nil {
			return err
		}
	}
	return nil
}

// busLine says how ubus is doing; nothing where there is none.
func busLine(b node.BusStatus) string {
	switch {
	case b.State == "connected" && b.Error == "":
		return "connected"
	case b.State == "off" || b.State == "" || b.Error == "":
		return ""
	}
	return b.State + ": " + clean(b.Error)
}

// supernodeLine says which supernode is used; nothing if none is known.
func supernodeLine(s node.SupernodeStatus) string {
	ready, who := 0, "none answers"
	for _, k := range s.Known {
		switch k.State {
		case "active":
			who = k.IP + ", " + rtt(k.RTTMicros)
			if s.Role {
				who = "this node"
			}
		case "ready":
			ready++
		}
	}
	if len(s.Known) == 0 {
		return ""
	}
	if ready > 0 {
		who += fmt.Sprintf(", %d more", ready)
	}
	return fmt.Sprintf("%s, %s announced", who, plural(s.Announced, "link"))
}

// roleLine says what this node knows and does as a supernode.
func roleLine(s node.SupernodeStatus) string {
	if !s.Role {
		return ""
	}
	return fmt.Sprintf("%s, %s, %d announcements taken, %d paths told, %d not known", plural(s.Nodes, "node"), plural(s.Links, "link"), s.Taken, s.Routes, s.NoRoute)
}

func writeLinks(w io.Writer, links []node.LinkStatus) error {
	fmt.Fprintln(w)
	if len(links) == 0 {
		_, err := fmt.Fprintln(w, "no links: add a section 'udp', 'eth' or 'mesh' to the configuration")
		return err
	}
	t := newTable(w)
	t.row("LINK", "KIND", "ON", "STATE", "BEACON", "I/O", "IN/OUT PACKETS", "NOTE")
	for _, l := range links {
		t.row(dash(l.Name), l.Kind, dash(l.Bind), l.State, dash(l.Beacon), dash(l.Offload),
			fmt.Sprintf("%d/%d", l.RxPackets, l.TxPackets), clean(l.Error))
	}
	return t.flush()
}

// WritePeers prints a table of direct neighbours.
func WritePeers(w io.Writer, peers []node.PeerStatus) error {
	if len(peers) == 0 {
		_, err := fmt.Fprintln(w, "no peers: nodes of a mesh are called when there is traffic for them; add others with meshagent peer add ADDRESS KEY --password SECRET, or turn on beacons")
		return err
	}
	t := newTable(w)
	t.row("PEER", "STATE", "VIA", "IN/OUT kb/s", "LOSS", "RTT", "LAST", "NOTE")
	for _, p := range peers {
		t.row(peerName(p), strings.ToLower(p.State), dash(strings.TrimSpace(p.Link+" "+p.LLAddr)),
			fmt.Sprintf("%d/%d", p.RecvKbps, p.SendKbps), loss(p.Lost, p.Received), rtt(p.RTTMicros), last(p.LastInMs), peerNote(p))
	}
	return t.flush()
}

// WritePeerStats prints the lines of cjdns's tools/peerStats:
//
//	LLADDR ADDR STATE in Nkb/s out Nkb/s[  DUP n][  LOS n][  OOR n][ "USER"]
//
// The three counters are there if they are not 0, the user if it has a name.
func WritePeerStats(w io.Writer, peers []node.PeerStatus) error {
	for _, p := range peers {
		var b strings.Builder
		fmt.Fprintf(&b, "%s %s %s in %dkb/s out %dkb/s", p.LLAddr, p.Addr, p.State, p.RecvKbps, p.SendKbps)
		for _, c := range []struct {
			name string
			n    uint64
		}{{"DUP", p.Duplicates}, {"LOS", p.Lost}, {"OOR", p.OutOfRange}} {
			if c.n != 0 {
				fmt.Fprintf(&b, "  %s %d", c.name, c.n)
			}
		}
		if p.Name != "" {
			fmt.Fprintf(&b, " \"%s\"", clean(p.Name))
		}
		if _, err := fmt.Fprintln(w, b.String()); err != nil {
			return err
		}
	}
	return nil
}

// WriteSessions prints a table of end-to-end sessions.
func WriteSessions(w io.Writer, sessions []node.SessionStatus) error {
	if len(sessions) == 0 {
		_, err := fmt.Fprintln(w, "no sessions: they are made when a local program sends to an address in fc00::/8")
		return err
	}
	t := newTable(w)
	t.row("ADDRESS", "STATE", "PATH", "VERSION", "RTT", "LAST IN", "LAST OUT", "NOTE")
	for _, s := range sessions {
		t.row(s.IP, strings.ToLower(s.State), dash(s.Label), number(uint64(s.Version)), rtt(s.RTTMicros), last(s.LastInMs), last(s.LastOutMs),
			sessionNote(s))
	}
	return t.flush()
}

// WritePingReply prints one line per ping, as ping does.
func WritePingReply(w io.Writer, target string, r PingReply) error {
	if r.Error != "" {
		_, err := fmt.Fprintf(w, "%s: seq=%d %s\n", clean(target), r.Seq, clean(r.Error))
		return err
	}
	line := fmt.Sprintf("%s: seq=%d time=%s", clean(target), r.Seq, rtt(r.RTTMicros))
	if r.Version != 0 {
		line += fmt.Sprintf(" version=%d", r.Version)
	}
	if r.Via != "" {
		line += " path=" + r.Via
	}
	_, err := fmt.Fprintln(w, line)
	return err
}

// PingSummary counts replies: "10 sent, 9 answered, 10% loss, rtt
// min/avg/max 0.31/0.41/0.60 ms".
func PingSummary(replies []PingReply) string {
	var answered, sum, least, most int64
	for _, r := range replies {
		if r.Error != "" {
			continue
		}
		if answered == 0 || r.RTTMicros < least {
			least = r.RTTMicros
		}
		most = max(most, r.RTTMicros)
		sum += r.RTTMicros
		answered++
	}
	n := int64(len(replies))
	if n == 0 {
		return "0 sent"
	}
	s := fmt.Sprintf("%d sent, %d answered, %d%% loss", n, answered, (n-answered)*100/n)
	if answered > 0 {
		s += fmt.Sprintf(", rtt min/avg/max %s/%s/%s ms", millis(least), millis(sum/answered), millis(most))
	}
	return s
}

// WriteTrace prints a line per hop.
func WriteTrace(w io.Writer, r TraceResult) error {
	if len(r.Hops) > 0 {
		t := newTable(w)
		t.row("HOP", "NODE", "ADDRESS", "RTT", "PATH", "NOTE")
		for _, h := range r.Hops {
			t.row(fmt.Sprint(h.Hop), dash(h.Name), dash(h.IP), rtt(h.RTTMicros), dash(h.Label), clean(h.Error))
		}
		if err := t.flush(); err != nil {
			return err
		}
	}
	if r.Error != "" {
		_, err := fmt.Fprintln(w, clean(r.Target)+":", clean(r.Error))
		return err
	}
	return nil
}

// WritePeerChange says what became of a peer.
func WritePeerChange(w io.Writer, c config.PeerChange) error {
	name := c.Section
	if c.Name != "" && c.Name != c.Section {
		name += " (" + c.Name + ")"
	}
	_, err := fmt.Fprintf(w, "%s %s: %s %s\n", c.Action, clean(name), c.Address, c.IP)
	return err
}

// WriteReload says what a reload did.
func WriteReload(w io.Writer, r ReloadReport) error {
	for _, s := range r.Warnings {
		fmt.Fprintln(w, "warning:", clean(s))
	}
	if len(r.Changes) == 0 {
		fmt.Fprintln(w, "nothing has changed")
	}
	for _, c := range r.Changes {
		line := c.Action + " " + c.Kind
		if c.Section != "" {
			line += " " + c.Section
		}
		if c.Name != "" && c.Name != c.Section {
			line += " (" + c.Name + ")"
		}
		if len(c.Options) > 0 {
			line += ": " + strings.Join(c.Options, ", ")
		}
		if c.Restart {
			line += " (takes effect when the agent is started anew)"
		}
		if _, err := fmt.Fprintln(w, clean(line)); err != nil {
			return err
		}
	}
	if r.ConfirmSeconds > 0 {
		fmt.Fprintf(w, "taken back in %d s, unless: meshagent config confirm\n", r.ConfirmSeconds)
	}
	return nil
}

func peerName(p node.PeerStatus) string {
	switch {
	case p.Name != "":
		return p.Name
	case p.IP != "":
		return p.IP
	default:
		return dash(p.PublicKey)
	}
}

func peerNote(p node.PeerStatus) string {
	var notes []string
	if p.Source != "" && p.Source != "config" {
		notes = append(notes, p.Source)
	}
	if p.Noise {
		notes = append(notes, "noise")
	}
	if p.LinkKind == "mesh" {
		notes = append(notes, fmt.Sprintf("metric %d", p.Metric))
	}
	if p.CarriedBy != "" {
		notes = append(notes, "carried by "+p.CarriedBy)
	}
	if c := counters(p.Duplicates, 0, p.OutOfRange); c != "" {
		notes = append(notes, c)
	}
	if p.LastProblem != "" {
		notes = append(notes, p.LastProblem)
	}
	return strings.Join(notes, ", ")
}

// sessionNote says what is worth knowing about the way of a session.
func sessionNote(s node.SessionStatus) string {
	var notes []string
	if n := len(s.Paths) - 1; n > 0 {
		notes = append(notes, fmt.Sprintf("%d more known", n))
	}
	if s.Changes > 0 {
		notes = append(notes, fmt.Sprintf("path changed %d times, last %s ago: %s", s.Changes, last(s.ChangedMs), s.Why))
	}
	if c := counters(s.Duplicates, s.Lost, s.OutOfRange); c != "" {
		notes = append(notes, c)
	}
	return strings.Join(notes, ", ")
}

func counters(dup, lost, oor uint64) string {
	var parts []string
	for _, c := range []struct {
		name string
		n    uint64
	}{{"DUP", dup}, {"LOS", lost}, {"OOR", oor}} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", c.name, c.n))
		}
	}
	return strings.Join(parts, " ")
}

// loss is the share of packets that did not arrive, in tenths of a percent.
func loss(lost, received uint64) string {
	if lost+received == 0 {
		return "-"
	}
	tenths := lost * 1000 / (lost + received)
	if tenths == 0 && lost > 0 {
		return "<0.1%"
	}
	return fmt.Sprintf("%d.%d%%", tenths/10, tenths%10)
}

func drops(m map[string]int64) string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names)
	for i, name := range names {
		names[i] = fmt.Sprintf("%s %d", name, m[name])
	}
	return strings.Join(names, ", ")
}

// fullTables lists the tables that are at least nine tenths full.
func fullTables(tables []node.TableStatus) string {
	var out []string
	for _, t := range tables {
		if t.Limit > 0 && t.Used*10 >= t.Limit*9 {
			out = append(out, fmt.Sprintf("%s %d of %d", t.Name, t.Used, t.Limit))
		}
	}
	return strings.Join(out, ", ")
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func number(n uint64) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// WriteDoctor prints a line for each check, and what helps.
func WriteDoctor(w io.Writer, d Diagnosis) error {
	for i := range d.Checks {
		c := &d.Checks[i]
		mark, fix := "[ ok ] ", ""
		switch c.State {
		case CheckWarn:
			mark = "[warn] "
		case CheckFail:
			mark = "[FAIL] "
		}
		if c.Fix != "" {
			fix = " -> " + c.Fix
		}
		if _, err := fmt.Fprintln(w, clean(mark+c.What+": "+c.Text+fix)); err != nil {
			return err
		}
	}
	return nil
}

// WriteEvent prints an event: when, what, and its data.
func WriteEvent(w io.Writer, e Event) error {
	_, err := fmt.Fprintln(w, time.UnixMilli(e.Time).Format(time.DateTime), e.Event, clean(string(e.Data)))
	return err
}
