// Package ipk writes and reads packages and indexes of OpenWrt's opkg, and the
// packages of Debian's dpkg, from which that form comes.
package ipk

import (
	"archive/tar"
	"bytes"
	"slices"
	"strings"
	"time"

	"github.com/meshagent/meshagent/openwrt-feed/tools/pack"
)

// record is what GNU tar fills an archive up to.
const record = 10240

// tree makes the archive of what is installed, in the order of "tar
// --sort=name".
func tree(p *pack.Package) ([]byte, error) {
	type node struct {
		path string
		file *pack.File // nil: a directory
	}
	nodes := []node{{path: "/"}}
	for _, d := range p.Dirs() {
		nodes = append(nodes, node{path: d})
	}
	for i := range p.Files {
		nodes = append(nodes, node{p.Files[i].Path, &p.Files[i]})
	}
	key := func(n node) string { return strings.ReplaceAll(n.path, "/", "\x00") }
	slices.SortFunc(nodes, func(a, b node) int { return strings.Compare(key(a), key(b)) })
	a := newArchive(p.Epoch)
	for _, n := range nodes {
		switch {
		case n.file == nil:
			a.dir(n.path)
		case n.file.Target != "":
			a.put(&tar.Header{Typeflag: tar.TypeSymlink, Name: "." + n.path, Linkname: n.file.Target, Mode: 0o777}, nil)
		default:
			a.file("."+n.path, n.file.Mode, n.file.Content)
		}
	}
	return a.bytes()
}

// archive is a tar file in GNU's form; everything in it belongs to root.
type archive struct {
	buf  bytes.Buffer
	w    *tar.Writer
	time time.Time
	err  error
}

func newArchive(epoch int64) *archive {
	a := &archive{time: time.Unix(epoch, 0)}
	a.w = tar.NewWriter(&a.buf)
	return a
}

func (a *archive) put(h *tar.Header, content []byte) {
	h.Format, h.ModTime, h.Size = tar.FormatGNU, a.time, int64(len(content))
	if a.err == nil {
		a.err = a.w.WriteHeader(h)
	}
	if a.err == nil {
		_, a.err = a.w.Write(content)
	}
}

func (a *archive) dir(path string) {
	a.put(&tar.Header{Typeflag: tar.TypeDir, Name: strings.TrimSuffix("."+path, "/") + "/", Mode: 0o755}, nil)
}

func (a *archive) file(name string, mode uint32, content []byte) {
	a.put(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: int64(mode)}, content)
}

func (a *archive) bytes() ([]byte, error) {
	if a.err == nil {
		a.err = a.w.Close()
	}
	for a.buf.Len()%record != 0 {
		a.buf.WriteByte(0)
	}
	return a.buf.Bytes(), a.err
}
