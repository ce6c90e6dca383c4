// Package apk writes and reads packages and indexes of apk-tools 3, as OpenWrt
// 25.12 and later take them.
package apk

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/meshagent/meshagent/openwrt-feed/tools/adb"
	"github.com/meshagent/meshagent/openwrt-feed/tools/pack"
)

// Slots of a package, and of what describes it. Source: apk-tools 3.0,
// src/apk_adb.h.
const (
	pkgInfo = 1 + iota
	pkgPaths
	pkgScripts
)

const (
	infoName = 1 + iota
	infoVersion
	infoHashes
	infoDescription
	infoArch
	infoLicense
	infoOrigin
	infoMaintainer
	infoURL
	infoCommit
	infoBuildTime
	infoInstalledSize
	infoFileSize
	infoPriority
	infoDepends
	infoSlots = 21
)

const (
	dirName = 1 + iota
	dirACL
	dirFiles
)

const (
	fileName = 1 + iota
	fileACL
	fileSize
	fileMtime
	fileHash
	fileTarget
)

const (
	hashLen   = 20 // of a package's name for itself
	modeLink  = 0xa000
	dirMode   = 0o755
	owner     = "root"
	archNone  = "noarch"
	maxInside = 64 << 20 // bytes of a package that are read
)

// matches are the operators of dependencies as bits.
var matches = map[string]uint64{"=": 1, "<": 2, "<=": 3, ">": 4, ">=": 5}

// FileName is the name of the package file beside its index.
func FileName(p *pack.Package) string { return p.Name + "-" + p.Version + ".apk" }

// Lists adds the files that OpenWrt's scripts and sysupgrade look for: all
// paths, the conffiles, their checksums, and the users to make.
func Lists(p *pack.Package) []pack.File {
	var list, conf, static strings.Builder
	for _, f := range p.Files {
		fmt.Fprintln(&list, f.Path)
	}
	for _, c := range p.Conffiles {
		sum := sha256.Sum256(p.File(c).Content)
		fmt.Fprintln(&conf, c)
		fmt.Fprintln(&static, c, hex.EncodeToString(sum[:]))
	}
	var out []pack.File
	add := func(suffix, text string) {
		if text != "" {
			out = append(out, pack.File{Path: "/lib/apk/packages/" + p.Name + suffix, Mode: 0o644, Content: []byte(text)})
		}
	}
	add(".conffiles", conf.String())
	add(".conffiles_static", static.String())
	add(".list", list.String())
	if len(p.Users) > 0 {
		add(".rusers", strings.Join(p.Users, " ")+"\n")
	}
	return out
}

// Encode makes the package file, with all directories as OpenWrt 25.12's own
// packages have them. key signs it if it is not nil.
func Encode(p *pack.Package, key *ecdsa.PrivateKey, deflate adb.Deflater) ([]byte, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	full := *p
	full.Files = append(slices.Clone(p.Files), Lists(p)...)
	if err := full.Check(); err != nil {
		return nil, err
	}
	f, err := build(&full)
	if err != nil {
		return nil, err
	}
	if key != nil {
		if err := f.Sign(key); err != nil {
			return nil, err
		}
	}
	raw, err := f.Encode()
	if err != nil {
		return nil, err
	}
	return adb.Compress(raw, deflate)
}

// build makes the database. The order of calls is that of apk mkpkg, so that
// the bytes are too.
func build(p *pack.Package) (*adb.File, error) {
	w := adb.NewWriter()
	info := make([]adb.Value, infoSlots)
	set := func(slot int, v adb.Value) { info[slot-1] = v }
	set(infoName, w.String(p.Name))
	set(infoVersion, w.String(p.Version))
	set(infoDescription, w.String(p.Title))
	arch := p.Arch
	if arch == pack.ArchAll {
		arch = archNone
	}
	set(infoArch, w.String(arch))
	set(infoLicense, w.String(p.License))
	set(infoOrigin, w.String(p.Origin))
	set(infoMaintainer, w.String(p.Maintainer))
	set(infoURL, w.String(p.URL))
	var deps []adb.Value
	for _, d := range p.Depends {
		name := w.String(d.Name)
		if d.Op == "" {
			deps = append(deps, w.Object(name))
			continue
		}
		deps = append(deps, w.Object(name, w.String(d.Version), w.Int(matches[d.Op])))
	}
	set(infoDepends, w.Array(deps...))

	paths, data := tree(w, p)
	set(infoInstalledSize, w.Int(uint64(max(p.Size(), 1)))) //nolint:gosec // a sum of lengths
	hash := w.Reserve(make([]byte, hashLen))
	set(infoHashes, hash)
	root := []adb.Value{w.Object(info...), w.Array(paths...), scripts(w, &p.Scripts)}
	f := &adb.File{Schema: adb.SchemaPackage, DB: w.Finish(w.Object(root...)), Data: data}

	// The package is named by the hash of its database, made with zeros in
	// place of the name.
	r, err := adb.NewReader(f.DB)
	if err != nil {
		return nil, err
	}
	place, err := r.Blob(hash)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(f.DB)
	copy(place, sum[:])
	return f, nil
}

// tree makes the directories with their files. Contents go behind the
// database, in the order of the directories.
func tree(w *adb.Writer, p *pack.Package) (paths []adb.Value, data []adb.Data) {
	for i, dir := range append([]string{"/"}, p.Dirs()...) {
		var files []adb.Value
		for _, f := range p.Files {
			if path.Dir(f.Path) != dir {
				continue
			}
			files = append(files, entry(w, p, &f))
			if len(f.Content) > 0 && f.Target == "" {
				data = append(data, adb.Data{Dir: uint32(i + 1), File: uint32(len(files)), Content: f.Content}) //nolint:gosec // counts
			}
		}
		name := w.String(strings.TrimPrefix(dir, "/"))
		paths = append(paths, w.Object(name, acl(w, dirMode), w.Array(files...)))
	}
	return paths, data
}

// entry makes one file or link.
func entry(w *adb.Writer, p *pack.Package, f *pack.File) adb.Value {
	name := w.String(path.Base(f.Path))
	var hash, target adb.Value
	mode := f.Mode
	if f.Target == "" {
		sum := sha256.Sum256(f.Content)
		hash = w.Blob(sum[:])
	} else {
		target = w.Blob(append([]byte{modeLink & 0xff, modeLink >> 8}, f.Target...))
		mode = 0o777
	}
	mtime := w.Int(uint64(p.Epoch)) //nolint:gosec // after 1970
	size := w.Int(uint64(len(f.Content)))
	return w.Object(name, acl(w, mode), size, mtime, hash, target)
}

func acl(w *adb.Writer, mode uint32) adb.Value {
	user, group := w.String(owner), w.String(owner)
	return w.Object(w.Int(uint64(mode)), user, group)
}

// scripts makes the object of scripts: trigger, pre- and post-install, pre- and
// post-deinstall, pre- and post-upgrade.
func scripts(w *adb.Writer, s *pack.Scripts) adb.Value {
	return w.Object(adb.Null, w.String(s.PreInst), w.String(s.PostInst), w.String(s.PreRm), w.String(s.PostRm),
		w.String(s.PreInst), w.String(s.PostUpgrade))
}

// Index makes packages.adb of finished package files: what each says of itself,
// with the length of its file and the hash of its database, which is what lets
// a signed index vouch for packages without a signature.
func Index(files [][]byte, key *ecdsa.PrivateKey, deflate adb.Deflater) ([]byte, error) {
	w := adb.NewWriter()
	type entry struct {
		name string
		v    adb.Value
	}
	var list []entry
	for _, b := range files {
		raw, err := adb.Open(b, maxInside)
		if err != nil {
			return nil, err
		}
		f, err := adb.Parse(raw)
		if err != nil {
			return nil, err
		}
		name, v, err := indexEntry(w, f, len(b))
		if err != nil {
			return nil, err
		}
		list = append(list, entry{name, v})
	}
	slices.SortStableFunc(list, func(a, b entry) int { return cmp.Compare(a.name, b.name) })
	values := make([]adb.Value, len(list))
	for i, e := range list {
		values[i] = e.v
	}
	packages := w.Array(values...)
	f := &adb.File{Schema: adb.SchemaIndex, DB: w.Finish(w.Object(adb.Null, packages))}
	if key != nil {
		if err := f.Sign(key); err != nil {
			return nil, err
		}
	}
	raw, err := f.Encode()
	if err != nil {
		return nil, err
	}
	return adb.Compress(raw, deflate)
}

func indexEntry(w *adb.Writer, f *adb.File, size int) (string, adb.Value, error) {
	r, info, err := openInfo(f)
	if err != nil {
		return "", adb.Null, err
	}
	name, err := r.Blob(info.Get(infoName))
	if err != nil {
		return "", adb.Null, err
	}
	out := make([]adb.Value, infoSlots)
	for i := range out {
		if out[i], err = w.Copy(r, info.Get(i+1)); err != nil {
			return "", adb.Null, err
		}
	}
	out[infoFileSize-1] = w.Int(uint64(size)) //nolint:gosec // a length
	sum := sha256.Sum256(f.DB)
	out[infoHashes-1] = w.Blob(sum[:])
	return string(name), w.Object(out...), nil
}

// openInfo finds what describes the package of a file.
func openInfo(f *adb.File) (*adb.Reader, adb.Slots, error) {
	if f.Schema != adb.SchemaPackage {
		return nil, nil, fmt.Errorf("apk: schema %#x; expected a package", f.Schema)
	}
	r, err := adb.NewReader(f.DB)
	if err != nil {
		return nil, nil, err
	}
	root, err := r.Object(r.Root())
	if err != nil {
		return nil, nil, err
	}
	info, err := r.Object(root.Get(pkgInfo))
	return r, info, err
}
