package feed

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
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
const wireless = "config wifi-device 'radio0'\n\toption type 'mac80211'\n\nconfig wifi-iface 'default_radio0'\n\toption device 'radio0'\n\nconfig wifi-device 'radio1'\n"
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
	r.write("/etc/config/wireless", wireless, 0o644)
	r.write("/var/run/fw4.state", "", 0o644)
	for name, text := range map[string]string{
		"/bin/logger":          "shift 4; echo \"$@\" >>/tmp/log",
		"/bin/killall":         "echo killall \"$@\" >>/tmp/events",
		"/bin/pidof":           "[ -f /tmp/procd/$1.pid ] && kill -0 $(cat /tmp/procd/$1.pid)",
		"/etc/init.d/firewall": "echo firewall \"$@\" >>/tmp/events",
		"/sbin/wifi":           "echo wifi \"$@\" >>/tmp/events",
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

// events waits for all of the texts and returns what happened since the last
// call.
func (r *router) events(texts ...string) string {
	r.t.Helper()
	for _, text := range texts {
		r.run("", "/bin/sh", "-c", "i=0; until grep -q '"+text+"' /tmp/events || [ $i = 300 ]; do i=$((i+1)); sleep 0.1; done")
		if e := r.text("/tmp/events"); !strings.Contains(e, text) {
			r.t.Fatalf("no event %q in\n%s%s", text, e, r.text("/tmp/log"))
		}
	}
	e := r.text("/tmp/events")
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
