package cryptoauth

// windowBits is the number of recent packet numbers of which we know whether
// they came. One word of the ring is being filled, so windowBits-64 of them
// are certain. cjdns keeps 64; nothing on the wire depends on the width.
const windowBits = 2048

const windowWords = windowBits / 64

// stockJump is how many packet numbers a stock node leaves out when its
// session becomes established. Source: cjdns crypto/CryptoAuth.c.
const stockJump = 3

// window is a sliding replay window in the manner of RFC 6479: a ring of
// bitmap words, so that moving on means clearing words and never shifting.
// The zero value has seen nothing.
type window struct {
	seen  [windowWords]uint64
	first uint64 // the number that began the window
	max   uint64 // highest number accepted
	jump  uint64 // the number after the peer's forgiven jump; 0: none yet
	begun bool
}

// accept decides about the packet number n of an authentic packet and counts
// into st. Gaps count as lost at once; a packet that fills one later takes
// its count back. Numbers below the first are accepted too, because packets
// may overtake each other from the start.
func (w *window) accept(n uint64, st *Stats) DecryptErr {
	switch {
	case !w.begun:
		w.begun, w.first, w.max = true, n, n
	case n > w.max:
		w.advance(n, st)
	case w.max-n >= windowBits-64:
		st.OutOfRange++
		return ErrReplay
	case w.seen[n/64%windowWords]&(1<<(n%64)) != 0:
		st.Duplicates++
		return ErrReplay
	case n > w.first && (n >= w.jump || n+stockJump < w.jump) && st.Lost > 0:
		st.Lost--
	}
	w.seen[n/64%windowWords] |= 1 << (n % 64)
	return 0
}

// advance makes n the highest number.
func (w *window) advance(n uint64, st *Stats) {
	gap := n - w.max - 1
	if gap == stockJump && w.jump == 0 {
		w.jump = n
	} else {
		st.Lost += gap
	}
	words := min(n/64-w.max/64, windowWords)
	for i := uint64(1); i <= words; i++ {
		w.seen[(w.max/64+i)%windowWords] = 0
	}
	w.max = n
}
