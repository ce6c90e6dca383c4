//go:build guest

package guest

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestTools(t *testing.T) {
	row(t, "ping, traceroute, throughput meter, both ways", func(w *world) { toolsKA(w, "") })
}

func toolsKA(w *world, algo string) {
	lan := w.lan()
	k := w.kernel("k1", MeshConfig{Algo: algo}, lan)
	a := w.agent("a1", agentConfig{Algo: algo}, lan)
	w.routes(k, a)
	w.tools(k, a, 1)
	for _, d := range [][2]node{{k, a}, {a, k}} {
		time.Sleep(1500 * time.Millisecond) // the receiver of the test before forgets it after a second
		out, err := d[0].bat("tp -t 2000 " + d[1].mac())
		m := meterLine.FindStringSubmatch(out)
		if err != nil || m == nil {
			w.Errorf("%s: throughput meter to %s: %v\n%s", d[0].label(), d[1].label(), err, out)
			continue
		}
		w.note("tp %s to %s %s Mbps", short(d[0]), short(d[1]), m[1])
	}
}

var meterLine = regexp.MustCompile(`Throughput: .*\(([0-9.]+) Mbps\)`)

func short(n node) string { s, _, _ := strings.Cut(n.label(), " "); return s }

// tools runs batctl's ping and traceroute, or ours, between two nodes that are
// so many hops apart, both ways.
func (w *world) tools(x, y node, hops int) {
	w.Helper()
	for _, d := range [][2]node{{x, y}, {y, x}} {
		for _, p := range []string{"p -c 5 -i 0.1 ", "p -R -c 2 -i 0.1 "} {
			out, err := d[0].bat(p + d[1].mac())
			if err != nil || !strings.Contains(out, " 0% packet loss") {
				w.Errorf("%s: %s%s: %v\n%s", d[0].label(), p, d[1].label(), err, out)
			}
		}
		out, err := d[0].bat("tr " + d[1].mac())
		last := tail(out, 1)
		if err != nil || !strings.Contains(out, fmt.Sprintf("\n%2d: %s", hops, d[1].mac())) {
			w.Errorf("%s: traceroute to %s, want %d hops: %v\n%s", d[0].label(), d[1].label(), hops, err, last+out)
		}
	}
}
