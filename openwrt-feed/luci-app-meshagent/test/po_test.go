package lucihost

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/meshagent/meshagent/openwrt-feed/luci-app-meshagent/test/po"
)

var languages = []string{"de", "es"}

// message finds the calls of _ in a script. Only one plain string may stand in
// one, or the translators' tools do not see it.
var (
	message   = regexp.MustCompile(`(^|[^\w$.])_\(\s*('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\s*\)`)
	anyCall   = regexp.MustCompile(`(^|[^\w$.])_\(`)
	directive = regexp.MustCompile(`%(?:0?\d*(?:\.\d+)?)[a-z%]`)
)

// messages returns all texts of the app with the files they are in: of the
// scripts, and what LuCI shows of the menu and of the ACL file.
func messages(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	add := func(text, file string) {
		if !slices.Contains(found[text], file) {
			found[text] = append(found[text], file)
		}
	}
	for file, raw := range appFiles(t, "htdocs", ".js") {
		calls := message.FindAllStringSubmatch(raw, -1)
		if n := len(anyCall.FindAllString(raw, -1)); n != len(calls) {
			t.Errorf("%s: %d calls of _, %d of them with one plain string", file, n, len(calls))
		}
		for _, c := range calls {
			quoted := c[2]
			if quoted[0] == '\'' {
				quoted = `"` + strings.NewReplacer(`\'`, `'`, `"`, `\"`).Replace(quoted[1:len(quoted)-1]) + `"`
			}
			s, err := strconv.Unquote(quoted)
			if err != nil {
				t.Errorf("%s: %s: %v", file, c[2], err)
			}
			add(s, file)
		}
	}
	for file, raw := range appFiles(t, "root", ".json") {
		var all map[string]struct{ Title, Description string }
		if err := json.Unmarshal([]byte(raw), &all); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, x := range all {
			for _, s := range []string{x.Title, x.Description} {
				if s != "" {
					add(s, file)
				}
			}
		}
	}
	return found
}

// appFiles reads the files of the app below a folder, by their name in it.
func appFiles(t *testing.T, dir, ext string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(filepath.Join("..", dir), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ext {
			return err
		}
		raw, err := os.ReadFile(path)
		out[strings.TrimPrefix(filepath.ToSlash(path), "../")] = string(raw)
		return err
	})
	if err != nil || len(out) == 0 {
		t.Fatalf("no %s below %s: %v", ext, dir, err)
	}
	return out
}

// poText writes a catalogue, sorted by message.
func poText(found map[string][]string, language string, words map[string]string) string {
	var b strings.Builder
	b.WriteString("msgid \"\"\nmsgstr \"\"\n\"Content-Type: text/plain; charset=UTF-8\\n\"\n")
	if language != "" {
		fmt.Fprintf(&b, "\"Language: %s\\n\"\n\"Plural-Forms: nplurals=2; plural=(n != 1);\\n\"\n", language)
	}
	for _, id := range slices.Sorted(maps.Keys(found)) {
		b.WriteString("\n")
		for _, f := range slices.Sorted(slices.Values(found[id])) {
			fmt.Fprintf(&b, "#: %s\n", f)
		}
		fmt.Fprintf(&b, "msgid %s\nmsgstr %s\n", poQuote(id), poQuote(words[id]))
	}
	return b.String()
}

func poQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}

// The template has every message of the app and no other, and so have the
// translations, complete and with the same places for values. UPDATE_PO=1
// writes the files anew; what is not translated yet stays empty and fails.
func TestTranslations(t *testing.T) {
	found := messages(t)
	if len(found) < 100 {
		t.Fatalf("only %d messages: the scanner does not see them", len(found))
	}
	check := func(file, want string) {
		if os.Getenv("UPDATE_PO") != "" {
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil { //nolint:gosec // a public file
				t.Fatal(err)
			}
		}
		if raw, err := os.ReadFile(file); err != nil || string(raw) != want {
			t.Errorf("%s is not what the sources say (%v): make luci-po", file, err)
		}
	}
	check("../po/templates/meshagent.pot", poText(found, "", nil))
	for _, lang := range languages {
		file := "../po/" + lang + "/meshagent.po"
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Error(err)
		}
		list, err := po.Parse(string(raw))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		words := map[string]string{}
		for _, e := range list {
			words[e.ID] = e.Text
			if e.Fuzzy {
				t.Errorf("%s: fuzzy: %q", file, e.ID)
			}
		}
		check(file, poText(found, lang, words))
		for _, id := range slices.Sorted(maps.Keys(found)) {
			if words[id] == "" {
				t.Errorf("%s: no translation of %q", file, id)
			} else if a, b := directive.FindAllString(id, -1), directive.FindAllString(words[id], -1); !slices.Equal(a, b) {
				t.Errorf("%s: %q has %v, its translation %v", file, id, a, b)
			}
		}
	}
}

// The German page: all words come through, nothing is wider than the phone.
func TestGerman(t *testing.T) {
	h, _ := newHost(t)
	h.Language = "de"
	p := open(t, h, statusPage, phone)
	p.waitText("#meshagent-node", "Öffentlicher Schlüssel")
	p.contains("#meshagent-peers", "von uns angewählt")
	for _, tab := range []string{"overview", "mesh", "peers", "paths"} {
		p.tab(tab)
		p.sound()
	}
	p.shoot("status-paths-de-phone")
}
