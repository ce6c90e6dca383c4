package cjdns

import (
	"errors"
	"math"
	"strconv"
)

// ErrBenc reports something that is not bencode, or is nested deeper than
// BencMaxDepth.
var ErrBenc = errors.New("cjdns: malformed bencode")

// BencMaxDepth bounds how deep lists and dictionaries may lie in each other.
const BencMaxDepth = 8

// BencReader reads bencode front to back, without allocation. The zero value
// is at the end; set it by BencReader{Rest: b}.
//
// It follows stock cjdns in two ways where others are stricter: a string's
// length may have leading zeros, because cjdns aligns every message by them,
// and keys need not be sorted. After an error it must not be used any more.
//
// Source: cjdns benc/serialization/standard.
type BencReader struct {
	Rest  []byte // what is not read yet
	depth int
}

// Kind tells what comes next: 'd' a dictionary, 'l' a list, 'i' an integer,
// 's' a string, 'e' the end of the list or dictionary, 0 nothing that is
// bencode.
func (r *BencReader) Kind() byte {
	if len(r.Rest) == 0 {
		return 0
	}
	switch c := r.Rest[0]; {
	case c == 'd', c == 'l', c == 'i', c == 'e':
		return c
	case isDigit(c):
		return 's'
	}
	return 0
}

// Str reads a string. It aliases the input.
func (r *BencReader) Str() ([]byte, error) {
	n, i := 0, 0
	for ; i < len(r.Rest) && isDigit(r.Rest[i]); i++ {
		if n = n*10 + int(r.Rest[i]-'0'); n > len(r.Rest) {
			return nil, ErrBenc
		}
	}
	if i == 0 || i == len(r.Rest) || r.Rest[i] != ':' || n > len(r.Rest)-i-1 {
		return nil, ErrBenc
	}
	s := r.Rest[i+1 : i+1+n : i+1+n]
	r.Rest = r.Rest[i+1+n:]
	return s, nil
}

// Int reads an integer. Leading zeros are accepted, a value outside int64 is
// not.
func (r *BencReader) Int() (int64, error) {
	if r.Kind() != 'i' {
		return 0, ErrBenc
	}
	i, limit := 1, uint64(math.MaxInt64)
	neg := len(r.Rest) > 1 && r.Rest[1] == '-'
	if neg {
		i, limit = 2, 1<<63
	}
	first := i
	var n uint64
	for ; i < len(r.Rest) && isDigit(r.Rest[i]); i++ {
		d := uint64(r.Rest[i] - '0')
		if n > (limit-d)/10 {
			return 0, ErrBenc
		}
		n = n*10 + d
	}
	if i == first || i == len(r.Rest) || r.Rest[i] != 'e' {
		return 0, ErrBenc
	}
	r.Rest = r.Rest[i+1:]
	if neg {
		return -int64(n), nil
	}
	return int64(n), nil
}

// Enter begins to read a dictionary or a list; kind is 'd' or 'l'.
func (r *BencReader) Enter(kind byte) error {
	if r.Kind() != kind || kind != 'd' && kind != 'l' || r.depth == BencMaxDepth {
		return ErrBenc
	}
	r.Rest = r.Rest[1:]
	r.depth++
	return nil
}

// More reports whether the list or dictionary that was entered has another
// element. At the end it leaves it. If the input ends it reports true, and
// what is read next fails.
func (r *BencReader) More() bool {
	if r.Kind() != 'e' {
		return true
	}
	r.Rest = r.Rest[1:]
	r.depth--
	return false
}

// Skip reads one value of any kind and drops it.
func (r *BencReader) Skip() (err error) {
	switch kind := r.Kind(); kind {
	case 's':
		_, err = r.Str()
	case 'i':
		_, err = r.Int()
	case 'd', 'l':
		if err = r.Enter(kind); err != nil {
			return err
		}
		for r.More() {
			if kind == 'd' {
				if _, err = r.Str(); err != nil {
					return err
				}
			}
			if err = r.Skip(); err != nil {
				return err
			}
		}
	default:
		err = ErrBenc
	}
	return err
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// AppendBencStr writes s behind b. It also writes the keys of a dictionary,
// which the caller gives in ascending order, between a 'd' and an 'e'.
func AppendBencStr[T ~string | ~[]byte](b []byte, s T) []byte {
	return append(appendBencLen(b, len(s)), s...)
}

// AppendBencInt writes v behind b.
func AppendBencInt(b []byte, v int64) []byte {
	b = append(b, 'i')
	b = strconv.AppendInt(b, v, 10)
	return append(b, 'e')
}

// appendBencLen writes the front of a string of n bytes behind b.
func appendBencLen(b []byte, n int) []byte {
	return append(strconv.AppendInt(b, int64(n), 10), ':')
}
