package adb

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Value is a number, or a reference into the pool: the type in the upper four
// bits, the number or the offset in the lower 28. The zero Value is null.
type Value uint32

// Null is the value that is left out.
const Null Value = 0

// Types of values.
const (
	typeInt    = 0x1
	typeInt32  = 0x2
	typeInt64  = 0x3
	typeBlob8  = 0x8
	typeBlob16 = 0x9
	typeBlob32 = 0xa
	typeArray  = 0xd
	typeObject = 0xe
)

const (
	maxImmediate = 1<<28 - 1
	headerLen    = 8
	maxSlots     = 1 << 20 // of an array; more is an attack or a mistake
)

func (v Value) kind() uint32   { return uint32(v) >> 28 }
func (v Value) offset() uint32 { return uint32(v) & maxImmediate }

// Writer fills the pool of one database. Equal bytes are stored once, as the
// original does, so that the same calls in the same order give the same bytes.
type Writer struct {
	buf  []byte
	seen map[string]int // stored bytes -> offset

	copied int // values, by Copy
}

// NewWriter begins a database.
func NewWriter() *Writer { return &Writer{buf: make([]byte, headerLen), seen: map[string]int{}} }

// store puts data into the pool, aligned, unless it is there already.
func (w *Writer) store(kind uint32, data []byte, align int, share bool) Value {
	if at, ok := w.seen[string(data)]; share && ok && at%align == 0 {
		return ref(kind, at)
	}
	for len(w.buf)%align != 0 {
		w.buf = append(w.buf, 0)
	}
	at := len(w.buf)
	w.buf = append(w.buf, data...)
	if share {
		w.seen[string(data)] = at
	}
	return ref(kind, at)
}

func ref(kind uint32, at int) Value {
	if at > maxImmediate {
		panic("adb: database beyond 256 MiB")
	}
	return Value(kind<<28 | uint32(at)) //nolint:gosec // checked
}

// Int returns a number.
func (w *Writer) Int(n uint64) Value {
	switch {
	case n <= maxImmediate:
		return Value(typeInt<<28 | uint32(n)) //nolint:gosec // checked
	case n <= 1<<32-1:
		return w.store(typeInt32, binary.LittleEndian.AppendUint32(nil, uint32(n)), 4, true) //nolint:gosec // checked
	}
	return w.store(typeInt64, binary.LittleEndian.AppendUint64(nil, n), 4, true)
}

// Blob returns bytes; none are Null.
func (w *Writer) Blob(b []byte) Value { return w.blob(b, true) }

// String is Blob for text.
func (w *Writer) String(s string) Value { return w.blob([]byte(s), true) }

// Reserve stores bytes that will be written over: they are shared with nobody.
func (w *Writer) Reserve(b []byte) Value { return w.blob(b, false) }

func (w *Writer) blob(b []byte, share bool) Value {
	switch n := len(b); {
	case n == 0:
		return Null
	case n <= 0xff:
		return w.store(typeBlob8, append([]byte{byte(n)}, b...), 1, share)
	case n <= 0xffff:
		return w.store(typeBlob16, append(binary.LittleEndian.AppendUint16(nil, uint16(n)), b...), 2, share) //nolint:gosec // checked
	default:
		return w.store(typeBlob32, append(binary.LittleEndian.AppendUint32(nil, uint32(n)), b...), 4, share) //nolint:gosec // checked by ref
	}
}

// Object returns an object with the given slots; the first is slot 1.
func (w *Writer) Object(slots ...Value) Value { return w.list(typeObject, slots) }

// Array returns an array. apk itself gives most of them the type of objects,
// and takes both.
func (w *Writer) Array(values ...Value) Value { return w.list(typeObject, values) }

func (w *Writer) list(kind uint32, slots []Value) Value {
	for len(slots) > 0 && slots[len(slots)-1] == Null {
		slots = slots[:len(slots)-1]
	}
	if len(slots) == 0 {
		return Null
	}
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(slots)+1)) //nolint:gosec // bounded by ref
	for _, v := range slots {
		b = binary.LittleEndian.AppendUint32(b, uint32(v))
	}
	return w.store(kind, b, 4, true)
}

// Copy stores the value v of another database, with all that it refers to.
func (w *Writer) Copy(r *Reader, v Value) (Value, error) { return w.copy(r, v, 0) }

func (w *Writer) copy(r *Reader, v Value, depth int) (Value, error) {
	const maxDepth = 8
	if w.copied++; depth > maxDepth || w.copied > maxSlots {
		return Null, errors.New("adb: too many values, or nested too deep")
	}
	switch v.kind() {
	case 0, typeInt:
		return v, nil
	case typeInt32, typeInt64:
		n, err := r.Int(v)
		return w.Int(n), err
	case typeBlob8, typeBlob16, typeBlob32:
		b, err := r.Blob(v)
		return w.Blob(b), err
	}
	slots, err := r.list(v)
	if err != nil {
		return Null, err
	}
	out := make([]Value, len(slots))
	for i, s := range slots {
		if out[i], err = w.copy(r, s, depth+1); err != nil {
			return Null, err
		}
	}
	return w.list(v.kind(), out), nil
}

// Finish returns the database with root as its root value.
func (w *Writer) Finish(root Value) []byte {
	binary.LittleEndian.PutUint32(w.buf[4:], uint32(root))
	return w.buf
}

// Reader reads a database. It never reads beyond it.
type Reader struct{ buf []byte }

// NewReader checks the header of a database.
func NewReader(db []byte) (*Reader, error) {
	if len(db) < headerLen {
		return nil, errors.New("adb: database shorter than its header")
	}
	if db[0] != 0 {
		return nil, fmt.Errorf("adb: database of compatibility version %d; expected 0", db[0])
	}
	return &Reader{db}, nil
}

// Root returns the root value.
func (r *Reader) Root() Value { return Value(binary.LittleEndian.Uint32(r.buf[4:])) }

// bytes returns n bytes of the pool.
func (r *Reader) bytes(at, n uint32) ([]byte, error) {
	if at < headerLen || uint64(at)+uint64(n) > uint64(len(r.buf)) {
		return nil, fmt.Errorf("adb: %d bytes at %d lie outside of a database of %d", n, at, len(r.buf))
	}
	return r.buf[at : at+n], nil
}

// Int returns a number; null is 0.
func (r *Reader) Int(v Value) (uint64, error) {
	switch v.kind() {
	case 0:
		return 0, nil
	case typeInt:
		return uint64(v.offset()), nil
	case typeInt32:
		b, err := r.bytes(v.offset(), 4)
		if err != nil {
			return 0, err
		}
		return uint64(binary.LittleEndian.Uint32(b)), nil
	case typeInt64:
		b, err := r.bytes(v.offset(), 8)
		if err != nil {
			return 0, err
		}
		return binary.LittleEndian.Uint64(b), nil
	}
	return 0, fmt.Errorf("adb: value of type %#x where a number is expected", v.kind())
}

// Blob returns bytes, which are part of the database; null is nil.
func (r *Reader) Blob(v Value) ([]byte, error) {
	at, width := v.offset(), uint32(0)
	switch v.kind() {
	case 0:
		return nil, nil
	case typeBlob8:
		width = 1
	case typeBlob16:
		width = 2
	case typeBlob32:
		width = 4
	default:
		return nil, fmt.Errorf("adb: value of type %#x where bytes are expected", v.kind())
	}
	b, err := r.bytes(at, width)
	if err != nil {
		return nil, err
	}
	n := uint32(0)
	for i, c := range b {
		n |= uint32(c) << (8 * i)
	}
	return r.bytes(at+width, n)
}

// Object returns the slots of an object; the first is slot 1. Null has none.
func (r *Reader) Object(v Value) (Slots, error) { return r.list(v) }

// Array returns the values of an array.
func (r *Reader) Array(v Value) (Slots, error) { return r.list(v) }

// Slots are the values of an object or array.
type Slots []Value

// Get returns slot n, counted from 1; Null if there is none.
func (s Slots) Get(n int) Value {
	if n < 1 || n > len(s) {
		return Null
	}
	return s[n-1]
}

func (r *Reader) list(v Value) (Slots, error) {
	if v == Null {
		return nil, nil
	}
	if k := v.kind(); k != typeObject && k != typeArray {
		return nil, fmt.Errorf("adb: value of type %#x where a list is expected", k)
	}
	b, err := r.bytes(v.offset(), 4)
	if err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(b)
	if n < 1 || n > maxSlots {
		return nil, fmt.Errorf("adb: a list of %d slots", n)
	}
	if b, err = r.bytes(v.offset(), 4*n); err != nil {
		return nil, err
	}
	out := make(Slots, n-1)
	for i := range out {
		out[i] = Value(binary.LittleEndian.Uint32(b[4*i+4:]))
	}
	return out, nil
}
