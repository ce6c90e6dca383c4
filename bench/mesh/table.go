package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// reroute returns the median time to find another way; ok is false if one
// was not found within the window.
func (r result) reroute() (d time.Duration, ok bool) {
	ok = len(r.cuts) > 0
	var all []time.Duration
	for _, c := range r.cuts {
		ok = ok && c.ok
		all = append(all, c.took)
	}
	slices.Sort(all)
	if len(all) > 0 {
		d = all[len(all)/2]
	}
	return d, ok
}

// lost returns the mean share of lost probes after a cut, in percent.
func (r result) lost() (sum float64) {
	for _, c := range r.cuts {
		sum += c.lost / float64(len(r.cuts))
	}
	return sum
}

// columns of the table: name, unit and value; a value below 0 is none.
var columns = []struct {
	name, unit string
	value      func(r result) float64
}{
	{"all reached", "s", func(r result) float64 {
		if r.missing > 0 {
			return -1
		}
		return r.reach.Seconds()
	}},
	{"new way", "s", func(r result) float64 {
		if d, ok := r.reroute(); ok {
			return d.Seconds()
		}
		return -1
	}},
	{"lost", "%", func(r result) float64 { return r.lost() }},
	{"on the air", "B/s/node", func(r result) float64 { return r.bytes }},
	{"frames", "1/s/node", func(r result) float64 { return r.frames }},
	{"CPU", "s/min", func(r result) float64 { return r.cpu }},
	{"RSS", "MB", func(r result) float64 { return r.rss }},
}

// table renders the results; behind each figure stands the ratio to the first
// contestant's at the same loss.
func table(all []result, o options) string {
	var b strings.Builder
	fmt.Fprintf(&b, "interval %v, %d cuts, window %v; (ratio to the first line of each loss)\n", o.interval, o.cuts, o.window)
	fmt.Fprintf(&b, "%-6s%-12s", "loss", "")
	for _, c := range columns {
		fmt.Fprintf(&b, "%17s", c.name)
	}
	fmt.Fprintf(&b, "\n%-18s", "")
	for _, c := range columns {
		fmt.Fprintf(&b, "%17s", c.unit)
	}
	b.WriteByte('\n')
	first := result{loss: -1}
	for _, r := range all {
		if r.loss != first.loss {
			first = r
		}
		fmt.Fprintf(&b, "%-6s%-12s", fmt.Sprintf("%.0f %%", r.loss*100), r.kind)
		for _, c := range columns {
			b.WriteString(fmt.Sprintf("%17s", cell(c.value(r), c.value(first))))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// cell prints a figure and its ratio to another one.
func cell(v, to float64) string {
	if v < 0 {
		return "-"
	}
	text := number(v)
	if to > 0 {
		text += fmt.Sprintf(" (%4.2f)", v/to)
	} else {
		text += "       "
	}
	return text
}

// number prints three digits.
func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// csv renders every run.
func csv(all []result) string {
	var b strings.Builder
	b.WriteString("kind,loss")
	for _, c := range columns {
		fmt.Fprintf(&b, ",%s [%s]", c.name, c.unit)
	}
	b.WriteByte('\n')
	for _, r := range all {
		fmt.Fprintf(&b, "%s,%g", r.kind, r.loss)
		for _, c := range columns {
			fmt.Fprintf(&b, ",%g", c.value(r))
		}
		b.WriteByte('\n')
	}
	return b.String()
}
