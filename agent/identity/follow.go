package identity

// How far a receiver follows a chain.
const (
	// Gap is how many numbers an OGM may be ahead.
	Gap = 1024
	// behind is how old a number may be. The windows of the routing are as
	// wide; older ones would look like a restart there.
	behind = 64
	kept   = 8 // elements that are kept: copies of these cost no hash
	// free hashes are not counted: who uses up the budget of a station must not
	// be able to stop originators of which an OGM or two got lost.
	free = 4
)

// fit says what an element is to a chain.
type fit uint8

const (
	fitNo     fit = iota // it does not belong to the number
	fitNew               // it does, and the number is the newest
	fitOld               // it does, and the number is no news
	fitPast              // the number is too old to be of use
	fitFar               // too far ahead
	fitUnpaid            // the hashes are not granted
)

// follow is what a receiver knows of a chain.
type follow struct {
	have   bool
	id     uint32
	begin  uint32 // number of the first point: only later ones are believed
	newest uint32
	known  uint8 // elements kept, the newest and those before it
	elems  [kept]Element
}

// newFollow begins at a point.
func newFollow(p *Point) follow {
	f := follow{have: true, id: p.Chain, begin: p.Seqno}
	f.jump(p)
	return f
}

// jump goes on at a point that is ahead.
func (f *follow) jump(p *Point) {
	f.newest, f.known = p.Seqno, 1
	f.elems[p.Seqno%kept] = p.Element
}

// started reports whether an OGM of this chain came.
func (f *follow) started() bool { return f.newest != f.begin }

// take compares an element with the chain, and goes on with it if it is newer.
// Four hashes are free; budget is how many more there may be, and is lowered by
// as many as there were.
func (f *follow) take(l *link, seqno uint32, e *Element, budget *int) fit {
	ahead := int32(seqno - f.newest)
	switch {
	case int32(seqno-f.begin) <= 0 || ahead <= -behind:
		return fitPast
	case ahead > Gap:
		return fitFar
	case ahead > 0:
		return f.forward(l, seqno, int(ahead), e, budget)
	}
	back := int(-ahead)
	if back < int(f.known) {
		if f.elems[seqno%kept] == *e {
			return fitOld
		}
		return fitNo
	}
	at := f.newest - uint32(f.known) + 1 // the oldest that is kept
	steps := int(at - seqno)
	if !pay(steps, budget) {
		return fitUnpaid
	}
	x := f.elems[at%kept]
	for ; at != seqno; at-- {
		x = l.below(at-1, &x)
	}
	if x == *e {
		return fitOld
	}
	return fitNo
}

// pay takes the price of so many hashes and reports whether there was enough.
func pay(steps int, budget *int) bool {
	cost := max(0, steps-free)
	if cost > *budget {
		return false
	}
	*budget -= cost
	return true
}

func (f *follow) forward(l *link, seqno uint32, steps int, e *Element, budget *int) fit {
	if !pay(steps, budget) {
		return fitUnpaid
	}
	var passed [kept]Element // the first of those on the way down
	x := *e
	for i, at := 0, seqno; at != f.newest; i, at = i+1, at-1 {
		if i < kept {
			passed[i] = x
		}
		x = l.below(at-1, &x)
	}
	if x != f.elems[f.newest%kept] {
		return fitNo
	}
	for i := range min(steps, kept) {
		f.elems[(seqno-uint32(i))%kept] = passed[i]
	}
	f.newest, f.known = seqno, uint8(min(int(f.known)+steps, kept))
	return fitNew
}
