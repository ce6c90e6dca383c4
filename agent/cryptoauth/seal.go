package cryptoauth

import (
	"crypto/subtle"
	"encoding/binary"

	//lint:ignore SA1019 secretbox, which is to be used instead, cannot work in place
	"golang.org/x/crypto/poly1305"
	//lint:ignore SA1019 the same
	"golang.org/x/crypto/salsa20/salsa"

	"github.com/meshagent/meshagent/agent/pkt"
)

const (
	tagLen = 16
	// trafficOverhead is what a traffic packet has in front: a packet number
	// (4 bytes, big endian) and the tag.
	trafficOverhead = 4 + tagLen
	// maxNonce is the first packet number that may not be used any more.
	// Source: cjdns crypto/CryptoAuth.c.
	maxNonce = 0xfffffff0
	// renewNonce is where we begin to look for new keys: 250 million packets
	// before the end.
	renewNonce = 0xf0000000
	// firstNonce is the lowest packet number of traffic; below are the
	// states of the handshake.
	firstNonce = 4
)

// chunk is how much of the stream we make at once at the front of a packet:
// four blocks, which Salsa20's assembly computes side by side in the time of
// two single ones.
const chunk = 256

// stream is XSalsa20 for one packet. Its first 32 bytes are the key of
// Poly1305, the rest encrypts.
type stream struct {
	front   [chunk]byte
	made    int // length of front in use
	sub     [32]byte
	counter [16]byte
}

// set begins the stream of a packet with n bytes of text.
func (s *stream) set(nonce *[24]byte, key *[32]byte, n int) {
	salsa.HSalsa20(&s.sub, (*[16]byte)(nonce[:16]), key, &salsa.Sigma)
	copy(s.counter[:8], nonce[16:])
	s.made = chunk
	if 32+n <= chunk/2 {
		s.made = 32 + n
	}
	salsa.XORKeyStream(s.front[:s.made], s.front[:s.made], &s.counter, &s.sub)
	s.counter[8] = chunk / 64
}

// xor applies the stream to text in place.
func (s *stream) xor(text []byte) {
	n := subtle.XORBytes(text, text, s.front[32:s.made])
	if len(text) > n {
		salsa.XORKeyStream(text[n:], text[n:], &s.counter, &s.sub)
	}
}

func (s *stream) macKey() *[32]byte { return (*[32]byte)(s.front[:]) }

// sealBox encrypts box in place: 16 bytes of room for the tag, then the plain
// text. It is NaCl's secretbox, whose Go version wants a second buffer.
func sealBox(box []byte, nonce *[24]byte, key *[32]byte) {
	var s stream
	text := box[tagLen:]
	s.set(nonce, key, len(text))
	s.xor(text)
	poly1305.Sum((*[tagLen]byte)(box), text, s.macKey())
}

// openBox is the reverse of sealBox. If it reports false, box is unchanged.
func openBox(box []byte, nonce *[24]byte, key *[32]byte) bool {
	if len(box) < tagLen {
		return false
	}
	var s stream
	text := box[tagLen:]
	s.set(nonce, key, len(text))
	if !poly1305.Verify((*[tagLen]byte)(box), text, s.macKey()) {
		return false
	}
	s.xor(text)
	return true
}

// trafficKey is the key of both directions of an established session. It is
// immutable, and its methods change nothing but the packet.
type trafficKey struct {
	secret    [32]byte
	initiator bool // whether we are
}

// nonce24 spreads a packet number: little endian, at offset 4 if the sender
// is the initiator, else at 0. Source: cjdns crypto/CryptoAuth.c.
func (k *trafficKey) nonce24(n uint32, sender bool) (nonce [24]byte) {
	at := 0
	if sender == k.initiator {
		at = 4
	}
	binary.LittleEndian.PutUint32(nonce[at:], n)
	return nonce
}

// sealAt makes b a traffic packet with the packet number n. b must have room
// for trafficOverhead in front.
func (k *trafficKey) sealAt(n uint32, b *pkt.Buf) {
	binary.BigEndian.PutUint32(b.Push(trafficOverhead), n)
	nonce := k.nonce24(n, true)
	sealBox(b.Bytes()[4:], &nonce, &k.secret)
}

// openAt decrypts p, a whole traffic packet, in place and reports whether it
// is genuine. The plain text is p[trafficOverhead:].
func (k *trafficKey) openAt(n uint32, p []byte) bool {
	nonce := k.nonce24(n, false)
	return openBox(p[4:], &nonce, &k.secret)
}

// hsalsa turns a key agreement into a key, as NaCl's box does.
func hsalsa(raw *[32]byte) (key [32]byte) {
	var zero [16]byte
	salsa.HSalsa20(&key, &zero, raw, &salsa.Sigma)
	return key
}
