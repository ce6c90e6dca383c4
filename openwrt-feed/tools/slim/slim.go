package slim

import (
	"fmt"
	"sort"
)

// Report says what Slim did.
type Report struct {
	Functions    int // in the program
	Before, Left int // bytes of tables of addresses and of data
}

// Slim takes the tables for tracebacks out of the program b, in place. A
// program of another release of Go, or one that is no static ELF program, is
// an error, and so is a second time. After an error b is not to be used.
func Slim(b []byte) (r Report, err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case damage:
			err = fmt.Errorf("the tables are damaged, or not those of %s: %s", goVersion, string(p))
		default:
			panic(p)
		}
	}()
	m, err := open(b)
	if err != nil {
		return r, err
	}
	// The files' names are never empty in what the linker writes.
	if m.files == m.pcs || m.tab[m.files] == 0 {
		return r, fmt.Errorf("nothing to take out: the program is slim already")
	}
	r.Functions = m.nfunc
	funcs := make([]function, m.nfunc)
	for i := range funcs {
		funcs[i] = m.function(i)
	}
	spans := m.spans(funcs)
	for _, f := range funcs {
		m.cut(f, spans)
	}
	clear(m.tab[m.cus:m.pcs])
	r.Before = m.index - m.names
	m.thinIndex()
	r.Left = m.rewrite(funcs, spans)
	return r, nil
}

// spans gives the end of each piece of data that a function refers to: where
// the next begins. Both are offsets from m.data.
func (m *image) spans(funcs []function) map[uint32]uint32 {
	var at []uint32
	for _, f := range funcs {
		for j := range f.ndata {
			if v := m.u32(f.data(j)); v != none {
				at = append(at, v)
			}
		}
	}
	sort.Slice(at, func(i, j int) bool { return at[i] < at[j] })
	size := uint32(m.index - m.data) //nolint:gosec // a part of a file
	spans := make(map[uint32]uint32)
	for i, v := range at {
		if v >= size {
			panic(damage("data of a function lies outside of the table"))
		}
		end := size
		if i+1 < len(at) {
			end = at[i+1]
		}
		if end != v {
			spans[v] = end
		}
	}
	return spans
}

// cut makes a function forget what only tracebacks use. Offset 0 is "no table".
func (m *image) cut(f function, spans map[uint32]uint32) {
	for _, field := range []int{fPCFile, fPCLine, fCU, fStart} {
		m.put(f.at+field, 0)
	}
	dropTable := func(j int) {
		if j < f.npc {
			m.put(f.pc(j), 0)
		}
	}
	dropData := func(j int) {
		if j < f.ndata {
			m.put(f.data(j), none)
		}
	}
	dropTable(pcArgLive)
	dropData(dataArgs)
	dropData(dataAlive)
	if ofRuntime(f.name) || !m.inlinesRuntime(f, spans) {
		dropTable(pcInline)
		dropData(dataInline)
	}
}

// inlinesRuntime reports whether something of the runtime was inlined into f.
// An entry of its tree (type inlinedCall) has 16 bytes, the name at 4.
func (m *image) inlinesRuntime(f function, spans map[uint32]uint32) bool {
	if f.ndata <= dataInline || m.u32(f.data(dataInline)) == none {
		return false
	}
	begin := m.u32(f.data(dataInline))
	for at := begin; at+16 <= spans[begin]; at += 16 {
		if ofRuntime(m.name(m.u32(m.data + int(at) + 4))) {
			return true
		}
	}
	return false
}

// thinIndex zeroes the sixteen steps inside of each 4 KiB of code, and leaves
// the first function of these (type findfuncbucket).
func (m *image) thinIndex() {
	const bucket, steps = 20, 16
	for at := m.index; at+bucket <= len(m.tab); at += bucket {
		clear(m.tab[at+bucket-steps : at+bucket])
	}
	if rest := (len(m.tab) - m.index) % bucket; rest > bucket-steps {
		clear(m.tab[len(m.tab)-rest+bucket-steps:])
	}
}
