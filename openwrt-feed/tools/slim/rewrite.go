package slim

import (
	"bytes"
	"maps"
	"slices"
	"sort"
	"strings"
)

// record is what is known of a function while its tables are written anew.
type record struct {
	head   []byte    // the fields of _func, as they were
	name   string    // what it will be called
	seqs   [9]string // the table of addresses of fPCSP, and behind it the others; empty: none
	npc    int
	data   []uint32 // where each piece of data lay; none: there is none
	places []uint32 // and where it lies now
}

// rewrite lays all tables out anew, in the order that compresses best, and
// clears what is behind them. Returned are the bytes in use.
func (m *image) rewrite(funcs []function, spans map[uint32]uint32) int {
	records := make([]record, len(funcs))
	for i, f := range funcs {
		records[i] = m.record(f)
	}
	trees := m.treeNames(funcs, spans)
	names := m.writeNames(records, trees)
	left := names.end + m.writeData(records, spans, trees, names)
	where := m.writeSequences(records)
	left += where.end
	return left + m.writeRecords(records, names, where)
}

// record reads a function. What is missing at the end of a list needs no
// mention.
func (m *image) record(f function) record {
	r := record{head: bytes.Clone(m.tab[f.at : f.at+funcLen]), name: m.brief(f.name)}
	r.seqs[0] = m.shared(m.u32(f.at+fPCSP), -1)
	for j := range f.npc {
		r.seqs[1+j] = m.shared(m.u32(f.pc(j)), j)
		if r.seqs[1+j] != "" {
			r.npc = j + 1
		}
	}
	for j := range f.ndata {
		r.data = append(r.data, m.u32(f.data(j)))
	}
	for len(r.data) > 0 && r.data[len(r.data)-1] == none {
		r.data = r.data[:len(r.data)-1]
	}
	r.places = slices.Clone(r.data)
	return r
}

// brief is what a function is called from now on. The program's own keep their
// names; types of a generic one are not printed anyway. Of others the package is
// left, as much as the runtime compares, and names that tell where a traceback
// begins and ends, and where it panicked.
func (m *image) brief(name string) string {
	for _, p := range []string{
		"main.", m.module + "/",
		"runtime.panic", "runtime.goPanic", "runtime.gopanic", "runtime.sigpanic", "runtime.throw", "runtime.fatal",
		"runtime.main", "runtime.goexit", "runtime.gopark",
		"reflect.makeFuncStub", "reflect.methodValueCall", // the runtime looks for them
	} {
		if strings.HasPrefix(name, p) {
			return printed(name)
		}
	}
	if rest, ok := strings.CutPrefix(name, "runtime."); ok && rest != "" && ('A' <= rest[0] && rest[0] <= 'Z') {
		return name
	}
	path, _, _ := strings.Cut(name, "[")
	slash := strings.LastIndexByte(path, '/') + 1
	if dot := strings.IndexByte(path[slash:], '.'); dot >= 0 {
		return path[:slash+dot] + ".?"
	}
	return name
}

// table is where things lie in a table that is written anew.
type table struct {
	at  map[string]uint32
	end int
}

// add puts s behind what is in b already, if it is not there.
func (t *table) add(b []byte, s string) {
	if _, ok := t.at[s]; ok {
		return
	}
	if t.end+len(s) > len(b) {
		panic(damage("tables overlap"))
	}
	t.at[s] = uint32(t.end) //nolint:gosec // a part of a file
	t.end += copy(b[t.end:], s)
}

func newTable(b []byte) *table {
	clear(b)
	return &table{at: make(map[string]uint32), end: 1} // offset 0 is "none"
}

// treeNames reads the names in trees of inlined calls that are left: by where
// a tree lies, one for each entry.
func (m *image) treeNames(funcs []function, spans map[uint32]uint32) map[uint32][]string {
	trees := make(map[uint32][]string)
	for _, f := range funcs {
		if f.ndata <= dataInline || m.u32(f.data(dataInline)) == none {
			continue
		}
		v := m.u32(f.data(dataInline))
		trees[v] = nil
		for at := v; at+16 <= spans[v]; at += 16 {
			trees[v] = append(trees[v], m.brief(m.name(m.u32(m.data+int(at)+4))))
		}
	}
	return trees
}

// writeNames writes the names in the order of functions.
func (m *image) writeNames(records []record, trees map[uint32][]string) *table {
	b := m.tab[m.names:m.cus]
	t := newTable(b)
	for _, r := range records {
		t.add(b, r.name+"\x00")
	}
	for _, at := range slices.Sorted(maps.Keys(trees)) {
		for _, n := range trees[at] {
			t.add(b, n+"\x00")
		}
	}
	return t
}

// piece is data that functions refer to.
type piece struct {
	from, to uint32 // where it lay
	kind     int    // first number under which a function refers to it
	align    int
}

// pieces lists the data that is left, those of a kind together, similar ones
// side by side.
func (m *image) pieces(records []record, spans map[uint32]uint32, old []byte) []*piece {
	var list []*piece
	known := make(map[uint32]*piece)
	for _, r := range records {
		for kind, v := range r.data {
			if v == none {
				continue
			}
			p := known[v]
			if p == nil {
				p = &piece{from: v, to: spans[v], kind: kind, align: 4}
				known[v] = p
				list = append(list, p)
			}
			if kind == dataObjects {
				p.align = m.ptr
			}
		}
	}
	sort.SliceStable(list, func(i, j int) bool {
		a, b := list[i], list[j]
		if a.kind != b.kind {
			return a.kind < b.kind
		}
		return bytes.Compare(old[a.from:a.to], old[b.from:b.to]) < 0
	})
	return list
}

// writeData writes the data that is left, and tells the records where it is.
// In trees of inlined calls (type inlinedCall, 16 bytes) names have moved, and
// line numbers go. Returned are the bytes in use.
func (m *image) writeData(records []record, spans map[uint32]uint32, trees map[uint32][]string, names *table) int {
	b := m.tab[m.data:m.index]
	old := bytes.Clone(b)
	clear(b)
	for v, list := range trees {
		for i, n := range list {
			entry := old[int(v)+16*i:]
			m.order.PutUint32(entry[4:], names.at[n+"\x00"])
			m.order.PutUint32(entry[12:], 0)
		}
	}
	end := 0
	place := map[uint32]uint32{none: none}
	for _, p := range m.pieces(records, spans, old) {
		end = (end + p.align - 1) / p.align * p.align
		if end+int(p.to-p.from) > len(b) {
			panic(damage("data of functions overlap"))
		}
		place[p.from] = uint32(end) //nolint:gosec // a part of a file
		end += copy(b[end:], old[p.from:p.to])
	}
	for _, r := range records {
		for j, v := range r.data {
			r.places[j] = place[v]
		}
	}
	return end
}

// forever ends a table of addresses: the value before it holds for 1<<26 steps
// of code, more than open takes.
const forever = "\xff\xff\xff\x1f\x00"

// shared is the table of addresses at that offset in the form that most
// functions have alike: its last value holds for ever, and unsafe points are
// -2, "unsafe", from -1 on.
func (m *image) shared(off uint32, kind int) string {
	switch {
	case off == 0:
		return ""
	case kind == pcUnsafe:
		return "\x01" + forever
	}
	s, last := m.sequence(off)
	return s[:last] + forever
}

// writeSequences writes the tables of addresses, sorted by kind and content:
// neighbours then begin alike, and compress to a half of what they do in the
// linker's order.
func (m *image) writeSequences(records []record) *table {
	b := m.tab[m.pcs:m.funcs]
	t := newTable(b)
	for kind := range len(records[0].seqs) {
		var list []string
		for _, r := range records {
			if r.seqs[kind] != "" {
				list = append(list, r.seqs[kind])
			}
		}
		sort.Strings(list)
		for _, s := range list {
			t.add(b, s)
		}
	}
	return t
}

// writeRecords writes what the runtime knows of each function (type _func), and
// the place of each into the index. Returned are the bytes in use.
func (m *image) writeRecords(records []record, names, where *table) int {
	// Almost every record fits into 64 bytes. Their places then form a regular
	// row. Some small programs have no room for that.
	begin := 8*m.nfunc + 4
	places, end := rows(records, begin, 64)
	if m.funcs+end > m.data {
		places, end = rows(records, begin, 4)
	}
	if m.funcs+end > m.data {
		panic(damage("functions overlap"))
	}
	clear(m.tab[m.funcs+begin : m.data])
	for i, r := range records {
		at := m.funcs + places[i]
		m.put(m.funcs+8*i+4, uint32(places[i])) //nolint:gosec // a part of a file
		copy(m.tab[at:], r.head)
		m.put(at+fName, names.at[r.name+"\x00"])
		m.put(at+fPCSP, where.at[r.seqs[0]])
		m.put(at+fNPCData, uint32(r.npc)) //nolint:gosec // 8 at most
		m.tab[at+fNFuncData] = byte(len(r.places))
		at += funcLen
		for _, s := range r.seqs[1 : 1+r.npc] {
			m.put(at, where.at[s])
			at += 4
		}
		for _, p := range r.places {
			m.put(at, p)
			at += 4
		}
	}
	return end
}

// rows finds a place for each record, a multiple of slot, from begin on.
func rows(records []record, begin, slot int) (places []int, end int) {
	end = begin
	for _, r := range records {
		at := (end + slot - 1) / slot * slot
		places = append(places, at)
		end = at + funcLen + 4*(r.npc+len(r.places))
	}
	return places, end
}
