package main

import (
	"encoding/binary"
	"errors"
	"net"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/cryptoauth"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// gateway plays one node of the overlay that is a peer of a real agent: a link
// with CryptoAuth over UDP, and a session with the agent inside it. It answers
// pings and asks what it is told to ask; it switches nothing. One goroutine.
type gateway struct {
	conn    net.Conn
	agent   cjdns.Key
	link    *cryptoauth.Session
	inner   *cryptoauth.Session
	pool    pkt.Pool
	buf     [pkt.MaxMTU]byte
	began   time.Time
	send    uint32      // the agent's handle for our session
	back    cjdns.Label // the agent's way to us
	answers chan *cjdns.Message
}

// ourHandle is by what the agent names our session.
const ourHandle = 1000

func newGateway(conn net.Conn, id *cryptoauth.Identity, agent cjdns.Key, login, password string) *gateway {
	cfg := &cryptoauth.Config{Self: id, Users: &cryptoauth.Users{}, Rand: random}
	return &gateway{
		conn: conn, agent: agent, began: time.Now(), answers: make(chan *cjdns.Message, 4096),
		link:  cryptoauth.New(cfg, cryptoauth.Options{Key: agent, Login: login, Password: []byte(password)}, 0),
		inner: cryptoauth.New(cfg, cryptoauth.Options{Key: agent}, 0),
	}
}

func (g *gateway) now() mono.Time { return mono.Time(time.Since(g.began)) }

// direct is the label of the router of a peer, as it is on the cable, and the
// label shift.
const (
	direct      = cjdns.Label(0x8000000000000001)
	directShift = 4
)

// transmit sends a frame that begins behind the switch header.
func (g *gateway) transmit(b *pkt.Buf) error {
	defer g.pool.Put(b)
	cjdns.SwitchHeader{Label: direct, LabelShift: directShift, Version: 1, TrafficClass: 0xffff}.Put(b.Push(cjdns.SwitchHeaderLen))
	var err error
	if g.link.CanSend() {
		err = g.link.Seal(g.now(), b)
	} else {
		err = g.link.SealCandidate(g.now(), b)
	}
	if err != nil {
		return err
	}
	_, err = g.conn.Write(b.Bytes())
	return err
}

func (g *gateway) control(c cjdns.Control) error {
	b := g.pool.Get()
	b.Set(c.Append(nil))
	return g.transmit(b)
}

// ask sends a routing message in the session, or the handshake of one.
func (g *gateway) ask(m *cjdns.Message) error {
	m.Version, m.HasScheme, m.Scheme = 22, true, cjdns.SerializeScheme(cjdns.V358)
	b := g.pool.Get()
	if !b.Set(m.Append(nil)) {
		return errors.New("a message that fits no packet")
	}
	cjdns.PutDataHeader(b.Push(cjdns.DataHeaderLen), cjdns.ContentDHT)
	if g.inner.CanSend() && g.send != 0 {
		if err := g.inner.Seal(g.now(), b); err != nil {
			return err
		}
		binary.BigEndian.PutUint32(b.Push(4), g.send)
		return g.transmit(b)
	}
	binary.BigEndian.PutUint32(b.Push(4), ourHandle)
	if err := g.inner.SealCandidate(g.now(), b); err != nil {
		return err
	}
	return g.transmit(b)
}

// serve handles what comes for the time d, or until until says so.
func (g *gateway) serve(d time.Duration, until func() bool) error {
	for end := time.Now().Add(d); time.Now().Before(end) && !until(); {
		_ = g.conn.SetReadDeadline(time.Now().Add(2 * time.Millisecond))
		n, err := g.conn.Read(g.buf[:])
		var late net.Error
		if errors.As(err, &late) && late.Timeout() {
			continue
		}
		if err != nil {
			return err
		}
		b := g.pool.Get()
		if b.Set(g.buf[:n]) {
			g.frame(b)
		}
		g.pool.Put(b)
	}
	return nil
}

func (g *gateway) frame(b *pkt.Buf) {
	ev, err := g.link.Open(g.now(), b)
	if _, ok := b.Pull(cjdns.SwitchHeaderLen); err != nil || !ok || b.Len() < 4 {
		return
	}
	if ev&cryptoauth.Answer != 0 {
		_ = g.control(cjdns.Control{Type: cjdns.CtrlPing, Version: 22, Opaque: make([]byte, 8)})
	}
	switch word := binary.BigEndian.Uint32(b.Bytes()); {
	case word == 0xffffffff:
		g.controlFrame(b)
	case word == ourHandle:
		b.Pull(4)
		if ev, err := g.inner.Open(g.now(), b); err == nil {
			g.message(b, ev)
		}
	case word < 4:
		ev, err := g.inner.Open(g.now(), b)
		if h, ok := b.Pull(4); err == nil && ok {
			g.send = binary.BigEndian.Uint32(h)
			g.message(b, ev)
		}
	}
}

func (g *gateway) controlFrame(b *pkt.Buf) {
	c, err := cjdns.ParseControl(b.Bytes())
	if err != nil {
		return
	}
	switch c.Type {
	case cjdns.CtrlPing:
		_ = g.control(cjdns.Control{Type: cjdns.CtrlPong, Version: 22, Opaque: c.Opaque})
	case cjdns.CtrlRPathQuery: // it asks by which label we see it: our first slot
		_ = g.control(cjdns.Control{Type: cjdns.CtrlRPathReply, Version: 22, Opaque: c.Opaque, Path: slotLabel})
	case cjdns.CtrlRPathReply:
		g.back = c.Path
	}
}

// slotLabel is by which label the gateway would reach the agent.
const slotLabel = cjdns.Label(0x13)

func (g *gateway) message(b *pkt.Buf, ev cryptoauth.Event) {
	if b.Pull(cjdns.DataHeaderLen); b.Len() == 0 {
		return
	}
	m := new(cjdns.Message)
	if cjdns.ParseMessage(append([]byte(nil), b.Bytes()...), m) != nil {
		return
	}
	switch {
	case m.Query != "":
		_ = g.ask(&cjdns.Message{TxID: m.TxID}) // "I know nobody"
	case m.SubQuery != "":
	default:
		select {
		case g.answers <- m:
		default:
		}
	}
	if ev&cryptoauth.Answer != 0 {
		_ = g.ask(&cjdns.Message{Query: "pn", TxID: []byte("0")})
	}
}
