package pathfinder

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// said is one line of a recorded conversation with a supernode.
type said struct {
	asked bool // by the node; else the answer
	ip    cjdns.IP
	msg   cjdns.Message
}

// recorded reads a conversation, and the key of the supernode.
func recorded(t *testing.T, name string) (snode cjdns.Key, list []said) {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		f := strings.Fields(line)
		switch f[0] {
		case "#":
		case "snode":
			snode = cjdns.Key(unhex(t, f[1]))
		default:
			s := said{asked: f[0] == ">"}
			if len(f) == 3 {
				s.ip = cjdns.IP(unhex(t, f[1]))
			}
			if err := cjdns.ParseMessage(unhex(t, f[len(f)-1]), &s.msg); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			list = append(list, s)
		}
	}
	return snode, list
}

// Stock nodes of two versions announced themselves to a supernode of ours, and
// took its answers: it answers the same again.
func TestRecordedStockNodes(t *testing.T) {
	for name, version := range map[string]uint32{"stock-v20.7.txt": 20, "stock-v22.3.txt": 22} {
		t.Run(name, func(t *testing.T) {
			self, list := recorded(t, name)
			s := newServer(self)
			answers := map[string]*cjdns.Message{}
			for i := range list {
				if !list[i].asked {
					answers[string(list[i].msg.TxID)] = &list[i].msg
				}
			}
			// Who it is stands in its announcements.
			from := Node{Label: 0x13, Version: version}
			for i := range list {
				if a, err := cjdns.ParseAnnouncement(list[i].msg.Ann); err == nil {
					from.Key, _ = cjdns.KeyFromSigning(a.Signer)
					from.IP = from.Key.IP()
				}
			}
			count := map[string]int{}
			for i := range list {
				q := &list[i].msg
				want := answers[string(q.TxID)]
				if !list[i].asked || want == nil {
					continue
				}
				count[q.SubQuery]++
				if s.wall == 0 {
					s.SetWall(0, want.RecvTime)
				}
				now := mono.Time(want.RecvTime-s.wall) * mono.Time(time.Millisecond)
				out := new(Out)
				got := s.HandleMessage(now, from, q, out)
				if s.run(now, out); len(out.Answers) > 0 {
					got = out.Answers[0].Msg
				}
				if got == nil || q.Version != version {
					t.Fatalf("%s of version %d: %+v", q.SubQuery, q.Version, got)
				}
				if q.SubQuery == "gr" {
					continue // what others announced is not in the recording
				}
				if got.Error != want.Error || !bytes.Equal(got.StateHash, want.StateHash) || got.RecvTime != want.RecvTime || !bytes.Equal(got.TxID, want.TxID) {
					t.Errorf("%s: %+v, want %+v", q.SubQuery, got, want)
				}
			}
			if count["pn"] == 0 || count["ann"] < 2 || count["gr"] == 0 {
				t.Errorf("asked: %v", count)
			}
			if v := s.graph.byIP[from.IP]; v == nil || v.version != version || s.Links() == 0 {
				t.Errorf("%+v, %d links", v, s.Links())
			}
		})
	}
}

// The stock route server answered agents and a stock node: our client reckons
// the same hash of what it has announced, and takes its paths.
func TestRecordedRouteServer(t *testing.T) {
	self, list := recorded(t, "routeserver.txt")
	type question struct {
		ip  cjdns.IP
		msg *cjdns.Message
	}
	asked := map[string]question{}
	logs := map[cjdns.IP]*stateLog{}
	count := map[string]int{}
	for i := range list {
		m := &list[i].msg
		if list[i].asked {
			asked[string(m.TxID)] = question{list[i].ip, m}
			continue
		}
		q, ok := asked[string(m.TxID)]
		if !ok {
			t.Fatalf("nobody asked for %+v", m)
		}
		if m.RecvTime <= 0 {
			t.Errorf("an answer without its time: %+v", m)
		}
		switch count[q.msg.SubQuery]++; q.msg.SubQuery {
		case "ann":
			a, err := cjdns.ParseAnnouncement(q.msg.Ann)
			if err != nil {
				t.Fatal(err)
			}
			if a.Reset || logs[q.ip] == nil {
				logs[q.ip] = new(stateLog)
			}
			if m.Error != "none" && m.Error != "" {
				count[m.Error]++ // it was restarted, and knows nothing of the node
				continue
			}
			logs[q.ip].add(a, q.msg.Ann, maxLog)
			if !bytes.Equal(m.StateHash, logs[q.ip].hash[:]) {
				t.Errorf("%v announced for the %dth time: the server has %x, we %x", q.ip, count["ann"], m.StateHash, logs[q.ip].hash)
			}
		case "gr":
			// We never ask a supernode for itself; the stock node does.
			if len(m.Nodes) > 0 && cjdns.IP(q.msg.Target) != self.IP() {
				count["path"]++
				takesPath(t, self, cjdns.IP(q.msg.Target), m)
			}
		}
	}
	if count["pn"] == 0 || count["ann"] < 4 || count["path"] == 0 {
		t.Errorf("answers: %v", count)
	}
}

// takesPath gives a recorded answer to a client that has asked for a path.
func takesPath(t *testing.T, server cjdns.Key, target cjdns.IP, m *cjdns.Message) {
	t.Helper()
	d := newDesk(t)
	snode := Node{Key: server, IP: server.IP(), Version: 20}
	port, _ := cjdns.PortOf(m.Nodes[0].Label)
	dir, bits := cjdns.PortDirector(port, 0)
	p := snode
	p.Label = cjdns.Label(dir) | 1<<bits
	d.peer(p, 0)
	d.names(p.Label, snode, cjdns.SelfLabel)
	d.reply(d.question("pn"), cjdns.Message{})
	d.finder.Search(d.now, target, 0, 0, &d.out)
	q := d.question("gr")
	d.reply(q, *m)
	if n, ok := d.finder.Path(d.now, target); !ok || n.Label != m.Nodes[0].Label || n.Key != m.Nodes[0].Key {
		t.Errorf("path %+v, %v; the server named %+v; %+v", n, ok, m.Nodes[0], d.Drops)
	}
}
