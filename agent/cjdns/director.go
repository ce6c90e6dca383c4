package cjdns

import "math/bits"

// A director is one hop in a label: a slot number in one of the forms of an
// encoding scheme. Unless they take a scheme, the functions here are for
// V358.
//
//	form  bits of a director, highest first   width  slots
//	0     nnn 1                               4      0..7, 0 and 1 exchanged
//	1     nnnnn 10                            7      0..32, without 1
//	2     nnnnnnnn 00                         10     0..256, without 1
//
// Source: cjdns switch/NumberCompress.h.

// DirectorBits returns the width of the first director of l: 4, 7 or 10 bits.
func DirectorBits(l Label) int {
	switch {
	case l&1 != 0:
		return 4
	case l&2 != 0:
		return 7
	}
	return 10
}

// FormOf returns the form number of the first director of l: 0, 1 or 2.
func FormOf(l Label) int {
	switch {
	case l&1 != 0:
		return 0
	case l&2 != 0:
		return 1
	}
	return 2
}

// PortDirector returns the director of a switch slot in the narrowest form
// that can hold it and has at least minBits. Slot 1, the own router, is
// director 1 at any width. The result is 0, 0 if there is no such slot or
// form.
//
// The one-hop label of a slot is Label(director) | 1<<width.
func PortDirector(port uint16, minBits int) (director uint64, width int) {
	n := uint64(port)
	switch {
	case n < 8 && minBits <= 4:
		width = 4
	case n < 33 && minBits <= 7:
		width = 7
	case n <= 256 && minBits <= 10:
		width = 10
	default:
		return 0, 0
	}
	switch {
	case n == 1:
		return 1, width
	case width == 4:
		return max(n, 1)<<1 | 1, 4
	case width == 7:
		return (max(n, 1)-1)<<2 | 2, 7
	}
	return (max(n, 1) - 1) << 2, 10
}

// PortOf returns the switch slot that the first director of l names, 0..256,
// and the width of that director.
func PortOf(l Label) (port uint16, width int) {
	switch {
	case l&1 != 0:
		if port = uint16(l>>1) & 7; port < 2 {
			port ^= 1
		}
		return port, 4
	case l&2 != 0:
		port, width = uint16(l>>2)&31, 7
	default:
		port, width = uint16(l>>2)&255, 10
	}
	if port > 0 {
		port++
	}
	return port, width
}

// LabelFor returns target as a node hands it to the node at the label
// whoAsks. The asker's frames arrive on the slot that whoAsks names, and a
// frame that came in on a slot with a wide number cannot leave through a
// narrow director, because the way back would not fit. So where the first
// director of target is narrower than that of whoAsks, it is widened.
//
// SelfLabel stays what it is. LabelInvalid means that the result is too long.
func LabelFor(target, whoAsks Label) Label {
	port, width := PortOf(target)
	want := DirectorBits(whoAsks)
	if width >= want {
		return target
	}
	d, want := PortDirector(port, want)
	rest := target >> width
	if rest.Len()+want > MaxLabelLen {
		return LabelInvalid
	}
	return rest<<want | Label(d)
}

// FormCanonical asks ConvertLabel for the narrowest form that fits.
const FormCanonical = -1

// ConvertLabel rewrites the first director of l in the given form of s, or in
// the narrowest one that fits if form is FormCanonical. A path to the own
// router has only form 0. LabelInvalid means that there is no such label.
// Source: cjdns switch/EncodingScheme.c, convertLabel.
func ConvertLabel(s EncodingScheme, l Label, form int) Label {
	from := s.FormOf(l)
	if from < 0 {
		return LabelInvalid
	}
	f := s[from]
	if len(s) == 1 || l&(1<<f.Width()-1) == 1 {
		if form == 0 || form == FormCanonical {
			return l
		}
		return LabelInvalid
	}
	special := s.isV358()
	slot := f.slot(uint64(l)>>f.PrefixLen&(1<<f.BitCount-1), special)
	rest := l >> f.Width()
	for i, to := range s {
		if form != i && form != FormCanonical {
			continue
		}
		n := to.number(slot, special)
		if bits.Len64(n) > int(to.BitCount) {
			continue
		}
		if rest.Len()+to.Width() > MaxLabelLen {
			return LabelInvalid
		}
		d := Label(n<<to.PrefixLen) | Label(to.Prefix)
		if d == 1 {
			return LabelInvalid // it would mean the own router
		}
		return rest<<to.Width() | d
	}
	return LabelInvalid
}

// slot returns the slot that the number n means in form f; special tells that
// f belongs to V358.
func (f EncodingForm) slot(n uint64, special bool) uint64 {
	switch {
	case !special:
		return n
	case f.Prefix == 1 && n < 2:
		return n ^ 1
	case f.Prefix != 1 && n > 0:
		return n + 1
	}
	return n
}

// number is the inverse of slot.
func (f EncodingForm) number(slot uint64, special bool) uint64 {
	switch {
	case !special:
		return slot
	case f.Prefix == 1 && slot < 2:
		return slot ^ 1
	case f.Prefix != 1 && slot > 0:
		return slot - 1
	}
	return slot
}
