package apk

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshagent/meshagent/openwrt-feed/tools/adb"
	"github.com/meshagent/meshagent/openwrt-feed/tools/pack"
)

// The files of testdata were made by apk-tools 3.0 (mkpkg, mkndx): a package
// and an index, deflated, and a package without compression.

func load(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func unwrap(t testing.TB, b []byte) []byte {
	t.Helper()
	raw, err := adb.Open(b, maxInside)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// demo is what demo-1.2.3-r1.apk was made from.
func demo() *pack.Package {
	return &pack.Package{
		Name: "demo", Version: "1.2.3-r1", Arch: "mips_24kc", Title: "demo package", License: "ISC", Origin: "feeds/demo",
		Maintainer: "Nobody <n@example.org>", URL: "https://example.org", Depends: []pack.Dependency{{Name: "libc"}},
		Empty: []string{"/etc/init.d"}, Conffiles: []string{"/etc/config/demo"},
		Files: []pack.File{
			{Path: "/etc/config/demo", Mode: 0o644, Content: []byte("config demo 'main'\n\toption x '1'\n")},
			{Path: "/usr/bin/demo", Mode: 0o755, Content: []byte("#!/bin/sh\necho demo\n")},
		},
		Scripts: pack.Scripts{PostInst: "#!/bin/sh\necho post\n", PreRm: "#!/bin/sh\necho post\n"},
	}
}

func TestPackageGolden(t *testing.T) {
	got, err := Encode(demo(), nil, pack.Deflate)
	if err != nil {
		t.Fatal(err)
	}
	if want := unwrap(t, load(t, "demo-1.2.3-r1.apk")); !bytes.Equal(unwrap(t, got), want) {
		t.Errorf("got  %x\nwant %x", unwrap(t, got), want)
	}
}

func TestRawGolden(t *testing.T) {
	p := demo()
	p.Title, p.License, p.Origin, p.Maintainer, p.URL = "", "", "", "", ""
	p.Arch, p.Depends, p.Scripts, p.Epoch = pack.ArchAll, nil, pack.Scripts{}, 1795312799
	f, err := build(p)
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if want := load(t, "raw.apk"); !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
}

func TestReadGolden(t *testing.T) {
	p, _, err := Read(load(t, "demo-1.2.3-r1.apk"))
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "demo" || p.Arch != "mips_24kc" || len(p.Files) != 5 || string(p.File("/usr/bin/demo").Content) != "#!/bin/sh\necho demo\n" ||
		p.File("/usr/bin/demo").Mode != 0o755 || p.Scripts.PreRm != "#!/bin/sh\necho post\n" || len(p.Depends) != 1 {
		t.Errorf("%+v", p)
	}
	if got := string(p.File("/lib/apk/packages/demo.list").Content); got != "/etc/config/demo\n/usr/bin/demo\n" {
		t.Errorf("list %q", got)
	}
}

// The second package of the index is not at hand, so its entry is copied.
func TestIndexGolden(t *testing.T) {
	want, err := adb.Parse(unwrap(t, load(t, "packages.adb")))
	if err != nil {
		t.Fatal(err)
	}
	r, err := adb.NewReader(want.DB)
	if err != nil {
		t.Fatal(err)
	}
	root, _ := r.Object(r.Root())
	list, _ := r.Array(root.Get(2))
	if len(list) != 2 {
		t.Fatalf("%d packages", len(list))
	}

	b := load(t, "demo-1.2.3-r1.apk")
	f, err := adb.Parse(unwrap(t, b))
	if err != nil {
		t.Fatal(err)
	}
	w := adb.NewWriter()
	_, first, err := indexEntry(w, f, len(b))
	if err != nil {
		t.Fatal(err)
	}
	// The first entry must be what apk wrote, byte for byte and in its place.
	db := w.Finish(adb.Null)
	if at := len(db); !bytes.Equal(db[8:], want.DB[8:at]) || first != list[0] {
		t.Errorf("got  %x\nwant %x", db[8:], want.DB[8:at])
	}

	pub, err := adb.ParsePublicKey(load(t, "apk.pub.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if err := want.Verify(pub); err != nil {
		t.Error("the real index:", err)
	}
	want.DB[len(want.DB)-1] ^= 1
	if want.Verify(pub) == nil {
		t.Error("a changed index passes")
	}
}

func TestReadIndexGolden(t *testing.T) {
	list, _, err := ReadIndex(load(t, "packages.adb"))
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 || list[0].Name != "demo" || list[0].FileSize != 803 || list[1].Name != "libc" || len(list[1].Hash) != 32 {
		t.Errorf("%+v", list)
	}
}

func testKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestSignedRoundTrip(t *testing.T) {
	key := testKey(t)
	p := demo()
	p.Files = append(p.Files, pack.File{Path: "/usr/bin/d", Target: "demo"}, pack.File{Path: "/big", Mode: 0o600, Content: bytes.Repeat([]byte("x"), 70000)})
	p.Scripts.PostUpgrade = "#!/bin/sh\n" + strings.Repeat("# long\n", 100)
	p.Depends = append(p.Depends, pack.Dependency{Name: "kmod-tun", Op: ">=", Version: "6"})
	a, err := Encode(p, key, pack.Deflate)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := Encode(p, key, pack.Deflate); !bytes.Equal(a, b) {
		t.Error("the same package twice differs")
	}
	q, f, err := Read(a)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Verify(&key.PublicKey); err != nil {
		t.Error(err)
	}
	if f.Verify(&testKey(t).PublicKey) == nil {
		t.Error("another key verifies")
	}
	if q.File("/usr/bin/d").Target != "demo" || len(q.File("/big").Content) != 70000 || q.Scripts.PostUpgrade != p.Scripts.PostUpgrade ||
		q.Depends[0] != p.Depends[0] || q.Depends[1] != p.Depends[1] {
		t.Errorf("%+v", q)
	}
	idx, err := Index([][]byte{a}, key, pack.Deflate)
	if err != nil {
		t.Fatal(err)
	}
	list, f, err := ReadIndex(idx)
	if err != nil || len(list) != 1 || list[0].FileSize != uint64(len(a)) {
		t.Fatalf("%v, %+v", err, list)
	}
	if err := f.Verify(&key.PublicKey); err != nil {
		t.Error(err)
	}
}

// Every cut and every changed byte is noticed, and nothing panics.
func TestDamage(t *testing.T) {
	raw := unwrap(t, load(t, "demo-1.2.3-r1.apk"))
	for n := range raw {
		// Behind the last block is only padding.
		if _, _, err := Read(raw[:n]); err == nil && bytes.ContainsFunc(raw[n:], func(r rune) bool { return r != 0 }) {
			t.Errorf("cut at %d of %d: no error", n, len(raw))
		}
	}
	for i := range raw {
		for _, bit := range []byte{1, 0x80} {
			b := bytes.Clone(raw)
			b[i] ^= bit
			if p, _, err := Read(b); err == nil && p.Name != "demo" {
				t.Errorf("byte %d: read as %q without an error", i, p.Name)
			}
		}
	}
}

func TestBadDescriptions(t *testing.T) {
	for what, spoil := range map[string]func(*pack.Package){
		"version without -r": func(p *pack.Package) { p.Version = "1.2.3-1" },
		"version with dash":  func(p *pack.Package) { p.Version = "1.2.3-rc1-r1" },
		"relative path":      func(p *pack.Package) { p.Files[0].Path = "etc/x" },
		"dots in a path":     func(p *pack.Package) { p.Files[0].Path = "/etc/../x" },
		"a file twice":       func(p *pack.Package) { p.Files[1].Path = p.Files[0].Path },
		"missing conffile":   func(p *pack.Package) { p.Conffiles[0] = "/etc/none" },
		"name":               func(p *pack.Package) { p.Name = "Demo!" },
		"two lines":          func(p *pack.Package) { p.URL = "a\nb" },
	} {
		p := demo()
		spoil(p)
		if _, err := Encode(p, nil, pack.Deflate); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, n := range []string{"raw.apk", "packages.adb", "demo-1.2.3-r1.apk"} {
		f.Add(load(f, n))
		f.Add(unwrap(f, load(f, n)))
	}
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _, _ = Read(b)
		_, _, _ = ReadIndex(b)
		if len(b) < 1<<16 {
			_, _ = Index([][]byte{b}, nil, pack.Deflate)
		}
	})
}
