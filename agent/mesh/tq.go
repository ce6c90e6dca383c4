package mesh

// ringSize is the number of TQ values of which the mean is taken.
const ringSize = 5

// tqRing holds the last TQ values of one way to an originator; 0 stands for
// an OGM that came by another way only.
type tqRing struct {
	values [ringSize]uint8
	next   uint8
	avg    uint8
}

// push adds a value. The mean leaves zeros out.
// Source: batman-adv bat_iv_ogm.c, batadv_ring_buffer_avg.
func (r *tqRing) push(tq uint8) {
	r.values[r.next] = tq
	r.next = (r.next + 1) % ringSize
	sum, n := 0, 0
	for _, v := range r.values {
		if v != 0 {
			sum, n = sum+int(v), n+1
		}
	}
	if r.avg = 0; n > 0 {
		r.avg = uint8(sum / n)
	}
}

// linkTQ combines the TQ in an OGM with the quality of the link it came over.
// echo is how many of our last 64 OGMs the neighbour sent back, received how
// many of its own came, ifacePenalty what is left after interface penalties.
// Source: batman-adv bat_iv_ogm.c, batadv_iv_ogm_calc_tq.
func linkTQ(tq uint8, echo, received int, ifacePenalty uint32) uint8 {
	total := min(echo, received)
	own := uint32(0)
	if total >= 1 && received >= 1 {
		own = 255 * uint32(total) / uint32(received)
	}
	lost := uint32(windowSize - received)
	asym := 255 - 255*lost*lost*lost/(windowSize*windowSize*windowSize)
	// 255 to the 4th power still fits 32 bits: one division, at the end.
	return uint8(uint32(tq) * own * asym * ifacePenalty / (255 * 255 * 255))
}

// afterHop is what a hop leaves of a TQ.
func afterHop(tq, penalty uint8) uint8 { return uint8(uint32(tq) * (255 - uint32(penalty)) / 255) }
