//go:build !(386 || arm || mips || mipsle)

package cryptoauth

import "filippo.io/edwards25519/field"

// element is an element of the field that X25519 computes in.
type element = field.Element
