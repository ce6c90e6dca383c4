package admin

import (
	"bytes"
	"encoding/json"
	"sort"

	"github.com/meshagent/meshagent/agent/ubus/wire"
)

// busTable turns the result of a method into values of ubus. A result that is
// no object, such as a list, becomes the value "result".
func busTable(result any) (wire.Table, error) {
	raw, err := json.Marshal(result)
	if err != nil {
		return nil, Errorf(CodeFailed, "the answer cannot be written: %v", err)
	}
	if !bytes.HasPrefix(raw, []byte("{")) {
		raw = append(append([]byte(`{"result":`), raw...), '}')
	}
	t, err := wire.TableFromJSON(raw)
	if err != nil {
		return nil, Errorf(CodeFailed, "the answer cannot be written: %v", err)
	}
	return t, nil
}

// fit shortens the lists at the top of t until it takes at most limit bytes.
// What was cut is named in "truncated": whoever wants the rest asks with
// offset. The shorter lists stay whole; what they leave is for the longer.
func fit(t wire.Table, limit int) (wire.Table, error) {
	all, err := t.Append(nil)
	if err == nil && len(all) <= limit {
		return t, nil
	}
	type list struct {
		at    int // in t
		sizes []int
		total int
	}
	var lists []list
	rest := wire.Table{}
	out := append(wire.Table{}, t...)
	for i, f := range t {
		a, ok := f.Value.(wire.Array)
		if !ok {
			rest = append(rest, f)
			continue
		}
		l := list{at: i, sizes: make([]int, len(a))}
		for j, e := range a {
			if l.sizes[j], err = wire.ElementSize(e); err != nil {
				return nil, Errorf(CodeTooLarge, "the answer cannot be sent over ubus: %v", err)
			}
			l.total += l.sizes[j]
		}
		lists = append(lists, l)
		rest = append(rest, wire.Field{Name: f.Name, Value: wire.Array{}}, wire.Field{Name: "", Value: f.Name}) // and for being named
	}
	rest = append(rest, wire.Field{Name: truncated, Value: wire.Array{}})
	fixed, err := rest.Append(nil)
	if err != nil || len(fixed) > limit || len(lists) == 0 {
		return nil, Errorf(CodeTooLarge, "the answer is longer than the %d bytes that go over ubus at once; ask on the socket of the agent", limit)
	}
	left := limit - len(fixed)
	sort.SliceStable(lists, func(i, j int) bool { return lists[i].total < lists[j].total })
	var cut []string
	for i, l := range lists {
		share, n := left/(len(lists)-i), 0
		for n < len(l.sizes) && l.sizes[n] <= share {
			share -= l.sizes[n]
			left -= l.sizes[n]
			n++
		}
		if a, _ := out[l.at].Value.(wire.Array); n < len(a) {
			out[l.at].Value = a[:n]
			cut = append(cut, out[l.at].Name)
		}
	}
	sort.Strings(cut)
	names := wire.Array{}
	for _, name := range cut {
		names = append(names, name)
	}
	return append(out, wire.Field{Name: truncated, Value: names}), nil
}

// truncated is the key that names the lists that were cut.
const truncated = "truncated"
