package guest

import (
	"fmt"
	"io"
)

// archive writes an initramfs in the "newc" format of cpio, which the kernel
// unpacks into its root at boot. Everything belongs to root. The first error
// sticks and is returned by close.
// Source: Linux Documentation/driver-api/early-userspace/buffer-format.rst.
type archive struct {
	w     io.Writer
	inode int
	seen  map[string]bool // folders
	err   error
}

// File types and permissions, as in stat(2).
const (
	modeDir  = 0o040755
	modeExec = 0o100755
	modeLink = 0o120777
	modeChar = 0o020600
)

func (a *archive) entry(name string, mode, major, minor int, data []byte) {
	if a.err != nil {
		return
	}
	a.inode++
	links := 1
	if mode == modeDir {
		links = 2
	}
	// magic, then inode mode uid gid nlink mtime filesize, the device that
	// holds it, the device it is, namesize, check: 8 hexadecimal digits each
	head := fmt.Sprintf("070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00",
		a.inode, mode, 0, 0, links, 0, len(data), 0, 0, major, minor, len(name)+1, 0, name)
	a.write([]byte(head))
	a.write(data)
}

// write writes b and pads it to a multiple of 4 bytes.
func (a *archive) write(b []byte) {
	if a.err == nil {
		_, a.err = a.w.Write(b)
	}
	if pad := -len(b) & 3; a.err == nil && pad > 0 {
		_, a.err = a.w.Write(make([]byte, pad))
	}
}

// dir adds a folder and those above it; name has no leading slash.
func (a *archive) dir(name string) {
	if name == "" || name == "." || a.seen[name] {
		return
	}
	for i := range name {
		if name[i] == '/' {
			a.dir(name[:i])
		}
	}
	if a.seen == nil {
		a.seen = map[string]bool{}
	}
	a.seen[name] = true
	a.entry(name, modeDir, 0, 0, nil)
}

func (a *archive) link(name, to string)       { a.entry(name, modeLink, 0, 0, []byte(to)) }
func (a *archive) file(name string, b []byte) { a.entry(name, modeExec, 0, 0, b) }
func (a *archive) char(name string, major, minor int) {
	a.entry(name, modeChar, major, minor, nil)
}

// close ends the archive.
func (a *archive) close() error {
	a.inode = -1 // the trailer has inode 0
	a.entry("TRAILER!!!", 0, 0, 0, nil)
	return a.err
}
