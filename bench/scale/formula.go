package main

import (
	"math"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
)

// What a node of the overlay sends at rest, on paper: docs/protocol/scale.md.
// The lengths are those of frames that the encoders of the agent write; the
// intervals stand where the comments say.

// Bytes in front of what a switch reads, of a frame on a cable, and of what one
// end says to the other.
const (
	ethLen     = 14
	udpLen     = 20 + 8 // IPv4 and UDP
	cryptoLen  = 20     // of an established session: nonce and tag
	hopLen     = ethLen + udpLen + cryptoLen + 12
	sessionLen = hopLen + 4 + cryptoLen + cjdns.DataHeaderLen // handle, session, data header
	// More, for a message that begins a session: the long header both ways, a
	// ping and its answer.
	beginLen = 2*(cjdns.CryptoHeaderLen-cryptoLen-4) + 2*sessionLen
)

// Seconds between what is sent at rest, and how often.
const (
	keepSecs  = 3.072      // node/peers.go, lazyTime: one end pings, the other answers
	linksSecs = 80         // pathfinder/dht.go, refreshSlow
	huntSecs  = 60         // pathfinder/client.go, huntSlow
	alive     = 30         // pathfinder/client.go, checkEvery
	tellSecs  = 60         // pathfinder/announce.go, nothingNew
	backSecs  = 60         // pathfinder/announce.go, backEvery
	stepHour  = 3600 / 120 // pathfinder/upkeep.go, upkeepRest
	ownRest   = 30 * 60    // pathfinder/upkeep.go, ownRest
	ownAsks   = 8          // pathfinder/upkeep.go, ownAsks
	ringSecs  = 10         // pathfinder/announce.go, windowTime
	// Of the steps of upkeep one of three begins a search, of three questions at
	// a time; the others are one question each.
	askedStep = (3 + 1 + 1) / 3.0
	// Half of the questions of upkeep are for nodes that were not talked to for
	// two minutes.
	fresh = 0.5
)

// load is what a node sends on its cables, in bytes a second, headers of
// Ethernet, IP and UDP included.
type load struct {
	keep   float64 // pings between peers
	links  float64 // questions to peers for their links
	upkeep float64 // of the table, those of others in transit included
	snode  float64 // looking for a supernode, or telling it
}

func (l load) sum() float64 { return l.keep + l.links + l.upkeep + l.snode }

// rest predicts the mean over nodes that have peers links each on average, are
// hops links away from each other on average, and have been at rest for age.
// toSnode is the mean way to the supernode; below 0 there is none.
func rest(peers, hops, toSnode float64, age time.Duration) (l load) {
	ping := cjdns.Control{Type: cjdns.CtrlPing, Opaque: make([]byte, 8)}
	l.keep = peers * float64(hopLen+len(ping.Append(nil))) / keepSecs

	ask, answer := message("gp", 8, 0), message("", 0, int(math.Round(min(peers, 8))))
	l.links = peers * float64(ask+answer) / linksSecs

	// The pause between searches for the own address is doubled each time, so
	// it is as long as all before it.
	asked := stepHour*askedStep + 3600*ownAsks/max(60, min(age.Seconds(), ownRest))
	near := message("fn", 16, 0) + message("", 0, 8)
	l.upkeep = asked / 3600 * hops * (float64(near) + fresh*beginLen)

	if toSnode < 0 {
		q := cjdns.Control{Type: cjdns.CtrlGetSnodeQuery, Opaque: make([]byte, 8)}
		l.snode = peers * 2 * float64(hopLen+len(q.Append(nil))) / huntSecs
		return l
	}
	q := cjdns.Control{Type: cjdns.CtrlRPathQuery, Opaque: make([]byte, 8)}
	l.snode = peers * 2 * float64(hopLen+len(q.Append(nil))) / backSecs
	sign := subMessage("pn", nil, false) + subMessage("", nil, true)
	tell := subMessage("ann", announcement(int(math.Round(peers))), false) + subMessage("", nil, true)
	l.snode += toSnode * (float64(sign)/alive + float64(tell)/tellSecs)
	return l
}

// envelope is what every message says.
func envelope() cjdns.Message {
	return cjdns.Message{Version: 22, HasScheme: true, Scheme: cjdns.SerializeScheme(cjdns.V358), TxID: make([]byte, 5)}
}

// message is the length of a question on one link or, without a query, of an
// answer with nodes.
func message(query string, target, nodes int) int {
	m := envelope()
	m.Query, m.Target = query, make([]byte, target)
	if query == "" {
		m.Target, m.Back = nil, 0x13
	}
	for range nodes {
		m.Nodes = append(m.Nodes, cjdns.NodeRef{Label: 0x1313, Version: 22})
	}
	return sessionLen + len(m.Append(nil))
}

// subMessage is the same for messages of the supernode's pathfinder; answers
// have the time and a hash.
func subMessage(query string, ann []byte, answer bool) int {
	m := envelope()
	m.SubQuery, m.Ann = query, ann
	if answer {
		m.RecvTime, m.StateHash = 1_700_000_000_000, make([]byte, 64)
	}
	return sessionLen + len(m.Append(nil))
}

// announcement is one of a minute in which nothing has changed.
func announcement(links int) []byte {
	a := cjdns.Announcement{Links: states(links)}
	return a.Append(nil)
}

// states is the state of all links in each window of a minute.
func states(links int) (list []cjdns.LinkState) {
	for i := range links {
		s := cjdns.LinkState{PeerNum: uint32(firstSlot + 2*i)}
		for range int(tellSecs / ringSecs) {
			s.Samples = append(s.Samples, cjdns.LinkSample{Lag: 1, Drop: 1, KB: 1})
		}
		list = append(list, s)
	}
	return list
}

// predict is what rest says of a drawn network with supernodes at these nodes.
func (g graph) predict(snodes []int, age time.Duration) load {
	var hops, ways, far float64
	for from := range g.n {
		toSnode := math.Inf(1)
		for to, d := range g.hops(from, -1) {
			if d > 0 && d <= maxHops {
				hops, ways = hops+float64(d), ways+1
			}
			for _, s := range snodes {
				if s == to && d >= 0 {
					toSnode = min(toSnode, float64(d))
				}
			}
		}
		far += toSnode
	}
	if len(snodes) == 0 {
		far = -1
	}
	return rest(2*float64(len(g.links))/float64(g.n), hops/ways, far/float64(g.n), age)
}
