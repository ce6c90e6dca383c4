package node

import (
	"slices"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
	"github.com/meshagent/meshagent/agent/session"
)

// Messages are what the agents tell each other inside end-to-end sessions,
// beside the packets of programs: content that stock nodes drop.
const (
	// contentMessage is a content type from the range that cjdns leaves
	// free, 0x8000 and up. Source: cjdns wire/ContentType.h.
	contentMessage = uint16(0x8c6d)
	MaxMessage     = 1200 // bytes
	maxLetters     = 32   // messages that wait for a session
	letterTime     = 10 * time.Second
	letterPause    = time.Second // between searches for the way of a waiting one
)

// Message came from another agent, proven to be its and fresh.
type Message struct {
	From cjdns.Key
	IP   cjdns.IP // of From
	Body []byte
}

// mail is the state of messages.
type mail struct {
	waiting []letter
	all     bucket
	sources sourceBuckets
}

// letter is a message that waits for a session.
type letter struct {
	to    cjdns.IP
	until mono.Time
	again mono.Time // when a way is looked for again
	body  []byte
}

// SendMessage sends body, which it copies, to the agent at to. Without a
// session one is made, as for a ping, and the message waits for it. It reports
// false if body is empty or too long, or too many are waiting. Like any packet
// a message may get lost.
func (n *Node) SendMessage(now mono.Time, to cjdns.IP, body []byte, out *Out) bool {
	if len(body) == 0 || len(body) > MaxMessage || to == n.self.IP {
		return false
	}
	if s := n.sessions.ByIP(to); s != nil && s.Path != 0 && s.Send != 0 && s.CA.CanSend() {
		n.post(now, s, body, out)
		n.flush(now, out)
		return true
	}
	if len(n.mail.waiting) >= maxLetters {
		return false
	}
	n.mail.waiting = append(n.mail.waiting, letter{to, now.Add(letterTime), now.Add(letterPause), slices.Clone(body)})
	if s := n.sessions.ByIP(to); s != nil {
		s.LastData = now
	}
	n.reach(now, to, out)
	n.hurry(now)
	return true
}

// post sends a message in session s.
func (n *Node) post(now mono.Time, s *session.Session, body []byte, out *Out) {
	b := out.Pool.Get()
	if !b.Set(body) {
		n.drop(b, dropTooBig, out)
		return
	}
	cjdns.PutDataHeader(b.Push(cjdns.DataHeaderLen), contentMessage)
	s.LastData = now
	n.usePath(now, s.Path)
	n.sendSession(now, s, s.Path, b, out)
}

// postWaiting sends the messages that waited for s.
func (n *Node) postWaiting(now mono.Time, s *session.Session, out *Out) {
	n.mail.waiting = slices.DeleteFunc(n.mail.waiting, func(l letter) bool {
		if l.to == s.IP {
			n.post(now, s, l.body, out)
		}
		return l.to == s.IP
	})
}

// expireMail drops the messages that have waited for too long, and looks again
// for the way of the others.
func (n *Node) expireMail(now mono.Time, out *Out) {
	before := len(n.mail.waiting)
	n.mail.waiting = slices.DeleteFunc(n.mail.waiting, func(l letter) bool { return now >= l.until })
	n.drops[dropNoRoute] += uint64(before - len(n.mail.waiting))
	for i := 0; i < len(n.mail.waiting); i++ { // what is found may leave at once
		l := &n.mail.waiting[i]
		if now >= l.again && !n.finder.Searching(l.to) {
			l.again = now.Add(letterPause)
			n.reach(now, l.to, out)
		}
	}
	if len(n.mail.waiting) > 0 {
		n.wakeAt(now.Add(letterPause))
	}
}

// innerLetter takes a message that came in session s. It takes b.
func (n *Node) innerLetter(now mono.Time, s *session.Session, b *pkt.Buf, out *Out) {
	switch {
	case b.Len() == 0 || b.Len() > MaxMessage:
		n.drop(b, dropMessage, out)
	case !n.mail.sources.take(now, pkt.Addr{}, s.Key) || !n.mail.all.take(now):
		n.drop(b, dropBusy, out)
	default:
		s.LastData = now
		out.Messages = append(out.Messages, Message{From: s.Key, IP: s.IP, Body: slices.Clone(b.Bytes())})
		out.Pool.Put(b)
	}
}
