package slim

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"strings"
)

// goVersion is the release whose tables this package knows, and magic what the
// tables of that release begin with (internal/abi.CurrentPCLnTabMagic).
const (
	goVersion = "go1.26"
	magic     = 0xfffffff1
)

// image is a program and where its tables lie. Offsets are into tab.
type image struct {
	order binary.ByteOrder
	ptr   int    // bytes of a pointer
	text  uint64 // address of the code
	tab   []byte // the section .gopclntab, a part of the file
	nfunc int

	module string // path of the program's own module

	names, cus, files, pcs, funcs, data, index int // where each table begins; each ends where the next does
}

// open finds the tables in the program b, and keeps b.
func open(b []byte) (*image, error) {
	info, err := buildinfo.Read(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("not a Go program: %w", err)
	}
	if v := info.GoVersion; v != goVersion && !strings.HasPrefix(v, goVersion+".") {
		return nil, fmt.Errorf("built by %s, and only the tables of %s are known: compare its runtime/symtab.go with this package, or build without it (SLIM=)", v, goVersion)
	}
	f, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	if f.Type != elf.ET_EXEC {
		return nil, fmt.Errorf("%v: only static programs at a fixed address are known", f.Type)
	}
	m := &image{order: f.ByteOrder, ptr: 4, module: info.Main.Path}
	if f.Class == elf.ELFCLASS64 {
		m.ptr = 8
	}
	var part [3][]byte
	for i, name := range []string{".text", ".gopclntab", ".go.module"} {
		s := f.Section(name)
		if s == nil || s.Type != elf.SHT_PROGBITS || s.Offset+s.Size > uint64(len(b)) || s.Offset+s.Size < s.Offset {
			return nil, fmt.Errorf("no section %s", name)
		}
		part[i] = b[s.Offset : s.Offset+s.Size]
	}
	if len(part[0]) >= 1<<26 {
		return nil, fmt.Errorf("%d bytes of code are too many", len(part[0]))
	}
	m.text, m.tab = f.Section(".text").Addr, part[1]
	return m, m.locate(f.Section(".gopclntab").Addr, part[2])
}

// locate reads the header of the tables, which lie at the address base, and
// compares it with the runtime's own description of them (type moduledata).
func (m *image) locate(base uint64, module []byte) error {
	// moduledata in words: pcHeader, six slices of three words, findfunctab,
	// twenty addresses, gofunc.
	const header, index, data = 0, 19, 40
	if len(m.tab) < 8+8*m.ptr || len(module) < (data+1)*m.ptr {
		return fmt.Errorf("tables of %d and %d bytes are too short", len(m.tab), len(module))
	}
	if got := m.order.Uint32(m.tab); got != magic {
		return fmt.Errorf("tables begin with %#x and not with %#x: not those of %s", got, uint32(magic), goVersion)
	}
	if got := int(m.tab[7]); got != m.ptr {
		return fmt.Errorf("tables are for pointers of %d bytes, and the program has %d", got, m.ptr)
	}
	head := func(i int) int { return int(m.word(m.tab, 8+i*m.ptr)) } //nolint:gosec // compared below
	m.nfunc = head(0)
	m.names, m.cus, m.files, m.pcs, m.funcs = head(3), head(4), head(5), head(6), head(7)
	mod := func(i int) int { return int(m.word(module, i*m.ptr) - base) } //nolint:gosec // compared below
	m.index, m.data = mod(index), mod(data)
	if mod(header) != 0 || mod(1) != m.names || mod(4) != m.cus || mod(7) != m.files || mod(10) != m.pcs || mod(13) != m.funcs || mod(16) != m.funcs {
		return fmt.Errorf("the runtime's description of the tables says otherwise than their header: not those of %s", goVersion)
	}
	last := 8 + 8*m.ptr
	for _, at := range []int{m.names, m.cus, m.files, m.pcs, m.funcs, m.data, m.index, len(m.tab)} {
		if at < last || at > len(m.tab) {
			return fmt.Errorf("tables are not in the order of %s", goVersion)
		}
		last = at
	}
	if m.nfunc < 1 || m.nfunc > (m.data-m.funcs)/8 {
		return fmt.Errorf("%d functions in %d bytes", m.nfunc, m.data-m.funcs)
	}
	return nil
}

// word reads the pointer-sized number at off.
func (m *image) word(b []byte, off int) uint64 {
	if m.ptr == 4 {
		return uint64(m.order.Uint32(b[off:]))
	}
	return m.order.Uint64(b[off:])
}
