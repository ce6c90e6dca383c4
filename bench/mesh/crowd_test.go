package main

import (
	"testing"

	"github.com/meshagent/meshagent/agent/batman"
)

// TestCrowdOGMIsWellFormed: what the agent is fed with parses, and the
// checksum fits the clients.
func TestCrowdOGMIsWellFormed(t *testing.T) {
	c := &crowd{seqno: 7, rounds: 1}
	clients := []batman.MAC{crowdClient(1), crowdClient(2)}
	b := c.ogm(nil, batman.OGM{TTL: 48, Orig: crowdMAC(3), Prev: crowdMAC(3), TQ: 220}, clients)
	o, tvlv, size, err := batman.ParseOGM(b)
	if err != nil || size != len(b) || o.Seqno != 7 || o.Orig != crowdMAC(3) {
		t.Fatalf("ParseOGM = %+v, size %d of %d, %v", o, size, len(b), err)
	}
	container, rest, err := batman.NextTVLV(tvlv)
	if err != nil || len(rest) != 0 || container.Type != batman.TVLVTT {
		t.Fatalf("NextTVLV = %+v, %d bytes left, %v", container, len(rest), err)
	}
	tt, err := batman.ParseTT(container.Value)
	if err != nil || tt.Flags != batman.TTOGMDiff || tt.TTVN != 1 || tt.VLANs.Len() != 1 || tt.Entries.Len() != 2 {
		t.Fatalf("ParseTT = %+v, %v", tt, err)
	}
	if want := batman.TTSum(clients[0], 0, 0) ^ batman.TTSum(clients[1], 0, 0); tt.VLANs.At(0).CRC != want {
		t.Errorf("CRC %08x, want %08x", tt.VLANs.At(0).CRC, want)
	}
	c.rounds = 0
	if o, _, size, err := batman.ParseOGM(c.ogm(nil, o, clients)); err != nil || size != batman.OGMLen+batman.TVLVLen+batman.TTLen+batman.TTVLANLen {
		t.Errorf("later OGM %+v has %d bytes, %v, want no clients attached", o, size, err)
	}
}
