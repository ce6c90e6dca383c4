package pathfinder

import (
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// FuzzSupernode feeds client and role with messages and control frames, as a
// peer, as a partner and as strangers, while time goes on. Nothing may panic,
// and no table may grow beyond its bound.
//
// The script is a list of steps: a kind, a length, and that many bytes.
func FuzzSupernode(f *testing.F) {
	step := func(kind byte, body []byte) []byte {
		return append([]byte{kind, byte(len(body) >> 8), byte(len(body))}, body...)
	}
	maker1, maker2, own := maker(1), maker(2), maker(3)
	ann := cjdns.Announcement{Snode: own.IP, Reset: true, Time: testWall, Version: 22, Scheme: cjdns.SerializeScheme(cjdns.V358),
		Peers: []cjdns.AnnouncedPeer{{PeerNum: 0x13, IP: maker2.IP, Label: 0x15}}, Links: []cjdns.LinkState{{PeerNum: 0x13, Samples: []cjdns.LinkSample{{Lag: 3}}}}}
	message := func(m cjdns.Message) []byte { m.Version = 22; return m.Append(nil) }
	raw := ann.AppendSigned(nil, maker1.sign, func([]byte) {})
	f.Add(step(0, message(cjdns.Message{SubQuery: "ann", TxID: []byte("1t"), Ann: raw})))
	f.Add(step(1, message(cjdns.Message{SubQuery: "ann", TxID: []byte("1t"), Ann: raw, StateHash: make([]byte, 64)})))
	f.Add(step(0, message(cjdns.Message{SubQuery: "gr", Source: maker1.IP[:], Target: maker2.IP[:]})))
	f.Add(step(0, message(cjdns.Message{TxID: []byte("03\x49\x92\xdb\x24\x6d\xb6\xff\x48"), RecvTime: testWall, StateHash: make([]byte, 64), Error: "none"})))
	f.Add(step(2, cjdns.Control{Type: cjdns.CtrlGetSnodeReply, Version: 22, SnodeVersion: 22, Key: maker1.Key, Path: 1}.Append(nil)))
	f.Add(step(2, cjdns.Control{Type: cjdns.CtrlRPathReply, Version: 22, Path: 0x15}.Append(nil)))
	f.Add(step(3, make([]byte, 40)))
	f.Fuzz(func(t *testing.T, script []byte) {
		var n byte
		cfg := Config{Self: own.Key, Protocol: 22, Rand: func(b []byte) {
			for i := range b {
				n += 73
				b[i] = n
			}
		}}
		finder := New(cfg)
		c, s := NewClient(cfg, finder), NewServer(cfg)
		s.SetWall(0, testWall)
		s.SetCommunity([]cjdns.Key{maker2.Key})
		s.SetPartners([]Node{maker2.Node})
		now, out := mono.Time(0), new(Out)
		finder.PeerUp(now, maker1.Node, out)
		c.PeerUp(now, maker1.Node, true)
		c.SetSupernodes(now, nil, true, out)
		for steps := 0; len(script) >= 3 && steps < 64; steps++ {
			kind, size := script[0], min(int(script[1])<<8|int(script[2]), len(script)-3)
			data := script[3 : 3+size]
			script = script[3+size:]
			from := maker1.Node
			switch kind % 4 {
			case 1:
				from = maker2.Node
				fallthrough
			case 0:
				var m cjdns.Message
				if cjdns.ParseMessage(data, &m) != nil {
					break
				}
				if m.SubQuery != "" {
					s.HandleMessage(now, from, &m, out)
				} else if !c.HandleReply(now, from, &m, out) && !s.HandleReply(now, from, &m, out) {
					finder.HandleMessage(now, from, &m, out)
				}
			case 2:
				if ctrl, err := cjdns.ParseControl(data); err == nil {
					c.HandleControl(now, from.Label, &ctrl, out)
					c.Proposed(now, from.Label, &ctrl, out)
				}
			case 3:
				now = now.Add(time.Duration(len(data)) * 200 * time.Millisecond)
				c.WindowEnds(now)
				c.Expire(now, out)
				s.Expire(now, out)
				finder.Expire(now, out)
			}
			for _, j := range out.Jobs {
				j.Run(own.sign, cfg.Rand)
				c.Signed(now, j, out)
				s.Checked(now, j, out)
			}
			out.Reset()
		}
		if c.Len() > MaxSupernodes || c.Asks() > MaxRouteAsks || s.Waiting() > MaxWaiting || s.Nodes() > 3 || s.graph.links > 3*maxNodeLinks {
			t.Errorf("%d supernodes, %d asks, %d waiting, %d nodes, %d links", c.Len(), c.Asks(), s.Waiting(), s.Nodes(), s.graph.links)
		}
	})
}
