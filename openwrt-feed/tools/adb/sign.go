package adb

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha512"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
)

// hashSHA512 is the number of the only hash that signatures use.
const hashSHA512 = 4

const (
	keyIDLen  = 16
	sigHeader = 2 + keyIDLen
)

// Signature is a signature block: version, hash, key and the signature proper,
// ECDSA in DER over
//
//	schema u32 | version u8 | hash u8 | key id | SHA-512 of the database
type Signature struct {
	KeyID [keyIDLen]byte
	Sig   []byte
}

func (s *Signature) header() []byte { return append([]byte{0, hashSHA512}, s.KeyID[:]...) }

func (s *Signature) encode() []byte { return append(s.header(), s.Sig...) }

func parseSignature(b []byte) (s Signature, err error) {
	if len(b) <= sigHeader {
		return s, errors.New("adb: signature cut off")
	}
	if b[0] != 0 || b[1] != hashSHA512 {
		return s, fmt.Errorf("adb: signature of version %d with hash %d; expected 0 and %d", b[0], b[1], hashSHA512)
	}
	copy(s.KeyID[:], b[2:])
	s.Sig = b[sigHeader:]
	return s, nil
}

// KeyID names a public key: the start of the SHA-512 of its point.
func KeyID(pub *ecdsa.PublicKey) (id [keyIDLen]byte, err error) {
	point, err := pub.Bytes()
	if err != nil {
		return id, err
	}
	sum := sha512.Sum512(point)
	copy(id[:], sum[:])
	return id, nil
}

func (f *File) digest(s *Signature) []byte {
	db := sha512.Sum512(f.DB)
	m := binary.LittleEndian.AppendUint32(nil, f.Schema)
	m = append(append(m, s.header()...), db[:]...)
	sum := sha512.Sum512(m)
	return sum[:]
}

// Sign adds a signature. The same key and database give the same signature
// (RFC 6979), so that packages can be built again to the same bytes.
func (f *File) Sign(key *ecdsa.PrivateKey) error {
	if key.Curve != elliptic.P256() {
		return errors.New("adb: not a key on the curve P-256, which apk uses")
	}
	id, err := KeyID(&key.PublicKey)
	if err != nil {
		return err
	}
	s := Signature{KeyID: id}
	if s.Sig, err = key.Sign(nil, f.digest(&s), crypto.SHA512); err != nil {
		return err
	}
	f.Sigs = append(f.Sigs, s)
	return nil
}

// Verify reports whether the key has signed the file.
func (f *File) Verify(pub *ecdsa.PublicKey) error {
	id, err := KeyID(pub)
	if err != nil {
		return err
	}
	for i := range f.Sigs {
		if s := &f.Sigs[i]; s.KeyID == id {
			if ecdsa.VerifyASN1(pub, f.digest(s), s.Sig) {
				return nil
			}
			return errors.New("adb: the signature is wrong")
		}
	}
	return errors.New("adb: not signed by this key")
}

// ParsePublicKey reads a public key as apk keeps them in /etc/apk/keys.
func ParsePublicKey(text []byte) (*ecdsa.PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("adb: expected a public key in PEM")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("adb: %w", err)
	}
	pub, ok := key.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("adb: a %T; expected a key on P-256", key)
	}
	return pub, nil
}

// ParsePrivateKey reads a key as "openssl ecparam -genkey" or apk's users make
// them: SEC 1 or PKCS 8, in PEM.
func ParsePrivateKey(text []byte) (*ecdsa.PrivateKey, error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "EC PRIVATE KEY":
			return x509.ParseECPrivateKey(block.Bytes)
		case "PRIVATE KEY":
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("adb: %w", err)
			}
			if ec, ok := key.(*ecdsa.PrivateKey); ok {
				return ec, nil
			}
			return nil, fmt.Errorf("adb: a %T; expected a key on P-256", key)
		}
	}
	return nil, errors.New("adb: expected a private key in PEM")
}

// EncodePublicKey is the opposite of ParsePublicKey.
func EncodePublicKey(pub *ecdsa.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// EncodePrivateKey returns a key as PKCS 8 in PEM.
func EncodePrivateKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
