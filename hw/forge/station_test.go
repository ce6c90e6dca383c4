package forge

import (
	"testing"

	"github.com/meshagent/meshagent/agent/batman"
)

func TestStation(t *testing.T) {
	s := &Station{MAC: evil, Lie: func(o OGM) OGM { return o.Gateway(10, 10) }}
	if h := Parse(s.Hello()); len(h) != 1 || h[0].Orig != evil || h[0].Seqno != 1 {
		t.Errorf("hello %+v", h)
	}
	out := s.Hear(sample().Frame(victim))
	if len(out) != 1 {
		t.Fatalf("%d frames because of an OGM", len(out))
	}
	o := Parse(out[0])[0]
	if o.TTL != 49 || o.Prev != victim || o.Flags != batman.DirectLink || o.TQ != stationQuality || o.Get(batman.TVLVGateway) == nil {
		t.Errorf("repeated as %+v", o)
	}
	o.Prev = evil
	if out := s.Hear(o.Frame(victim)); out != nil {
		t.Errorf("an OGM that it has repeated itself: %x", out)
	}
	other := batman.MAC{2, 9}
	f := make([]byte, 60)
	batman.Eth{Dst: evil, Src: victim, Type: batman.EtherType}.Put(f)
	p := f[batman.EthLen:]
	p[0], p[1], p[2] = 0x6d, batman.Version, 50
	copy(p[4:], other[:])
	out = s.Hear(f)
	if len(out) != 1 || batman.MAC(out[0][:6]) != other || out[0][batman.EthLen+2] != 49 {
		t.Errorf("a unicast is handed on as %x", out)
	}
	for n := range len(f) {
		s.Hear(f[:n]) // must not panic
	}
}
