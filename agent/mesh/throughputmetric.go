package mesh

// throughputDefault is taken for a link whose speed nobody knows: 1 Mbit/s in
// units of 100 kbit/s. Source: batman-adv main.h.
const throughputDefault = 10

// throughputMax is in the OGM that a node begins: no limit so far.
const throughputMax = 1<<32 - 1

// ewma is the moving average of a link's throughput: weight 1/8, with ten
// fractional bits. A zero forgets: the next value is taken as it is.
// Source: batman-adv types.h, DECLARE_EWMA(throughput, 10, 8).
type ewma uint64

func (e *ewma) add(v uint32) {
	x := ewma(v) << 10
	if *e != 0 {
		x = (*e*7 + x) / 8
	}
	*e = x
}

// read returns the average in the unit of the values.
func (e ewma) read() uint32 { return uint32(e >> 10) }

// linkThroughput is what the link from hi to n carries now, in units of 100
// kbit/s: what was set for the interface, else what the driver says of the
// station (Wi-Fi) or of the interface, else 1 Mbit/s.
// Source: batman-adv bat_v_elp.c, batadv_v_elp_get_throughput.
func (hi *HardIface) linkThroughput(n *HardNeigh) uint32 {
	switch {
	case hi.ThroughputOverride != 0:
		return hi.ThroughputOverride
	case n.v.told:
		return n.v.rate
	case hi.Speed != 0:
		return hi.Speed
	}
	return throughputDefault
}

// halfDuplex reports whether sending on hi keeps it from receiving.
func (hi *HardIface) halfDuplex() bool { return hi.Wifi || !hi.FullDuplex }

// afterPenalty is what is left of a path's throughput that came in on in: for
// the own table if to is nil, else for the neighbours on to. Sending on the
// same half duplex interface halves it, another interface costs the hop
// penalty. Unlike the kernel's, the arithmetic does not overflow.
// Source: batman-adv bat_v_ogm.c, batadv_v_forward_penalty.
func afterPenalty(tp uint32, in, to *HardIface, hopPenalty uint8) uint32 {
	tp = lessPenalty(tp, in.HopPenalty)
	switch {
	case to == nil:
		return tp
	case tp > throughputDefault && in == to && in.halfDuplex():
		return tp / 2
	}
	return lessPenalty(tp, hopPenalty)
}

func lessPenalty(tp uint32, penalty uint8) uint32 {
	return uint32(uint64(tp) * (255 - uint64(penalty)) / 255)
}
