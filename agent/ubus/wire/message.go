package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// MsgType is the type of a message.
type MsgType uint8

// The messages. Source: ubus ubusmsg.h, enum ubus_msg_type.
const (
	Hello        MsgType = iota // ubusd greets; peer is the client's id
	StatusMsg                   // the outcome of a request
	Data                        // an answer, before the outcome
	Ping                        // the body comes back as Data
	Lookup                      // objects by path
	Invoke                      // call a method
	AddObject                   // publish an object
	RemoveObject                // and take it back
	Subscribe                   // hear the notifications of an object
	Unsubscribe                 // no more; from ubusd: the object is gone
	Notify                      // tell the subscribers; from ubusd: there are some, or none
	Monitor                     // from ubusd: a message between others
	msgTypes
)

var msgNames = [msgTypes]string{"HELLO", "STATUS", "DATA", "PING", "LOOKUP", "INVOKE", "ADD_OBJECT", "REMOVE_OBJECT", "SUBSCRIBE", "UNSUBSCRIBE", "NOTIFY", "MONITOR"}

// String returns the name as ubus has it.
func (t MsgType) String() string {
	if t < msgTypes {
		return msgNames[t]
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// AttrID says what an attribute of a message is.
type AttrID uint8

// The attributes. Source: ubus ubusmsg.h, enum ubus_msg_attr.
const (
	AttrStatus      AttrID = 1  // u32
	AttrObjPath     AttrID = 2  // string
	AttrObjID       AttrID = 3  // u32
	AttrMethod      AttrID = 4  // string
	AttrObjType     AttrID = 5  // u32
	AttrSignature   AttrID = 6  // Table: method -> Table: argument -> int32 type
	AttrData        AttrID = 7  // Table
	AttrTarget      AttrID = 8  // u32
	AttrActive      AttrID = 9  // u8
	AttrNoReply     AttrID = 10 // u8
	AttrSubscribers AttrID = 11 // attributes of id 0, u32
	AttrUser        AttrID = 12 // string
	AttrGroup       AttrID = 13 // string
)

// The attributes of Monitor have numbers of their own.
// Source: ubus ubusmsg.h, enum ubus_monitor_attr.
const (
	MonitorClient AttrID = 0 // u32
	MonitorPeer   AttrID = 1 // u32
	MonitorSend   AttrID = 2 // u8: ubusd sent it
	MonitorSeq    AttrID = 3 // u32
	MonitorType   AttrID = 4 // u32
	MonitorData   AttrID = 5 // the attributes of the message
)

// Objects that ubusd itself has.
const (
	EventObject   = 1
	ACLObject     = 2
	MonitorObject = 3
	MaxSystem     = 1024 // ids from here on are given to clients
)

// HeaderLen is the length of a frame before its attributes.
const HeaderLen = 12

// Header is the beginning of a frame.
type Header struct {
	Version uint8
	Type    MsgType
	Seq     uint16
	Peer    uint32
	Len     int // of the attributes behind it, in bytes
}

// Errors of frames. After one the stream is of no use.
var (
	ErrShort  = errors.New("ubus: frame header is cut off")
	ErrLength = errors.New("ubus: frame is shorter than its header or longer than 1 MiB")
)

// ParseHeader reads the first HeaderLen bytes of b. It does not look at the
// version: ubusd does not either.
func ParseHeader(b []byte) (h Header, err error) {
	if len(b) < HeaderLen {
		return h, ErrShort
	}
	n := int(binary.BigEndian.Uint32(b[8:]) & 0xffffff)
	if n < blobHeader || pad(n) > MaxBlob {
		return h, ErrLength
	}
	return Header{b[0], MsgType(b[1]), binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint32(b[4:]), n - blobHeader}, nil
}

// AppendMessage appends a frame. h.Len is not used. The error says that the
// body is too long; then nothing is appended.
func AppendMessage(b []byte, h Header, body Body) ([]byte, error) {
	if pad(len(body)+blobHeader) > MaxBlob {
		return b, ErrLength
	}
	b = append(b, h.Version, uint8(h.Type))
	b = binary.BigEndian.AppendUint16(b, h.Seq)
	b = binary.BigEndian.AppendUint32(b, h.Peer)
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)+blobHeader)) //nolint:gosec // checked above
	return append(b, body...), nil
}

// Attrs are the attributes of a message. Slices lie in what was parsed.
type Attrs struct {
	has         uint16
	Status      Status
	ObjID       uint32
	ObjType     uint32
	Target      uint32
	Path        string
	Method      string
	User        string
	Group       string
	Active      bool
	NoReply     bool
	Signature   []byte
	Data        []byte
	Subscribers []byte
}

// Has reports whether the message had a usable attribute of this kind.
func (a *Attrs) Has(id AttrID) bool { return a.has>>id&1 != 0 }

// ParseAttrs reads the attributes of a message other than Monitor. As in
// ubusd, one that is malformed or not known counts as absent, of several of a
// kind the last counts, and what comes behind a broken length is not seen.
func ParseAttrs(b []byte) (a Attrs) {
	for {
		x, rest, ok := NextAttr(b)
		if !ok {
			return a
		}
		b = rest
		if a.set(AttrID(x.ID), x.Data) {
			a.has |= 1 << x.ID
		}
	}
}

func (a *Attrs) set(id AttrID, data []byte) (ok bool) {
	switch id {
	case AttrStatus:
		var n uint32
		ok = u32(&n, data)
		a.Status = Status(n)
	case AttrObjID:
		ok = u32(&a.ObjID, data)
	case AttrObjType:
		ok = u32(&a.ObjType, data)
	case AttrTarget:
		ok = u32(&a.Target, data)
	case AttrObjPath:
		ok = text(&a.Path, data)
	case AttrMethod:
		ok = text(&a.Method, data)
	case AttrUser:
		ok = text(&a.User, data)
	case AttrGroup:
		ok = text(&a.Group, data)
	case AttrActive:
		ok = truth(&a.Active, data)
	case AttrNoReply:
		ok = truth(&a.NoReply, data)
	case AttrSignature:
		a.Signature, ok = data, true
	case AttrData:
		a.Data, ok = data, true
	case AttrSubscribers:
		a.Subscribers, ok = data, true
	default: // not known
	}
	return ok
}

func u32(v *uint32, data []byte) bool {
	if len(data) != 4 {
		return false
	}
	*v = binary.BigEndian.Uint32(data)
	return true
}

func truth(v *bool, data []byte) bool {
	if len(data) != 1 {
		return false
	}
	*v = data[0] != 0
	return true
}

// text reads a string that must end with a zero; it ends at the first one.
func text(v *string, data []byte) bool {
	if len(data) == 0 || data[len(data)-1] != 0 {
		return false
	}
	*v = cstring(string(data[:len(data)-1]))
	return true
}

// Observed is what a Monitor message tells of another message.
type Observed struct {
	Client uint32 // whose connection it went over
	Sent   bool   // by ubusd to the client
	Type   MsgType
	Seq    uint16
	Peer   uint32
	Body   []byte // its attributes
}

// ParseMonitor reads the attributes of a Monitor message. What is absent
// stays zero.
func ParseMonitor(b []byte) (o Observed) {
	for {
		x, rest, ok := NextAttr(b)
		if !ok {
			return o
		}
		b = rest
		var n uint32
		switch AttrID(x.ID) {
		case MonitorClient:
			u32(&o.Client, x.Data)
		case MonitorPeer:
			u32(&o.Peer, x.Data)
		case MonitorSend:
			truth(&o.Sent, x.Data)
		case MonitorSeq:
			u32(&n, x.Data)
			o.Seq = uint16(n) //nolint:gosec // 16 bits in the message told of
		case MonitorType:
			u32(&n, x.Data)
			o.Type = MsgType(n) //nolint:gosec // 8 bits there
		case MonitorData:
			o.Body = x.Data
		default: // not known
		}
	}
}
