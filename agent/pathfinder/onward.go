package pathfinder

import "github.com/meshagent/meshagent/agent/cjdns"

// onward returns the way to a node that somebody at the end of way names: next
// is its label from there. back is the label by which he says he sees us; 0 if
// he does not. Where next begins by going back the way that we came, as the
// directors of back show, both are left out: so a way does not grow with each
// step of a search by what the step before has gone too far. LabelInvalid: it
// would be too long. A false back gives a way that leads elsewhere, as a false
// next does.
//
// cjdns does the same with the links that it has stored.
func onward(way, back, next cjdns.Label) cjdns.Label {
	whole := cjdns.Splice(next, way)
	hops := hopsOf(way)
	if back <= cjdns.SelfLabel || hopsOf(back) != hops {
		return whole
	}
	for ; hops > 0 && next > cjdns.SelfLabel && firstHop(next) == firstHop(back); hops-- {
		next, back = behind(next), behind(back)
	}
	switch {
	case hops == 0:
		return next // LabelInvalid would be 0: SelfLabel is nobody's way to another
	case next == cjdns.SelfLabel:
		return ahead(way, hops) // he names a node that lies between us
	}
	// Where the ways part, frames come in on another slot.
	if next = cjdns.LabelFor(next, back); next == cjdns.LabelInvalid {
		return whole
	}
	return cjdns.Splice(next, ahead(way, hops))
}

// hopsOf returns the number of directors of l.
func hopsOf(l cjdns.Label) (n int) {
	for ; l > cjdns.SelfLabel; l = behind(l) {
		n++
	}
	return n
}

// ahead returns the first n hops of l.
func ahead(l cjdns.Label, n int) cjdns.Label {
	at := 0
	for rest := l; n > 0; n-- {
		bits := cjdns.DirectorBits(rest)
		rest, at = rest>>bits, at+bits
	}
	return l&(1<<at-1) | 1<<at
}
