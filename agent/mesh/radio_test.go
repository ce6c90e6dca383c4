package mesh

import (
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
)

// Source: batman-adv bat_v_elp.c, batadv_v_elp_get_throughput.
func TestRadioThroughput(t *testing.T) {
	for _, tc := range []struct {
		r     Radio
		rate  uint32
		known bool
	}{
		{Radio{Expected: 281, Expects: true, TxRate: 650}, 281, true}, {Radio{Expects: true}, 0, true},
		{Radio{TxRate: 650}, 216, true}, {Radio{Signal: -60}, 0, false},
	} {
		if rate, known := tc.r.throughput(); rate != tc.rate || known != tc.known {
			t.Errorf("%+v: %d, %v; want %d, %v", tc.r, rate, known, tc.rate, tc.known)
		}
	}
}

func TestSetRadios(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.node("a", fastV), w.node("b", fastV)
	for _, k := range []*wnode{a, b} {
		k.iface(0, func(c *IfaceConfig) { c.Wifi, c.Speed = true, 0 })
	}
	w.link(a, 0, b, 0, 0)
	w.run(2 * time.Second)
	r := Radio{Station: hardMAC(b.id, 0), Signal: -61, TxRate: 650, Busy: -1}
	a.m.SetRadios(0, []Radio{{Station: batman.MAC{2, 9}}, r})
	a.m.SetRadios(7, []Radio{r}) // no such interface
	w.run(10 * time.Second)
	n := a.m.Status(w.now).Neighbours
	if len(n) != 1 || n[0].Radio == nil || *n[0].Radio != r || n[0].Throughput < 210 || n[0].Throughput > 216 {
		t.Fatalf("neighbours %+v", n)
	}
	a.m.SetRadios(0, nil) // the driver has forgotten the station
	w.run(time.Second)
	if n = a.m.Status(w.now).Neighbours; n[0].Radio != nil || n[0].Throughput >= 210 {
		t.Errorf("a station that is gone: %+v", n[0])
	}
}

// A client that changes its access point is found at the new one before it has
// sent a frame.
func TestClientArrived(t *testing.T) {
	w := newTTNet(t, 3)
	c := testClient(1)
	w.nodes[0].learn(c, 0)
	for range 5 {
		w.second()
	}
	if at := w.nodes[2].finds(c, 0); at != 0 {
		t.Fatalf("before it moves it is at node %d", at)
	}
	nd := w.nodes[1]
	nd.m.ClientArrived(w.now, c, &nd.out)
	nd.m.ClientArrived(w.now, batman.Broadcast, &nd.out) // no station
	nd.check()
	for range 5 {
		w.second()
	}
	for _, i := range []int{0, 2} {
		if at := w.nodes[i].finds(c, 0); at != 1 {
			t.Errorf("node %d finds it at node %d", i, at)
		}
	}
	if got := nd.m.Status(w.now).Local; len(got) != 2 { // and the node's own
		t.Errorf("clients %+v", got)
	}
	if nd.m.clientFlags(c) != batman.TTWifi {
		t.Error("the client has no mark for Wi-Fi")
	}
}
