package identity

import (
	"bytes"
	"testing"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

// A record that is taken reads the same when it is written again.
func FuzzParseRecord(f *testing.F) {
	f.Add(signedSelf(testKey(0), 3, 0).Record())
	f.Add([]byte{1, 0, 1, 8})
	costs := signedSelf(testKey(0), 3, 0)
	costs.parsed.K, costs.parsed.List = 3, [MaxCosts]LinkCost{{mac2, 120}, {batman.MAC{0xff}, 0}, {mac2, 65535}}
	f.Add(append(costs.parsed.appendContent(nil), make([]byte, 64)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRecord(b)
		if err != nil {
			return
		}
		if len(b) > MaxRecord || r.N < 1 || r.N > MaxPoints || len(b)%2 != 0 {
			t.Fatalf("%d bytes, %d points", len(b), r.N)
		}
		if b[19] != 0 {
			return // what is reserved is not kept
		}
		msg, sig := signedRecord(b)
		if again := r.appendContent([]byte(contextRecord)); !bytes.Equal(again, msg) || len(sig) != 64 {
			t.Fatalf("%x became %x", msg, again)
		}
	})
}

// A container that is found reads the same when it is written again.
func FuzzContainer(f *testing.F) {
	s := signedSelf(testKey(0), 3, 0)
	e, _ := s.Element(mac1, 1000)
	f.Add(s.Append(nil, TVLVType, e, true, true))
	f.Add(s.Append(batman.AppendTVLV(nil, 2, 1, 0), TVLVType, e, false, false))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, ok := FindContainer(b, TVLVType)
		if !ok {
			return
		}
		again, ok := FindContainer(appendContainer(nil, TVLVType, &c), TVLVType)
		if !ok || again.ID != c.ID || again.Element != c.Element || !bytes.Equal(again.Record, c.Record) || len(c.Record) > MaxRecord {
			t.Fatalf("%+v became %+v", c, again)
		}
	})
}

// Packets between agents: no content does any harm.
func FuzzPacket(f *testing.F) {
	k := testKey(0)
	s := signedSelf(k, 3, 0)
	put := func(kind uint8, content []byte) {
		b := make([]byte, HeaderLen)
		Header{PacketType, 50, mac3, mac1, kind}.Put(b)
		f.Add(append(b, content...))
	}
	put(KindFrame, []byte("frame"))
	put(KindRequest, AppendRequest(nil, s.id))
	put(KindRecord, AppendRecord(nil, s.Record(), [][]byte{{1, 2, 3}}))
	put(KindChallenge, AppendChallenge(nil, Nonce{1}))
	for kind, j := range map[uint8]*Job{KindAnswer: s.AnswerJob(mac1, mac3, Nonce{1}), KindRoam: s.RoamJob(mac1, mac3, []Moved{{mac2, 0}})} {
		j.Run(k, func(b []byte) { clear(b) })
		c, _ := j.Content()
		put(kind, c)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, content, err := ParseHeader(b)
		if err != nil {
			return
		}
		again := make([]byte, HeaderLen)
		h.Put(again)
		if got, _, err := ParseHeader(again); err != nil || got != h {
			t.Fatalf("%+v became %+v", h, got)
		}
		n := newNeighbour(k)
		switch h.Kind {
		case KindRequest:
			_, _ = ParseRequest(content)
		case KindRecord:
			rec, certs, err := ParseRecordPacket(content)
			if err == nil {
				n.table.Record(0, &OGM{MAC: h.Src, Routed: true, Has: true, Seqno: 1001}, rec, certs)
			}
		case KindChallenge:
			_, _ = ParseChallenge(content)
		case KindAnswer:
			n.table.Answer(0, h.Src, mac3, mac3, true, content)
		case KindRoam:
			n.table.Roaming(0, h.Src, mac3, mac3, true, content)
		}
		for range 3 {
			if j := n.table.Next(mono.Time(1), 50); j != nil {
				j.Run(nil, nil)
				n.table.Done(mono.Time(2), j)
			}
		}
	})
}
