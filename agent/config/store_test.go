package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/meshagent/meshagent/agent/cjdns"
)

const storeUCI = `# mine, with care
config meshagent 'main'
	option enabled '1'	# on

config future 'thing'
	option odd "quoted"

config udp 'wan'
	option bind '0.0.0.0:2000'

config peer 'b'
	# the tower
	option address '10.0.0.2:5'
	option comment 'keep me'
	option public_key '` + keyB + `'
	option password 'secret'

# the end
`

func load(t *testing.T, s *Store) Config {
	t.Helper()
	l, err := s.Load()
	if err != nil {
		t.Fatal(err)
	}
	return l.Config
}

func add(t *testing.T, s *Store, p Peer) PeerChange {
	t.Helper()
	p.Enabled = true
	c, err := s.AddPeer(p)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func del(t *testing.T, s *Store, selector string) PeerChange {
	t.Helper()
	c, err := s.DelPeer(selector)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPeersInUCI(t *testing.T) {
	path := writeFile(t, "conf", storeUCI)
	s := Open(path)
	c := add(t, s, Peer{Address: "10.0.0.1:5", PublicKey: mustKey(t, keyA), Password: "it's", Login: "me", Name: "New York"})
	if c.Action != Added || c.Section != "new_york" || c.File != path || c.IP != ipA || c.Peer.Section != "new_york" {
		t.Errorf("added: %+v", c)
	}
	added := "\nconfig peer 'new_york'\n\toption name 'New York'\n\toption address '10.0.0.1:5'\n\toption public_key '" + keyA +
		"'\n\toption password 'it'\\''s'\n\toption login 'me'\n"
	if got := readAll(t, path); got != storeUCI+added {
		t.Errorf("the file is\n%s", got)
	}
	if c := add(t, s, Peer{Address: "10.0.0.1:5", PublicKey: mustKey(t, keyA), Password: "it's", Login: "me"}); c.Action != Unchanged {
		t.Errorf("the same again: %+v", c)
	}
	if c := add(t, s, Peer{Address: "10.0.0.2:5", PublicKey: mustKey(t, keyB), Password: "other"}); c.Action != Changed || c.Section != "b" {
		t.Errorf("changed: %+v", c)
	}
	if got, want := readAll(t, path), strings.Replace(storeUCI, "secret", "other", 1)+added; got != want {
		t.Errorf("the file is\n%s", got)
	}
	if c := add(t, s, Peer{Address: "10.0.0.2:5", PublicKey: mustKey(t, keyB), Password: "secret"}); c.Action != Changed {
		t.Errorf("changed back: %+v", c)
	}
	if c := del(t, s, ipA); c.Action != Removed || c.Section != "new_york" {
		t.Errorf("removed: %+v", c)
	}
	if got := readAll(t, path); got != storeUCI {
		t.Errorf("adding and removing leaves\n%s", got)
	}
}

func TestSectionsOfNewPeersAreFree(t *testing.T) {
	s := Open(writeFile(t, "conf", storeUCI))
	for i, tc := range []struct {
		p    Peer
		want string
	}{
		{Peer{PublicKey: mustKey(t, keyA)}, "peer_p1k4y0xp"},
		{Peer{PublicKey: mustKey(t, keyA)}, "peer_p1k4y0xp_2"},
		{Peer{PublicKey: mustKey(t, keyA), Name: "main"}, "main_2"},
		{Peer{PublicKey: mustKey(t, keyA), Name: "ünsere"}, "peer_p1k4y0xp_3"},
		{Peer{PublicKey: mustKey(t, keyA), Name: "x", Section: "wish"}, "wish"},
	} {
		tc.p.Address = "host:" + string(rune('1'+i))
		if c := add(t, s, tc.p); c.Section != tc.want {
			t.Errorf("section %s, want %s", c.Section, tc.want)
		}
	}
}

func TestDelPeerSelectors(t *testing.T) {
	text := storeUCI + "config peer\n\toption name 'two'\n\toption address 'HOST:7'\n\toption public_key '" + keyB + "'\n\toption password 'none'\n"
	for selector, want := range map[string]string{
		"b": "b", "10.0.0.2:5": "b", "@peer[1]": "@peer[1]", "two": "@peer[1]", "host:7": "@peer[1]", "Host:7": "@peer[1]",
	} {
		s := Open(writeFile(t, "conf", text))
		if c := del(t, s, selector); c.Section != want {
			t.Errorf("%s removes %s, want %s", selector, c.Section, want)
		}
		if n := len(load(t, s).Peers); n != 1 {
			t.Errorf("%s leaves %d peers", selector, n)
		}
	}
	s := Open(writeFile(t, "conf", text))
	for selector, want := range map[string]string{
		"x":                               "no peer 'x' in the configuration; expected a section, name, public key, overlay address or link address",
		keyB:                              "'" + keyB + "' fits several peers; name one section of: b, @peer[1]",
		"v20.0000.0000.0000.0013." + keyB: "'v20.0000.0000.0000.0013." + keyB + "' fits several peers; name one section of: b, @peer[1]",
	} {
		if _, err := s.DelPeer(selector); err == nil || err.Error() != want {
			t.Errorf("%s: error %v, want %s", selector, err, want)
		}
	}
	if got := readAll(t, s.Path()); got != text {
		t.Errorf("a refused deletion changed the file:\n%s", got)
	}
}

func TestAddPeerRefuses(t *testing.T) {
	for _, tc := range []struct {
		name string
		p    Peer
		want string
	}{
		{"address", Peer{Address: "x", PublicKey: mustKey(t, keyA)}, "option 'address': expected ip:port, [ip6]:port, hostname:port or a MAC such as 02:00:00:00:00:01, found 'x'"},
		{"all", Peer{Address: "[fc00::1]:1", Password: "\n", Name: "\n"}, "option 'address': an address in fc00::/8 is inside the overlay; expected the address of the link, found '[fc00::1]:1'\n" +
			"option 'public_key': missing; expected a public key, 52 base32 characters and .k\n" +
			"option 'password': expected a password of 1 to 256 bytes without control characters\n" +
			"option 'name': expected a name of 1 to 128 bytes without control characters"},
		{"taken address", Peer{Address: "10.0.0.2:5", PublicKey: mustKey(t, keyA)}, "option 'address': 10.0.0.2:5 is the address of another node in line 11 already"},
		{"interface", Peer{Address: "10.0.0.3:5", PublicKey: mustKey(t, keyA), Interface: "lan"}, "option 'interface': 'lan' is no udp link; expected one of: wan"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := writeFile(t, "conf", storeUCI)
			_, err := Open(path).AddPeer(tc.p)
			if err == nil || strings.ReplaceAll(err.Error(), path, "CONF") != tc.want {
				t.Errorf("error\n%v, want\n%s", err, tc.want)
			}
			if got := readAll(t, path); got != storeUCI {
				t.Errorf("the file changed:\n%s", got)
			}
		})
	}
}

func TestFileWithErrorsIsNotChanged(t *testing.T) {
	broken := storeUCI + "config tun\n\toption mtu 'x'\n\tbroken\n"
	path := writeFile(t, "conf", broken)
	s := Open(path)
	want := path + ":20: option 'mtu': expected a number from 1280 to 2000, found 'x'\n" + path + ":21: expected config, option or list, found 'broken'"
	if _, err := s.Load(); err == nil || err.Error() != want {
		t.Errorf("error\n%v, want\n%s", err, want)
	}
	if _, err := s.AddPeer(Peer{Address: "a:1", PublicKey: mustKey(t, keyA)}); err == nil {
		t.Error("a peer was added")
	}
	if _, err := s.DelPeer("b"); err == nil {
		t.Error("a peer was removed")
	}
	if readAll(t, path) != broken {
		t.Error("the file changed")
	}
	var missing *fs.PathError
	if _, err := Open(path + "x").Load(); !errors.As(err, &missing) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := Open(filepath.Dir(path)).Load(); err == nil || !strings.HasSuffix(err.Error(), " is a directory; expected a configuration file") {
		t.Errorf("a directory: %v", err)
	}
}

func TestCjdrouteConfIsNeverWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cjdroute.conf")
	copyFile(t, "testdata/cjdroute/two_udp_A.conf", path)
	before := readAll(t, path)
	overlay := path + ".meshagent"
	s := Open(path)
	b := Peer{Address: "10.11.1.2:20002", PublicKey: mustKey(t, keyB)}

	if c := add(t, s, Peer{Address: "10.0.0.3:5", PublicKey: mustKey(t, keyC), Password: "x"}); c.Action != Added || c.File != overlay {
		t.Errorf("added: %+v", c)
	}
	if n := len(load(t, s).Peers); n != 2 {
		t.Fatalf("%d peers, want 2", n)
	}
	if info, err := os.Stat(overlay); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("overlay: %v, %v", info, err)
	}

	// One out of the cjdroute.conf goes, and stays away.
	if c := del(t, s, "B"); c.Action != Removed || c.Section != "peer_ygrqzpr8" {
		t.Errorf("removed: %+v", c)
	}
	if p := load(t, s).Peers; len(p) != 1 || p[0].PublicKey != mustKey(t, keyC) {
		t.Fatalf("peers %+v", p)
	}
	if !strings.Contains(readAll(t, overlay), "option deleted '1'") {
		t.Errorf("no tombstone in\n%s", readAll(t, overlay))
	}
	if _, err := s.DelPeer("B"); err == nil {
		t.Error("removed twice")
	}

	// It comes back as it was, without a trace.
	b.Password, b.Login = "passForA", "A-login"
	if c := add(t, s, b); c.Action != Added || c.Peer.Interface != "udp_0" || c.Name != "B" {
		t.Errorf("back again: %+v", c)
	}
	if strings.Contains(readAll(t, overlay), keyB) {
		t.Errorf("a trace is left in\n%s", readAll(t, overlay))
	}

	// Changed, it lives in the overlay; removed, both go.
	b.Password = "new"
	if c := add(t, s, b); c.Action != Changed || c.Section != "peer_ygrqzpr8" {
		t.Errorf("changed: %+v", c)
	}
	if p, err := FindPeer(load(t, s).Peers, "B"); err != nil || p.Password != "new" || len(load(t, s).Peers) != 2 {
		t.Errorf("%+v, %v", p, err)
	}
	b.Password = "newer"
	add(t, s, b)
	if strings.Count(readAll(t, overlay), keyB) != 1 {
		t.Errorf("changed twice, the overlay is\n%s", readAll(t, overlay))
	}
	del(t, s, "10.11.1.2:20002")
	if p := load(t, s).Peers; len(p) != 1 {
		t.Errorf("peers %+v", p)
	}
	// With other options than before, after a tombstone.
	b.Password = "third"
	if c := add(t, s, b); c.Action != Added || c.Peer.Password != "third" {
		t.Errorf("back, changed: %+v", c)
	}
	if p := load(t, s).Peers; len(p) != 2 {
		t.Errorf("peers %+v", p)
	}
	if readAll(t, path) != before {
		t.Error("cjdroute.conf changed")
	}
}

func TestOverlayHoldsOptionsToo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cjdroute.conf")
	copyFile(t, "testdata/cjdroute/two_udp_A.conf", path)
	writeFile(t, path+".meshagent", `
config meshagent 'main'
	option socket '/run/a.sock'
	option inbound 'open'
config tun
	option mtu '1400'
config udp 'udp_1'
	option bind '[::]:20001'
config peer 'peer_ygrqzpr8'
	option address '[2001:db8::1]:5'
	option public_key '`+keyB+`'
	option password 'x'
	option interface 'udp_1'
config peer
	option deleted '1'
	option address '10.11.1.2:20002'
	option public_key '`+keyC+`'
`)
	c := load(t, Open(path))
	if c.Main.Socket != "/run/a.sock" || c.Main.Inbound != InboundOpen || c.TUN.Name != "tunA" || c.TUN.MTU != 1400 || len(c.UDP) != 2 {
		t.Errorf("%+v", c)
	}
	if len(c.Peers) != 2 || c.Peers[0].Section == c.Peers[1].Section || c.Peers[1].Section != "peer_ygrqzpr8" {
		t.Errorf("peers %+v", c.Peers)
	}
	writeFile(t, path+".meshagent", "config tun\n\toption mtu 1\n")
	if _, err := Open(path).Load(); err == nil || err.Error() != path+".meshagent:2: option 'mtu': expected a number from 1280 to 2000, found '1'" {
		t.Errorf("error %v", err)
	}
}

func TestWriteAtomicKeepsModeOwnerAndLink(t *testing.T) {
	dir := t.TempDir()
	real := filepath.Join(dir, "real", "conf")
	if err := os.MkdirAll(filepath.Dir(real), 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, real, "old")
	if err := os.Chmod(real, 0o644); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(real, 12345, 23456); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink("real/conf", link); err != nil {
		t.Fatal(err)
	}
	if err := WriteAtomic(link, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if target, err := os.Readlink(link); err != nil || target != "real/conf" {
		t.Errorf("the link is %q, %v", target, err)
	}
	info, err := os.Stat(real)
	if err != nil {
		t.Fatal(err)
	}
	st, _ := info.Sys().(*syscall.Stat_t)
	if readAll(t, real) != "new" || info.Mode().Perm() != 0o644 || os.Geteuid() == 0 && (st.Uid != 12345 || st.Gid != 23456) {
		t.Errorf("%q, %v, %d:%d", readAll(t, real), info.Mode(), st.Uid, st.Gid)
	}
	onlyEntry(t, filepath.Dir(real), "conf")
	if err := WriteAtomic(dir, []byte("x"), 0o600); err == nil {
		t.Error("a directory was replaced")
	}
	if err := WriteAtomic(filepath.Join(dir, "none", "x"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing directory: %v", err)
	}
}

// onlyEntry checks that nothing is left behind in dir.
func onlyEntry(t *testing.T, dir, name string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != name {
		t.Errorf("%s holds %v, %v; want only %s", dir, entries, err, name)
	}
}

func TestFullDiskLeavesTheOldFile(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("needs the privilege to mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	path := writeFile(t, filepath.Join(dir, "conf"), storeUCI)
	err := WriteAtomic(path, make([]byte, 1<<20), 0o600)
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("error %v, want ENOSPC", err)
	}
	if readAll(t, path) != storeUCI {
		t.Error("the old file is damaged")
	}
	onlyEntry(t, dir, "conf")
}

func TestKeyIsMadeOnce(t *testing.T) {
	path := writeFile(t, "conf", "")
	s := Open(path)
	c := load(t, s)
	c.Main.KeyFile = filepath.Join(t.TempDir(), "new", "key")
	want, _ := cjdns.ParsePrivateKey(privA)
	calls := 0
	generate := func() cjdns.PrivateKey { calls++; return want }
	if _, ok, err := s.PeekKey(&c); ok || err != nil {
		t.Errorf("peek: %v, %v", ok, err)
	}
	for range 2 {
		if got, err := s.Key(&c, generate); err != nil || got != want {
			t.Fatalf("%v, %v", got, err)
		}
	}
	if calls != 1 || readAll(t, c.Main.KeyFile) != privA+"\n" {
		t.Errorf("%d calls, file %q", calls, readAll(t, c.Main.KeyFile))
	}
	if err := os.Chmod(c.Main.KeyFile, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Key(&c, generate); err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(c.Main.KeyFile); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if err := WriteKey(c.Main.KeyFile, want); err == nil {
		t.Error("a key was overwritten")
	}
	writeFile(t, c.Main.KeyFile, "secret text\n")
	_, err := s.Key(&c, generate)
	if err == nil || err.Error() != c.Main.KeyFile+":1: expected a private key, 64 hexadecimal digits" {
		t.Errorf("error %v", err)
	}
}

func TestImportedKeyMoves(t *testing.T) {
	keyFile := filepath.Join(t.TempDir(), "key")
	text := "# mine\nconfig meshagent 'main'\n\toption key_file '" + keyFile + "'\n\toption private_key '" + privA + "'\n\toption inbound 'open'\n"
	path := writeFile(t, "conf", text)
	s := Open(path)
	c := load(t, s)
	want, _ := cjdns.ParsePrivateKey(privA)
	never := func() cjdns.PrivateKey { t.Error("a key was made"); return want }
	if got, err := s.Key(&c, never); err != nil || got != want {
		t.Fatalf("%v, %v", got, err)
	}
	if readAll(t, path) != strings.Replace(text, "\toption private_key '"+privA+"'\n", "", 1) {
		t.Errorf("the file is\n%s", readAll(t, path))
	}
	if info, err := os.Stat(keyFile); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	// Another key in the text and in the file: nobody can tell which is right.
	writeFile(t, path, strings.Replace(text, privA, privB, 1))
	c = load(t, s)
	wantErr := path + " carries another private key than " + keyFile + "; delete the wrong one, or name another file with option 'key_file' of section 'main'"
	if _, err := s.Key(&c, never); err == nil || err.Error() != wantErr {
		t.Errorf("error %v, want %s", err, wantErr)
	}
	if _, _, err := s.PeekKey(&c); err == nil || err.Error() != wantErr {
		t.Errorf("error %v, want %s", err, wantErr)
	}
	if !strings.Contains(readAll(t, path), privB) || readAll(t, keyFile) != privA+"\n" {
		t.Error("a key was lost")
	}
}

func TestKeyOfCjdrouteConf(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "cjdroute.conf")
	copyFile(t, "testdata/cjdroute/two_udp_A.conf", path)
	before := readAll(t, path)
	writeFile(t, path+".meshagent", "config meshagent\n\toption key_file '"+dir+"/key'\n")
	s := Open(path)
	c := load(t, s)
	if _, err := s.Key(&c, nil); err != nil {
		t.Fatal(err)
	}
	if readAll(t, dir+"/key") != privA+"\n" || readAll(t, path) != before {
		t.Error("the key was not copied, or the file changed")
	}
	writeFile(t, dir+"/key", privB+"\n")
	if _, err := s.Key(&c, nil); err == nil || !strings.HasSuffix(err.Error(), "or name another file with option 'key_file' of section 'main' in "+path+".meshagent") {
		t.Errorf("error %v", err)
	}
}

// On a full flash nothing is changed, nothing is left behind, and the error
// says why.
func TestFullFlash(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a small file system")
	}
	dir := t.TempDir()
	if err := syscall.Mount("meshagent-test", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	path := filepath.Join(dir, "conf")
	old := "config udp 'wan'\n\toption bind '0.0.0.0:1'\n"
	writeFile(t, path, old)
	filler := filepath.Join(dir, "filler")
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if f.Close(); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	s := Open(path)
	p := Peer{Enabled: true, Address: "192.0.2.1:5", Password: "x"}
	if p.PublicKey, err = cjdns.ParseKey(keyC); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddPeer(p); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "not stored") {
		t.Errorf("%v", err)
	}
	if err := s.Replace(old, old+"# longer\n"); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%v", err)
	}
	if got := readAll(t, path); got != old {
		t.Errorf("%q", got)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddPeer(p); err != nil {
		t.Errorf("with room again: %v", err)
	}
}
