package ipk

import (
	"bytes"
	"crypto/md5" //nolint:gosec // dpkg's list of files has no other sum
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/meshagent/meshagent/openwrt-feed/tools/pack"
)

// Deb and ipk differ in the outer archive, which is ar's here (deb(5)), in the
// unit of Installed-Size, and in md5sums.

const (
	arMagic  = "!<arch>\n"
	arHeader = 60
)

// DebFileName is the name of the package file of dpkg.
func DebFileName(p *pack.Package) string { return p.Name + "_" + p.Version + "_" + p.Arch + ".deb" }

// EncodeDeb makes a package for dpkg.
func EncodeDeb(p *pack.Package, gz Compress) ([]byte, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	data, err := tree(p)
	if err != nil {
		return nil, err
	}
	control, err := debControl(p)
	if err != nil {
		return nil, err
	}
	out := []byte(arMagic)
	out = appendMember(out, p.Epoch, "debian-binary", []byte(debianBinary))
	for _, m := range []struct {
		name string
		raw  []byte
	}{{"control.tar.gz", control}, {"data.tar.gz", data}} {
		z, err := gz(m.raw)
		if err != nil {
			return nil, err
		}
		out = appendMember(out, p.Epoch, m.name, z)
	}
	return out, nil
}

func appendMember(out []byte, epoch int64, name string, b []byte) []byte {
	out = fmt.Appendf(out, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", name, epoch, 0, 0, "100644", len(b))
	out = append(out, b...)
	if len(b)%2 != 0 {
		out = append(out, '\n')
	}
	return out
}

func debControl(p *pack.Package) ([]byte, error) {
	var b, sums strings.Builder
	fmt.Fprintf(&b, "Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: %s\nInstalled-Size: %d\n",
		p.Name, p.Version, p.Arch, p.Maintainer, (p.Size()+1023)/1024)
	if d := depends(p); d != "" {
		fmt.Fprintf(&b, "Depends: %s\n", d)
	}
	fmt.Fprintf(&b, "Section: %s\nPriority: optional\nHomepage: %s\nDescription: %s\n", p.Section, p.URL, p.Title)
	for line := range strings.Lines(p.Description) {
		if line = strings.TrimSpace(line); line == "" {
			line = "."
		}
		fmt.Fprintf(&b, " %s\n", line)
	}
	for _, f := range p.Files {
		if f.Target == "" {
			fmt.Fprintf(&sums, "%x  %s\n", md5.Sum(f.Content), strings.TrimPrefix(f.Path, "/")) //nolint:gosec // as above
		}
	}
	return controlArchive(p, b.String(), sums.String())
}

// ReadDeb reads a package of dpkg whose members are compressed by gzip.
func ReadDeb(b []byte) (*pack.Package, string, error) {
	rest, ok := bytes.CutPrefix(b, []byte(arMagic))
	if !ok {
		return nil, "", errors.New("deb: no ar archive")
	}
	outer := new(pack.Package)
	for len(rest) > 0 {
		if len(rest) < arHeader {
			return nil, "", errors.New("deb: header of a member cut off")
		}
		name := strings.TrimRight(string(rest[:16]), " /")
		n, err := strconv.Atoi(strings.TrimRight(string(rest[48:58]), " "))
		if err != nil || n < 0 || n > len(rest)-arHeader-n%2 {
			return nil, "", fmt.Errorf("deb: member %q of %q bytes", name, rest[48:58])
		}
		outer.Files = append(outer.Files, pack.File{Path: "/" + name, Content: rest[arHeader : arHeader+n]})
		rest = rest[arHeader+n+n%2:]
	}
	if f := outer.File("/debian-binary"); f == nil || string(f.Content) != debianBinary {
		return nil, "", errors.New("deb: no debian-binary of version 2.0")
	}
	return inner(outer)
}
