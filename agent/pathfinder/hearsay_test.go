package pathfinder

import (
	"testing"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// testify lets the node at label say that it uses snode.
func testify(f *Finder, now mono.Time, label, back cjdns.Label, snode cjdns.NodeRef, out *Out) {
	who := node(uint64(label), label)
	f.ask(now, who, querySnode, nil, out)
	q := out.Queries[len(out.Queries)-1]
	m := &cjdns.Message{Version: 22, TxID: q.Msg.TxID, Back: back, Nodes: []cjdns.NodeRef{snode}}
	f.HandleMessage(now, who, m, out)
}

// One witness is none, and neither are two behind one peer. What is known from
// hearsay is not passed on, and gives way to what a peer names.
func TestSupernodeByHearsay(t *testing.T) {
	ref := cjdns.NodeRef{Key: key(50), Label: 0x19, Version: 22}
	begin := func(find bool, wanted ...cjdns.Key) (*Finder, *Client, *Out) {
		f, out := newFinder(), new(Out)
		c := NewClient(f.cfg, f)
		c.Find(0, find)
		c.SetSupernodes(0, wanted, false, out)
		for i, l := range []cjdns.Label{0x13, 0x15, 0x17} {
			n := node(uint64(i+1), l)
			n.Version = 22
			f.PeerUp(0, n, out)
			c.PeerUp(0, n, true)
		}
		return f, c, out
	}
	for _, x := range []struct {
		name     string
		find     bool
		wanted   []cjdns.Key
		labels   []cjdns.Label
		ref      cjdns.NodeRef
		accepted bool
	}{
		{"two directions", true, nil, []cjdns.Label{0x153, 0x195}, ref, true},
		{"one witness", true, nil, []cjdns.Label{0x153}, ref, false},
		{"one witness twice", true, nil, []cjdns.Label{0x153, 0x153}, ref, false},
		{"two behind one peer", true, nil, []cjdns.Label{0x153, 0x173}, ref, false},
		{"it is not allowed", false, nil, []cjdns.Label{0x153, 0x195}, ref, false},
		{"others are configured", true, []cjdns.Key{key(60)}, []cjdns.Label{0x153, 0x195}, ref, false},
		{"too old", true, nil, []cjdns.Label{0x153, 0x195}, cjdns.NodeRef{Key: key(50), Label: 0x19, Version: 19}, false},
		{"nowhere", true, nil, []cjdns.Label{0x153, 0x195}, cjdns.NodeRef{Key: key(50), Label: 1 << 58, Version: 22}, false},
		{"another in its own name", true, nil, []cjdns.Label{0x153, 0x195}, cjdns.NodeRef{Key: key(50), Label: 1, Version: 22}, false},
	} {
		f, c, out := begin(x.find, x.wanted...)
		for _, l := range x.labels {
			testify(f, 1, l, 0, x.ref, out)
		}
		if got := len(c.list) > len(x.wanted); got != x.accepted {
			t.Errorf("%s: accepted %v", x.name, got)
		}
	}
	f, c, out := begin(true)
	testify(f, 1, 0x153, 0, ref, out)
	testify(f, 1, 0x195, 0, ref, out)
	out.Reset()
	s := c.list[0]
	if !s.hearsay || s.Label != 0x1995 {
		t.Fatalf("%+v", s)
	}
	s.up = true
	c.elect(2)
	if n, ok := c.Active(); !ok || n.Key != ref.Key {
		t.Fatal("it is not used")
	}
	asker := node(70, 0x15)
	told := f.HandleMessage(2, asker, &cjdns.Message{Version: 22, Query: querySnode, TxID: []byte("0a")}, out)
	if _, ok := c.Public(); ok || told == nil || len(told.Nodes) != 0 {
		t.Error("hearsay is passed on")
	}
	// A peer says that it uses another.
	c.proposed(3, c.links[0], &cjdns.Control{Key: key(61), Path: 0x15, SnodeVersion: 22}, out)
	for _, s := range c.list {
		s.up = true
	}
	c.elect(4)
	if n, _ := c.Active(); n.Key != key(61) {
		t.Error("what a peer names is not preferred")
	}
	if told = f.HandleMessage(5, asker, &cjdns.Message{Version: 22, Query: querySnode, TxID: []byte("0a")}, out); len(told.Nodes) != 1 || told.Nodes[0].Key != key(61) {
		t.Errorf("told %+v", told.Nodes)
	}
	if c.Find(6, false); len(c.list) != 1 {
		t.Error("hearsay is kept though it is not allowed any more")
	}
}
