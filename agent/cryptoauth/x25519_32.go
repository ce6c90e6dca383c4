//go:build 386 || arm || mips || mipsle

package cryptoauth

// element is an element of the field that X25519 computes in.
type element = limbs
