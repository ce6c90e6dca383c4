//go:build guest

package guest

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// backbone is a line of bla_backbone_json.
type backbone struct {
	Own      bool   `json:"bla_own"`
	Backbone string `json:"bla_backbone"`
	VID      int    `json:"bla_vid"`
}

// TestBridgeLoop: kernel and agent are both bridged to one LAN, and to one
// mesh. A host of the LAN and one behind a third node hear each other's
// broadcasts once.
func TestBridgeLoop(t *testing.T) {
	row(t, "BLA: kernel and agent bridged to one LAN", func(w *world) {
		mesh, shared := w.lan(), w.lan()
		k1 := w.kernel("k1", MeshConfig{BLA: true, Client: shared}, mesh)
		a := w.agent("a1", agentConfig{BLA: true, Client: shared}, mesh)
		k2 := w.kernel("k2", MeshConfig{BLA: true, IPs: []string{"10.9.0.2/24"}}, mesh)
		p := w.phone("10.9.0.9/24", shared)
		w.routes(k1, a, k2)
		for _, n := range []node{k1, a} {
			w.eventually(60*time.Second, n.label()+" sees both gateways of the LAN", func() error {
				list, err := rows[backbone](n, "bbj")
				own, other := false, false
				for _, b := range list {
					own, other = own || b.Own, other || !b.Own
				}
				if !own || !other {
					return fmt.Errorf("%v %v", list, err)
				}
				return nil
			})
		}
		w.note("open after %.0f s", w.eventually(90*time.Second, "the host is reached", func() error {
			out, err := k2.sh("ping -n -q -c 1 -W 1 10.9.0.9")
			if err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		}).Seconds())
		out, err := k2.sh("ping -n -c 20 -i 0.1 -W 1 10.9.0.9")
		if err != nil || !strings.Contains(out, " 0% packet loss") || strings.Contains(out, "DUP!") {
			w.Errorf("ping: %v\n%s", err, out)
		}
		// Each direction: 50 hosts speak, and speak again once they are claimed.
		// A new host's first broadcast may come twice: both gateways hear it in
		// the same instant, and who has not heard of a claim claims and carries
		// it. (With two kernels as gateways, of 50 hosts all come twice, the
		// second time too.)
		crowd := func(from, to node, dev, at, first string) (hosts, frames int) {
			w.Helper()
			heard := make(chan string, 1)
			go func() {
				out, err := to.sh(fmt.Sprintf("%s %s count %s 6", toolOf(to), toolArg, at))
				if err != nil {
					out = err.Error() + out
				}
				heard <- strings.TrimSpace(out)
			}()
			time.Sleep(time.Second)
			must(from, fmt.Sprintf("%s %s crowd %s 50 %s", toolOf(from), toolArg, dev, first))
			if _, err := fmt.Sscanf(<-heard, "%d %d", &hosts, &frames); err != nil {
				w.Errorf("broadcasts from %s to %s: %v", from.label(), to.label(), err)
			}
			return hosts, frames
		}
		once := func(from, to node, dev, at, first string) {
			w.Helper()
			hosts, frames := crowd(from, to, dev, at, first)
			if hosts != 50 || frames > 2*50 {
				w.Errorf("first broadcasts of 50 hosts from %s to %s: %d hosts and %d frames heard", from.label(), to.label(), hosts, frames)
			}
			w.note("%s to %s: %d of 50 first broadcasts heard twice", from.label(), to.label(), frames-50)
			if hosts, frames = crowd(from, to, dev, at, first); hosts != 50 || frames != 50 {
				w.Errorf("50 broadcasts from %s to %s: %d hosts and %d frames heard", from.label(), to.label(), hosts, frames)
			}
		}
		once(k2, p, "bat0", "eth0", "02:bc:01:00:00:00")
		once(p, k2, "eth0", "bat0", "02:bc:02:00:00:00")
		for _, c := range []string{"cl", "bbt"} {
			w.sameText(k1, a, c)
		}
		for _, c := range []string{"clj", "bbj"} {
			w.sameJSON(k1, a, c)
		}
		before, _ := p.Counters("eth0")
		time.Sleep(3 * time.Second)
		after, _ := p.Counters("eth0")
		if n := after.RxPackets - before.RxPackets; n > 100 {
			w.Errorf("%d frames in 3 s on the quiet LAN: something goes round", n)
		}
	})
}
