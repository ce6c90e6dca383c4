//go:build netns

package ring

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/hw/rig"
)

// ipBytes is an address as routing messages have it.
func ipBytes(h *rig.Host) string { ip := h.ID.Key.IP(); return string(ip[:]) }

// labelBytes is a label as routing messages have it.
func labelBytes(l cjdns.Label) string { return string(binary.BigEndian.AppendUint64(nil, uint64(l))) }

// labelOf returns the label by which a host sees its peer.
func labelOf(t *testing.T, h, peer *rig.Host) cjdns.Label {
	t.Helper()
	var text string
	if h.Stock {
		rep, err := h.Admin("InterfaceController_peerStats", map[string]any{"page": 0})
		if err != nil {
			t.Fatal(err)
		}
		list, _ := rep["peers"].([]any)
		for _, p := range list {
			d, _ := p.(map[string]any)
			addr, _ := d["addr"].(string) // v20.0000.0000.0000.0013.KEY.k
			if f := strings.SplitN(addr, ".", 2); len(f) == 2 && strings.HasSuffix(addr, peer.ID.Key.String()) {
				text = f[1][:min(19, len(f[1]))]
			}
		}
	} else {
		st, _ := h.Status()
		for _, p := range st.Peers {
			if p.PublicKey == peer.ID.Key.String() {
				text = p.Label
			}
		}
	}
	l, err := cjdns.ParseLabel(text)
	if err != nil {
		t.Fatalf("%s sees %s at %q: %v", h.Node.Name, peer.Node.Name, text, err)
	}
	return l
}

// TestInteropQueries: what cjdnstool asks, through a stock node, of a supernode
// of ours and of an agent behind it.
//
//	stock ── supernode ── agent
func TestInteropQueries(t *testing.T) {
	needStock(t)
	n := newNet(t)
	hosts := n.cast("sAa")
	stock, snode, agent := hosts[0], hosts[1], hosts[2]
	n.chain(hosts...)
	startAll(hosts...)
	record(t, stock, snode, "supernode")
	mustPairs(t, "start", hosts, stockWait)
	supernode(t, snode, 3, 4)
	tool, err := stock.Tool(1234)
	if err != nil {
		t.Fatal(err)
	}
	defer tool.Close()
	info, err := stock.Admin("Core_nodeInfo", nil)
	if err != nil {
		t.Fatal(err)
	}
	version, _ := info["version"].(int64)
	if version == 0 {
		version = 20
	}
	there, on := labelOf(t, stock, snode), labelOf(t, snode, agent)
	back := labelOf(t, snode, stock)
	type nodes map[string]cjdns.Label
	for _, q := range []struct {
		name string
		to   *rig.Host
		msg  map[string]any
		want nodes  // by key, and where the responder sees it
		all  bool   // nothing else
		has  string // a field of the answer
	}{
		{"pn", snode, map[string]any{"q": "pn"}, nodes{}, true, "es"},
		{"pn of the far one", agent, map[string]any{"q": "pn"}, nodes{}, true, "es"},
		{"gp", snode, map[string]any{"q": "gp", "tar": labelBytes(1)},
			nodes{snode.ID.Key.String(): 1, agent.ID.Key.String(): on, stock.ID.Key.String(): back}, true, "es"},
		{"gp of the far one", agent, map[string]any{"q": "gp", "tar": labelBytes(1)}, nodes{agent.ID.Key.String(): 1, snode.ID.Key.String(): labelOf(t, agent, snode)}, true, "es"},
		{"fn", snode, map[string]any{"q": "fn", "tar": ipBytes(agent)}, nodes{agent.ID.Key.String(): on}, false, "es"},
		{"nh", snode, map[string]any{"q": "nh", "tar": ipBytes(agent)}, nodes{agent.ID.Key.String(): on}, true, "es"},
		{"sq=pn", snode, map[string]any{"sq": "pn"}, nodes{}, true, "stateHash"},
		{"sq=gr", snode, map[string]any{"sq": "gr", "src": ipBytes(stock), "tar": ipBytes(agent)},
			nodes{agent.ID.Key.String(): cjdns.Splice(on, there)}, true, "recvTime"},
		{"sq=gr the other way", snode, map[string]any{"sq": "gr", "src": ipBytes(agent), "tar": ipBytes(stock)},
			nodes{stock.ID.Key.String(): cjdns.Splice(back, labelOf(t, agent, snode))}, true, "recvTime"},
		{"sq=gr to nobody", snode, map[string]any{"sq": "gr", "src": ipBytes(stock), "tar": "\xfc" + strings.Repeat("0", 15)}, nodes{}, true, "recvTime"},
		{"sq=ann without sense", snode, map[string]any{"sq": "ann", "ann": "xxxx"}, nodes{}, true, "error"},
	} {
		way := there
		if q.to == agent {
			way = cjdns.Splice(on, there)
		}
		rep, err := askTool(tool, q.to, way, uint32(version), q.msg)
		if err != nil {
			t.Errorf("%s: %v", q.name, err)
			continue
		}
		list, err := rig.RoutingNodes(rep, func(k [32]byte) string { return cjdns.Key(k).String() })
		if err != nil || rep[q.has] == nil || rep["p"] != int64(22) {
			t.Errorf("%s: %v, answer %v", q.name, err, rep)
		}
		got := nodes{}
		for _, e := range list {
			got[e.Key] = cjdns.Label(e.Label)
			if e.Version < 20 {
				t.Errorf("%s: %s has version %d", q.name, e.Key, e.Version)
			}
		}
		for k, l := range q.want {
			if got[k] != l {
				t.Errorf("%s: %s at %v, want %v", q.name, k, got[k], l)
			}
		}
		if q.all && len(got) != len(q.want) {
			t.Errorf("%s: %d nodes, want %d: %v", q.name, len(got), len(q.want), got)
		}
	}
}

// askTool asks up to three times: a first question may meet a session that is
// being made.
func askTool(tool *rig.Tool, to *rig.Host, way cjdns.Label, version uint32, msg map[string]any) (rep map[string]any, err error) {
	for range 3 {
		if rep, err = tool.Ask(to, uint64(way), version, msg); err == nil {
			return rep, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil, err
}
