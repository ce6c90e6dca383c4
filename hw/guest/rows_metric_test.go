//go:build guest

package guest

import (
	"testing"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// metricDistance is how far the mean TQ of our node may be from that of the
// kernel's node on links of the same loss. It is three times the deviation
// that chance alone gives the difference: the windows hold 64 OGMs, and about
// ten windows go into the mean.
const metricDistance = 30

// TestMetric: a kernel node and an agent look at a third node, a kernel, over
// two segments, each with the same losses for both. Where the two look at once,
// they see nearly the same and choose the same way, also after the losses have
// changed places.
func TestMetric(t *testing.T) {
	row(t, "TQ and choice of the way on the same lossy links", func(w *world) {
		const fast = 50 // ms between OGMs
		one, two := w.lan(), w.lan()
		target := w.kernel("k1", MeshConfig{Interval: fast}, one, two)
		k := w.kernel("k2", MeshConfig{Interval: fast}, one, two)
		a := w.agent("a1", agentConfig{Interval: fast}, one, two)
		w.routes(target, k, a)
		lossy := func(first, second int) {
			if err := w.lab.Heal(); err != nil {
				w.Fatal(err)
			}
			drop := func(from, to string, percent int) {
				if err := w.lab.Drop(from, to, percent); err != nil {
					w.Fatal(err)
				}
			}
			for i, lan := range []*LAN{one, two} {
				loss := []int{first, second}[i]
				t, k, a := target.Port(lan), k.Port(lan), a.ports[i].Dev
				drop(k, a, 100) // the two do not help each other
				drop(a, k, 100)
				for _, n := range []string{k, a} {
					drop(t, n, loss)
					drop(n, t, loss)
				}
			}
		}
		for _, losses := range [][2]int{{0, 0}, {10, 40}, {40, 10}} {
			lossy(losses[0], losses[1])
			time.Sleep(10 * time.Second) // the windows, and the mean of five
			var sum [2][2]int            // by node, by segment
			var over [2]int              // times that the first segment was chosen
			const samples = 80
			for range samples {
				for i, n := range []node{k, a} {
					list, err := rows[rig.BatOriginator](n, "oj")
					if err != nil {
						w.Fatal(err)
					}
					for _, o := range list {
						if o.Orig != target.mac() {
							continue
						}
						seg := 0
						if o.Next != target.mac() {
							seg = 1
						}
						sum[i][seg] += o.TQ
						if o.Best && seg == 0 {
							over[i]++
						}
					}
				}
				time.Sleep(400 * time.Millisecond)
			}
			var mean [2][2]int
			for i := range mean {
				for s := range mean[i] {
					mean[i][s] = sum[i][s] / samples
				}
			}
			w.note("loss %d/%d %%: TQ kernel %d/%d, agent %d/%d, first way taken %d/%d of %d", losses[0], losses[1],
				mean[0][0], mean[0][1], mean[1][0], mean[1][1], over[0], over[1], samples)
			limit := metricDistance
			if losses == [2]int{} {
				limit = 3
			}
			for s := range mean[0] {
				if d := mean[0][s] - mean[1][s]; d > limit || d < -limit {
					w.Errorf("loss %v, segment %d: mean TQ of the kernel %d, of the agent %d: more than %d apart", losses, s+1, mean[0][s], mean[1][s], limit)
				}
			}
			if losses != [2]int{} {
				for i, n := range []string{"kernel", "agent"} {
					if right := losses[0] < losses[1]; right && over[i] < samples*9/10 || !right && over[i] > samples/10 {
						w.Errorf("loss %v: the %s has taken the first way in %d of %d samples", losses, n, over[i], samples)
					}
				}
			}
		}
	})
}
