package identity

import "github.com/meshagent/meshagent/agent/batman"

// The container in OGMs. Type and version are those of the TVLV.
const (
	TVLVType     = 198
	TVLVVersion  = 1
	containerLen = 24
	magic        = 0xa7
	version      = 1 << 4
	flagRecord   = 1

	// ContainerSize is what every OGM carries more, in bytes; a record comes
	// on top.
	ContainerSize = batman.TVLVLen + containerLen
)

// Container is what an OGM says about who sent it.
//
//	0   1 byte    magic a7
//	1   1 byte    version 1 in the upper four bits; flags: 1 a record follows
//	2   6 bytes   id of the newest record
//	8   16 bytes  element of this OGM's sequence number
//	24            the record, if the flag says so
type Container struct {
	ID      ID
	Element Element
	Record  []byte // aliases what was parsed; nil if there is none
}

// ParseContainer reads the value of a container. It reports false if it is not
// one of ours.
func ParseContainer(b []byte) (c Container, ok bool) {
	if len(b) < containerLen || b[0] != magic || b[1]&0xf0 != version {
		return c, false
	}
	c = Container{ID: ID(b[2:8]), Element: Element(b[8:24])}
	switch {
	case b[1]&flagRecord == 0:
		return c, len(b) == containerLen
	case len(b)-containerLen > MaxRecord:
		return c, false
	}
	c.Record = b[containerLen:]
	return c, true
}

// FindContainer looks for our container among those of an OGM. The first of
// its type is the one that counts.
func FindContainer(tvlvs []byte, typ uint8) (c Container, ok bool) {
	for len(tvlvs) > 0 {
		t, rest, err := batman.NextTVLV(tvlvs)
		if err != nil {
			return c, false
		}
		if t.Type == batman.TVLVType(typ) && t.Version == TVLVVersion {
			return ParseContainer(t.Value)
		}
		tvlvs = rest
	}
	return c, false
}

// appendContainer appends the container with its header.
func appendContainer(dst []byte, typ uint8, c *Container) []byte {
	dst = batman.AppendTVLV(dst, batman.TVLVType(typ), TVLVVersion, containerLen+len(c.Record))
	flags := byte(version)
	if c.Record != nil {
		flags |= flagRecord
	}
	dst = append(dst, magic, flags)
	dst = append(dst, c.ID[:]...)
	dst = append(dst, c.Element[:]...)
	return append(dst, c.Record...)
}
