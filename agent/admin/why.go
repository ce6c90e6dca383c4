package admin

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/meshagent/meshagent/agent/node"
)

// whyReason says in one sentence why packets for a node go where they go.
func whyReason(w *node.Why) string {
	switch w.State {
	case "self":
		return "this is the address of this node: packets for it do not leave the host"
	case "none":
		return "no way is known"
	case "idle":
		s := "nothing was sent to it lately; the first packet would go along " + w.Label
		for i := range w.Ways {
			if w.Ways[i].Label == w.Label {
				s += " (" + wayWords(&w.Ways[i]) + ")"
			}
		}
		return s
	}
	silent := ""
	if w.SilentMs > 0 {
		silent = "nothing has come back for " + last(w.SilentMs) + ": "
	}
	if len(w.Ways) == 0 || w.Ways[0].State != "used" {
		return silent + "along " + w.Label + ", which nobody names any more" + whySince(w)
	}
	return silent + wayWords(&w.Ways[0]) + ", " + whyBetter(w) + whySince(w)
}

// whyBetter compares the way in use with the best of the others.
func whyBetter(w *node.Why) string {
	used, best, others := &w.Ways[0], (*node.WayStatus)(nil), 0
	for i := range w.Ways[1:] {
		o := &w.Ways[1+i]
		if o.State == "down" {
			continue
		}
		if others++; o.State == "standby" && o.CostMicros > 0 && (best == nil || o.CostMicros < best.CostMicros) {
			best = o
		}
	}
	switch {
	case others == 0:
		return "the only way that is known"
	case best == nil || used.CostMicros == 0:
		return plural(others, "other way") + " not measured, or resting"
	case best.CostMicros >= used.CostMicros:
		return fmt.Sprintf("%s than %s (%s)", percent(best.CostMicros-used.CostMicros, best.CostMicros, "better"), best.Label, wayWords(best))
	}
	return fmt.Sprintf("%s (%s) is %s, which is too little or too new for a change",
		best.Label, wayWords(best), percent(used.CostMicros-best.CostMicros, used.CostMicros, "better"))
}

// whySince says when and why the way was taken.
func whySince(w *node.Why) string {
	since := "; since " + last(w.ChangedMs) + ", when " + w.Was
	switch {
	case w.Changes == 0 && w.Cause == "theirs":
		return "; its first packet came along it"
	case w.Changes == 0:
		return "; it was the first that was known"
	case w.Cause == "better" && w.CostMicros > 0 && w.WasCostMicros > w.CostMicros:
		return since + " was measured to be " + percent(w.WasCostMicros-w.CostMicros, w.CostMicros, "worse")
	case w.Cause == "better":
		return since + " was measured to be worse, or no better than this direct one"
	case w.Cause == "refused":
		return since + " was reported broken by a switch on it"
	case w.Cause == "peer-lost":
		return since + " lost the peer where it begins"
	case w.Cause == "followed":
		return since + " did not answer and the other end had left it"
	}
	return since + " did not answer"
}

// percent prints a part of a whole: "40 % better".
func percent(part, whole int64, word string) string {
	return fmt.Sprintf("%d %% %s", part*100/max(1, whole), word)
}

// wayWords says where a way is from and how good: "mesh: measured 3.10 ms / 0 %".
func wayWords(y *node.WayStatus) string {
	source := y.Source
	if source == "peer" {
		source = "direct peer"
	}
	switch {
	case y.CostMicros > 0:
		return fmt.Sprintf("%s: measured %s / %s", source, rtt(y.RTTMicros), permille(y.LossPermille))
	case y.Answers > 0:
		return fmt.Sprintf("%s: not measured lately, %s / %s before", source, rtt(y.RTTMicros), permille(y.LossPermille))
	case y.AnsweredMs >= 0:
		return source + ": not measured"
	}
	return source + ": not tried"
}

// permille prints a loss.
func permille(n int) string {
	if n%10 == 0 {
		return fmt.Sprintf("%d %%", n/10)
	}
	return fmt.Sprintf("%d.%d %%", n/10, n%10)
}

// WriteWhy prints the ways to a node, and the one in use hop by hop.
func WriteWhy(w io.Writer, y *node.Why) error {
	t := newTable(w)
	who := y.IP
	if y.Name != "" {
		who += " (" + y.Name + ")"
	}
	t.row("node", who)
	if y.PublicKey != "" {
		t.row("key", y.PublicKey)
	}
	if y.Session != "" {
		t.row("session", strings.ToLower(y.Session)+", path changed "+plural(int(y.Changes), "time"))
	}
	t.row("reason", y.Reason)
	for _, s := range y.Tried {
		t.row("", s)
	}
	if len(y.Ways) > 0 {
		t.row()
	}
	if err := t.flush(); err != nil || len(y.Ways) == 0 {
		return err
	}
	t = newTable(w)
	t.row("WAY", "SOURCE", "STATE", "COST", "RTT", "LOSS", "HOPS", "ANSWERED", "NOTE")
	for _, r := range y.Ways {
		loss := "-"
		if r.Answers > 0 {
			loss = permille(r.LossPermille)
		}
		t.row(dash(r.Label), r.Source, r.State, rtt(r.CostMicros), rtt(r.RTTMicros), loss, fmt.Sprint(r.Hops), last(r.AnsweredMs), wayNote(&r))
	}
	if len(y.Hops) > 0 {
		t.row()
	}
	if err := t.flush(); err != nil || len(y.Hops) == 0 {
		return err
	}
	t = newTable(w)
	t.row("HOP", "DIRECTOR", "SLOT", "NODE", "ADDRESS", "PATH", "KNOWN BY")
	for _, h := range y.Hops {
		address, by := h.IP, h.KnownBy
		if address == "" {
			address = "unknown"
		}
		if h.LLAddr != "" {
			by = strings.TrimSpace(by + " " + h.Link + " " + h.LLAddr)
		}
		t.row(fmt.Sprint(h.Hop), h.Director, fmt.Sprint(h.Slot), dash(h.Name), address, h.Label, dash(by))
	}
	return t.flush()
}

// wayNote says what is worth knowing about a way beside its figures.
func wayNote(r *node.WayStatus) string {
	var notes []string
	if r.Link != "" {
		notes = append(notes, r.Link)
	}
	if r.Metric != 0 {
		notes = append(notes, fmt.Sprintf("metric %d", r.Metric))
	}
	if r.AirMicros != 0 {
		about := ""
		if r.AirGuessed {
			about = "about "
		}
		notes = append(notes, fmt.Sprintf("links cost %s%d µs", about, r.AirMicros))
	}
	if r.NextMs > 0 {
		notes = append(notes, "rests "+(time.Duration(r.NextMs)*time.Millisecond).Round(100*time.Millisecond).String())
	}
	if r.Problem != "" {
		notes = append(notes, r.Problem)
	}
	return strings.Join(notes, ", ")
}
