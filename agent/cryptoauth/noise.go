package cryptoauth

import (
	"crypto/cipher"
	"crypto/hmac"
	"encoding/binary"
	"hash"

	"golang.org/x/crypto/blake2s"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/meshagent/meshagent/agent/cjdns"
)

// The Noise variant of cjdns v22 is WireGuard's handshake,
// Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s, with the permanent keys as static
// keys. A control message is the word ffffffff and an unmodified WireGuard
// message, whose first word is its type. All numbers are little endian.
//
//	initiation   type 1, sender index 4, ephemeral 32, static 32+16,
//	             timestamp 12+16, [additional data n+16], mac1 16, mac2 16
//	response     type 2, sender 4, receiver 4, ephemeral 32, nothing 0+16,
//	             mac1 16, mac2 16
//	cookie       type 3, receiver 4, nonce 24, cookie 16+16
//
// Offsets below count from the ffffffff. Sources: the WireGuard paper; cjdns
// v22.3, whose recordings are in testdata.
const (
	noiseInitiation = 1
	noiseResponse   = 2
	noiseCookie     = 3

	initiationLen = 152 // without additional data
	additionalMin = 16  // its tag
	additionalMax = 64  // nobody sends more than 24+16
	responseLen   = 96
	cookieLen     = 68
	macsLen       = 32 // mac1 and mac2 at the end
)

// Values with which every handshake begins: hashes of the names of the
// protocol and of its user.
var noiseCK, noiseH = func() (ck, h [32]byte) {
	ck = blake2s.Sum256([]byte("Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"))
	h = ck
	mixHash(&h, []byte("WireGuard v1 zx2c4 Jason@zx2c4.com"))
	return ck, h
}()

// noiseState is what both ends of a handshake compute in step.
type noiseState struct {
	ck, h [32]byte
	key   [32]byte // of the next encryption; its nonce is 0
}

// begin starts a handshake towards the responder.
func (n *noiseState) begin(responder cjdns.Key) {
	n.ck, n.h = noiseCK, noiseH
	mixHash(&n.h, responder[:])
}

func mixHash(h *[32]byte, data []byte) {
	d := newBlake2s()
	d.Write(h[:])
	d.Write(data)
	d.Sum(h[:0])
}

func newBlake2s() hash.Hash {
	h, err := blake2s.New256(nil)
	if err != nil {
		panic(err) // only a key could be wrong, and there is none
	}
	return h
}

func hmacBlake2s(key []byte, parts ...[]byte) (sum [32]byte) {
	m := hmac.New(newBlake2s, key)
	for _, p := range parts {
		m.Write(p)
	}
	m.Sum(sum[:0])
	return sum
}

// keyedMAC is BLAKE2s-128 with a key, as in mac1 and mac2.
func keyedMAC(key, data []byte) (mac [16]byte) {
	m, err := blake2s.New128(key)
	if err != nil {
		panic(err) // only for keys longer than 32 bytes
	}
	m.Write(data)
	m.Sum(mac[:0])
	return mac
}

// ephemeral takes a public key that is sent in clear into the state.
func (n *noiseState) ephemeral(pub *[32]byte) {
	mixHash(&n.h, pub[:])
	n.mixKey(pub[:])
}

// mixKey derives a new chaining key and a key to encrypt with.
func (n *noiseState) mixKey(input []byte) {
	prk := hmacBlake2s(n.ck[:], input)
	n.ck = hmacBlake2s(prk[:], []byte{1})
	n.key = hmacBlake2s(prk[:], n.ck[:], []byte{2})
}

// mixPSK takes the password in. Without one it is zero.
func (n *noiseState) mixPSK(psk *[32]byte) {
	prk := hmacBlake2s(n.ck[:], psk[:])
	n.ck = hmacBlake2s(prk[:], []byte{1})
	tau := hmacBlake2s(prk[:], n.ck[:], []byte{2})
	n.key = hmacBlake2s(prk[:], tau[:], []byte{3})
	mixHash(&n.h, tau[:])
}

// mixDH takes a key agreement in. It reports false if the other's key is of
// low order.
func (n *noiseState) mixDH(priv, pub *[32]byte) bool {
	dh, ok := agree(priv, pub)
	n.mixKey(dh[:])
	return ok
}

var noiseNonce [chacha20poly1305.NonceSize]byte

// encrypt appends text, sealed, to b. The state does not hash it: see absorb.
func (n *noiseState) encrypt(b, text []byte) []byte {
	return newAEAD(&n.key).Seal(b, noiseNonce[:], text, n.h[:])
}

// decrypt appends the plain text of sealed to b.
func (n *noiseState) decrypt(b, sealed []byte) ([]byte, bool) {
	text, err := newAEAD(&n.key).Open(b, noiseNonce[:], sealed, n.h[:])
	return text, err == nil
}

// absorb hashes a sealed field.
func (n *noiseState) absorb(sealed []byte) { mixHash(&n.h, sealed) }

// split ends the handshake: the keys of the initiator's and of the
// responder's packets.
func (n *noiseState) split() (fromInitiator, fromResponder [32]byte) {
	n.mixKey(nil)
	return n.ck, n.key
}

func newAEAD(key *[32]byte) cipher.AEAD {
	a, err := chacha20poly1305.New(key[:])
	if err != nil {
		panic(err) // only for keys of another length
	}
	return a
}

// mac1Key is the key of mac1 in messages to the owner of pub, which shows that
// their sender knows whom it is talking to.
func mac1Key(pub *[32]byte) [32]byte {
	return blake2s.Sum256(append([]byte("mac1----"), pub[:]...))
}

// mac1Of returns mac1 and what it is of: the message from its type on.
func mac1Of(msg []byte) (mac1, body []byte) {
	at := len(msg) - macsLen
	return msg[at : at+16], msg[4:at]
}

// putMACs appends mac1, and mac2 if there is a cookie, to the control message
// msg to the owner of pub.
func putMACs(msg []byte, pub *[32]byte, cookie []byte) []byte {
	key := mac1Key(pub)
	mac := keyedMAC(key[:], msg[4:])
	msg = append(msg, mac[:]...)
	var mac2 [16]byte
	if cookie != nil {
		mac2 = keyedMAC(cookie, msg[4:])
	}
	return append(msg, mac2[:]...)
}

// noiseAuth is a password as the Noise variant uses it.
type noiseAuth struct {
	psk   [32]byte
	named challenge
}

// authNoise is the kind of authentication in Noise.
const authNoise = 3

func newNoiseAuth(password []byte, login string) (a noiseAuth) {
	if len(password) > 64 {
		password = password[:64] // as cjdns does, instead of hashing it
	}
	inter := hmacBlake2s(password, []byte(login), []byte{authNoise})
	a.psk = hmacBlake2s(inter[:], []byte{0})
	lookup := hmacBlake2s(inter[:], []byte{1})
	copy(a.named[:], lookup[:])
	a.named[0] = authNoise
	return a
}

// Kinds of entries in the additional data of an initiation: kind, length of
// the value, value.
const (
	tlvPadding  = 0
	tlvAuth     = 1 // the challenge
	tlvPrevious = 2 // index of an earlier session; it harms, so nobody uses it
	tlvVersion  = 3 // protocol version of the sender, 4 bytes
)

// appendAdditional writes the additional data, a multiple of 4 bytes.
func appendAdditional(b []byte, version uint32, auth *noiseAuth) []byte {
	if auth == nil {
		b = append(b, tlvPadding, 0)
	}
	b = append(b, tlvVersion, 4)
	b = binary.LittleEndian.AppendUint32(b, version)
	if auth != nil {
		b = append(b, tlvAuth, 8)
		b = append(b, auth.named[:]...)
	}
	return b
}

// parseAdditional reads the additional data. Unknown kinds are skipped, and
// everything else must be right, as in cjdns. named is zero without auth.
func parseAdditional(b []byte) (named challenge, version uint32, ok bool) {
	for len(b) > 0 {
		if len(b) < 2 || len(b) < 2+int(b[1]) {
			return named, version, false
		}
		kind, v := b[0], b[2:2+int(b[1])]
		b = b[2+len(v):]
		switch {
		case kind == tlvPadding:
			for _, c := range v {
				if c != 0 {
					return named, version, false
				}
			}
		case kind == tlvAuth && len(v) == 8 && v[0] == authNoise:
			named = challenge(v)
		case kind == tlvVersion && len(v) == 4:
			version = binary.LittleEndian.Uint32(v)
		case kind == tlvAuth, kind == tlvVersion, kind == tlvPrevious && len(v) != 4:
			return named, version, false
		}
	}
	return named, version, true
}

// tai64n is a timestamp, 12 bytes, that compares like the bytes that it is.
type tai64n [12]byte

// newTAI64N converts the time of day. Source: D. J. Bernstein, TAI64N.
func newTAI64N(w WallTime) (t tai64n) {
	binary.BigEndian.PutUint64(t[:], uint64(w.Sec)+1<<62+37)
	binary.BigEndian.PutUint32(t[8:], w.Nsec)
	return t
}

// next returns the timestamp after t.
func (t tai64n) next() tai64n {
	for i := len(t) - 1; i >= 0; i-- {
		if t[i]++; t[i] != 0 {
			break
		}
	}
	return t
}
