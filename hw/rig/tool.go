package rig

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"time"
)

// Tool asks other nodes through a stock node, as cjdnstool and the route
// server do: the node hands routing messages (content type 256) to a UDP port
// of its own address, and sends what comes from there. Before the message stand
// a route header of 68 bytes (key 32, switch header 12, version 4, flags 4,
// address 16) and a data header of 4, big-endian.
//
// Source: cjdns net/UpperDistributor.c, wire/RouteHeader.h.
type Tool struct {
	conn *net.UDPConn
	txid byte
	buf  []byte
}

const (
	routeHeader  = 68
	routeLabel   = 32 // offsets in it
	routeVersion = 44
	routeFlags   = 48
	routeIP      = 52
	flagIncoming = 1
	dataHeader   = 0x10 // version 1, in the upper half of the first byte
	routingMsg   = 256  // content type
)

// toolAddr is where a stock node listens for tools.
var toolAddr = &net.UDPAddr{IP: net.ParseIP("fc00::1"), Port: 1}

// Tool attaches to a stock node that runs, with a UDP port of its own.
func (h *Host) Tool(port int) (*Tool, error) {
	if _, err := h.Admin("UpperDistributor_registerHandler", map[string]any{"contentType": routingMsg, "udpPort": port}); err != nil {
		return nil, err
	}
	t := &Tool{buf: make([]byte, 1<<16)}
	err := h.Node.Do(func() (err error) {
		t.conn, err = net.DialUDP("udp6", &net.UDPAddr{IP: net.ParseIP(h.IP()), Port: port}, toolAddr)
		return err
	})
	return t, err
}

// Close detaches the tool; the node sends on to its port in vain.
func (t *Tool) Close() { _ = t.conn.Close() }

// Overheard is a routing message that the node of a Tool has sent or received.
type Overheard struct {
	Incoming bool
	Other    netip.Addr // the other node
	Label    uint64     // the path to it, 0 if the message has none yet
	Text     []byte     // bencode; until the next call
}

// Next waits until t for a message.
func (t *Tool) Next(until time.Time) (o Overheard, err error) {
	_ = t.conn.SetReadDeadline(until)
	for {
		n, err := t.conn.Read(t.buf)
		if err != nil {
			return o, err
		}
		if n > routeHeader+4 {
			return Overheard{
				Incoming: t.buf[routeFlags]&flagIncoming != 0, Other: netip.AddrFrom16([16]byte(t.buf[routeIP:])),
				Label: binary.BigEndian.Uint64(t.buf[routeLabel:]), Text: t.buf[routeHeader+4 : n],
			}, nil
		}
	}
}

// Ask sends a message to another node along a path and returns its answer.
// Values are those of Host.Admin. The version and a transaction id are added.
func (t *Tool) Ask(to *Host, label uint64, version uint32, msg map[string]any) (map[string]any, error) {
	t.txid++
	// Neither pathfinder of the stock node takes the answer for its own.
	id := string([]byte{'t', 'o', 'o', 'l', 0, t.txid})
	msg["txid"], msg["p"] = id, int64(version)
	head := make([]byte, routeHeader+4)
	copy(head, to.ID.Key[:])
	binary.BigEndian.PutUint64(head[routeLabel:], label)
	binary.BigEndian.PutUint32(head[routeVersion:], version)
	ip := netip.MustParseAddr(to.IP()).As16()
	copy(head[routeIP:], ip[:])
	head[routeHeader] = dataHeader
	binary.BigEndian.PutUint16(head[routeHeader+2:], routingMsg)
	if _, err := t.conn.Write(bencode(head, msg)); err != nil {
		return nil, err
	}
	until := time.Now().Add(2 * time.Second)
	for {
		o, err := t.Next(until)
		if err != nil {
			return nil, err
		}
		if !o.Incoming || o.Other.As16() != ip {
			continue // of somebody else
		}
		v, _, err := bdecode(o.Text)
		if err != nil {
			return nil, err
		}
		rep, ok := v.(map[string]any)
		if !ok {
			return nil, errBencode
		}
		if rep["txid"] == id && rep["q"] == nil && rep["sq"] == nil {
			return rep, nil
		}
	}
}

// RoutingNode is one entry of the field n of an answer.
type RoutingNode struct {
	Key   string
	Label uint64
	// Version is that of the field np.
	Version uint64
}

var errNodes = errors.New("fields n and np do not fit")

// RoutingNodes reads the fields n and np of an answer.
func RoutingNodes(rep map[string]any, key func([32]byte) string) (list []RoutingNode, err error) {
	n, _ := rep["n"].(string)
	np, _ := rep["np"].(string)
	if len(n)%40 != 0 || n != "" && (np == "" || np[0] != 1 && np[0] != 2 && np[0] != 4) {
		return nil, errNodes
	}
	for i := 0; i < len(n)/40; i++ {
		e := []byte(n[40*i : 40*i+40])
		w := int(np[0])
		if len(np) < 1+w*(i+1) {
			return nil, errNodes
		}
		var version uint64
		for _, c := range []byte(np[1+w*i : 1+w*(i+1)]) {
			version = version<<8 | uint64(c)
		}
		list = append(list, RoutingNode{key([32]byte(e[:32])), binary.BigEndian.Uint64(e[32:]), version})
	}
	return list, nil
}
