package ipk

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/meshagent/meshagent/openwrt-feed/tools/pack"
)

// testdata: a package made by OpenWrt's ipkg-build, a list with it and another
// one, and usign's signature over that list.

func load(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func gz(b []byte) ([]byte, error) { return pack.Gzip(b, pack.Deflate) }

const demoFile = "demo_1.2.3-r1_mips_24kc.ipk"

const wrapper = `#!/bin/sh
[ "${IPKG_NO_SCRIPT}" = "1" ] && exit 0
[ -s ${IPKG_INSTROOT}/lib/functions.sh ] || exit 0
. ${IPKG_INSTROOT}/lib/functions.sh
default_postinst $0 $@
`

func demo() *pack.Package {
	return &pack.Package{
		Name: "demo", Version: "1.2.3-r1", Arch: "mips_24kc", Title: "demo package", Epoch: 1700000000,
		Depends: []pack.Dependency{{Name: "libc"}}, Empty: []string{"/etc/init.d"}, Conffiles: []string{"/etc/config/demo"},
		Files: []pack.File{
			{Path: "/etc/config/demo", Mode: 0o644, Content: []byte("config demo 'main'\n\toption x '1'\n")},
			{Path: "/usr/bin/demo", Mode: 0o755, Content: []byte("#!/bin/sh\necho demo\n")},
		},
		Scripts: pack.Scripts{
			PostInst: wrapper,
			PreRm:    strings.Replace(strings.Replace(wrapper, "[ \"${IPKG_NO_SCRIPT}\" = \"1\" ] && exit 0\n", "", 1), "postinst", "prerm", 1),
		},
	}
}

// member is what a tar file says and holds.
type member struct {
	tar.Header
	content string
}

func untar(t *testing.T, b []byte) (list []member) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		c, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, member{*h, string(c)})
	}
}

// TestGolden compares all members of all three archives with the real ones:
// names, order, times, modes, owners and contents. The compressed bytes differ
// by compressor.
func TestGolden(t *testing.T) {
	got, err := Encode(demo(), gz)
	if err != nil {
		t.Fatal(err)
	}
	a, b := untar(t, got), untar(t, load(t, demoFile))
	if len(a) != len(b) {
		t.Fatalf("%d members; expected %d", len(a), len(b))
	}
	for i := range a {
		if strings.HasSuffix(b[i].Name, ".gz") {
			if in, want := untar(t, []byte(a[i].content)), untar(t, []byte(b[i].content)); !reflect.DeepEqual(in, want) {
				t.Errorf("%s:\ngot  %+v\nwant %+v", b[i].Name, in, want)
			}
			a[i].content, b[i].content, a[i].Size, b[i].Size = "", "", 0, 0
		}
		if !reflect.DeepEqual(a[i], b[i]) {
			t.Errorf("got  %+v\nwant %+v", a[i], b[i])
		}
	}
}

func TestIndexGolden(t *testing.T) {
	got, err := Index([]string{demoFile}, map[string][]byte{demoFile: load(t, demoFile)})
	if err != nil {
		t.Fatal(err)
	}
	if want := string(load(t, "Packages")); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestUsignGolden(t *testing.T) {
	key, err := ParsePublic(load(t, "key.pub"))
	if err != nil {
		t.Fatal(err)
	}
	if key.Name() != "fa1766c00b58765e" {
		t.Error(key.Name())
	}
	list, sig := load(t, "Packages"), load(t, "Packages.sig")
	if err := key.Verify(list, sig); err != nil {
		t.Error(err)
	}
	if key.Verify(append(list, '\n'), sig) == nil {
		t.Error("a changed list passes")
	}
}

func TestUsignRoundTrip(t *testing.T) {
	k := NewKey(bytes.Repeat([]byte{7}, 40))
	again, err := ParseSecret(k.EncodeSecret())
	if err != nil || !again.Secret.Equal(k.Secret) || again.Fingerprint != k.Fingerprint {
		t.Fatal(err, again)
	}
	pub, err := ParsePublic(k.EncodePublic())
	if err != nil {
		t.Fatal(err)
	}
	if err := pub.Verify([]byte("x"), k.Sign([]byte("x"))); err != nil {
		t.Error(err)
	}
	bad := k.EncodeSecret()
	bad[len(bad)-20] ^= 1
	if _, err := ParseSecret(bad); err == nil {
		t.Error("a damaged key is read")
	}
}

func TestLegacyLength(t *testing.T) {
	hit := false
	for n := range 130 {
		p := demo()
		p.Title = "t" + strings.Repeat("x", n)
		b, err := Encode(p, gz)
		if err != nil {
			t.Fatal(err)
		}
		list, err := Index([]string{"a"}, map[string][]byte{"a": b})
		if err != nil {
			t.Fatal(err)
		}
		if m := (64 + len(list)) % 128; m == 110 || m == 111 {
			t.Errorf("a list of %d bytes", len(list))
		}
		hit = hit || strings.HasSuffix(list, "\n\n\n\n")
	}
	if !hit {
		t.Error("no list was filled up")
	}
}

func TestDeb(t *testing.T) {
	p := demo()
	p.Arch, p.Section, p.Maintainer, p.Description = "amd64", "net", "N <n@example.org>", "One line.\n\nAnother."
	p.Files = append(p.Files, pack.File{Path: "/usr/bin/d", Target: "demo"})
	b, err := EncodeDeb(p, gz)
	if err != nil {
		t.Fatal(err)
	}
	q, control, err := ReadDeb(b)
	if err != nil {
		t.Fatal(err)
	}
	if q.Name != "demo" || q.File("/usr/bin/d").Target != "demo" || !strings.Contains(control, "\n .\n Another.\n") {
		t.Errorf("%+v\n%s", q, control)
	}
	tool, err := exec.LookPath("dpkg-deb")
	if err != nil {
		t.Skip("no dpkg-deb here to ask")
	}
	path := filepath.Join(t.TempDir(), "x.deb")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(tool, "--info", path).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Depends: libc") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := exec.Command(tool, "--extract", path, t.TempDir()).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestDamage(t *testing.T) {
	b := load(t, demoFile)
	for n := range b {
		if _, _, err := Read(b[:n]); err == nil {
			t.Errorf("cut at %d of %d: no error", n, len(b))
		}
	}
	d, err := EncodeDeb(demo(), gz)
	if err != nil {
		t.Fatal(err)
	}
	for n := range d {
		if _, _, err := ReadDeb(d[:n]); err == nil {
			t.Errorf("deb cut at %d of %d: no error", n, len(d))
		}
	}
}

func FuzzRead(f *testing.F) {
	b := load(f, demoFile)
	d, err := EncodeDeb(demo(), gz)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(d)
	f.Add(load(f, "key.pub"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _, _ = Read(b)
		_, _, _ = ReadDeb(b)
		_, _ = ParsePublic(b)
		_, _ = ParseSecret(b)
	})
}
