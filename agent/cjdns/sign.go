package cjdns

import (
	"crypto/sha512"
	"crypto/subtle"
	"errors"

	"filippo.io/edwards25519"
)

// SignatureLen is the length of a signature, in bytes.
const SignatureLen = 64

// ErrSigningKey reports 32 bytes that are not a point of the curve.
var ErrSigningKey = errors.New("cjdns: malformed signing key")

// VerifyKey is the public half of a signing key, an Ed25519 public key. The
// node's permanent key can be computed from it, see Key.
type VerifyKey [32]byte

// SigningKey signs with a node's permanent private key. Ordinary Ed25519
// hashes a seed to get its scalar; here the private key is the scalar, so
// that who has the public signing key has the X25519 key too. Signatures are
// ordinary Ed25519. Source: cjdns crypto/Sign.c.
type SigningKey struct {
	secret PrivateKey // clamped
	scalar *edwards25519.Scalar
	public VerifyKey
}

// NewSigningKey returns the signing key of p. It costs one multiplication.
func NewSigningKey(p PrivateKey) *SigningKey {
	s, err := edwards25519.NewScalar().SetBytesWithClamping(p[:])
	if err != nil {
		panic("cjdns: scalar of 32 bytes refused: " + err.Error())
	}
	p[0] &= 248
	p[31] = p[31]&63 | 64
	k := &SigningKey{secret: p, scalar: s}
	copy(k.public[:], new(edwards25519.Point).ScalarBaseMult(s).Bytes())
	return k
}

// Public returns the key that verifies what k signs.
func (k *SigningKey) Public() VerifyKey { return k.public }

// Sign returns the signature of msg. rand fills a slice with random bytes;
// even if they are bad the private key stays safe, because they are hashed
// together with it and with msg.
func (k *SigningKey) Sign(rand func([]byte), msg []byte) (sig [SignatureLen]byte) {
	var seed [64]byte
	copy(seed[:], k.secret[:])
	rand(seed[32:])
	az := sha512.Sum512(seed[:])
	r := hashScalar(az[32:], msg, nil)
	copy(sig[:], new(edwards25519.Point).ScalarBaseMult(r).Bytes())
	h := hashScalar(sig[:32], k.public[:], msg)
	copy(sig[32:], h.MultiplyAdd(h, k.scalar, r).Bytes())
	return sig
}

// Verify reports whether sig is a signature of msg by v. The signature must
// be SignatureLen bytes long.
func (v VerifyKey) Verify(msg, sig []byte) bool {
	if len(sig) != SignatureLen {
		return false
	}
	a, err := new(edwards25519.Point).SetBytes(v[:])
	if err != nil {
		return false
	}
	s, err := edwards25519.NewScalar().SetCanonicalBytes(sig[32:])
	if err != nil {
		return false
	}
	h := hashScalar(sig[:32], v[:], msg)
	r := new(edwards25519.Point).VarTimeDoubleScalarBaseMult(h, a.Negate(a), s)
	return subtle.ConstantTimeCompare(r.Bytes(), sig[:32]) == 1
}

// KeyFromSigning returns the permanent public key of the node that signs with
// v. The only error is ErrSigningKey. The caller checks that the address of
// the key is valid.
func KeyFromSigning(v VerifyKey) (k Key, err error) {
	p, err := new(edwards25519.Point).SetBytes(v[:])
	if err != nil {
		return k, ErrSigningKey
	}
	copy(k[:], p.BytesMontgomery())
	return k, nil
}

// ErrWeakKey reports a signing key that is written in an unusual way or whose
// point has a small order: signatures by it prove nothing.
var ErrWeakKey = errors.New("cjdns: weak signing key")

// Identity is KeyFromSigning for keys that others claim as theirs: encodings
// that are not canonical and points of small order are refused with
// ErrWeakKey, before anything is checked with them. The caller checks that the
// address of the key is valid.
func (v VerifyKey) Identity() (k Key, err error) {
	p, err := new(edwards25519.Point).SetBytes(v[:])
	if err != nil {
		return k, ErrSigningKey
	}
	if VerifyKey(p.Bytes()) != v || new(edwards25519.Point).MultByCofactor(p).Equal(edwards25519.NewIdentityPoint()) == 1 {
		return k, ErrWeakKey
	}
	copy(k[:], p.BytesMontgomery())
	return k, nil
}

// SameNode reports whether v and w stand for one node: a point and its
// negative have the same X25519 key.
func (v VerifyKey) SameNode(w VerifyKey) bool {
	v[31] &= 0x7f
	w[31] &= 0x7f
	return v == w
}

// hashScalar returns the SHA-512 of a, b and c, one after the other, modulo
// the order of the group.
func hashScalar(a, b, c []byte) *edwards25519.Scalar {
	h := sha512.New()
	h.Write(a)
	h.Write(b)
	h.Write(c)
	s, err := edwards25519.NewScalar().SetUniformBytes(h.Sum(nil))
	if err != nil {
		panic("cjdns: scalar of 64 bytes refused: " + err.Error())
	}
	return s
}
