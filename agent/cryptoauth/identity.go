package cryptoauth

import "github.com/meshagent/meshagent/agent/cjdns"

// Identity is a node's permanent key pair and what follows from it. It is
// immutable and may be shared. Only NewIdentity and GenerateIdentity make one.
type Identity struct {
	Private cjdns.PrivateKey
	Public  cjdns.Key
	IP      cjdns.IP
	mac1    [32]byte // key of mac1 in Noise messages to us
}

// NewIdentity derives the public key and address of p. The only error is
// cjdns.ErrNotFC: the key cannot take part in the network.
func NewIdentity(p cjdns.PrivateKey) (*Identity, error) {
	id := &Identity{Private: p}
	id.Public = publicKey((*[32]byte)(&p))
	id.IP = id.Public.IP()
	id.mac1 = mac1Key((*[32]byte)(&id.Public))
	if !id.IP.Valid() {
		return nil, cjdns.ErrNotFC
	}
	return id, nil
}

// GenerateIdentity draws private keys from rand until one hashes into
// fc00::/8: 256 tries on average, some 10 ms on a PC and some seconds on a
// small router.
func GenerateIdentity(rand func([]byte)) *Identity {
	for {
		var p cjdns.PrivateKey
		rand(p[:])
		if id, err := NewIdentity(p); err == nil {
			return id
		}
	}
}

// publicKey returns X25519(priv, 9).
func publicKey(priv *[32]byte) [32]byte { return x25519(priv, &[32]byte{9}) }
