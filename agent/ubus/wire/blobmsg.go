package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
)

// Type is the type of a value.
type Type uint8

// The types, and what they are in Go. Source: libubox blobmsg.h.
const (
	TypeUnspec Type = iota // nil
	TypeArray              // Array
	TypeTable              // Table
	TypeString             // string
	TypeInt64              // int64
	TypeInt32              // int32
	TypeInt16              // int16
	TypeBool               // bool; 8 bits on the wire, anything but 0 is true
	TypeDouble             // float64
)

// Field is a value with a name.
type Field struct {
	Name  string
	Value any
}

// Table is values with names, in the order of the message. Of two of one name
// the later counts.
type Table []Field

// Array is values without names.
type Array []any

// Get returns the value of a name.
func (t Table) Get(name string) (v any, ok bool) {
	for i := len(t) - 1; i >= 0; i-- {
		if t[i].Name == name {
			return t[i].Value, true
		}
	}
	return nil, false
}

// String returns a string, "" if there is none of that name.
func (t Table) String(name string) string {
	v, _ := t.Get(name)
	s, _ := v.(string)
	return s
}

// MaxDepth bounds how deep tables and arrays lie in each other.
const MaxDepth = 16

// Errors of values.
var (
	ErrValue = errors.New("ubus: malformed value")
	ErrDepth = fmt.Errorf("ubus: values lie in each other more than %d deep", MaxDepth)
)

// ParseTable reads the values of a table. All of b must be values: the error
// is ErrValue or ErrDepth.
func ParseTable(b []byte) (Table, error) {
	t := Table{}
	err := parseValues(b, 1, func(name string, v any) { t = append(t, Field{name, v}) })
	if err != nil {
		return nil, err
	}
	return t, nil
}

func parseValues(b []byte, depth int, add func(name string, v any)) error {
	if depth > MaxDepth {
		return ErrDepth
	}
	for len(b) > 0 {
		a, rest, ok := NextAttr(b)
		if !ok {
			return ErrValue
		}
		b = rest
		name, data, ok := splitName(a)
		if !ok {
			return ErrValue
		}
		v, err := parseValue(Type(a.ID), data, depth)
		if err != nil {
			return err
		}
		add(name, v)
	}
	return nil
}

// splitName takes the name off the front of a value.
func splitName(a Attr) (name string, data []byte, ok bool) {
	if !a.Extended || len(a.Data) < 2 {
		return "", nil, false
	}
	n := int(binary.BigEndian.Uint16(a.Data))
	if end := pad(2 + n + 1); end > len(a.Data) || a.Data[2+n] != 0 || strings.IndexByte(string(a.Data[2:2+n]), 0) >= 0 {
		return "", nil, false
	}
	return string(a.Data[2 : 2+n]), a.Data[pad(2+n+1):], true
}

func parseValue(t Type, data []byte, depth int) (any, error) {
	switch {
	case t == TypeUnspec:
		return nil, nil
	case t == TypeArray:
		v := Array{}
		err := parseValues(data, depth+1, func(_ string, x any) { v = append(v, x) })
		return v, err
	case t == TypeTable:
		v := Table{}
		err := parseValues(data, depth+1, func(name string, x any) { v = append(v, Field{name, x}) })
		return v, err
	case t == TypeString:
		var s string
		if !text(&s, data) {
			return nil, ErrValue
		}
		return s, nil
	case t == TypeInt64 && len(data) == 8:
		return int64(binary.BigEndian.Uint64(data)), nil //nolint:gosec // two's complement
	case t == TypeDouble && len(data) == 8:
		return math.Float64frombits(binary.BigEndian.Uint64(data)), nil
	case t == TypeInt32 && len(data) == 4:
		return int32(binary.BigEndian.Uint32(data)), nil //nolint:gosec // two's complement
	case t == TypeInt16 && len(data) == 2:
		return int16(binary.BigEndian.Uint16(data)), nil //nolint:gosec // two's complement
	case t == TypeBool && len(data) == 1:
		return data[0] != 0, nil
	}
	return nil, ErrValue
}

// Append appends the values to b. The error says that a value is of a type
// that ubus does not have, or is ErrDepth or ErrLength.
// Zeros in strings and names become U+FFFD.
func (t Table) Append(b []byte) ([]byte, error) { return t.append(b, 1) }

func (t Table) append(b []byte, depth int) (_ []byte, err error) {
	for _, f := range t {
		if b, err = appendValue(b, f.Name, f.Value, depth); err != nil {
			return b, err
		}
	}
	return b, nil
}

// ElementSize is how many bytes v takes as an element of an Array.
func ElementSize(v any) (int, error) {
	b, err := appendValue(nil, "", v, 2)
	return len(b), err
}

func appendValue(b []byte, name string, v any, depth int) (_ []byte, err error) {
	if depth > MaxDepth {
		return b, ErrDepth
	}
	t, ok := typeOf(v)
	if !ok {
		return b, fmt.Errorf("ubus: a value cannot be a %T", v)
	}
	name = noZeros(name)
	if len(name) > maxName {
		return b, errTooLong
	}
	start := len(b)
	b = openBlob(b, uint8(t), true)
	b = binary.BigEndian.AppendUint16(b, uint16(len(name))) //nolint:gosec // checked above
	b = append(append(b, name...), 0)
	b = appendPad(b, 2+len(name)+1)
	switch x := v.(type) {
	case Array:
		for _, e := range x {
			if b, err = appendValue(b, "", e, depth+1); err != nil {
				return b, err
			}
		}
	case Table:
		if b, err = x.append(b, depth+1); err != nil {
			return b, err
		}
	case string:
		b = append(append(b, noZeros(x)...), 0)
	case int64:
		b = binary.BigEndian.AppendUint64(b, uint64(x)) //nolint:gosec // two's complement
	case int32:
		b = binary.BigEndian.AppendUint32(b, uint32(x)) //nolint:gosec // two's complement
	case int16:
		b = binary.BigEndian.AppendUint16(b, uint16(x)) //nolint:gosec // two's complement
	case bool:
		b = append(b, 0)
		if x {
			b[len(b)-1] = 1
		}
	case float64:
		b = binary.BigEndian.AppendUint64(b, math.Float64bits(x))
	}
	return closeBlob(b, start)
}

func typeOf(v any) (Type, bool) {
	switch v.(type) {
	case nil:
		return TypeUnspec, true
	case Array:
		return TypeArray, true
	case Table:
		return TypeTable, true
	case string:
		return TypeString, true
	case int64:
		return TypeInt64, true
	case int32:
		return TypeInt32, true
	case int16:
		return TypeInt16, true
	case bool:
		return TypeBool, true
	case float64:
		return TypeDouble, true
	}
	return 0, false
}

func noZeros(s string) string {
	if strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(s, "\x00", "\ufffd")
}
