package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/tailscale/hujson"
)

// jsonValue is one value of a JSON text, with its line and its path
// ("router.ipTunnel", "authorizedPasswords[0].password").
type jsonValue struct {
	kind    jsonKind
	key     string       // in the object around it
	text    string       // of a string, number or word
	members []*jsonValue // of an object or list
	path    string
	at      place
}

type jsonKind uint8

const (
	jsonString jsonKind = iota
	jsonNumber
	jsonOther // true, false, null
	jsonObject
	jsonList
)

var jsonKinds = [...]string{"a string", "a number", "a word", "an object {…}", "a list […]"}

// parseJSON reads an object in cjdroute's dialect.
func (d *draft) parseJSON(file, text string) (*jsonValue, bool) {
	at := place{file, 1}
	text = strings.TrimPrefix(text, "\ufeff")
	strict, repaired, p := relaxJSON(text)
	if p != nil {
		d.fail(place{file, p.Line}, "", "%s", p.Text)
		return nil, false
	}
	if repaired > 0 {
		d.warn(place{file, repaired}, "", "a comma or colon is missing or too many; read as meant")
	}
	v, err := hujson.Parse([]byte(strict))
	if err != nil {
		d.failJSON(file, err)
		return nil, false
	}
	w := jsonWalker{text: strict, file: file}
	root := w.value(v, "", "")
	return root, d.expectAt(root, jsonObject, at)
}

// failJSON translates "hujson: line 1, column 2: …".
func (d *draft) failJSON(file string, err error) {
	text := strings.TrimPrefix(err.Error(), "hujson: ")
	line := 0
	if rest, ok := strings.CutPrefix(text, "line "); ok { // "line 3, column 5: what"
		where, what, _ := strings.Cut(rest, ": ")
		number, _, _ := strings.Cut(where, ",")
		line, _ = strconv.Atoi(number)
		text = what
	}
	d.fail(place{file, line}, "", "%s", text)
}

// jsonWalker turns the syntax tree into jsonValues, counting lines on the way.
type jsonWalker struct {
	text string
	file string
	pos  int
	line int // line of pos, from 0
}

func (w *jsonWalker) lineOf(offset int) int {
	if offset > w.pos {
		w.line += strings.Count(w.text[w.pos:offset], "\n")
		w.pos = offset
	}
	return w.line + 1
}

func (w *jsonWalker) value(v hujson.Value, key, path string) *jsonValue {
	out := &jsonValue{key: key, path: path, at: place{w.file, w.lineOf(v.StartOffset)}}
	switch x := v.Value.(type) {
	case *hujson.Object:
		out.kind = jsonObject
		for _, m := range x.Members {
			name, _ := m.Name.Value.(hujson.Literal)
			at := w.lineOf(m.Name.StartOffset)
			child := w.value(m.Value, name.String(), strings.TrimPrefix(path+"."+name.String(), "."))
			child.at.line = at
			out.members = append(out.members, child)
		}
	case *hujson.Array:
		out.kind = jsonList
		for i, e := range x.Elements {
			out.members = append(out.members, w.value(e, "", fmt.Sprintf("%s[%d]", path, i)))
		}
	case hujson.Literal:
		switch x.Kind() {
		case '"':
			out.kind, out.text = jsonString, x.String()
		case '0':
			out.kind, out.text = jsonNumber, string(x)
		default:
			out.kind, out.text = jsonOther, string(x)
		}
	}
	return out
}

// each returns the members of v that count: no _disabled_ ones, and of a key
// that is there twice the first one.
func (v *jsonValue) each(d *draft) []*jsonValue {
	if v.kind != jsonObject {
		return v.members
	}
	out := make([]*jsonValue, 0, len(v.members))
	seen := map[string]int{}
	for _, m := range v.members {
		if strings.HasPrefix(m.key, "_disabled_") {
			continue
		}
		if line := seen[m.key]; line > 0 {
			d.warnOnce(fmt.Sprintf("twice %s line %d", m.path, m.at.line), m.at, m.path, "given in line %d already; the first one counts", line)
			continue
		}
		seen[m.key] = m.at.line
		out = append(out, m)
	}
	return out
}

// find returns the first member called key.
func (v *jsonValue) find(key string) (*jsonValue, bool) {
	for _, m := range v.members {
		if m.key == key {
			return m, true
		}
	}
	return nil, false
}

// count returns the number of elements of the member called key.
func (v *jsonValue) count(key string) int {
	if m, ok := v.find(key); ok {
		return len(m.members)
	}
	return 0
}

// listOrOne returns the elements of a list, or a single object as it stood in
// old files.
func (v *jsonValue) listOrOne(d *draft) []*jsonValue {
	if v.kind == jsonObject {
		return []*jsonValue{v}
	}
	if !d.expect(v, jsonList) {
		return nil
	}
	return v.members
}

// kindPath is the path without the numbers and addresses that vary: everything
// of one kind of key shares it.
func (v *jsonValue) kindPath() string {
	var b strings.Builder
	depth := 0
	for _, c := range v.path {
		switch {
		case c == '[':
			depth++
		case c == ']':
			depth--
		case depth == 0:
			b.WriteRune(c)
		}
	}
	path := b.String()
	if i := strings.Index(path, ".connectTo."); i >= 0 {
		return path[:i] + ".connectTo." + v.key
	}
	return path
}

func (d *draft) expect(v *jsonValue, kind jsonKind) bool { return d.expectAt(v, kind, v.at) }

func (d *draft) expectAt(v *jsonValue, kind jsonKind, at place) bool {
	if v.kind != kind {
		d.fail(at, v.path, "expected %s, found %s", jsonKinds[kind], jsonKinds[v.kind])
		return false
	}
	return true
}

// needs reports a key that v must have and has not.
func (d *draft) needs(v *jsonValue, key string) {
	if _, ok := v.find(key); !ok {
		d.fail(v.at, v.path, "\"%s\" is missing", key)
	}
}

// jsonText gives a string to a parser.
func (d *draft) jsonText(v *jsonValue, parse func(string) error) {
	if !d.expect(v, jsonString) {
		return
	}
	if err := parse(v.text); err != nil {
		d.fail(v.at, v.path, "%s", err)
	}
}

// jsonNumber gives a number to a parser; one in quotes is taken too.
func (d *draft) jsonNumber(v *jsonValue, parse func(string) error) {
	if v.kind != jsonString && !d.expect(v, jsonNumber) {
		return
	}
	if err := parse(v.text); err != nil {
		d.fail(v.at, v.path, "%s", err)
	}
}

// anyBind is what cjdroute binds if it is told nothing: a port of the kernel's
// choice.
var anyBind = netip.AddrPortFrom(netip.IPv4Unspecified(), 0)

// parseLooseBind reads an address whose port may be missing, as cjdroute does.
func parseLooseBind(s string) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		s = netip.AddrPortFrom(a, 0).String()
	}
	return parseBind(s)
}
