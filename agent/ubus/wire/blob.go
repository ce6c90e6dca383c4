package wire

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// MaxBlob bounds the blob of a message, in bytes with its header and padding.
// ubusd closes the connection of whom sends more.
const MaxBlob = 1 << 20

// blobHeader is the length of the header of a blob.
const blobHeader = 4

// Attr is one attribute as it lies in a message.
type Attr struct {
	ID       uint8 // 7 bits
	Extended bool  // it is a value with a name
	Data     []byte
}

// NextAttr cuts the first attribute off b. It reports false when nothing is
// left or what is left is no attribute; then rest is b.
func NextAttr(b []byte) (a Attr, rest []byte, ok bool) {
	if len(b) < blobHeader {
		return a, b, false
	}
	head := binary.BigEndian.Uint32(b)
	n := int(head & 0xffffff)
	if n < blobHeader || pad(n) > len(b) {
		return a, b, false
	}
	return Attr{uint8(head >> 24 & 0x7f), head>>31 != 0, b[blobHeader:n]}, b[pad(n):], true
}

// errTooLong says that a value does not fit into any message.
var errTooLong = fmt.Errorf("ubus: a value is too long: %w", ErrLength)

// openBlob writes the header of a blob whose length is not known yet;
// closeBlob sets it.
func openBlob(b []byte, id uint8, extended bool) []byte {
	head := uint32(id) << 24
	if extended {
		head |= 1 << 31
	}
	return binary.BigEndian.AppendUint32(b, head)
}

// closeBlob ends the blob that begins at start and pads it.
func closeBlob(b []byte, start int) ([]byte, error) {
	n := len(b) - start
	if pad(n) > MaxBlob {
		return b, errTooLong
	}
	head := binary.BigEndian.Uint32(b[start:])
	binary.BigEndian.PutUint32(b[start:], head|uint32(n))
	return appendPad(b, n), nil
}

// pad rounds up to a multiple of 4.
func pad(n int) int { return (n + 3) &^ 3 }

var zeros [4]byte

// appendPad appends the zeros that n bytes lack to a multiple of 4.
func appendPad(b []byte, n int) []byte { return append(b, zeros[:pad(n)-n]...) }

// Body is the attributes of a message.
type Body []byte

// U32 appends a number.
func (b Body) U32(id AttrID, v uint32) Body {
	b = openBlob(b, uint8(id), false)
	b, _ = closeBlob(binary.BigEndian.AppendUint32(b, v), len(b)-blobHeader)
	return b
}

// U8 appends a truth value.
func (b Body) U8(id AttrID, v bool) Body {
	b = openBlob(b, uint8(id), false)
	start := len(b) - blobHeader
	b = append(b, 0)
	if v {
		b[len(b)-1] = 1
	}
	b, _ = closeBlob(b, start)
	return b
}

// String appends a string. One that cannot be sent is cut: at a zero, or
// where it would become longer than a name may be.
func (b Body) String(id AttrID, s string) Body {
	start := len(b)
	b = openBlob(b, uint8(id), false)
	b, _ = closeBlob(append(append(b, cstring(s[:min(len(s), maxName)])...), 0), start)
	return b
}

// Nested appends an attribute that holds others. What does not fit into a
// blob makes the message too long, which AppendMessage tells.
func (b Body) Nested(id AttrID, data []byte) Body {
	start := len(b)
	b = append(openBlob(b, uint8(id), false), data...)
	if closed, err := closeBlob(b, start); err == nil {
		return closed
	}
	return b
}

// maxName bounds names of objects, methods and events.
const maxName = 1<<16 - 1

// cstring is s up to its first zero.
func cstring(s string) string {
	s, _, _ = strings.Cut(s, "\x00")
	return s
}
