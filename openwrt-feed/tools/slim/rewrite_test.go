package slim

import (
	"bytes"
	"runtime"
	"strings"
	"testing"
)

// TestTables compares all that the runtime asks of a slim program with what the
// linker wrote: for each function its fields, how large its frame is at each
// address and which map of the stack holds there, and these maps.
func TestTables(t *testing.T) {
	for _, arch := range []string{runtime.GOARCH, "mips", "arm"} {
		t.Run(arch, func(t *testing.T) {
			full := build(t, arch)
			thin := bytes.Clone(full)
			if _, err := Slim(thin); err != nil {
				t.Fatal(err)
			}
			a, err := open(full)
			if err != nil {
				t.Fatal(err)
			}
			b, err := open(thin)
			if err != nil {
				t.Fatal(err)
			}
			funcs := make([]function, a.nfunc)
			for i := range funcs {
				funcs[i] = a.function(i)
			}
			spans := a.spans(funcs)
			own := 0
			for i, f := range funcs {
				g := b.function(i)
				size := int(a.u32(a.funcs+8*(i+1)) - a.u32(f.at+fEntry))
				for _, field := range []int{fEntry, 8, 12, 40} { // and args, deferreturn, funcID and flag
					x, y := a.u32(f.at+field), b.u32(g.at+field)
					if field == 40 {
						x, y = uint32(a.tab[f.at+40])<<8|uint32(a.tab[f.at+41]), uint32(b.tab[g.at+40])<<8|uint32(b.tab[g.at+41])
					}
					if x != y {
						t.Errorf("%s: field %d is %#x, was %#x", f.name, field, y, x)
					}
				}
				if strings.HasPrefix(f.name, "main.") {
					own++
					if g.name != printed(f.name) {
						t.Errorf("%s is called %s", f.name, g.name)
					}
				}
				if ofRuntime(f.name) != ofRuntime(g.name) {
					t.Errorf("%s is called %s", f.name, g.name)
				}
				sameValues(t, f.name, a, b, a.u32(f.at+fPCSP), b.u32(g.at+fPCSP), size)
				if f.npc > 1 {
					var now uint32
					if g.npc > 1 {
						now = b.u32(g.pc(1))
					}
					sameValues(t, f.name, a, b, a.u32(f.pc(1)), now, size)
				}
				for _, kind := range []int{0, 1, dataObjects, 4, 7} {
					x, y := piecesOf(a, f, kind), piecesOf(b, g, kind)
					if x == nil || y == nil {
						if x != nil || y != nil {
							t.Errorf("%s: data %d is there in one only", f.name, kind)
						}
						continue
					}
					v := a.u32(f.data(kind))
					if n := int(spans[v] - v); !bytes.Equal(x[:n], y[:n]) {
						t.Errorf("%s: data %d differs", f.name, kind)
					}
					if kind == dataObjects && b.u32(g.data(kind))%uint32(b.ptr) != 0 { //nolint:gosec // 4 or 8
						t.Errorf("%s: data %d at %#x", f.name, kind, b.u32(g.data(kind)))
					}
				}
			}
			if own == 0 {
				t.Error("no function of the program itself")
			}
		})
	}
}

// piecesOf is a function's data and what follows; nil if there is none.
func piecesOf(m *image, f function, kind int) []byte {
	if kind >= f.ndata || m.u32(f.data(kind)) == none {
		return nil
	}
	return m.tab[m.data+int(m.u32(f.data(kind))) : m.index]
}

// sameValues compares two tables of addresses over a function of size bytes.
func sameValues(t *testing.T, name string, a, b *image, x, y uint32, size int) {
	if (x == 0) != (y == 0) {
		t.Errorf("%s: a table at %d was at %d", name, y, x)
		return
	}
	if x == 0 {
		return
	}
	quantum := int(a.tab[6])
	// Behind a function's end, nothing runs.
	before, now := values(a, x, size/quantum), values(b, y, size/quantum)
	if len(before) == 0 || len(now) < len(before) || !bytes.Equal(before, now[:len(before)]) {
		t.Errorf("%s: other values", name)
	}
}

// values is the value at each of n steps of code at most, as little-endian
// numbers.
func values(m *image, off uint32, n int) []byte {
	p := m.tab[m.pcs+int(off) : m.funcs]
	number := func() (v uint32) {
		for shift := 0; ; shift += 7 {
			c := p[0]
			p = p[1:]
			v |= uint32(c&0x7f) << shift
			if c < 0x80 {
				return v
			}
		}
	}
	var out []byte
	value := uint32(0xffffffff)
	for at := 0; at < n; {
		d := number()
		if d == 0 && at > 0 {
			break
		}
		value += -(d & 1) ^ d>>1
		for end := at + int(number()); at < min(end, n); at++ {
			out = append(out, byte(value), byte(value>>8), byte(value>>16), byte(value>>24))
		}
	}
	return out
}

func TestBrief(t *testing.T) {
	m := &image{module: "example.org/ours"}
	for name, want := range map[string]string{
		"main.outer.func1":                               "main.outer.func1",
		"example.org/ours/pkg.(*T).run":                  "example.org/ours/pkg.(*T).run",
		"example.org/ours/pkg.f[go.shape.[]int]":         "example.org/ours/pkg.f[...]",
		"example.org/oursnot/pkg.run":                    "example.org/oursnot/pkg.?",
		"net.(*Resolver).exchange":                       "net.?",
		"slices.Sort[go.shape.[]example.org/ours/pkg.T]": "slices.?",
		"crypto/internal/entropy/v1%2e0%2e0.run":         "crypto/internal/entropy/v1%2e0%2e0.?",
		"type:.eq.net.IPAddr":                            "type:.?",
		"runtime.gopanic":                                "runtime.gopanic",
		"runtime.mallocgc":                               "runtime.?",
		"runtime.(*mheap).alloc":                         "runtime.?",
		"runtime.Gosched":                                "runtime.Gosched",
		"internal/runtime/maps.(*Map).Get":               "internal/runtime/maps.?",
		"reflect.makeFuncStub":                           "reflect.makeFuncStub",
		"_rt0_amd64_linux":                               "_rt0_amd64_linux",
		"":                                               "",
	} {
		if got := m.brief(name); got != want {
			t.Errorf("%s is called %s, want %s", name, got, want)
		}
	}
}
