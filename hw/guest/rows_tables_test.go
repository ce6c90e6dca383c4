//go:build guest

package guest

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestTables: what batctl prints in the kernel and what the agent prints have
// the same columns, and as JSON the same keys. Hosts and a gateway are there so
// that every table has rows.
func TestTables(t *testing.T) {
	row(t, "batctl's tables and ours: columns and JSON keys", func(w *world) { tables(w, "") })
}

func tables(w *world, algo string) {
	mesh, behindK, behindA := w.lan(), w.lan(), w.lan()
	gw := w.kernel("k1", MeshConfig{Algo: algo, Setup: []string{"gw server 20mbit/5mbit"}, IPs: []string{ip1 + net24}}, mesh)
	k := w.kernel("k2", MeshConfig{Algo: algo, Setup: []string{"gw client"}, Client: behindK, IPs: []string{ip2 + net24}}, mesh)
	a := w.agent("a1", agentConfig{Algo: algo, Options: []string{"gw_mode", "client"}, Client: behindA, IPs: []string{ip3 + net24}}, mesh)
	w.routes(gw, k, a)
	for i, lan := range []*LAN{behindK, behindA} { // clients and ARP entries everywhere
		w.answered(10*time.Second, w.phone(fmt.Sprintf("10.9.0.%d/24", 20+i), lan), ip1)
	}
	w.answered(10*time.Second, k, ip3)
	w.chosen(k, gw, 200, 50)
	w.chosen(a, gw, 200, 50)
	for _, c := range []string{"o", "n", "tl", "tg", "gwl", "dc", "mf", "if"} {
		w.sameText(k, a, c)
	}
	for _, c := range []string{"oj", "nj", "tlj", "tgj", "gwj", "dcj"} {
		w.sameJSON(k, a, c)
	}
	w.atLeast(k, a, "hj")
	w.atLeast(k, a, "mfj")
	w.atLeast(k, a, "mj", ".network_coding_enabled") // gone in 2025.4
}

// newer makes the output of batctl 2026.2, which is what the agent prints, out
// of that of older ones, and takes away what the agent adds behind a row: who
// an originator is, how large packets a link carries.
func newer(text string) string {
	text = identityColumn.ReplaceAllString(text, "$1")
	text = linkColumn.ReplaceAllString(text, "")
	if strings.Contains(text, "BATMAN_V)") {
		text = strings.Replace(text, "IF             Neighbor              last-seen\n", "         Neighbor   last-seen      speed           IF\n", 1)
		text = oldThroughput.ReplaceAllString(text, ") ")
	}
	return oldMulticast.ReplaceAllString(text, "$1]")
}

var (
	identityColumn = regexp.MustCompile(`(?m)^( .*\[ *\w+\]) \S+$`)
	linkColumn     = regexp.MustCompile(`(?m)  mtu [0-9]+$`)
	oldThroughput  = regexp.MustCompile(`\)  \b`)
	oldMulticast   = regexp.MustCompile(`(\[[U.][4.][6.](?:R4|\. )(?:R6|\. ))[P.]?\]`)
)

// Parts of a table that differ from node to node, and what stands for them.
// A number keeps its width together with the blanks in front of it; so does
// what is in brackets, but for the first line.
var masks = []struct {
	re   *regexp.Regexp
	with func(s string) string
}{
	{regexp.MustCompile(`adv [^,]*, MainIF/MAC: \w+/`), func(string) string { return "adv VERSION, MainIF/MAC: IF/" }},
	{regexp.MustCompile(`([0-9a-f]{2}:){5}[0-9a-f]{2}`), func(string) string { return "MAC" }},
	{regexp.MustCompile(`0x[0-9a-f]+`), func(s string) string { return "0x" + strings.Repeat("x", len(s)-2) }},
	{regexp.MustCompile(` *[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+`), func(s string) string { return strings.Repeat("i", len(s)) }},
	{regexp.MustCompile(` *-?[0-9]+`), func(s string) string { return strings.Repeat("9", len(s)) }},
	{regexp.MustCompile(` [* ] MAC`), func(string) string { return " ? MAC" }},
	{regexp.MustCompile(`^[* ] MAC`), func(string) string { return "? MAC" }},
	{regexp.MustCompile(`\[[^]B][^]]*\]`), func(s string) string { return "[" + strings.Repeat("_", len(s)-2) + "]" }},
	{regexp.MustCompile(` +(eth|hw)9`), func(s string) string { return strings.Repeat("_", len(s)) }},
	{regexp.MustCompile(`^(eth|hw)9: `), func(string) string { return "IF: " }},
}

// shapes returns the kinds of lines of a table.
func shapes(text string) []string {
	set := map[string]bool{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		for _, m := range masks {
			line = m.re.ReplaceAllStringFunc(line, m.with)
		}
		set[line] = true
	}
	return slices.Sorted(maps.Keys(set))
}

// sameText fails the row if the lines of a table of two nodes look different.
func (w *world) sameText(k, a node, command string) {
	w.Helper()
	var text [2]string
	for i, n := range []node{k, a} {
		out, err := n.bat(command)
		if err != nil {
			w.Errorf("%s: %s: %v", n.label(), command, err)
		}
		text[i] = newer(out)
	}
	ours, theirs := shapes(text[1]), shapes(text[0])
	if !slices.Equal(ours, theirs) {
		w.Errorf("%s: lines\n%s\nwant\n%s\nof\n%s%s", command, strings.Join(ours, "\n"), strings.Join(theirs, "\n"), text[1], text[0])
	}
}

// keysOf returns the kinds of values by key; those of an object in an object
// have its name in front.
func keysOf(n node, command string) (map[string]string, error) {
	out, err := n.bat(command)
	if err != nil {
		return nil, err
	}
	var v any
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	keys := map[string]string{}
	var walk func(prefix string, v any)
	walk = func(prefix string, v any) {
		switch v := v.(type) {
		case []any:
			for _, x := range v {
				walk(prefix, x)
			}
		case map[string]any:
			for key, x := range v {
				walk(prefix+"."+key, x)
			}
		default:
			keys[prefix] = fmt.Sprintf("%T", v)
		}
	}
	walk("", v)
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s: %s is empty", n.label(), command)
	}
	return keys, nil
}

// sameJSON fails the row if the rows of a table of two nodes have different
// keys, but for what the agent says of identities and links, or other kinds of
// values.
func (w *world) sameJSON(k, a node, command string) {
	w.Helper()
	// A flag is there if it is set: of two gateways one may have every claim.
	const flag = ".bla_own"
	extra := w.atLeast(k, a, command, flag)
	extra = slices.DeleteFunc(extra, func(key string) bool { return key == flag || strings.HasPrefix(key, ".identity") || key == ".mtu" })
	if len(extra) > 0 {
		w.Errorf("%s: keys that batctl does not have: %v", command, extra)
	}
}

// atLeast fails the row if a lacks keys that k has, but for those in without,
// and returns what a has besides.
func (w *world) atLeast(k, a node, command string, without ...string) (extra []string) {
	w.Helper()
	theirs, err := keysOf(k, command)
	ours, err2 := keysOf(a, command)
	if err != nil || err2 != nil {
		w.Errorf("%s: %v, %v", command, err, err2)
		return nil
	}
	for key, kind := range theirs {
		if got := ours[key]; got != kind && !slices.Contains(without, key) {
			w.Errorf("%s: %s is %q, want %q", command, key, got, kind)
		}
	}
	for key := range ours {
		if theirs[key] == "" {
			extra = append(extra, key)
		}
	}
	slices.Sort(extra)
	return extra
}
