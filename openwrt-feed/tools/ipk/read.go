package ipk

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/meshagent/meshagent/openwrt-feed/tools/pack"
)

const (
	maxInside  = 64 << 20 // bytes of an archive that are read
	maxMembers = 10000
)

// Read reads a package file, and returns its control text as well.
func Read(b []byte) (*pack.Package, string, error) {
	outer, err := members(b)
	if err != nil {
		return nil, "", err
	}
	if f := outer.File("/debian-binary"); f == nil || string(f.Content) != debianBinary {
		return nil, "", errors.New("ipk: no debian-binary of version 2.0")
	}
	return inner(outer)
}

// inner reads what both kinds of packages have inside.
func inner(outer *pack.Package) (*pack.Package, string, error) {
	part := func(name string) (*pack.Package, error) {
		f := outer.File("/" + name)
		if f == nil {
			return nil, fmt.Errorf("ipk: no %s", name)
		}
		p, err := members(f.Content)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return p, nil
	}
	control, err := part("control.tar.gz")
	if err != nil {
		return nil, "", err
	}
	p, err := part("data.tar.gz")
	if err != nil {
		return nil, "", err
	}
	text := func(name string) string {
		if f := control.File("/" + name); f != nil {
			return string(f.Content)
		}
		return ""
	}
	p.Scripts = pack.Scripts{PreInst: text("preinst"), PostInst: text("postinst"), PreRm: text("prerm"), PostRm: text("postrm")}
	p.Conffiles = strings.Fields(text("conffiles"))
	c := text("control")
	for line := range strings.Lines(c) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch name {
		case "Package":
			p.Name = value
		case "Version":
			p.Version = value
		case "Architecture":
			p.Arch = value
		}
	}
	if p.Name == "" || p.Version == "" || p.Arch == "" {
		return nil, "", errors.New("ipk: control names no package, version or architecture")
	}
	return p, c, nil
}

// members reads a compressed tar file with regular files, directories and
// links.
func members(b []byte) (*pack.Package, error) {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("ipk: %w", err)
	}
	raw, err := io.ReadAll(io.LimitReader(z, maxInside+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("ipk: %w", err)
	case len(raw) > maxInside:
		return nil, fmt.Errorf("ipk: an archive beyond %d bytes", maxInside)
	}
	p := new(pack.Package)
	r := tar.NewReader(bytes.NewReader(raw))
	for range maxMembers {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return p, nil
		}
		if err != nil {
			return nil, fmt.Errorf("ipk: %w", err)
		}
		name := path.Clean("/" + h.Name)
		p.Epoch = h.ModTime.Unix()
		switch h.Typeflag {
		case tar.TypeDir:
			p.Empty = append(p.Empty, name)
		case tar.TypeSymlink:
			p.Files = append(p.Files, pack.File{Path: name, Target: h.Linkname})
		case tar.TypeReg:
			content, err := io.ReadAll(r)
			if err != nil {
				return nil, fmt.Errorf("ipk: %s: %w", name, err)
			}
			p.Files = append(p.Files, pack.File{Path: name, Mode: uint32(h.Mode & 0o7777), Content: content}) //nolint:gosec // masked
		default:
			return nil, fmt.Errorf("ipk: %s is neither a file nor a directory nor a link", name)
		}
	}
	return nil, fmt.Errorf("ipk: an archive of more than %d members", maxMembers)
}
