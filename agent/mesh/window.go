package mesh

import "math/bits"

// windowSize is the number of sequence numbers that are remembered.
const windowSize = 64

// window remembers which of the last 64 sequence numbers came: bit i stands
// for i before the newest.
type window uint64

// has reports whether the number diff before the newest came.
func (w window) has(diff int32) bool { return diff >= 0 && diff < windowSize && w>>uint(diff)&1 != 0 }

// mark notes a number; diff is how far it is ahead of the newest. Far jumps
// empty the window. It reports whether the number is the new newest.
// Source: batman-adv bitarray.c, batadv_bit_get_packet.
func (w *window) mark(diff int32, set bool) bool {
	bit := window(0)
	if set {
		bit = 1
	}
	switch {
	case diff <= 0 && diff > -windowSize:
		*w |= bit << uint(-diff)
		return false
	case diff > 0 && diff < windowSize:
		*w = *w<<uint(diff) | bit
	default:
		*w = bit
	}
	return true
}

// count returns how many of the last 64 came.
func (w window) count() int { return bits.OnesCount64(uint64(w)) }
