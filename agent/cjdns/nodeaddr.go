package cjdns

import (
	"errors"
	"strconv"
	"strings"
)

// ErrNodeText reports text that is not v<version>.<path>.<key>.k.
var ErrNodeText = errors.New("not a node address: want v20.0000.0000.0000.0013.<52 characters>.k")

// NodeAddr says who a node is and how it is reached: what cjdns prints as the
// address of a node. The label starts at whoever prints it.
type NodeAddr struct {
	Version uint32 // of the protocol; 0 if unknown
	Label   Label
	Key     Key
}

// String prints a as "v20.0000.0000.0000.0013.<key>.k".
func (a NodeAddr) String() string {
	return "v" + strconv.FormatUint(uint64(a.Version), 10) + "." + a.Label.String() + "." + a.Key.String()
}

// ParseNodeAddr reads what String prints. Errors: ErrNodeText, ErrLabelText,
// ErrKeyText, ErrNotFC. Source: cjdns dht/Address and util/AddrTools.h.
func ParseNodeAddr(s string) (a NodeAddr, err error) {
	digits, rest, ok := strings.Cut(s, ".")
	if !ok || len(digits) < 2 || digits[0] != 'v' || len(rest) < 20 || rest[19] != '.' {
		return a, ErrNodeText
	}
	v, err := strconv.ParseUint(digits[1:], 10, 32)
	if err != nil {
		return a, ErrNodeText
	}
	a.Version = uint32(v)
	if a.Label, err = ParseLabel(rest[:19]); err != nil {
		return NodeAddr{}, err
	}
	if a.Key, err = ParseKey(rest[20:]); err != nil {
		return NodeAddr{}, err
	}
	return a, nil
}
