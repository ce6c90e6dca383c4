package slim

import (
	"bytes"
	"debug/elf"
	"debug/gosym"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// place is the second line of a frame in a traceback, as a slim program prints
// it: no file, no line, and the offset in the function.
var place = regexp.MustCompile(`^\t\?:0( \+0x([0-9a-f]+))?`)

// Lines copies a traceback that a slim program printed, and puts files and
// lines where they are missing. The program full is the same as the linker
// wrote it: same sources, same Go, same flags. Where functions share a printed
// name, as the forms of a generic one do, all places are given.
func Lines(full []byte, trace string) (out string, err error) {
	defer func() {
		if d, ok := recover().(damage); ok {
			err = fmt.Errorf("the tables are damaged, or not those of %s: %s", goVersion, string(d))
		}
	}()
	m, err := open(full)
	if err != nil {
		return "", err
	}
	if m.tab[m.files] == 0 {
		return "", fmt.Errorf("a slim program: the one that the linker wrote is needed")
	}
	entries := make(map[string][]uint64)
	for i := range m.nfunc {
		f := m.function(i)
		name := printed(f.name)
		entries[name] = append(entries[name], m.text+uint64(m.u32(f.at+fEntry)))
	}
	f, err := elf.NewFile(bytes.NewReader(full))
	if err != nil {
		return "", err
	}
	text, err := gosym.NewTable(nil, gosym.NewLineTable(m.tab, f.Section(".text").Addr))
	if err != nil {
		return "", err
	}
	var b strings.Builder
	var name string
	trap := false // the next frame was interrupted, and called nobody
	for _, line := range strings.SplitAfter(trace, "\n") {
		switch at := place.FindStringSubmatch(line); {
		case at != nil && len(entries[name]) > 0:
			off, _ := strconv.ParseUint(at[2], 16, 32)
			if off > 0 && !trap {
				off-- // from the return address into the call
			}
			trap = false
			for i, e := range entries[name] {
				file, n, _ := text.PCToLine(e + off)
				b.WriteString([]string{"\t", " or "}[min(i, 1)] + file + ":" + strconv.Itoa(n))
			}
			b.WriteString(at[1] + line[len(at[0]):])
			continue
		case strings.HasPrefix(line, "[signal "):
			trap = true
		default:
			name = frameName(line)
		}
		b.WriteString(line)
	}
	return b.String(), nil
}

// frameName is the name of the function in the first line of a frame.
func frameName(line string) string {
	line = strings.TrimSpace(line)
	if s, ok := strings.CutPrefix(line, "created by "); ok {
		s, _, _ = strings.Cut(s, " in goroutine ")
		return s
	}
	// The arguments' brackets are the last; those of a receiver come before.
	if i := strings.LastIndexByte(line, '('); i > 0 {
		line = line[:i]
	}
	if line == "panic" {
		return "runtime.gopanic"
	}
	return line
}

// printed is a function's name as the runtime prints it: types of a generic one
// are left out.
func printed(name string) string {
	i, j := strings.IndexByte(name, '['), strings.LastIndexByte(name, ']')
	if i < 0 || j <= i {
		return name
	}
	return name[:i] + "[...]" + name[j+1:]
}
