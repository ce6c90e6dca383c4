package main

import (
	"encoding/binary"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/hw/rig"
)

// crowd plays one neighbour of an agent and a mesh of many originators behind
// it, each with some clients, over a cable. It sends what a neighbour would:
// its own OGM, those of the others as it heard them, and the echo of the
// agent's OGMs.
type crowd struct {
	cable       *rig.Medium // end A is the agent's
	originators int
	clients     int // of each
	seqno       uint32
	rounds      int // OGMs with the list of clients attached that are still to come
}

// gate is the neighbour. The others begin with 02:fd, clients with 02:fc.
var gate = batman.MAC{2, 0xfe, 0, 0, 0, 1}

func crowdMAC(i int) batman.MAC { return numbered(0xfd, i) }

func crowdClient(i int) batman.MAC { return numbered(0xfc, i) }

func numbered(kind byte, i int) (m batman.MAC) {
	m = batman.MAC{2, kind}
	binary.BigEndian.PutUint32(m[2:], uint32(i))
	return m
}

// ogmRoom is how much one frame of aggregated OGMs holds.
const ogmRoom = 512

// echo is a Watch function: it sends the agent's own OGMs back, as a neighbour
// does.
func (c *crowd) echo(d rig.Dir, frame []byte) bool {
	if d != rig.AtoB || len(frame) < 14+batman.OGMLen || binary.BigEndian.Uint16(frame[12:]) != batman.EtherType ||
		frame[14] != byte(batman.TypeIVOGM) {
		return true
	}
	o, tvlv, size, err := batman.ParseOGM(frame[14:])
	src := batman.MAC(frame[6:12])
	if err != nil || o.Orig != src {
		return true
	}
	o.TTL, o.Prev, o.Flags = o.TTL-1, src, batman.DirectLink
	b := make([]byte, batman.OGMLen, size)
	o.Put(b)
	go c.send(append(b, tvlv...)) // Watch must not call the medium
	return true
}

// run sends a round of OGMs each interval until stop closes.
func (c *crowd) run(interval time.Duration, stop <-chan struct{}) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		c.round()
		select {
		case <-stop:
			return
		case <-tick.C:
		}
	}
}

// round sends one OGM of everybody.
func (c *crowd) round() {
	c.seqno++
	frame := c.ogm(nil, batman.OGM{TTL: 50, Orig: gate, Prev: gate, TQ: 255}, nil)
	for i := range c.originators {
		var clients []batman.MAC
		for k := range c.clients {
			clients = append(clients, crowdClient(i*c.clients+k))
		}
		one := c.ogm(nil, batman.OGM{TTL: 48, Orig: crowdMAC(i), Prev: crowdMAC(i), TQ: 220}, clients)
		if len(frame)+len(one) > ogmRoom {
			c.send(frame)
			frame = nil
		}
		frame = append(frame, one...)
	}
	c.send(frame)
	c.rounds--
}

// ogm appends an OGM with a translation table of the clients at TTVN 1.
func (c *crowd) ogm(b []byte, o batman.OGM, clients []batman.MAC) []byte {
	o.Seqno = c.seqno
	var tvlv []byte
	if len(clients) > 0 {
		var sum uint32
		var entries []byte
		for _, m := range clients {
			sum ^= batman.TTSum(m, 0, 0)
			if c.rounds > 0 {
				entries = batman.TTEntry{Client: m}.Append(entries)
			}
		}
		tvlv = batman.AppendTVLV(nil, batman.TVLVTT, batman.VersionTT, batman.TTLen+batman.TTVLANLen+len(entries))
		tvlv = batman.AppendTT(tvlv, batman.TTOGMDiff, 1, 1)
		tvlv = batman.TTVLAN{CRC: sum}.Append(tvlv)
		tvlv = append(tvlv, entries...)
	}
	o.TVLVLen = uint16(len(tvlv))
	head := make([]byte, batman.OGMLen)
	o.Put(head)
	return append(append(b, head...), tvlv...)
}

// send broadcasts a batman packet from the neighbour.
func (c *crowd) send(packet []byte) {
	frame := append(append([]byte{}, batman.Broadcast[:]...), gate[:]...)
	frame = binary.BigEndian.AppendUint16(frame, batman.EtherType)
	_ = c.cable.Inject(rig.BtoA, append(frame, packet...)) // fails only while the agent's device is down: lost
}
