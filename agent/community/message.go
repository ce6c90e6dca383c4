package community

import (
	"encoding/binary"
	"errors"

	"github.com/meshagent/meshagent/agent/cjdns"
)

// MaxMessage bounds a message, in bytes.
const MaxMessage = 1200

// ContentType is that of our messages in a session, in cjdns's numbering.
const ContentType = 0x8c6d

// Messages begin with version 1, kind and community (8). They travel in
// end-to-end sessions, so the sender's key is known for certain.
const (
	messageHead    = 10
	messageVersion = 1
)

// Kinds of messages.
const (
	msgSummary = 1 // what we know, by numbers, and our certificates
	msgObjects = 2 // what you do not know
	msgRedeem  = 3 // make me a member, I know the secret of an invite
	msgWelcome = 4 // the answer
	msgRenew   = 5 // my membership ends soon
)

var errMessage = errors.New("community: malformed message")

func messageTo(kind byte, community ID) []byte {
	return append(append(make([]byte, 0, MaxMessage), messageVersion, kind), community[:]...)
}

// parseMessage reads what all messages begin with.
func parseMessage(b []byte) (kind byte, community ID, body []byte, err error) {
	if len(b) < messageHead || len(b) > MaxMessage || b[0] != messageVersion {
		return 0, ID{}, nil, errMessage
	}
	copy(community[:], b[2:])
	return b[1], community, b[messageHead:], nil
}

// appendObject writes an object with its length. It reports false if there is
// no room for it.
func appendObject(b, object []byte) ([]byte, bool) {
	if len(b)+2+len(object) > MaxMessage {
		return b, false
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(object))) //nolint:gosec // at most MaxObject
	return append(b, object...), true
}

// parseObjects reads the rest of a message: objects with their lengths.
func parseObjects(b []byte) (list [][]byte, err error) {
	for len(b) > 0 {
		if len(b) < 2 {
			return nil, errMessage
		}
		n := int(binary.BigEndian.Uint16(b))
		if n == 0 || n > MaxObject || len(b) < 2+n {
			return nil, errMessage
		}
		list, b = append(list, b[2:2+n]), b[2+n:]
	}
	return list, nil
}

// ParseCerts reads the body of an introduction: certificates, each with its
// length (2), and perhaps a zero that makes the length even. The results refer
// to b.
func ParseCerts(b []byte) ([][]byte, error) {
	list, err := parseObjects(b)
	if err != nil && b[len(b)-1] == 0 {
		list, err = parseObjects(b[:len(b)-1])
	}
	return list, err
}

// AppendCerts writes the body of an introduction.
func AppendCerts(b []byte, certs [][]byte) []byte {
	for _, raw := range certs {
		b = binary.BigEndian.AppendUint16(b, uint16(len(raw))) //nolint:gosec // at most MaxObject
		b = append(b, raw...)
	}
	return b
}

// state says what a node knows of one signer:
//
//	0   8   signer
//	8   4   number of its certificate, 0 none or the root
//	12  16  numbers of its pages, 0 none
//	28  4   number up to which its memberships and invites are known
type state struct {
	id      ID
	cert    uint32
	pages   [Pages]uint32
	through uint32
}

const stateLen = 32

// summary is the body of msgSummary:
//
//	0  1    flags: 1 answer with yours
//	1  1    n, at most 17
//	2  32n  states
//	        certificates of the sender, each with its length (2)
type summary struct {
	ask    bool
	states []state
	certs  [][]byte
}

func (s *summary) append(b []byte) []byte {
	flags := byte(0)
	if s.ask {
		flags = 1
	}
	b = append(b, flags, byte(len(s.states)))
	for _, e := range s.states {
		b = append(b, e.id[:]...)
		b = binary.BigEndian.AppendUint32(b, e.cert)
		for _, n := range e.pages {
			b = binary.BigEndian.AppendUint32(b, n)
		}
		b = binary.BigEndian.AppendUint32(b, e.through)
	}
	for _, raw := range s.certs {
		b, _ = appendObject(b, raw) // 17 states and two certificates fit
	}
	return b
}

func parseSummary(b []byte) (s summary, err error) {
	if len(b) < 2 || int(b[1]) > MaxAdmins+1 || len(b) < 2+int(b[1])*stateLen {
		return s, errMessage
	}
	s.ask = b[0]&1 != 0
	n := int(b[1])
	b = b[2:]
	for range n {
		e := state{cert: binary.BigEndian.Uint32(b[8:]), through: binary.BigEndian.Uint32(b[28:])}
		copy(e.id[:], b)
		for i := range e.pages {
			e.pages[i] = binary.BigEndian.Uint32(b[12+4*i:])
		}
		s.states, b = append(s.states, e), b[stateLen:]
	}
	s.certs, err = parseObjects(b)
	return s, err
}

// batch is the body of msgObjects:
//
//	0  1    flags: 1 there is more, ask again
//	1  1    n, 0 or 1: the objects are the log of a signer
//	2  16n  signer 8, from 4, through 4: with these objects, who knew it up to
//	        from knows it up to through
//	        objects, each with its length (2)
type batch struct {
	more          bool
	signer        ID
	from, through uint32 // both 0: no log
	objects       [][]byte
}

const (
	batchHead = 2
	logHead   = 16
)

func (t *batch) append(b []byte) []byte {
	flags, n := byte(0), byte(0)
	if t.more {
		flags = 1
	}
	if t.through != 0 {
		n = 1
	}
	b = append(b, flags, n)
	if n == 1 {
		b = append(b, t.signer[:]...)
		b = binary.BigEndian.AppendUint32(b, t.from)
		b = binary.BigEndian.AppendUint32(b, t.through)
	}
	for _, raw := range t.objects {
		b, _ = appendObject(b, raw) // the caller has counted
	}
	return b
}

func parseBatch(b []byte) (t batch, err error) {
	if len(b) < batchHead || b[1] > 1 || len(b) < batchHead+int(b[1])*logHead {
		return t, errMessage
	}
	t.more = b[0]&1 != 0
	n := b[1]
	b = b[batchHead:]
	if n == 1 {
		copy(t.signer[:], b)
		t.from, t.through = binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint32(b[12:])
		if t.through == 0 || t.from > t.through {
			return t, errMessage
		}
		b = b[logHead:]
	}
	t.objects, err = parseObjects(b)
	return t, err
}

// redeem is the body of msgRedeem:
//
//	0   8   invite
//	8   32  A of the newcomer; its overlay key is that of the session
//	40  16  proof of the secret
type redeem struct {
	invite InviteID
	key    cjdns.VerifyKey
	proof  [proofLen]byte
}

const redeemLen = 8 + 32 + proofLen

func (r *redeem) append(b []byte) []byte {
	b = append(b, r.invite[:]...)
	b = append(b, r.key[:]...)
	return append(b, r.proof[:]...)
}

func parseRedeem(b []byte) (r redeem, err error) {
	if len(b) != redeemLen {
		return r, errMessage
	}
	copy(r.invite[:], b)
	copy(r.key[:], b[8:])
	copy(r.proof[:], b[40:])
	return r, nil
}

// welcome is the body of msgWelcome:
//
//	0  8  invite; zeros if a membership was renewed
//	8  1  outcome
//	9     membership and admins' certificates, each with its length (2)
type welcome struct {
	invite  InviteID
	outcome Outcome
	objects [][]byte
}

// Outcome is the answer of an admin to a newcomer.
type Outcome uint8

// Values of Outcome. The texts say what to do.
const (
	Welcome Outcome = iota
	RefusedUnknown
	RefusedExpired
	RefusedUsed
	RefusedRevoked
	RefusedProof
	RefusedNoAdmin
	RefusedCommunity
	RefusedStore
	RefusedFull
	RefusedMember
	RefusedBusy
	numOutcomes
)

var outcomeTexts = [numOutcomes]string{
	"welcome",
	"the admin does not know this invite: it was made by another admin that it has not met since, or is long over",
	"the invite has expired; ask for a new one",
	"the invite was used already, as often as it may be; ask for a new one",
	"the invite is revoked; ask for a new one",
	"the token's secret is not that of the invite: the token is forged or damaged; ask for a new one",
	"the node is no admin of the community any more; ask another admin for an invite",
	"the node is in another community, or in none; ask for a new invite",
	"the admin could not store the membership; try again",
	"the community is full; an admin has to revoke members",
	"this node is revoked in the community; an admin has to lift that first: meshagent community revoke --lift",
	"the admin has too much to do; try again in a minute",
}

// String says what the answer means.
func (o Outcome) String() string {
	if o < numOutcomes {
		return outcomeTexts[o]
	}
	return "an answer that this version does not know; update meshagent"
}

// final reports whether the answer settles the matter, whichever admin gave
// it.
func (o Outcome) final() bool {
	return o == RefusedExpired || o == RefusedUsed || o == RefusedRevoked || o == RefusedProof || o == RefusedMember
}

// elsewhere reports whether only other admins can help.
func (o Outcome) elsewhere() bool {
	return o == RefusedNoAdmin || o == RefusedCommunity || o == RefusedFull
}

func (w *welcome) append(b []byte) []byte {
	b = append(append(b, w.invite[:]...), byte(w.outcome))
	for _, raw := range w.objects {
		b, _ = appendObject(b, raw) // what does not fit comes by synchronisation
	}
	return b
}

func parseWelcome(b []byte) (w welcome, err error) {
	if len(b) < 9 {
		return w, errMessage
	}
	copy(w.invite[:], b)
	w.outcome = Outcome(b[8])
	w.objects, err = parseObjects(b[9:])
	return w, err
}
