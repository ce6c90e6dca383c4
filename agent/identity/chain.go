package identity

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/cjdns"
)

// ElementLen is the length of an element of a chain, in bytes.
const ElementLen = 16

// Element is a value that only the owner of a chain knows until it is sent.
type Element [ElementLen]byte

// Point is a sequence number of a hard interface with its element, as it
// stands in a record. Seqno itself was sent before, or never will be: OGMs are
// believed that have a later number.
type Point struct {
	MAC     batman.MAC
	Chain   uint32 // tells the chains of one interface apart
	Seqno   uint32
	Element Element
}

// linkTag begins what is hashed.
const linkTag = "mac1"

// link is what all elements of a chain are hashed with, and room for the rest:
//
//	0   4 bytes   "mac1"
//	4   16 bytes  first half of the owner's key
//	20  6 bytes   hard interface
//	26  4 bytes   chain
//	30  4 bytes   sequence number
//	34  16 bytes  element of the next number
//
// That is one block of SHA-256 with its padding.
type link [50]byte

func newLink(a *cjdns.VerifyKey, mac batman.MAC, chain uint32) (l link) {
	copy(l[:], linkTag)
	copy(l[4:20], a[:])
	copy(l[20:26], mac[:])
	binary.BigEndian.PutUint32(l[26:], chain)
	return l
}

// below returns the element of seqno out of that of seqno+1.
func (l *link) below(seqno uint32, next *Element) Element {
	binary.BigEndian.PutUint32(l[30:], seqno)
	copy(l[34:], next[:])
	sum := sha256.Sum256(l[:])
	return Element(sum[:ElementLen])
}

// segment is how many elements lie between two that a Chain keeps: it keeps
// these and those of one segment, 2 KB in all for 4096.
const segment = 64

// Chain is a chain of this node's. It is built from its end, step by step.
type Chain struct {
	mac    batman.MAC
	id     uint32
	link   link
	first  uint32    // number of the first element, which is only ever a point
	marks  []Element // every 64th, the last one included
	todo   int       // elements that are still to be computed
	top    Element   // the one computed last
	part   int       // the segment in elems; -1 none
	elems  [segment]Element
	length int
}

// NewChain begins a chain for the numbers first+1 to first+length. length is a
// multiple of 64. secret is the last element.
func NewChain(a *cjdns.VerifyKey, mac batman.MAC, id, first uint32, length int, secret Element) *Chain {
	c := &Chain{
		mac: mac, id: id, link: newLink(a, mac, id), first: first, length: length,
		marks: make([]Element, length/segment+1), todo: length, top: secret, part: -1,
	}
	c.marks[length/segment] = secret
	return c
}

// Build computes at most n elements more and reports whether the chain is
// complete.
func (c *Chain) Build(n int) bool {
	for ; n > 0 && c.todo > 0; n-- {
		c.todo--
		c.top = c.link.below(c.first+uint32(c.todo), &c.top)
		if c.todo%segment == 0 {
			c.marks[c.todo/segment] = c.top
		}
	}
	return c.todo == 0
}

// Left returns how many numbers from seqno on have an element.
func (c *Chain) Left(seqno uint32) int {
	at := int32(seqno - c.first)
	if c.todo > 0 || at < 0 || int(at) > c.length {
		return 0
	}
	return c.length + 1 - int(at)
}

// At returns the element of seqno. It computes at most 64 elements. It reports
// false if the chain has none, or is not complete.
func (c *Chain) At(seqno uint32) (Element, bool) {
	if c.Left(seqno) == 0 {
		return Element{}, false
	}
	at := int(seqno - c.first)
	if at%segment == 0 {
		return c.marks[at/segment], true
	}
	if part := at / segment; part != c.part {
		e := c.marks[part+1]
		for i := segment - 1; i >= 0; i-- {
			e = c.link.below(c.first+uint32(part*segment+i), &e)
			c.elems[i] = e
		}
		c.part = part
	}
	return c.elems[at%segment], true
}

// point is the element of seqno as it stands in a record.
func (c *Chain) point(seqno uint32) (Point, bool) {
	e, ok := c.At(seqno)
	return Point{MAC: c.mac, Chain: c.id, Seqno: seqno, Element: e}, ok
}
