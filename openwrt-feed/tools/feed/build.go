package feed

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/meshagent/meshagent/openwrt-feed/tools/apk"
	"github.com/meshagent/meshagent/openwrt-feed/tools/ipk"
	"github.com/meshagent/meshagent/openwrt-feed/tools/pack"
)

type builder struct {
	options
	base       string // where the description lies
	d          *description
	deflate    func([]byte) ([]byte, error)
	compressed map[string][]byte // architectures share what is in their packages
	large      []string          // packages beyond the limit, with their sizes
}

// squeeze is deflate with a memory.
func (b *builder) squeeze(in []byte) ([]byte, error) {
	sum := sha256.Sum256(in)
	if z, ok := b.compressed[string(sum[:])]; ok {
		return z, nil
	}
	z, err := b.deflate(in)
	if err == nil {
		b.compressed[string(sum[:])] = z
	}
	return z, err
}

func (b *builder) gzip(in []byte) ([]byte, error) { return pack.Gzip(in, b.squeeze) }

// script reads a file of shell text; "" is none.
func (b *builder) script(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	text, err := os.ReadFile(filepath.Join(b.base, name))
	return string(text), err
}

// arches lists the architectures in a fixed order.
func (b *builder) arches(m map[string]string) ([]string, error) {
	list := slices.Sorted(maps.Keys(m))
	if b.only == "" {
		return list, nil
	}
	if _, ok := m[b.only]; !ok {
		return nil, fmt.Errorf("architecture %q: expected one of %v", b.only, list)
	}
	return []string{b.only}, nil
}

// fill adds the program for a target.
func (b *builder) fill(p *pack.Package, e *entry, arch, target string) (*pack.Package, error) {
	full := *p
	full.Arch, full.Files = arch, slices.Clone(p.Files)
	if e.All {
		full.Arch = pack.ArchAll
		return &full, nil
	}
	program, err := os.ReadFile(filepath.Join(b.programs, "meshagent-linux-"+target))
	if err != nil {
		return nil, err
	}
	full.Files = append(full.Files, pack.File{Path: e.Program, Mode: 0o755, Content: program})
	return &full, nil
}

// put writes a package, says how large it is, and remembers what is too large.
func (b *builder) put(dir, name string, content []byte) error {
	fmt.Printf("%9d  %s\n", len(content), filepath.Join(dir, name))
	if b.max > 0 && len(content) > b.max {
		b.large = append(b.large, fmt.Sprintf("%s has %d", filepath.Join(dir, name), len(content)))
	}
	return writeFile(filepath.Join(b.out, dir, name), content)
}

// openwrtPackages makes opkg/ARCH and apk/ARCH: packages, index, signature.
func (b *builder) openwrtPackages() error {
	k, err := openKeys(b.keys)
	if err != nil {
		return err
	}
	arches, err := b.arches(b.d.OpenWrt)
	if err != nil {
		return err
	}
	for _, arch := range arches {
		var names []string
		ipks := map[string][]byte{}
		var apks [][]byte
		for i := range b.d.Packages {
			e := &b.d.Packages[i]
			p, err := b.openwrtPackage(e, arch)
			if err != nil {
				return err
			}
			p.Scripts = ipkScripts(p.installed, p.removed)
			one, err := ipk.Encode(&p.Package, b.gzip)
			if err != nil {
				return err
			}
			name := ipk.FileName(&p.Package)
			if err := b.put("opkg/"+arch, name, one); err != nil {
				return err
			}
			names, ipks[name] = append(names, name), one

			p.Scripts = apkScripts(p.Name, p.installed, p.removed)
			if one, err = apk.Encode(&p.Package, k.apk, b.squeeze); err != nil {
				return err
			}
			if err := b.put("apk/"+arch, apk.FileName(&p.Package), one); err != nil {
				return err
			}
			apks = append(apks, one)
		}
		if err := b.indexes(arch, names, ipks, apks, k); err != nil {
			return err
		}
	}
	return k.publish(b.out)
}

// forOpenWrt is a package with the bodies of its scripts.
type forOpenWrt struct {
	pack.Package
	installed, removed string
}

func (b *builder) openwrtPackage(e *entry, arch string) (*forOpenWrt, error) {
	p, err := b.load(e)
	if err != nil {
		return nil, err
	}
	p.Origin = "feeds/meshagent/" + e.Name
	if p, err = b.fill(p, e, arch, b.d.OpenWrt[arch]); err != nil {
		return nil, err
	}
	f := &forOpenWrt{Package: *p}
	if f.installed, err = b.script(e.Installed); err != nil {
		return nil, err
	}
	f.removed, err = b.script(e.Removed)
	return f, err
}

// indexes makes the two indexes of one architecture.
func (b *builder) indexes(arch string, names []string, ipks map[string][]byte, apks [][]byte, k *keys) error {
	list, err := ipk.Index(names, ipks)
	if err != nil {
		return err
	}
	zipped, err := pack.Gzip([]byte(list), pack.Deflate)
	if err != nil {
		return err
	}
	adb, err := apk.Index(apks, k.apk, pack.Deflate)
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"opkg/" + arch + "/Packages": []byte(list), "opkg/" + arch + "/Packages.gz": zipped,
		"opkg/" + arch + "/Packages.sig": k.opkg.Sign([]byte(list)), "apk/" + arch + "/packages.adb": adb,
	} {
		if err := writeFile(filepath.Join(b.out, name), content); err != nil {
			return err
		}
	}
	return nil
}

// debianPackages makes deb/*.deb.
func (b *builder) debianPackages() error {
	arches, err := b.arches(b.d.Debian)
	if err != nil {
		return err
	}
	for _, arch := range arches {
		for i := range b.d.DebianPkgs {
			e := &b.d.DebianPkgs[i]
			p, err := b.load(e)
			if err != nil {
				return err
			}
			for to, from := range map[*string]string{&p.Scripts.PostInst: e.PostInst, &p.Scripts.PreRm: e.PreRm, &p.Scripts.PostRm: e.PostRm} {
				if *to, err = b.script(from); err != nil {
					return err
				}
			}
			if p, err = b.fill(p, e, arch, b.d.Debian[arch]); err != nil {
				return err
			}
			one, err := ipk.EncodeDeb(p, b.gzip)
			if err != nil {
				return err
			}
			if err := b.put("deb", ipk.DebFileName(p), one); err != nil {
				return err
			}
		}
	}
	return nil
}
