package feed

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/meshagent/meshagent/openwrt-feed/tools/pack"
)

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
		w := r.text("/etc/config/wireless")
		if !strings.HasPrefix(w, wireless) || strings.Count(w, "option disabled '1'") != 2 || strings.Count(w, "option mesh_fwding '0'") != 2 ||
			!strings.Contains(w, "config wifi-iface 'meshagent_radio1'\n\toption device 'radio1'\n\toption mode 'mesh'\n") {
			t.Error(w)
		}
		if !r.exists("/etc/rc.d/S90meshagent") || r.exists("/etc/uci-defaults/80_meshagent") {
			t.Error("not enabled, or set up again at each boot")
		}
		if got := r.text("/tmp/procd/meshagent.triggers"); got != "meshagent\nmeshagent.store 1 /usr/bin/meshagent config store\n" {
			t.Errorf("triggers %q", got)
		}

		// All that is there because of the package. The tool's own lists are left
		// out; uci-defaults has run and is gone.
		var there []string
		for path, what := range r.snapshot() {
			if before[path] != what && !strings.HasPrefix(path, r.tool.info) && !strings.HasPrefix(path, "/lib/apk/packages/") && !strings.HasPrefix(path, "/usr/lib/opkg/") {
				there = append(there, path)
			}
		}
		slices.Sort(there)
		if want := []string{
			"/etc/capabilities/meshagent.json", "/etc/config/firewall", "/etc/config/meshagent", "/etc/config/wireless", "/etc/group", "/etc/init.d/meshagent",
			"/etc/meshagent/.set-up", "/etc/meshagent/key", "/etc/passwd", "/etc/rc.d/S90meshagent", "/lib/upgrade/keep.d/meshagent",
			"/usr/bin/meshagent", "/usr/libexec/meshagent-setup", "/usr/share/acl.d/meshagent.json", "/usr/share/rpcd/acl.d/meshagent.json",
		}; !slices.Equal(there, want) {
			t.Errorf("installed or changed: %v; expected %v", there, want)
		}

		r.remove(false)
		if e := r.events("end 0.1.0"); !strings.Contains(e, "stop meshagent") || strings.Contains(e, "wifi") {
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

// A radio that the operator has switched on is switched off with the package,
// and one without Wi-Fi is no error.
func TestWifiInUse(t *testing.T) {
	onBoth(t, func(t *testing.T, r *router, v1, _ *pack.Package) {
		r.install(v1)
		r.events("start 0.1.0")
		before, after, _ := strings.Cut(r.text("/etc/config/wireless"), "option disabled '1'")
		r.write("/etc/config/wireless", before+"option disabled '0'"+after, 0o644)
		r.remove(false)
		if e := r.events("end 0.1.0"); strings.Count(e, "wifi reload") != 1 {
			t.Error(e)
		}
		if got := r.text("/etc/config/wireless"); got != wireless {
			t.Error(got)
		}
		// The section of a radio that is gone goes as well.
		r.install(v1)
		r.events("start 0.1.0")
		r.write("/etc/config/wireless", strings.Replace(r.text("/etc/config/wireless"), "config wifi-device 'radio1'\n", "", 1), 0o644)
		r.remove(false)
		if got := r.text("/etc/config/wireless"); strings.Contains(got, "meshagent") {
			t.Error(got)
		}
		r.events("end 0.1.0")
		r.must(os.Remove(filepath.Join(r.root, "/etc/config/wireless")))
		r.install(v1)
		r.events("start 0.1.0")
		if r.exists("/etc/config/wireless") {
			t.Error("a router without Wi-Fi gets a configuration for it")
		}
		r.remove(false)
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
		for _, step := range []struct {
			p        *pack.Package
			old, now string
		}{{v2, "0.1.0", "0.2.0"}, {v1, "0.2.0", "0.1.0"}} {
			r.install(step.p)
			e := r.events("start "+step.now, "end "+step.old)
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
			"jail meshagent procfs sysfs ronly\n", "mount /etc/config /var/run/ubus ",
			"mount_rw /dev/net/tun /etc/meshagent /var/run/meshagent\n",
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
