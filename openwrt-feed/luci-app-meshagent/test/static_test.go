package lucihost

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/meshagent/meshagent/agent/admin"
	"github.com/meshagent/meshagent/openwrt-feed/luci-app-meshagent/test/po"
)

// The scripts load nothing from elsewhere, make no code of text, and put no
// text into markup. Some forms are also forbidden because LuCI's minifier
// takes them for something else.
func TestScripts(t *testing.T) {
	for what, re := range map[string]*regexp.Regexp{
		"an address of elsewhere":            regexp.MustCompile(`https?:|["']//`),
		"code made of text":                  regexp.MustCompile(`\beval\b|\bnew Function\b|setTimeout\(\s*["']`),
		"markup made of text":                regexp.MustCompile(`innerHTML|outerHTML|insertAdjacent|document\.write`),
		"a template that may span lines":     regexp.MustCompile("`"),
		"a regular expression behind return": regexp.MustCompile(`return\s+/[^/*]`),
		"children that are a bare string":    regexp.MustCompile(`\bE\('[a-z0-9]+',\s*(?:\{[^{}]*\},\s*)?(?:'[^']*'|_\()`),
	} {
		for file, raw := range appFiles(t, "htdocs", ".js") {
			if m := re.FindString(raw); m != "" {
				t.Errorf("%s has %s: %s", file, what, m)
			}
		}
	}
}

// Every option that the guide describes has a field in the forms, with the
// default that the guide says.
func TestEveryOption(t *testing.T) {
	onlyOurs(t)
	guide, err := os.ReadFile("../../../docs/guide/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	h, _ := newHost(t)
	p := open(t, h, configPage, desktop)
	p.waitText("#meshagent-config", "Log level")
	// the default of each option, as the form says it: a flag's, a placeholder,
	// or the word in "default (…)"
	var forms map[string]map[string]string
	if err := json.Unmarshal([]byte(js[string](p, `JSON.stringify(Object.fromEntries(dom.findClassInstance(document.querySelector('.cbi-map')).sections.map(function(s) { return [s.sectiontype, Object.fromEntries(s.options.map(function(o) { return [o.option, o.default || o.placeholder || (o.names[0] || '').replace(/^default .(.*).$/, '$1')]; }))]; })))`)), &forms); err != nil {
		t.Fatal(err)
	}
	section, n := "", 0
	for _, line := range strings.Split(string(guide), "\n") {
		if s, ok := strings.CutPrefix(line, "## "); ok {
			section = s
		}
		m := regexp.MustCompile("^\\| `([a-z_]+)`[^|]*\\| *`?([^ `|]*)`? *\\|").FindStringSubmatch(line)
		if m == nil {
			continue
		}
		n++
		if said, ok := forms[section][m[1]]; !ok {
			t.Errorf("no field for option '%s' of section '%s'", m[1], section)
		} else if m[2] != "" && m[2] != "required" && said != m[2] {
			t.Errorf("option '%s' of section '%s': the form says its default is %q, the guide %q", m[1], section, said, m[2])
		}
	}
	if n < 60 {
		t.Errorf("only %d options found in the guide", n)
	}
}

// methodOf names the agent's method behind a method of an object, as
// docs/guide/ubus.md says.
func methodOf(object, method string) string {
	noun, ours := strings.CutPrefix(object, "meshagent")
	switch name := strings.TrimPrefix(noun+"."+method, "."); {
	case !ours:
		return ""
	case name == "peer.list":
		return "peers"
	case name == "gw.list":
		return "mesh.gateways"
	case name == "config.apply":
		return "reload"
	default:
		return strings.Replace(name, "bat.", "mesh.", 1)
	}
}

// The ACL file names methods that the agent has; readers get those that change
// nothing.
func TestACL(t *testing.T) {
	raw, err := os.ReadFile("../root/usr/share/rpcd/acl.d/luci-app-meshagent.json")
	if err != nil {
		t.Fatal(err)
	}
	var acl map[string]struct {
		Read, Write struct{ Ubus map[string][]string }
	}
	if err := json.Unmarshal(raw, &acl); err != nil {
		t.Fatal(err)
	}
	readOnly := map[string]bool{}
	for _, m := range admin.NewMethods(nil).Methods() {
		readOnly[m.Name] = m.ReadOnly
	}
	n := 0
	for side, granted := range map[string]map[string][]string{"read": acl["luci-app-meshagent"].Read.Ubus, "write": acl["luci-app-meshagent"].Write.Ubus} {
		for object, methods := range granted {
			for _, m := range methods {
				name := methodOf(object, m)
				if name == "" {
					continue
				}
				n++
				if ro, ok := readOnly[name]; !ok {
					t.Errorf("%s.%s: the agent has no method %s", object, m, name)
				} else if ro != (side == "read") {
					t.Errorf("%s.%s is granted to those who %s", object, m, side)
				}
			}
		}
	}
	if n < 10 {
		t.Errorf("only %d methods of the agent", n)
	}
}

// What the build system of LuCI looks for.
func TestMakefile(t *testing.T) {
	raw, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(string(raw), "\n# call BuildPackage - OpenWrt buildroot signature\n") {
		t.Error("the last line is not the one that the feed's scanner greps for")
	}
}

// The packages hold every file of the app at its place on the router, and a
// translation for each language.
func TestStage(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("../stage.sh", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for from, to := range map[string]string{"htdocs": "www/", "root": ""} {
		for file, raw := range appFiles(t, from, map[string]string{"htdocs": ".js", "root": ".json"}[from]) {
			staged := filepath.Join(dir, "luci-app-meshagent", to+strings.TrimPrefix(file, from+"/"))
			if got, err := os.ReadFile(staged); err != nil || string(got) != raw {
				t.Errorf("%s: %v", staged, err)
			}
		}
	}
	for _, lang := range languages {
		raw, err := os.ReadFile("../po/" + lang + "/meshagent.po")
		if err != nil {
			t.Fatal(err)
		}
		list, err := po.Parse(string(raw))
		if err != nil {
			t.Fatal(err)
		}
		pkg := filepath.Join(dir, "luci-i18n-meshagent-"+lang)
		if got, err := os.ReadFile(filepath.Join(pkg, "usr/lib/lua/luci/i18n/meshagent."+lang+".lmo")); err != nil || !bytes.Equal(got, po.LMO(list)) {
			t.Errorf("%s: %v, %d bytes", lang, err, len(got))
		}
		if _, err := os.Stat(filepath.Join(pkg, "etc/uci-defaults/luci-i18n-meshagent-"+lang)); err != nil {
			t.Error(err)
		}
	}
}
