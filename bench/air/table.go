package main

import (
	"fmt"
	"slices"
	"strings"
)

// table renders the runs of the diamond: median, least and most of each kind.
func table(all []result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-12s%-8s%5s%24s%24s%22s  %s\n", "", "flow", "runs", "new way [s]", "for good [s]", "lost [packets]", "not moved, not on the link")
	for len(all) > 0 {
		n := slices.IndexFunc(all, func(r result) bool { return r.Kind != all[0].Kind })
		if n < 0 {
			n = len(all)
		}
		var there, back []direction
		for _, r := range all[:n] {
			there, back = append(there, r.There), append(back, r.Back)
		}
		b.WriteString(line(all[0].Kind, "A to D", there) + line("", "D to A", back))
		all = all[n:]
	}
	return b.String()
}

// line renders one direction of the runs of one kind.
func line(kind, flow string, runs []direction) string {
	var took, last, lost []float64
	stay, away := 0, 0
	for _, d := range runs {
		switch {
		case d.Away:
			away++
			continue
		case d.Moved:
			took, last = append(took, d.Took.Seconds()), append(last, d.Last.Seconds())
		default:
			stay++
		}
		lost = append(lost, float64(d.Lost))
	}
	return fmt.Sprintf("%-12s%-8s%5d%24s%24s%22s  %d, %d\n", kind, flow, len(runs), spread(took, "%.1f"), spread(last, "%.1f"), spread(lost, "%.0f"), stay, away)
}

// spread renders median, least and most.
func spread(v []float64, format string) string {
	if len(v) == 0 {
		return "-"
	}
	f := format + " (" + format + "…" + format + ")"
	return fmt.Sprintf(f, median(v), slices.Min(v), slices.Max(v))
}

// median sorts v.
func median(v []float64) float64 {
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}
