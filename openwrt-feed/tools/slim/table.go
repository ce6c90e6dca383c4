package slim

import (
	"bytes"
	"fmt"
	"strings"
)

// Fields of _func, in bytes from its beginning.
const (
	fEntry, fName, fPCSP, fPCFile, fPCLine, fNPCData, fCU, fStart, fNFuncData = 0, 4, 16, 20, 24, 28, 32, 36, 43
	funcLen                                                                   = 44

	none = ^uint32(0) // "no such data"
)

// Tables of a function by their number (internal/abi/symtab.go).
const (
	pcUnsafe, pcInline, pcArgLive                = 0, 2, 3
	dataObjects, dataInline, dataArgs, dataAlive = 2, 3, 5, 6
)

// damage is what the accessors below panic with; Slim makes an error of it.
type damage string

// function is a function's entry in the tables: where its _func begins, and how
// many tables follow.
type function struct {
	at, npc, ndata int
	name           string
}

func (m *image) u32(at int) uint32 {
	if at < 0 || at+4 > len(m.tab) {
		panic(damage(fmt.Sprintf("an offset of %d in %d bytes", at, len(m.tab))))
	}
	return m.order.Uint32(m.tab[at:])
}

func (m *image) put(at int, v uint32) {
	m.u32(at)
	m.order.PutUint32(m.tab[at:], v)
}

// function reads the entry of the i-th function.
func (m *image) function(i int) function {
	f := function{at: m.funcs + int(m.u32(m.funcs+8*i+4))}
	f.npc = int(m.u32(f.at + fNPCData))
	if f.at < m.funcs+8*m.nfunc+4 || f.at+funcLen > m.data || f.npc > 8 {
		panic(damage(fmt.Sprintf("function %d lies outside of the table", i)))
	}
	f.ndata = int(m.tab[f.at+fNFuncData])
	if f.tables()+4*(f.npc+f.ndata) > m.data || m.u32(f.at+fEntry) != m.u32(m.funcs+8*i) {
		panic(damage(fmt.Sprintf("function %d is not where the table says", i)))
	}
	f.name = m.name(m.u32(f.at + fName))
	return f
}

// tables is where the offsets of a function's tables of addresses begin; those
// of its data follow.
func (f function) tables() int { return f.at + funcLen }

func (f function) pc(j int) int   { return f.tables() + 4*j }
func (f function) data(j int) int { return f.tables() + 4*(f.npc+j) }

// name is the name of a function at that offset.
func (m *image) name(off uint32) string {
	b := m.tab[m.names:m.cus]
	if int64(off) >= int64(len(b)) {
		panic(damage("a name lies outside of the table"))
	}
	b = b[off:]
	n := bytes.IndexByte(b, 0)
	if n < 0 {
		panic(damage("a name does not end"))
	}
	return string(b[:n])
}

// ofRuntime reports whether asynchronous preemption keeps out of functions of
// this name (runtime/preempt.go, isAsyncSafePoint).
func ofRuntime(name string) bool {
	for _, p := range []string{"runtime.", "internal/runtime/", "reflect."} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// sequence is the table of addresses at that offset, with its end mark: pairs
// of numbers, how much the value and the address change, in base 128. A value
// that does not change ends it, except at its beginning. last is where the last
// change of the address stands in it.
func (m *image) sequence(off uint32) (seq string, last int) {
	b := m.tab[m.pcs:m.funcs]
	at := int(off)
	number := func() (zero bool) {
		zero = true
		for {
			if at >= len(b) {
				panic(damage("a table of addresses does not end"))
			}
			c := b[at]
			at++
			zero = zero && c&0x7f == 0
			if c < 0x80 {
				return zero
			}
		}
	}
	for first := true; !number() || first; first = false {
		last = at - int(off)
		number()
	}
	return string(b[off:at]), last
}
