package pathfinder

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
)

// A neighbour answers with what is false. Searches find the target on the other
// way round, and what he made up does not stay.
func TestFalseAnswers(t *testing.T) {
	var invented []cjdns.NodeRef
	for i := range uint64(200) {
		d, bits := cjdns.PortDirector(uint16(i+4), 0)
		invented = append(invented, cjdns.NodeRef{Key: key(5000 + i), Label: cjdns.Label(d) | 1<<bits, Version: 22})
	}
	for _, c := range []struct {
		name string
		list func(w *dhtWorld, from Node, n int) []cjdns.NodeRef
	}{
		{"labels that lead back and forth", func(w *dhtWorld, from Node, _ int) []cjdns.NodeRef {
			to := cjdns.Splice(0x13, from.Label) // to the asker, and back to the liar, twice
			return []cjdns.NodeRef{{Key: w.all[4].key, Label: cjdns.Splice(to, to), Version: 22}}
		}},
		{"labels to somebody else", func(w *dhtWorld, from Node, n int) []cjdns.NodeRef {
			return []cjdns.NodeRef{{Key: w.all[4].key, Label: w.all[1].label(3), Version: 22}, {Key: w.all[4].key, Label: w.all[1].label(uint16(4 + n%200)), Version: 22}}
		}},
		{"nodes near to the target that are not there", func(w *dhtWorld, _ Node, _ int) []cjdns.NodeRef {
			slices.SortFunc(invented, func(a, b cjdns.NodeRef) int { return -compareDistance(a.Key.IP(), b.Key.IP(), w.all[4].ip) })
			return invented[len(invented)-20:]
		}},
		{"labels that cannot be", func(w *dhtWorld, _ Node, _ int) (l []cjdns.NodeRef) {
			for _, label := range []cjdns.Label{0, 1, cjdns.LabelInvalid, 1<<63 | 5, 1<<58 | 5} {
				l = append(l, cjdns.NodeRef{Key: w.all[4].key, Label: label, Version: 22})
			}
			return l
		}},
		{"ourselves", func(w *dhtWorld, from Node, _ int) []cjdns.NodeRef {
			return []cjdns.NodeRef{{Key: from.Key, Label: from.Label, Version: 22}, {Key: w.all[4].key, Label: from.Label, Version: 22}}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newDHTWorld(t, 3, 7)
			w.ring()
			liar, n := w.all[1], 0
			liar.answer = func(from Node, rest cjdns.Label, m *cjdns.Message) *cjdns.Message {
				if rest > cjdns.SelfLabel {
					return nil
				}
				n++
				return &cjdns.Message{Version: 22, TxID: slices.Clone(m.TxID), Back: from.Label, Nodes: c.list(w, from, n)}
			}
			w.run(5 * time.Second)
			for _, n := range w.all {
				if n.f.entryOf(w.all[4].ip).peer == 0 {
					delete(n.f.nodes, w.all[4].ip)
				}
			}
			for _, from := range []*dhtNode{w.all[0], w.all[2]} {
				took := w.find(from, w.all[4])
				if took < 0 || took > 5*time.Second {
					t.Errorf("%d does not find it: %v", from.index, took)
				}
				t.Logf("from %d after %v", from.index, took)
			}
			w.run(20 * time.Minute)
			for i, m := range w.all {
				for ip, e := range m.f.nodes {
					if e.answered() && !slices.ContainsFunc(w.all, func(o *dhtNode) bool { return o.ip == ip }) {
						t.Errorf("%d believes in %v", i, ip)
					}
				}
				if m != liar && m.f.Len() > 80 {
					t.Errorf("%d knows %d nodes", i, m.f.Len())
				}
			}
		})
	}
}

// FuzzFinder feeds a Finder with messages, as two peers and as a node behind
// one of them, while time goes on and searches run. Nothing may panic, and no
// table may grow beyond its bound. The answers are to questions that it asks:
// a message with an empty transaction id gets that of the last question.
//
// The script is a list of steps: a kind, a length, and that many bytes.
func FuzzFinder(f *testing.F) {
	step := func(kind byte, body []byte) []byte {
		return append([]byte{kind, byte(len(body) >> 8), byte(len(body))}, body...)
	}
	message := func(m cjdns.Message) []byte { m.Version = 22; return m.Append(nil) }
	far := node(3, 0x153)
	nodes := []cjdns.NodeRef{{Key: far.Key, Label: 0x15, Version: 22}, {Key: key(4), Label: 0x17, Version: 22}}
	f.Add(append(step(4, far.IP[:]), step(0, message(cjdns.Message{Nodes: nodes, Back: 0x15}))...))
	f.Add(append(step(4, far.IP[:]), step(2, message(cjdns.Message{Nodes: nodes, Back: 1 << 62}))...))
	f.Add(append(step(0, message(cjdns.Message{Query: "fn", TxID: []byte("0a"), Target: far.IP[:]})), step(3, make([]byte, 90))...))
	f.Add(step(1, message(cjdns.Message{Query: "gp", TxID: []byte("0a"), Target: make([]byte, 8)})))
	f.Add(step(2, message(cjdns.Message{Query: "nh", TxID: []byte("0a"), Target: far.IP[:]})))
	f.Add(step(0, append([]byte("d4:back8:aaaaaaaa1:n"), make([]byte, 60)...)))
	f.Add(step(0, append([]byte("d1:a"), slices.Repeat([]byte("l"), 2000)...)))
	f.Fuzz(func(t *testing.T, script []byte) {
		var n byte
		fi := New(Config{Self: key(0), Protocol: 22, Rand: func(b []byte) {
			for i := range b {
				n += 73
				b[i] = n
			}
		}})
		from := [...]Node{node(1, 0x13), node(2, 0x15), far}
		now, out := fi.nextGC, new(Out)
		fi.PeerUp(now, from[0], out)
		fi.PeerUp(now, from[1], out)
		var last uint64
		for steps := 0; len(script) >= 3 && steps < 64; steps++ {
			kind, size := script[0], min(int(script[1])<<8|int(script[2]), len(script)-3)
			data := script[3 : 3+size]
			script = script[3+size:]
			switch kind % 5 {
			case 3:
				now = now.Add(time.Duration(len(data)) * 200 * time.Millisecond)
				fi.Expire(now, out)
			case 4:
				if len(data) >= 16 {
					fi.Search(now, cjdns.IP(data), 0, 0, out)
				}
			default:
				var m cjdns.Message
				if cjdns.ParseMessage(data, &m) != nil {
					break
				}
				who := from[kind%5]
				if p := fi.pending[last]; m.TxID == nil && p != nil {
					m.TxID = binary.BigEndian.AppendUint64([]byte("01"), last)
					who.IP = p.to // whoever was asked answers
				}
				if r := fi.HandleMessage(now, who, &m, out); r != nil && len(r.Append(nil)) > 600 {
					t.Errorf("an answer of %d bytes", len(r.Append(nil)))
				}
			}
			for _, q := range out.Queries {
				last = binary.BigEndian.Uint64(q.Msg.TxID[2:])
			}
			out.Reset()
		}
		if fi.Len() > MaxNodes+2 || fi.Searches() > MaxSearches || len(fi.pending) > maxPending {
			t.Errorf("%d nodes, %d searches, %d questions", fi.Len(), fi.Searches(), len(fi.pending))
		}
		for _, s := range fi.searches {
			if len(s.named) > maxNamed || len(s.claims) > maxClaims || len(s.asked) > maxAsked {
				t.Errorf("a search of %d and %d nodes, %d asked", len(s.named), len(s.claims), len(s.asked))
			}
		}
	})
}
