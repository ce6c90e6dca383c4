package ipk

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/meshagent/meshagent/openwrt-feed/tools/pack"
)

// Compress makes gzip's form of b.
type Compress func(b []byte) ([]byte, error)

const debianBinary = "2.0\n"

// FileName is the name of the package file beside its index.
func FileName(p *pack.Package) string { return p.Name + "_" + p.Version + "_" + p.Arch + ".ipk" }

// Encode makes the package file: a compressed tar file, unlike Debian's, with
// two more in it. The order of the members and of the fields is that of
// OpenWrt's ipkg-build.
func Encode(p *pack.Package, gz Compress) ([]byte, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	data, err := tree(p)
	if err != nil {
		return nil, err
	}
	control, err := controlArchive(p, Control(p, len(data)), "")
	if err != nil {
		return nil, err
	}
	a := newArchive(p.Epoch)
	a.file("./debian-binary", 0o644, []byte(debianBinary))
	for _, m := range []struct {
		name string
		raw  []byte
	}{{"./data.tar.gz", data}, {"./control.tar.gz", control}} {
		z, err := gz(m.raw)
		if err != nil {
			return nil, err
		}
		a.file(m.name, 0o644, z)
	}
	raw, err := a.bytes()
	if err != nil {
		return nil, err
	}
	return gz(raw)
}

// controlArchive makes control.tar; sums is Debian's list of checksums.
func controlArchive(p *pack.Package, control, sums string) ([]byte, error) {
	a := newArchive(p.Epoch)
	a.dir("/")
	if len(p.Conffiles) > 0 {
		a.file("./conffiles", 0o644, []byte(strings.Join(p.Conffiles, "\n")+"\n"))
	}
	a.file("./control", 0o644, []byte(control))
	if sums != "" {
		a.file("./md5sums", 0o644, []byte(sums))
	}
	for _, s := range []struct{ name, text string }{
		{"postinst", p.Scripts.PostInst}, {"postrm", p.Scripts.PostRm}, {"preinst", p.Scripts.PreInst}, {"prerm", p.Scripts.PreRm},
	} {
		if s.text != "" {
			a.file("./"+s.name, 0o755, []byte(s.text))
		}
	}
	return a.bytes()
}

// Control makes the control text; size is that of the data archive, in bytes.
func Control(p *pack.Package, size int) string {
	var b strings.Builder
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	field("Package", p.Name)
	field("Version", p.Version)
	field("Depends", depends(p))
	field("Source", p.Origin)
	field("License", p.License)
	field("Section", p.Section)
	field("Require-User", strings.Join(p.Users, " "))
	field("URL", p.URL)
	field("Maintainer", p.Maintainer)
	field("Architecture", p.Arch)
	field("Installed-Size", fmt.Sprint(size))
	// The SDK's first line of a description is indented too.
	fmt.Fprintf(&b, "Description:  %s\n", p.Title)
	for line := range strings.Lines(p.Description) {
		if line = strings.TrimSpace(line); line != "" {
			fmt.Fprintf(&b, "  %s\n", line)
		}
	}
	return b.String()
}

func depends(p *pack.Package) string {
	list := make([]string, len(p.Depends))
	for i, d := range p.Depends {
		list[i] = d.Name
		op := d.Op
		if op == "<" || op == ">" {
			op += op // alone they mean "or equal" to opkg and dpkg
		}
		if op != "" {
			list[i] += " (" + op + " " + d.Version + ")"
		}
	}
	return strings.Join(list, ", ")
}

// Index makes the text Packages of finished package files, given by name in
// the order that it will have.
func Index(names []string, files map[string][]byte) (string, error) {
	var b strings.Builder
	for _, name := range names {
		f := files[name]
		_, control, err := Read(f)
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		sum := sha256.Sum256(f)
		head, description, _ := strings.Cut(control, "Description:")
		for line := range strings.Lines(head) {
			// OpenWrt's published lists leave these out.
			switch name, _, _ := strings.Cut(line, ":"); name {
			case "Maintainer", "LicenseFiles", "Source", "SourceName", "Require-User", "SourceDateEpoch":
			default:
				b.WriteString(line)
			}
		}
		fmt.Fprintf(&b, "Filename: %s\nSize: %d\nSHA256sum: %s\nDescription:%s\n", name, len(f), hex.EncodeToString(sum[:]), description)
	}
	// usign on old devices computes a wrong SHA-512 for these lengths, of
	// which 64 bytes are the signature's. OpenWrt's own build evades them too.
	if n := (64 + b.Len()) % 128; n == 110 || n == 111 {
		b.WriteString("\n\n")
	}
	return b.String(), nil
}
