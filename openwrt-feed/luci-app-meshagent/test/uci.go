package lucihost

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/meshagent/meshagent/agent/config"
)

// uciSection is a section; values are a string or a []string.
type uciSection struct {
	name, kind string
	anonymous  bool
	values     map[string]any
}

// UCI is the one configuration "meshagent", as rpcd's object "uci" serves it:
// what pages save is staged, and becomes the file when it is applied.
type UCI struct {
	staged, stored []uciSection
	changes        [][]string // as "uci changes" reports them
	next           int        // for names of anonymous sections
}

// ParseUCI reads a configuration file.
func ParseUCI(text string) (*UCI, error) {
	doc, err := config.ParseUCI("meshagent", text)
	if err != nil {
		return nil, err
	}
	u := &UCI{}
	for _, s := range doc.Sections() {
		x := uciSection{s.Name, s.Type, s.Name == "", map[string]any{}}
		if x.anonymous {
			x.name = u.freeName()
		}
		for _, e := range s.Entries() {
			if list := s.List(e.Key); len(list) > 1 || e.List {
				x.values[e.Key] = list
			} else {
				x.values[e.Key] = e.Value
			}
		}
		u.stored = append(u.stored, x)
	}
	u.Revert()
	return u, nil
}

func (u *UCI) freeName() string {
	u.next++
	return fmt.Sprintf("cfg%06x", 0x01c0de+u.next)
}

// Revert forgets what is staged.
func (u *UCI) Revert() { u.staged, u.changes = cloneSections(u.stored), nil }

// Commit makes what is staged the file.
func (u *UCI) Commit() { u.stored, u.changes = cloneSections(u.staged), nil }

func cloneSections(list []uciSection) []uciSection {
	out := slices.Clone(list)
	for i := range out {
		out[i].values = maps.Clone(out[i].values)
	}
	return out
}

// Text is the file as the agent reads it.
func (u *UCI) Text() string {
	var b strings.Builder
	for _, s := range u.stored {
		b.WriteString("config " + s.kind)
		if !s.anonymous {
			b.WriteString(" '" + s.name + "'")
		}
		b.WriteString("\n")
		for _, k := range slices.Sorted(maps.Keys(s.values)) {
			switch v := s.values[k].(type) {
			case string:
				fmt.Fprintf(&b, "\toption %s %s\n", k, config.QuoteUCI(v))
			case []string:
				for _, x := range v {
					fmt.Fprintf(&b, "\tlist %s %s\n", k, config.QuoteUCI(x))
				}
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

func (u *UCI) find(name string) *uciSection {
	for i := range u.staged {
		if u.staged[i].name == name {
			return &u.staged[i]
		}
	}
	return nil
}

func (u *UCI) note(change ...string) { u.changes = append(u.changes, change) }

// call serves the methods of rpcd's object "uci" that LuCI's uci.js calls.
func (u *UCI) call(method string, args map[string]any) (any, int) {
	if c, ok := args["config"]; ok && c != "meshagent" {
		if method == "get" && (c == "luci" || c == "system") { // LuCI loads them by itself
			return map[string]any{"values": map[string]any{}}, 0
		}
		return nil, ubusNotFound
	}
	text := func(key string) string { s, _ := args[key].(string); return s }
	switch method {
	case "get":
		return map[string]any{"values": u.values()}, 0
	case "changes":
		all := map[string]any{}
		if len(u.changes) > 0 {
			all["meshagent"] = u.changes
		}
		return map[string]any{"changes": all}, 0
	case "add":
		s := uciSection{name: text("name"), kind: text("type"), values: map[string]any{}}
		if s.name == "" {
			s.name, s.anonymous = u.freeName(), true
			u.note("add", s.name, s.kind)
		} else {
			u.note("set", s.name, s.kind)
		}
		u.staged = append(u.staged, s)
		u.set(s.name, args["values"])
		return map[string]any{"section": s.name}, 0
	case "set":
		if u.find(text("section")) == nil {
			return nil, ubusNotFound
		}
		u.set(text("section"), args["values"])
		return nil, 0
	case "delete":
		return nil, u.remove(text("section"), args["options"])
	case "order":
		return nil, 0
	}
	return nil, ubusMethodNotFound
}

func (u *UCI) values() map[string]any {
	all := map[string]any{}
	for i, s := range u.staged {
		v := map[string]any{".name": s.name, ".type": s.kind, ".anonymous": s.anonymous, ".index": i}
		maps.Copy(v, s.values)
		all[s.name] = v
	}
	return all
}

func (u *UCI) set(name string, values any) {
	s := u.find(name)
	given, _ := values.(map[string]any)
	for _, k := range slices.Sorted(maps.Keys(given)) {
		if fmt.Sprint(s.values[k]) == fmt.Sprint(given[k]) {
			continue // libuci records no change then
		}
		switch v := given[k].(type) {
		case []any:
			list := []string{}
			for _, x := range v {
				list = append(list, fmt.Sprint(x))
				u.note("list-add", name, k, fmt.Sprint(x))
			}
			s.values[k] = list
		default:
			s.values[k] = fmt.Sprint(v)
			u.note("set", name, k, fmt.Sprint(v))
		}
	}
}

func (u *UCI) remove(name string, options any) int {
	s := u.find(name)
	if s == nil {
		return ubusNotFound
	}
	keys, _ := options.([]any)
	for _, k := range keys {
		delete(s.values, fmt.Sprint(k))
		u.note("remove", name, fmt.Sprint(k))
	}
	if options == nil {
		u.note("remove", name)
		u.staged = slices.DeleteFunc(u.staged, func(x uciSection) bool { return x.name == name })
	}
	return 0
}
