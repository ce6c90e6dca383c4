package apk

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"path"

	"github.com/meshagent/meshagent/openwrt-feed/tools/adb"
	"github.com/meshagent/meshagent/openwrt-feed/tools/pack"
)

// Read reads a package file and checks all that can be checked without a key:
// its own hash, and the length and hash of every file. The File serves to
// verify signatures.
func Read(b []byte) (*pack.Package, *adb.File, error) {
	raw, err := adb.Open(b, maxInside)
	if err != nil {
		return nil, nil, err
	}
	f, err := adb.Parse(raw)
	if err != nil {
		return nil, nil, err
	}
	r, info, err := openInfo(f)
	if err != nil {
		return nil, nil, err
	}
	p, err := readInfo(r, info)
	if err != nil {
		return nil, nil, err
	}
	if err := checkName(f.DB, r, info); err != nil {
		return nil, nil, err
	}
	root, err := r.Object(r.Root())
	if err != nil {
		return nil, nil, err
	}
	if err := readScripts(r, root.Get(pkgScripts), &p.Scripts); err != nil {
		return nil, nil, err
	}
	return p, f, readTree(r, root.Get(pkgPaths), f.Data, p)
}

// texts reads slots that hold text.
type texts struct {
	r   *adb.Reader
	err error
}

func (t *texts) get(v adb.Value) string {
	b, err := t.r.Blob(v)
	if t.err == nil {
		t.err = err
	}
	return string(b)
}

func (t *texts) num(v adb.Value) uint64 {
	n, err := t.r.Int(v)
	if t.err == nil {
		t.err = err
	}
	return n
}

func readInfo(r *adb.Reader, info adb.Slots) (*pack.Package, error) {
	t := &texts{r: r}
	p := &pack.Package{
		Name: t.get(info.Get(infoName)), Version: t.get(info.Get(infoVersion)), Arch: t.get(info.Get(infoArch)),
		Title: t.get(info.Get(infoDescription)), License: t.get(info.Get(infoLicense)), Origin: t.get(info.Get(infoOrigin)),
		Maintainer: t.get(info.Get(infoMaintainer)), URL: t.get(info.Get(infoURL)),
	}
	deps, err := r.Array(info.Get(infoDepends))
	if err != nil {
		return nil, err
	}
	for _, v := range deps {
		d, err := r.Object(v)
		if err != nil {
			return nil, err
		}
		bits, op := t.num(d.Get(3)), ""
		for o, n := range matches {
			if n == bits {
				op = o
			}
		}
		p.Depends = append(p.Depends, pack.Dependency{Name: t.get(d.Get(1)), Op: op, Version: t.get(d.Get(2))})
	}
	if t.err == nil && p.Name == "" {
		return nil, errors.New("apk: a package without a name")
	}
	return p, t.err
}

// checkName holds the package's hash against its database.
func checkName(db []byte, r *adb.Reader, info adb.Slots) error {
	hash, err := r.Blob(info.Get(infoHashes))
	if err != nil {
		return err
	}
	if len(hash) != hashLen {
		return fmt.Errorf("apk: a hash of %d bytes; expected %d", len(hash), hashLen)
	}
	want := bytes.Clone(hash)
	clear(hash) // is part of db
	sum := sha256.Sum256(db)
	copy(hash, want)
	if !bytes.Equal(sum[:hashLen], want) {
		return errors.New("apk: the package's hash of itself is wrong")
	}
	return nil
}

func readScripts(r *adb.Reader, v adb.Value, s *pack.Scripts) error {
	o, err := r.Object(v)
	if err != nil {
		return err
	}
	t := &texts{r: r}
	s.PreInst, s.PostInst, s.PreRm, s.PostRm, s.PostUpgrade = t.get(o.Get(2)), t.get(o.Get(3)), t.get(o.Get(4)), t.get(o.Get(5)), t.get(o.Get(7))
	return t.err
}

// readTree reads directories and files, and pairs them with their contents.
func readTree(r *adb.Reader, v adb.Value, data []adb.Data, p *pack.Package) error {
	dirs, err := r.Array(v)
	if err != nil {
		return err
	}
	t := &texts{r: r}
	for i, v := range dirs {
		d, err := r.Object(v)
		if err != nil {
			return err
		}
		name := "/" + t.get(d.Get(dirName))
		files, err := r.Array(d.Get(dirFiles))
		if err != nil {
			return err
		}
		if len(files) == 0 && name != "/" {
			p.Empty = append(p.Empty, name)
		}
		for k, v := range files {
			o, err := r.Object(v)
			if err != nil {
				return err
			}
			a, err := r.Object(o.Get(fileACL))
			if err != nil {
				return err
			}
			f := pack.File{Path: path.Join(name, t.get(o.Get(fileName))), Mode: uint32(t.num(a.Get(1)) & 0o7777)} //nolint:gosec // masked
			target, size := t.get(o.Get(fileTarget)), t.num(o.Get(fileSize))
			switch {
			case target != "":
				f.Target = target[min(2, len(target)):]
			case size > 0:
				if len(data) == 0 || data[0].Dir != uint32(i+1) || data[0].File != uint32(k+1) { //nolint:gosec // counts
					return fmt.Errorf("apk: no content for %s", f.Path)
				}
				f.Content, data = data[0].Content, data[1:]
				sum := sha256.Sum256(f.Content)
				if uint64(len(f.Content)) != size || t.get(o.Get(fileHash)) != string(sum[:]) {
					return fmt.Errorf("apk: the content of %s is not what the database says", f.Path)
				}
			}
			p.Epoch = int64(t.num(o.Get(fileMtime)) & (1<<62 - 1)) //nolint:gosec // masked
			p.Files = append(p.Files, f)
		}
	}
	if t.err == nil && len(data) > 0 {
		return fmt.Errorf("apk: %d contents that belong to no file", len(data))
	}
	return t.err
}

// Listed is one package of an index.
type Listed struct {
	pack.Package
	FileSize uint64
	Hash     []byte // SHA-256 of the database of the package file
}

// ReadIndex reads packages.adb.
func ReadIndex(b []byte) ([]Listed, *adb.File, error) {
	raw, err := adb.Open(b, maxInside)
	if err != nil {
		return nil, nil, err
	}
	f, err := adb.Parse(raw)
	if err != nil {
		return nil, nil, err
	}
	if f.Schema != adb.SchemaIndex {
		return nil, nil, fmt.Errorf("apk: schema %#x; expected an index", f.Schema)
	}
	r, err := adb.NewReader(f.DB)
	if err != nil {
		return nil, nil, err
	}
	root, err := r.Object(r.Root())
	if err != nil {
		return nil, nil, err
	}
	values, err := r.Array(root.Get(2))
	if err != nil {
		return nil, nil, err
	}
	list := make([]Listed, 0, len(values))
	for _, v := range values {
		info, err := r.Object(v)
		if err != nil {
			return nil, nil, err
		}
		p, err := readInfo(r, info)
		if err != nil {
			return nil, nil, err
		}
		l := Listed{Package: *p}
		if l.FileSize, err = r.Int(info.Get(infoFileSize)); err == nil {
			l.Hash, err = r.Blob(info.Get(infoHashes))
		}
		if err != nil {
			return nil, nil, err
		}
		list = append(list, l)
	}
	return list, f, nil
}
