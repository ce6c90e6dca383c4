package cryptoauth

// DecryptErr is the reason why Open refused a packet. Its values are cjdns's
// error codes, which also travel in AUTHENTICATION error frames. It is
// comparable and costs no allocation. The caller drops the packet; the session
// is unchanged, except that the reason is counted in Stats.Drops.
//
// Source: cjdns crypto/CryptoAuth.h, enum CryptoAuth_DecryptErr.
type DecryptErr uint8

// Reasons to refuse a packet.
const (
	ErrRunt            DecryptErr = 1  // shorter than its header
	ErrNoSession       DecryptErr = 2  // traffic, but no keys to open it with
	ErrFinalShake      DecryptErr = 3  // used by nobody, but named
	ErrFailedDecrypt   DecryptErr = 4  // used by nobody, but named
	ErrKeyEstablished  DecryptErr = 5  // key packet, but no handshake of ours is open
	ErrWrongPermKey    DecryptErr = 6  // another node's key, our own, or not in fc00::/8
	ErrIPRestricted    DecryptErr = 7  // the password belongs to another address
	ErrAuthRequired    DecryptErr = 8  // no valid password, but one is required
	ErrUnknownAuth     DecryptErr = 9  // a password was named that we do not know
	ErrStrayKey        DecryptErr = 10 // key packet without a hello of ours
	ErrHandshakeFailed DecryptErr = 11 // handshake packet does not open
	ErrWiseguy         DecryptErr = 12 // temporary key that leads to a known secret
	ErrInvalidPacket   DecryptErr = 13 // handshake packet that makes no sense now
	ErrReplay          DecryptErr = 14 // traffic seen before, or too old to tell
	ErrDecrypt         DecryptErr = 15 // traffic does not open
	ErrInternal        DecryptErr = 16 // Noise: we cannot take it now; stock nodes of v22 name it
)

// NumErrs is the number of reasons, 0 included: the length of Stats.Drops.
const NumErrs = 17

var decryptErrText = [NumErrs]string{
	"cryptoauth: no error",
	"cryptoauth: packet too short",
	"cryptoauth: traffic without a session",
	"cryptoauth: final shake",
	"cryptoauth: run message",
	"cryptoauth: key packet for an established session",
	"cryptoauth: wrong permanent key",
	"cryptoauth: password is bound to another address",
	"cryptoauth: password required",
	"cryptoauth: unknown password",
	"cryptoauth: key packet without a hello",
	"cryptoauth: handshake packet does not open",
	"cryptoauth: worthless temporary key",
	"cryptoauth: handshake packet out of order",
	"cryptoauth: packet seen before",
	"cryptoauth: traffic packet does not open",
	"cryptoauth: cannot be taken now",
}

// Error returns one lower-case sentence.
func (e DecryptErr) Error() string {
	if int(e) < len(decryptErrText) {
		return decryptErrText[e]
	}
	return "cryptoauth: unknown error"
}

// Code returns the number that cjdns gives the error, 1 to 16.
func (e DecryptErr) Code() uint8 { return uint8(e) }

// SealErr is the reason why Seal could not make a packet.
type SealErr uint8

const (
	// ErrNoRoom reports a buffer with too little headroom or tailroom.
	ErrNoRoom SealErr = iota + 1
	// ErrNoKey reports a session that does not know its peer yet: it can
	// only wait for a hello.
	ErrNoKey
	// ErrBadPeer reports that no secret can be agreed on with the peer: its
	// key is a point of low order.
	ErrBadPeer
)

// Error returns one lower-case sentence.
func (e SealErr) Error() string {
	switch e {
	case ErrNoKey:
		return "cryptoauth: peer unknown"
	case ErrBadPeer:
		return "cryptoauth: worthless key of the peer"
	default:
		return "cryptoauth: no room in the buffer"
	}
}
