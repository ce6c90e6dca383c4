package cjdns

import (
	"encoding/binary"
	"errors"
	"math"
)

// ErrMessage reports a routing message whose fields contradict each other or
// lie outside their range. The caller drops it.
var ErrMessage = errors.New("cjdns: malformed routing message")

// NodeRef is a node in a routing message: "n" and "np".
type NodeRef struct {
	Key     Key
	Label   Label // from the node that wrote the message
	Version uint32
}

const nodeRefLen = 32 + 8

// Message is a routing message, content type ContentDHT: a bencoded
// dictionary. A message with neither Query nor SubQuery is a reply. Fields
// that are zero or empty are absent from the dictionary, except "p".
//
// Source: cjdns dht/, subnode/MsgCore.c.
type Message struct {
	Query    string // "q": pn, gp, fn or nh, of the old pathfinder; sn, of agents
	SubQuery string // "sq": pn, gr, ann or pc, of the supernode's pathfinder
	Version  uint32 // "p", of the protocol; 0 is not valid
	// HasScheme says that Scheme and Form are there.
	HasScheme bool
	Scheme    []byte // "es", serialised: ParseScheme
	Form      int    // "ei": form of the first director of the sender's label to the recipient

	TxID      []byte // "txid", which a reply repeats
	Target    []byte // "tar": an address, or a label of 8 bytes
	Source    []byte // "src": an address
	Ann       []byte // "ann": an announcement
	StateHash []byte // "stateHash", 64 bytes
	Nodes     []NodeRef
	RecvTime  int64  // "recvTime", ms since 1970
	Error     string // "error"
	DND       bool   // "dnd": do not send me queries of the old pathfinder
	// Back is "back", 8 bytes: by which label the sender of an answer sees
	// the one whom it answers; 0 if it does not say. Only agents say it, and
	// stock nodes skip it.
	Back Label
}

// Keys of a message, in the order in which they are written.
const (
	keyAnn = iota
	keyBack
	keyDND
	keyForm
	keyError
	keyScheme
	keyNodes
	keyNodeVersions
	keyVersion
	keyQuery
	keyRecvTime
	keySubQuery
	keySource
	keyStateHash
	keyTarget
	keyTxID
	messageKeys
)

var messageKeyNames = [messageKeys]string{
	"ann", "back", "dnd", "ei", "error", "es", "n", "np", "p", "q", "recvTime", "sq", "src", "stateHash", "tar", "txid",
}

func messageKey(name []byte) int {
	for i, k := range messageKeyNames {
		if string(name) == k {
			return i
		}
	}
	return -1
}

// ParseMessage reads the dictionary at the front of b into m, whose old
// content is lost, but whose Nodes are reused. Byte slices in m alias b. Keys
// that are not known are skipped; a key that comes twice or has a value of
// the wrong kind is an error. Bytes behind the dictionary are ignored, as
// stock nodes do. Errors: ErrBenc, ErrMessage; m is then half filled.
func ParseMessage(b []byte, m *Message) error {
	*m = Message{Nodes: m.Nodes[:0]}
	r := BencReader{Rest: b}
	if err := r.Enter('d'); err != nil {
		return err
	}
	var seen [messageKeys]bool
	var nodes, versions []byte
	for r.More() {
		name, err := r.Str()
		if err != nil {
			return err
		}
		k := messageKey(name)
		if k < 0 {
			if err := r.Skip(); err != nil {
				return err
			}
			continue
		}
		if seen[k] {
			return ErrMessage
		}
		seen[k] = true
		switch k {
		case keyDND, keyForm, keyVersion, keyRecvTime:
			v, err := r.Int()
			if err != nil {
				return err
			}
			if !m.setInt(k, v) {
				return ErrMessage
			}
		default:
			s, err := r.Str()
			if err != nil {
				return err
			}
			switch k {
			case keyBack:
				if len(s) != 8 {
					return ErrMessage
				}
				m.Back = Label(binary.BigEndian.Uint64(s))
			case keyNodes:
				nodes = s
			case keyNodeVersions:
				versions = s
			default:
				m.setStr(k, s)
			}
		}
	}
	if m.HasScheme = seen[keyScheme] && seen[keyForm]; !m.HasScheme {
		m.Scheme, m.Form = nil, 0
	}
	return m.setNodes(nodes, versions)
}

func (m *Message) setInt(k int, v int64) bool {
	switch k {
	case keyDND:
		m.DND = v != 0
	case keyForm:
		m.Form = int(v)
		return v >= 0 && v < maxForms
	case keyVersion:
		m.Version = uint32(v)
		return v >= 0 && v <= math.MaxUint32
	case keyRecvTime:
		m.RecvTime = v
	}
	return true
}

func (m *Message) setStr(k int, s []byte) {
	switch k {
	case keyAnn:
		m.Ann = s
	case keyError:
		m.Error = string(s)
	case keyScheme:
		m.Scheme = s
	case keyQuery:
		m.Query = queryName(s)
	case keySubQuery:
		m.SubQuery = queryName(s)
	case keySource:
		m.Source = s
	case keyStateHash:
		m.StateHash = s
	case keyTarget:
		m.Target = s
	case keyTxID:
		m.TxID = s
	}
}

// queryName saves the allocation of a known name.
func queryName(s []byte) string {
	for _, q := range [...]string{"pn", "gp", "fn", "nh", "sn", "gr", "ann", "pc"} {
		if string(s) == q {
			return q
		}
	}
	return string(s)
}

// setNodes reads "n", 40 bytes for each node, and "np", the width of a
// version in bytes and then the versions.
func (m *Message) setNodes(n, np []byte) error {
	if len(n) == 0 && len(np) <= 1 {
		return nil
	}
	if len(n)%nodeRefLen != 0 || len(np) == 0 {
		return ErrMessage
	}
	w := int(np[0])
	np = np[1:]
	if w != 1 && w != 2 && w != 4 || len(np) != w*(len(n)/nodeRefLen) {
		return ErrMessage
	}
	for ; len(n) > 0; n, np = n[nodeRefLen:], np[w:] {
		ref := NodeRef{Key: Key(n[:32]), Label: Label(binary.BigEndian.Uint64(n[32:]))}
		for _, c := range np[:w] {
			ref.Version = ref.Version<<8 | uint32(c)
		}
		m.Nodes = append(m.Nodes, ref)
	}
	return nil
}

// Append writes m behind b and returns the longer slice.
func (m *Message) Append(b []byte) []byte {
	b = append(b, 'd')
	b = appendField(b, keyAnn, m.Ann)
	if m.Back != 0 {
		b = AppendBencStr(b, messageKeyNames[keyBack])
		b = appendBencLen(b, 8)
		b = binary.BigEndian.AppendUint64(b, uint64(m.Back))
	}
	if m.DND {
		b = appendNumber(b, keyDND, 1)
	}
	if m.HasScheme {
		b = appendNumber(b, keyForm, int64(m.Form))
	}
	b = appendField(b, keyError, m.Error)
	if m.HasScheme {
		b = AppendBencStr(b, messageKeyNames[keyScheme])
		b = AppendBencStr(b, m.Scheme)
	}
	if len(m.Nodes) > 0 {
		b = m.appendNodes(b)
	}
	b = appendNumber(b, keyVersion, int64(m.Version))
	b = appendField(b, keyQuery, m.Query)
	if m.RecvTime != 0 {
		b = appendNumber(b, keyRecvTime, m.RecvTime)
	}
	b = appendField(b, keySubQuery, m.SubQuery)
	b = appendField(b, keySource, m.Source)
	b = appendField(b, keyStateHash, m.StateHash)
	b = appendField(b, keyTarget, m.Target)
	b = appendField(b, keyTxID, m.TxID)
	return append(b, 'e')
}

func (m *Message) appendNodes(b []byte) []byte {
	b = AppendBencStr(b, messageKeyNames[keyNodes])
	b = appendBencLen(b, len(m.Nodes)*nodeRefLen)
	w := 1
	for i := range m.Nodes {
		b = append(b, m.Nodes[i].Key[:]...)
		b = binary.BigEndian.AppendUint64(b, uint64(m.Nodes[i].Label))
		switch v := m.Nodes[i].Version; {
		case v > math.MaxUint16:
			w = 4
		case v > math.MaxUint8:
			w = max(w, 2)
		}
	}
	b = AppendBencStr(b, messageKeyNames[keyNodeVersions])
	b = appendBencLen(b, 1+w*len(m.Nodes))
	b = append(b, byte(w))
	for i := range m.Nodes {
		v := m.Nodes[i].Version
		switch w {
		case 1:
			b = append(b, byte(v))
		case 2:
			b = binary.BigEndian.AppendUint16(b, uint16(v))
		default:
			b = binary.BigEndian.AppendUint32(b, v)
		}
	}
	return b
}

func appendField[T ~string | ~[]byte](b []byte, k int, v T) []byte {
	if len(v) == 0 {
		return b
	}
	b = AppendBencStr(b, messageKeyNames[k])
	return AppendBencStr(b, v)
}

func appendNumber(b []byte, k int, v int64) []byte {
	b = AppendBencStr(b, messageKeyNames[k])
	return AppendBencInt(b, v)
}
