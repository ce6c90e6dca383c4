package feed

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/meshagent/meshagent/openwrt-feed/tools/apk"
	"github.com/meshagent/meshagent/openwrt-feed/tools/ipk"
	"github.com/meshagent/meshagent/openwrt-feed/tools/pack"
)

// router is the root of a small system: busybox, and imitations of what the
// scripts of the packages call (testdata/root says of what). Scripts run in it
// by chroot, so the tests need root.
type router struct {
	t    *testing.T
	root string
	tool installer
	has  *pack.Package // installed
}

// installer does what opkg or apk does with the package meshagent.
type installer struct {
	name string
	read func(file []byte) (*pack.Package, error)
	// scripts to run, as NAME and arguments with the environment
	info                    string // where they are kept
	install, upgrade, erase string
	before                  string // of the old package, before an upgrade
	newConf                 string // suffix of a new conffile beside a changed one
	file                    func(p *pack.Package) string
	script                  func(s *pack.Scripts, name string) string
	upgradeEnv, dir         string
}

var tools = []installer{
	{
		name: "opkg", dir: "opkg", file: ipk.FileName, info: "/usr/lib/opkg/info/", newConf: "-opkg",
		install: "postinst configure", upgrade: "postinst configure", before: "prerm upgrade 9", erase: "prerm remove", upgradeEnv: "PKG_UPGRADE=1",
		read: func(b []byte) (*pack.Package, error) { p, _, err := ipk.Read(b); return p, err },
		script: func(s *pack.Scripts, name string) string {
			return map[string]string{"postinst": s.PostInst, "prerm": s.PreRm}[name]
		},
	},
	{
		name: "apk", dir: "apk", file: apk.FileName, info: "/lib/apk/exec/", newConf: ".apk-new",
		install: "post-install 1", upgrade: "post-upgrade 2 1", erase: "pre-deinstall 1",
		read: func(b []byte) (*pack.Package, error) { p, _, err := apk.Read(b); return p, err },
		script: func(s *pack.Scripts, name string) string {
			return map[string]string{"post-install": s.PostInst, "post-upgrade": s.PostUpgrade, "pre-deinstall": s.PreRm}[name]
		},
	},
}

const network = "config interface 'lan'\n\toption device 'br-lan'\n"
const firewall = "config defaults\n\toption input 'ACCEPT'\n\nconfig zone 'lan'\n\toption name 'lan'\n"

func newRouter(t *testing.T, tool installer) *router {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root for chroot; make check-packages has it")
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal("needs busybox-static; make check-packages installs it")
	}
	r := &router{t: t, root: t.TempDir(), tool: tool}
	if err := os.CopyFS(r.root, os.DirFS("testdata/root")); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"dev/net", "etc/config", "etc/rc.d", "etc/init.d", "tmp", "var/run", "var/lib", "sys/class/ieee80211/phy0", "usr/bin", "sbin"} {
		r.must(os.MkdirAll(filepath.Join(r.root, d), 0o755))
	}
	for name, minor := range map[string]int{"null": 3, "urandom": 9} {
		r.must(syscall.Mknod(filepath.Join(r.root, "dev", name), syscall.S_IFCHR|0o666, 1<<8|minor))
	}
	r.must(syscall.Mknod(filepath.Join(r.root, "dev/net/tun"), syscall.S_IFCHR|0o600, 10<<8|200))
	r.write("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n", 0o644)
	r.write("/etc/group", "root:x:0:\n", 0o644)
	r.write("/etc/shadow", "root:::0:99999:7:::\n", 0o600)
	r.write("/etc/config/network", network, 0o644)
	r.write("/etc/config/firewall", firewall, 0o644)
	r.write("/var/run/fw4.state", "", 0o644)
	for name, text := range map[string]string{
		"/bin/logger":          "shift 4; echo \"$@\" >>/tmp/log",
		"/bin/killall":         "echo killall \"$@\" >>/tmp/events",
		"/bin/pidof":           "[ -f /tmp/procd/$1.pid ] && kill -0 $(cat /tmp/procd/$1.pid)",
		"/etc/init.d/firewall": "echo firewall \"$@\" >>/tmp/events",
		"/etc/init.d/rpcd":     "echo rpcd \"$@\" >>/tmp/events",
	} {
		r.write(name, "#!/bin/sh\n"+text+"\n", 0o755)
	}
	b, err := os.ReadFile(busybox)
	r.must(err)
	r.write("/bin/busybox", string(b), 0o755)
	r.must(r.command("/bin/busybox", "--install", "-s", "/bin").Run())
	t.Cleanup(func() {
		if pid := strings.TrimSpace(r.text("/tmp/procd/meshagent.pid")); pid != "" {
			if n, err := strconv.Atoi(pid); err == nil {
				_ = syscall.Kill(n, syscall.SIGKILL)
			}
		}
	})
	return r
}

func (r *router) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *router) write(path, text string, mode fs.FileMode) {
	r.t.Helper()
	path = filepath.Join(r.root, path)
	r.must(os.MkdirAll(filepath.Dir(path), 0o755))
	r.must(os.WriteFile(path, []byte(text), mode))
	r.must(os.Chmod(path, mode))
}

// text reads a file; a missing one is empty.
func (r *router) text(path string) string {
	b, _ := os.ReadFile(filepath.Join(r.root, path))
	return string(b)
}

func (r *router) exists(path string) bool {
	_, err := os.Lstat(filepath.Join(r.root, path))
	return err == nil
}

func (r *router) command(args ...string) *exec.Cmd {
	c := exec.Command(args[0], args[1:]...)
	c.SysProcAttr = &syscall.SysProcAttr{Chroot: r.root}
	c.Dir, c.Env = "/", []string{"PATH=/bin:/sbin:/usr/bin"}
	return c
}

// run runs a command on the router, which must succeed.
func (r *router) run(env string, args ...string) {
	r.t.Helper()
	c := r.command(args...)
	if env != "" {
		c.Env = append(c.Env, env)
	}
	// Not a pipe: what the service inherits would keep it open.
	log, err := os.Create(filepath.Join(r.t.TempDir(), "out"))
	r.must(err)
	defer log.Close()
	c.Stdout, c.Stderr = log, log
	if err := c.Run(); err != nil {
		out, _ := os.ReadFile(log.Name())
		r.t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

// events waits for the text what and returns all that happened since the last
// call.
func (r *router) events(what string) string {
	r.t.Helper()
	r.run("", "/bin/sh", "-c", "i=0; until grep -q '"+what+"' /tmp/events || [ $i = 100 ]; do i=$((i+1)); sleep 0.1; done")
	e := r.text("/tmp/events")
	if !strings.Contains(e, what) {
		r.t.Fatalf("no event %q in\n%s%s", what, e, r.text("/tmp/log"))
	}
	r.write("/tmp/events", "", 0o644)
	return e
}

// scripts runs a script of p, as NAME ARGUMENTS.
func (r *router) script(p *pack.Package, env, call string) {
	r.t.Helper()
	name, args, _ := strings.Cut(call, " ")
	text := r.tool.script(&p.Scripts, name)
	if text == "" {
		r.t.Fatalf("%s: no script %s", r.tool.name, name)
	}
	path := r.tool.info + p.Name + "." + name
	r.write(path, text, 0o755)
	r.run(env, append([]string{path}, strings.Fields(args)...)...)
	r.must(os.Remove(filepath.Join(r.root, path)))
}

// install installs the package, over another version if one is there.
func (r *router) install(p *pack.Package) {
	r.t.Helper()
	old := r.has
	if old != nil && r.tool.before != "" {
		r.script(old, r.tool.upgradeEnv, r.tool.before)
	}
	r.mark("unpack")
	var list strings.Builder
	for _, f := range p.Files {
		fmt.Fprintln(&list, f.Path)
		path := f.Path
		if r.isConf(p, path) && r.exists(path) && r.text(path) != string(f.Content) {
			path += r.tool.newConf // both do, even if the shipped one is the same as before
		}
		r.must(os.RemoveAll(filepath.Join(r.root, path)))
		r.write(path, string(f.Content), fs.FileMode(f.Mode))
	}
	if r.tool.name == "opkg" {
		r.write(r.tool.info+p.Name+".list", list.String(), 0o644)
		r.write(r.tool.info+p.Name+".control", "Require-User: meshagent=463:meshagent=463\n", 0o644)
	}
	r.has = p
	if old == nil {
		r.script(p, "", r.tool.install)
	} else {
		r.script(p, r.tool.upgradeEnv, r.tool.upgrade)
	}
}

func (r *router) isConf(p *pack.Package, path string) bool {
	return path == "/etc/config/meshagent" && p.File(path) != nil
}

// remove removes the package; a changed conffile stays unless purge.
func (r *router) remove(purge bool) {
	r.t.Helper()
	r.script(r.has, "", r.tool.erase)
	for _, f := range r.has.Files {
		if r.isConf(r.has, f.Path) && !purge && r.text(f.Path) != string(f.Content) {
			continue
		}
		err := os.Remove(filepath.Join(r.root, f.Path))
		if err != nil && !os.IsNotExist(err) {
			r.t.Fatal(err)
		}
	}
	for _, suffix := range []string{".list", ".control"} {
		_ = os.Remove(filepath.Join(r.root, r.tool.info+r.has.Name+suffix))
	}
	r.has = nil
}

// mark notes something in the list of events.
func (r *router) mark(what string) {
	r.write("/tmp/events", r.text("/tmp/events")+what+"\n", 0o644)
}

// snapshot lists all files with mode and content, and links; not those in
// memory, nor the agent's private places of the tools.
func (r *router) snapshot() map[string]string {
	m := map[string]string{}
	r.must(filepath.WalkDir(r.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, r.root)
		if name == "/tmp" || name == "/dev" {
			return fs.SkipDir
		}
		info, err := d.Info()
		if err != nil || d.IsDir() {
			return err
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return nil
		}
		b, _ := os.ReadFile(path)
		m[name] = fmt.Sprintf("%v %d:%d %x", info.Mode(), st.Uid, st.Gid, sha256.Sum256(b))
		return nil
	}))
	return m
}

// packages builds the packages of this feed around an agent that only notes
// what happens to it.
func packages(t *testing.T, version string) map[string]*pack.Package {
	t.Helper()
	dir := t.TempDir()
	text, err := os.ReadFile("testdata/agent/meshagent")
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.ReplaceAll(text, []byte("@VERSION@"), []byte(version))
	if err := os.WriteFile(filepath.Join(dir, "meshagent-linux-amd64"), text, 0o755); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	err = Run([]string{"-f", "../../packages.yaml", "-programs", dir, "-o", dir, "-keys", dir, "-version", version + "-r1", "-arch", "x86_64", "-epoch", "1"})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*pack.Package{}
	for _, tool := range tools {
		name := tool.file(&pack.Package{Name: "meshagent", Version: version + "-r1", Arch: "x86_64"})
		b, err := os.ReadFile(filepath.Join(dir, tool.dir, "x86_64", name))
		if err != nil {
			t.Fatal(err)
		}
		if out[tool.name], err = tool.read(b); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func onBoth(t *testing.T, f func(t *testing.T, r *router, v1, v2 *pack.Package)) {
	t.Helper()
	one, two := packages(t, "0.1.0"), packages(t, "0.2.0")
	for _, tool := range tools {
		t.Run(tool.name, func(t *testing.T) { f(t, newRouter(t, tool), one[tool.name], two[tool.name]) })
	}
}

func TestInstallAndRemove(t *testing.T) {
	onBoth(t, func(t *testing.T, r *router, v1, _ *pack.Package) {
		before := r.snapshot()
		r.install(v1)
		if e := r.events("start 0.1.0"); !strings.Contains(e, "firewall reload") || !strings.Contains(e, "rpcd reload") {
			t.Error(e)
		}
		conf := r.text("/etc/config/meshagent")
		for _, want := range []string{"# Configuration of meshagent", "config eth 'lan'", "option device 'br-lan'", "config mesh 'bat0'\n\toption enabled '0'", "list device 'phy0-mesh0'"} {
			if !strings.Contains(conf, want) {
				t.Errorf("no %q in\n%s", want, conf)
			}
		}
		if strings.Contains(conf, ":0'") {
			t.Error("no port was drawn")
		}
		fw := r.text("/etc/config/firewall")
		if !strings.HasPrefix(fw, firewall) || !strings.Contains(fw, "option input 'REJECT'") || strings.Count(fw, "meshagent_") != 3 {
			t.Error(fw)
		}
		if !r.exists("/etc/rc.d/S90meshagent") || r.exists("/etc/uci-defaults/80_meshagent") {
			t.Error("not enabled, or set up again at each boot")
		}
		if r.text("/tmp/procd/meshagent.triggers") != "meshagent\n" {
			t.Error("no trigger")
		}

		r.remove(false)
		if e := r.events("end 0.1.0"); !strings.Contains(e, "stop meshagent") {
			t.Error(e)
		}
		after := r.snapshot()
		var left []string
		for path, what := range after {
			if before[path] != what {
				left = append(left, path)
			}
		}
		for path := range before {
			if _, ok := after[path]; !ok {
				t.Errorf("%s is gone", path)
			}
		}
		slices.Sort(left)
		// What the operator may want back, and the guide says how to delete.
		if want := []string{"/etc/config/meshagent", "/etc/meshagent/key"}; !slices.Equal(left, want) {
			t.Errorf("left: %v; expected %v\nfirewall:\n%s", left, want, r.text("/etc/config/firewall"))
		}
	})
}

func TestPurge(t *testing.T) {
	onBoth(t, func(t *testing.T, r *router, v1, _ *pack.Package) {
		r.install(v1)
		r.events("start 0.1.0")
		r.remove(true)
		if r.exists("/etc/config/meshagent") || !r.exists("/etc/meshagent/key") {
			t.Error("the configuration stays, or the key goes")
		}
	})
}

// An upgrade and a downgrade: the agent runs until the new one takes over, and
// what the operator changed stays.
func TestUpgradeAndDowngrade(t *testing.T) {
	onBoth(t, func(t *testing.T, r *router, v1, v2 *pack.Package) {
		r.install(v1)
		r.events("start 0.1.0")
		key := r.text("/etc/meshagent/key")
		edited := r.text("/etc/config/meshagent") + "\nconfig peer 'x'\n"
		r.write("/etc/config/meshagent", edited, 0o600)
		r.write("/etc/config/firewall", firewall, 0o644) // the zone is not wanted
		for _, p := range []*pack.Package{v2, v1} {
			r.install(p)
			version := strings.TrimSuffix(p.Version, "-r1")
			e := r.events("start " + version)
			first, rest, ok := strings.Cut(e, "unpack\n")
			if !ok || strings.Contains(first, "stop") || strings.Contains(first, "end") {
				t.Errorf("stopped before the new program was there:\n%s", e)
			}
			if strings.Count(rest, "start ") != 1 || !strings.Contains(rest, "stop meshagent") {
				t.Errorf("not started once:\n%s", e)
			}
			if r.text("/etc/config/meshagent") != edited || r.text("/etc/meshagent/key") != key || r.text("/etc/config/firewall") != firewall {
				t.Error("the operator's changes are lost")
			}
		}
		r.remove(false)
		if r.text("/etc/config/meshagent") != edited || r.exists("/etc/config/meshagent"+r.tool.newConf) {
			t.Error("the changed configuration goes, or the shipped one stays")
		}
	})
}

func TestWrongConfigurationAndReload(t *testing.T) {
	onBoth(t, func(t *testing.T, r *router, v1, _ *pack.Package) {
		r.install(v1)
		r.events("start 0.1.0")
		r.run("", "/etc/init.d/meshagent", "reload")
		r.events("reload")
		r.write("/etc/config/meshagent", "config meshagent 'main'\n\toption enabled '0'\n", 0o600)
		r.run("", "/etc/init.d/meshagent", "reload")
		r.events("end 0.1.0")

		r.write("/etc/config/meshagent", "broken\n", 0o600)
		c := r.command("/bin/sh", "/etc/rc.common", "/etc/init.d/meshagent", "start")
		r.must(c.Run())
		if log := r.text("/tmp/log"); !strings.Contains(log, "not started: /etc/config/meshagent:1: broken") {
			t.Errorf("log %q", log)
		}
		if r.exists("/tmp/procd/meshagent.pid") {
			t.Error("started with a wrong configuration")
		}
		r.write("/etc/config/meshagent", "config meshagent 'main'\n", 0o600)
		r.run("", "/etc/init.d/meshagent", "reload")
		r.events("start 0.1.0")
	})
}

// With ujail the agent gets a user, two capabilities and a jail, and may read
// its configuration after uci has taken it back to root.
func TestConfined(t *testing.T) {
	onBoth(t, func(t *testing.T, r *router, v1, _ *pack.Package) {
		r.write("/sbin/ujail", "", 0o755)
		r.install(v1)
		r.events("start 0.1.0")
		params := r.text("/tmp/procd/meshagent.now")
		for _, want := range []string{
			"respawn 3600 5 0\n", "user meshagent\n", "group meshagent\n", "capabilities /etc/capabilities/meshagent.json\n", "no_new_privs 1\n",
			"jail meshagent ubus procfs sysfs ronly\n", "mount_rw /dev/net/tun /etc/meshagent /var/run/meshagent\n",
		} {
			if !strings.Contains(params, want) {
				t.Errorf("no %q in\n%s", want, params)
			}
		}
		check := func() {
			t.Helper()
			for path, want := range map[string]string{"/etc/config/meshagent": "-rw-r----- 0:463", "/dev/net/tun": "Dcrw-rw---- 0:463", "/etc/meshagent": "drwx------ 463:463", "/var/run/meshagent": "drwxr-xr-x 463:463"} {
				info, err := os.Stat(filepath.Join(r.root, path))
				r.must(err)
				st, _ := info.Sys().(*syscall.Stat_t)
				if got := fmt.Sprintf("%v %d:%d", info.Mode(), st.Uid, st.Gid); got != want {
					t.Errorf("%s: %s, expected %s", path, got, want)
				}
			}
		}
		check()
		r.must(os.Chown(filepath.Join(r.root, "/etc/config/meshagent"), 0, 0))
		r.run("", "/etc/init.d/meshagent", "reload")
		check()
	})
}

// Another zone of the name that we want is left alone.
func TestZoneNameTaken(t *testing.T) {
	onBoth(t, func(t *testing.T, r *router, v1, _ *pack.Package) {
		r.write("/etc/config/firewall", firewall+"\nconfig zone 'theirs'\n\toption name 'mesh'\n", 0o644)
		r.install(v1)
		r.events("start 0.1.0")
		if fw := r.text("/etc/config/firewall"); strings.Count(fw, "'mesh'") != 1 || strings.Count(fw, "'meshagent'") != 2 {
			t.Error(fw)
		}
	})
}

// In a root that is being built for an image nothing runs.
func TestImageBuilder(t *testing.T) {
	onBoth(t, func(t *testing.T, r *router, v1, _ *pack.Package) {
		before := r.snapshot()
		for _, call := range []string{r.tool.install, r.tool.erase} {
			r.script(v1, "IPKG_INSTROOT=/none", call)
		}
		if !maps.Equal(before, r.snapshot()) || r.text("/tmp/events") != "" {
			t.Error("something happened:", r.text("/tmp/events"))
		}
	})
}

// All shell of the packages is understood by the shells that will run it.
func TestShellSyntax(t *testing.T) {
	var files []string
	for _, dir := range []string{"../../meshagent", "../../debian", "testdata"} {
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, _ error) error {
			b, err := os.ReadFile(path)
			if err == nil && (bytes.HasPrefix(b, []byte("#!/bin/sh")) || strings.Contains(path, "scripts/") || strings.Contains(path, "uci-defaults")) && d.Name() != "Makefile" {
				files = append(files, path)
			}
			return nil
		})
	}
	if len(files) < 9 {
		t.Fatalf("only %v", files)
	}
	for _, v := range packages(t, "0.1.0") {
		for i, s := range []string{v.Scripts.PostInst, v.Scripts.PreRm, v.Scripts.PostUpgrade} {
			if s == "" {
				continue
			}
			path := filepath.Join(t.TempDir(), fmt.Sprint(i))
			if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
				t.Fatal(err)
			}
			files = append(files, path)
		}
	}
	for _, shell := range [][]string{{"sh"}, {"dash"}, {"busybox", "ash"}} {
		if _, err := exec.LookPath(shell[0]); err != nil {
			t.Logf("not checked by %s: it is not here", shell[0])
			continue
		}
		for _, f := range files {
			if out, err := exec.Command(shell[0], append(shell[1:], "-n", f)...).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", f, err, out)
			}
		}
	}
}
