package cryptoauth

import (
	"crypto/cipher"
	"encoding/binary"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

const (
	// noiseHeader is what a Noise data packet has in front: the receiver's
	// index and the packet number, both little endian. The tag is behind.
	noiseHeader = 8
	// rekeyAfter and rejectAfter bound the age of a Noise transport.
	// Source: WireGuard.
	rekeyAfter  = 120 * time.Second
	rejectAfter = 180 * time.Second
)

// noiseKeys are the keys of a Noise transport.
type noiseKeys struct {
	send, recv cipher.AEAD
	// index is our name for the transport, herIndex the peer's.
	index, herIndex uint32
	nonce           [chacha20poly1305.NonceSize]byte // scratch
}

func newNoiseTransport(send, recv *[32]byte, index, herIndex uint32, initiator bool) *transport {
	return &transport{
		key:   trafficKey{initiator: initiator},
		noise: &noiseKeys{send: newAEAD(send), recv: newAEAD(recv), index: index, herIndex: herIndex},
		win:   window{jump: 1}, // these peers do not jump
	}
}

func (k *noiseKeys) at(n uint32) []byte {
	binary.LittleEndian.PutUint32(k.nonce[4:], n)
	return k.nonce[:]
}

// seal makes b the data packet number n.
func (k *noiseKeys) seal(n uint32, b *pkt.Buf) error {
	if !b.CanPush(noiseHeader) || b.Extend(tagLen) == nil {
		return ErrNoRoom
	}
	p := b.Bytes()
	k.send.Seal(p[:0], k.at(n), p[:len(p)-tagLen], nil)
	h := b.Push(noiseHeader)
	binary.LittleEndian.PutUint32(h, k.herIndex)
	binary.LittleEndian.PutUint32(h[4:], n)
	return nil
}

// open decrypts p, a whole data packet, in place. If it reports false, p is
// unchanged unless it was addressed to us.
func (k *noiseKeys) open(p []byte) (n uint32, ok bool) {
	if len(p) < noiseHeader+tagLen || binary.LittleEndian.Uint32(p) != k.index {
		return 0, false
	}
	n = binary.LittleEndian.Uint32(p[4:])
	sealed := p[noiseHeader:]
	_, err := k.recv.Open(sealed[:0], k.at(n), sealed, nil)
	return n, err == nil
}

// tooOld reports whether a Noise transport is past its time.
func (t *transport) tooOld(now mono.Time) bool {
	return t.noise != nil && now.Sub(t.created) > rejectAfter
}

// aging reports whether it is time for us to begin a new handshake. Only the
// initiator does, so that not both do.
func (t *transport) aging(now mono.Time) bool {
	return t.noise != nil && t.key.initiator && now.Sub(t.created) > rekeyAfter
}
