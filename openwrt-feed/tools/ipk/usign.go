package ipk

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Keys and signatures in the form of OpenWrt's usign: a line of comment, and
// base64 of
//
//	public key  "Ed" | fingerprint 8 | key 32
//	signature   "Ed" | fingerprint 8 | signature 64
//	secret key  "Ed" "BK" | rounds u32 0 | salt 16 | checksum 8 | fingerprint 8 | key 64
//
// The fingerprint is drawn at random with the key.

// Key is an Ed25519 key pair with its fingerprint; Secret may be missing.
type Key struct {
	Fingerprint [8]byte
	Public      ed25519.PublicKey
	Secret      ed25519.PrivateKey
}

const (
	usignAlg    = "Ed"
	usignKDF    = "BK"
	comment     = "untrusted comment: "
	publicLen   = 2 + 8 + 32
	sigLen      = 2 + 8 + 64
	secretLen   = 2 + 2 + 4 + 16 + 8 + 8 + 64
	secretCheck = 2 + 2 + 4 + 16
)

// NewKey makes a key of 40 random bytes.
func NewKey(random []byte) *Key {
	k := &Key{Fingerprint: [8]byte(random), Secret: ed25519.NewKeyFromSeed(random[8:40])}
	k.Public = k.Secret.Public().(ed25519.PublicKey) //nolint:forcetypeassert // always
	return k
}

// Name is the name of the public key in /etc/opkg/keys.
func (k *Key) Name() string { return hex.EncodeToString(k.Fingerprint[:]) }

func usignText(what string, parts ...[]byte) []byte {
	return []byte(comment + what + "\n" + base64.StdEncoding.EncodeToString(bytes.Join(parts, nil)) + "\n")
}

// EncodePublic is the file of the public key.
func (k *Key) EncodePublic() []byte {
	return usignText("public key "+k.Name(), []byte(usignAlg), k.Fingerprint[:], k.Public)
}

// EncodeSecret is the file of the secret key, without a pass phrase.
func (k *Key) EncodeSecret() []byte {
	sum := sha512.Sum512(k.Secret)
	return usignText("private key "+k.Name(), []byte(usignAlg+usignKDF), make([]byte, 4+16), sum[:8], k.Fingerprint[:], k.Secret)
}

// Sign makes the file of a signature over message.
func (k *Key) Sign(message []byte) []byte {
	return usignText("signed by key "+k.Name(), []byte(usignAlg), k.Fingerprint[:], ed25519.Sign(k.Secret, message))
}

// Verify checks the file of a signature.
func (k *Key) Verify(message, signature []byte) error {
	b, err := usignBytes(signature, sigLen)
	switch {
	case err != nil:
		return err
	case !bytes.Equal(b[2:10], k.Fingerprint[:]):
		return errors.New("usign: signed by another key")
	case !ed25519.Verify(k.Public, message, b[10:]):
		return errors.New("usign: the signature is wrong")
	}
	return nil
}

func usignBytes(text []byte, n int) ([]byte, error) {
	first, rest, _ := strings.Cut(string(text), "\n")
	if !strings.HasPrefix(first, comment) {
		return nil, errors.New("usign: expected a line of comment first")
	}
	b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(rest))
	switch {
	case err != nil:
		return nil, fmt.Errorf("usign: %w", err)
	case len(b) != n || string(b[:2]) != usignAlg:
		return nil, fmt.Errorf("usign: %d bytes; expected %d that begin with %s", len(b), n, usignAlg)
	}
	return b, nil
}

// ParsePublic reads the file of a public key.
func ParsePublic(text []byte) (*Key, error) {
	b, err := usignBytes(text, publicLen)
	if err != nil {
		return nil, err
	}
	return &Key{Fingerprint: [8]byte(b[2:]), Public: b[10:]}, nil
}

// ParseSecret reads the file of a secret key without a pass phrase.
func ParseSecret(text []byte) (*Key, error) {
	b, err := usignBytes(text, secretLen)
	if err != nil {
		return nil, err
	}
	if string(b[2:4]) != usignKDF || !bytes.Equal(b[4:8], make([]byte, 4)) {
		return nil, errors.New("usign: the secret key has a pass phrase; expected one without")
	}
	secret := ed25519.PrivateKey(b[secretCheck+16:])
	if sum := sha512.Sum512(secret); !bytes.Equal(sum[:8], b[secretCheck:secretCheck+8]) {
		return nil, errors.New("usign: the secret key is damaged")
	}
	k := &Key{Fingerprint: [8]byte(b[secretCheck+8:]), Secret: secret}
	k.Public = secret.Public().(ed25519.PublicKey) //nolint:forcetypeassert // always
	return k, nil
}
