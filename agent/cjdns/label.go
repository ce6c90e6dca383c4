package cjdns

import (
	"errors"
	"fmt"
	"math/bits"
)

// ErrLabelText reports text that is not four groups of four hexadecimal
// digits.
var ErrLabelText = errors.New("not a path: want four groups of four hexadecimal digits, as in 0000.0000.0000.0013")

// Label is a source route: the directors of each hop, lowest bits first, and
// above them the final 1, which is "deliver to your own router". That 1 is
// the highest set bit of every path, so its position is the length of the
// path in bits.
//
// While a frame travels, the switches shift used directors out at the bottom
// and shift the way back in at the top, so a label in a switch header is a
// route and, reversed, the beginning of another.
//
// Source: cjdns switch/LabelSplicer.h, switch/SwitchCore.c.
type Label uint64

const (
	// SelfLabel is the path from a node to itself.
	SelfLabel Label = 1
	// LabelInvalid is what the label algebra returns where there is no
	// answer. It cannot be a path: it is too long.
	LabelInvalid = ^Label(0)
	// MaxLabelLen bounds Label.Len of a path. Four more bits are needed on
	// the way, for the sender's own director.
	MaxLabelLen = 59
)

// Len returns the length of a path in bits of directors, which is the index
// of its highest set bit; 0 for labels 0 and 1.
func (l Label) Len() int { return max(0, bits.Len64(uint64(l))-1) }

// Reverse returns l with its bits in the opposite order. Applied to the label
// of a frame that has reached a router, after that node's own switch has
// handled it, it gives the path back to the sender.
func (l Label) Reverse() Label { return Label(bits.Reverse64(uint64(l))) }

// Splice returns the path that first follows via and then, from the node
// where via ends, goTo. It returns LabelInvalid if the result would be longer
// than MaxLabelLen or if one of the two is not a path.
func Splice(goTo, via Label) Label {
	if goTo == 0 || via == 0 || goTo.Len()+via.Len() > MaxLabelLen {
		return LabelInvalid
	}
	return (goTo^1)<<via.Len() ^ via
}

// Unsplice returns the rest of the path full behind the node at mid. It is
// the inverse of Splice if RoutesThrough(full, mid); otherwise the result
// means nothing.
func Unsplice(full, mid Label) Label { return full >> mid.Len() }

// RoutesThrough reports whether the path dest passes the node at mid, or ends
// there. Every path passes the node that it starts from, SelfLabel.
func RoutesThrough(dest, mid Label) bool {
	if mid < 2 {
		return true
	}
	mask := Label(1)<<mid.Len() - 1
	return mid <= dest && dest&mask == mid&mask
}

// IsOneHop reports whether l leads to a direct peer: one director of the
// scheme V358 and the final 1. SelfLabel is not a hop.
func (l Label) IsOneHop() bool { return DirectorBits(l) == l.Len() }

// String prints four groups of four digits, as cjdns does:
// "0000.0000.0000.0013".
func (l Label) String() string {
	return fmt.Sprintf("%04x.%04x.%04x.%04x", uint16(l>>48), uint16(l>>32), uint16(l>>16), uint16(l))
}

// ParseLabel reads what String prints. Upper case is accepted, leaving out
// zeros or dots is not. The only error is ErrLabelText; whether the label is
// a usable path is not checked.
func ParseLabel(s string) (Label, error) {
	if len(s) != 19 {
		return 0, ErrLabelText
	}
	var l Label
	for i := range len(s) {
		c := s[i]
		switch {
		case i%5 == 4:
			if c != '.' {
				return 0, ErrLabelText
			}
			continue
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, ErrLabelText
		}
		l = l<<4 | Label(c)
	}
	return l, nil
}
