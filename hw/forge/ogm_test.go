package forge

import (
	"bytes"
	"testing"

	"github.com/meshagent/meshagent/agent/batman"
)

var victim, evil = batman.MAC{2, 0, 0, 0, 0, 1}, batman.MAC{2, 0, 0, 0, 0x66, 0x66}

func sample() OGM {
	id := make([]byte, RecordAt+84)
	id[0], id[1] = 0xa7, 0x11
	return OGM{
		OGM: batman.OGM{TTL: 50, Seqno: 7, Orig: victim, Prev: victim, TQ: 255},
		Containers: []batman.TVLV{
			{Type: batman.TVLVDAT, Version: 1, Value: []byte{}},
			{Type: Identity, Version: 1, Value: id},
		},
	}
}

func TestRoundTrip(t *testing.T) {
	o := sample()
	f := o.Frame(victim)
	two := append(bytes.Clone(f), o.Without(Identity).Frame(victim)[batman.EthLen:]...)
	two = append(two, make([]byte, 30)...) // padding
	list := Parse(two)
	if len(list) != 2 {
		t.Fatalf("%d OGMs in an aggregate of two, padded", len(list))
	}
	if !bytes.Equal(list[0].Frame(victim), f) {
		t.Errorf("parsed and sent again:\n%x\nwant\n%x", list[0].Frame(victim), f)
	}
	if !list[0].HasRecord() || list[1].HasRecord() || list[1].Get(Identity) != nil {
		t.Errorf("records: %v, %v, want only the first to have one", list[0].HasRecord(), list[1].HasRecord())
	}
	for n := range len(f) {
		Parse(f[:n]) // must not panic
	}
}

func TestCopiesShareNothing(t *testing.T) {
	o := sample()
	before := o.Frame(victim)
	f := o.As(evil, evil, 5)
	f.Get(Identity)[RecordAt] ^= 1
	g := o.Bogus(evil, evil, func(b []byte) { copy(b, "noise") })
	if f.Orig != evil || f.Seqno != 12 || bytes.Equal(g.Get(Identity), o.Get(Identity)) {
		t.Errorf("forged %+v and %+v", f.OGM, g)
	}
	if !bytes.Equal(o.Frame(victim), before) {
		t.Error("the original has changed")
	}
	if w := o.Gateway(100, 20); !bytes.Equal(w.Get(batman.TVLVGateway), []byte{0, 0, 0, 100, 0, 0, 0, 20}) || o.Get(batman.TVLVGateway) != nil {
		t.Error("the gateway is not as announced, or is in the original too")
	}
}

func TestClients(t *testing.T) {
	one, two := batman.MAC{2, 1}, batman.MAC{2, 2}
	o := sample().Clients(3, one).AddClient(two)
	want := sample().Clients(3, one, two)
	if !bytes.Equal(o.Get(batman.TVLVTT), want.Get(batman.TVLVTT)) {
		t.Errorf("one client and another:\n%x\nboth at once:\n%x", o.Get(batman.TVLVTT), want.Get(batman.TVLVTT))
	}
	tt, err := batman.ParseTT(want.Get(batman.TVLVTT))
	if err != nil || tt.TTVN != 3 || tt.Entries.Len() != 2 || tt.Entries.At(1).Client != two {
		t.Errorf("%+v, %v", tt, err)
	}
	if got := sample().AddClient(one).Get(batman.TVLVTT); got != nil {
		t.Errorf("a table out of nothing: %x", got)
	}
}
