// Package cpio writes the initial file systems of kernels that tests boot.
package cpio

import (
	"fmt"
	"io"
)

// Archive writes an initramfs in the "newc" format of cpio, which the kernel
// unpacks into its root at boot. Everything belongs to root. The first error
// sticks and is returned by Close. New makes one.
// Source: Linux Documentation/driver-api/early-userspace/buffer-format.rst.
type Archive struct {
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

func (a *Archive) entry(name string, mode, major, minor int, data []byte) {
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
func (a *Archive) write(b []byte) {
	if a.err == nil {
		_, a.err = a.w.Write(b)
	}
	if pad := -len(b) & 3; a.err == nil && pad > 0 {
		_, a.err = a.w.Write(make([]byte, pad))
	}
}

// New returns an archive that is written to w.
func New(w io.Writer) *Archive { return &Archive{w: w} }

// Dir adds a folder and those above it; name has no leading slash.
func (a *Archive) Dir(name string) {
	if name == "" || name == "." || a.seen[name] {
		return
	}
	for i := range name {
		if name[i] == '/' {
			a.Dir(name[:i])
		}
	}
	if a.seen == nil {
		a.seen = map[string]bool{}
	}
	a.seen[name] = true
	a.entry(name, modeDir, 0, 0, nil)
}

// Link adds a symbolic link.
func (a *Archive) Link(name, to string) { a.entry(name, modeLink, 0, 0, []byte(to)) }

// File adds a file that may be executed.
func (a *Archive) File(name string, b []byte) { a.entry(name, modeExec, 0, 0, b) }

// Char adds a character device.
func (a *Archive) Char(name string, major, minor int) {
	a.entry(name, modeChar, major, minor, nil)
}

// Close ends the archive.
func (a *Archive) Close() error {
	a.inode = -1 // the trailer has inode 0
	a.entry("TRAILER!!!", 0, 0, 0, nil)
	return a.err
}
