package cryptoauth

import (
	"encoding/binary"

	"github.com/meshagent/meshagent/agent/cjdns"
)

// noiseControl is the first word of every control message of Noise.
const noiseControl = 0xffffffff

// ProbeHello reads the sender's permanent key from a hello, without any
// cryptography: anybody may have written it. ok is false if b cannot be a
// hello: 120 bytes at least, and the first word 0 or 1.
func ProbeHello(b []byte) (key cjdns.Key, ok bool) {
	h, err := cjdns.ParseCryptoHeader(b)
	return h.Key, err == nil && h.State <= cjdns.StateRepeatHello
}

// ProbeNoise reports whether b has the size and the first bytes of a Noise
// initiation: a stranger that wants to begin a session.
func ProbeNoise(b []byte) bool {
	const least = 4 + 148 // marker, and an initiation without additional data
	return len(b) >= least && binary.BigEndian.Uint32(b) == noiseControl && binary.LittleEndian.Uint32(b[4:]) == 1
}

// IsNoiseControl reports whether b has the size of a control message of the
// Noise variant: initiation, response or cookie.
func IsNoiseControl(b []byte) bool {
	if len(b) == responseLen || len(b) == cookieLen {
		return binary.BigEndian.Uint32(b) == noiseControl
	}
	return ProbeNoise(b)
}

// IsHandshake reports whether b begins like a handshake packet of either
// kind: opening it may cost a key agreement.
func IsHandshake(b []byte) bool {
	word, ok := firstWord(b)
	return ok && (word < cjdns.StateTraffic || word == noiseControl)
}

// firstWord returns the big-endian word at the front of p.
func firstWord(p []byte) (uint32, bool) {
	if len(p) < 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(p), true
}
