package config

import (
	"fmt"
	"slices"
	"strings"
)

// QuoteUCI writes v as uci export does: in single quotes, with a single quote
// inside as four characters: quote, backslash, quote, quote.
func QuoteUCI(v string) string {
	return "'" + strings.ReplaceAll(v, "'", `'\''`) + "'"
}

// checkText refuses what a UCI value cannot or should not carry.
func checkText(key, v string) error {
	for i := range len(v) {
		if v[i] < ' ' && v[i] != '\t' || v[i] == 0x7f {
			return Problem{Key: key, Text: "expected text without line ends and control characters"}
		}
	}
	return nil
}

// AddSection appends a section to the text, after a blank line. name may be
// empty. It fails if a name is malformed or taken.
func (d *Document) AddSection(typ, name string) (*Section, error) {
	if !validName(typ) || name != "" && !validName(name) {
		return nil, fmt.Errorf("section '%s' of type '%s': expected letters, digits and underscores", name, typ)
	}
	index := 0
	for _, s := range d.sections {
		if name != "" && s.Name == name {
			return nil, fmt.Errorf("there is a section '%s' already", name)
		}
		if s.Type == typ {
			index++
		}
	}
	d.endLine(len(d.stmts))
	if n := len(d.stmts); n > 0 && !isBlank(d.stmts[n-1]) {
		d.stmts = append(d.stmts, &stmt{raw: "\n", ended: true})
	}
	head := &stmt{kind: stmtConfig, raw: "config " + typ + "\n", words: []string{"config", typ}, ended: true}
	if name != "" {
		head.raw = "config " + typ + " " + QuoteUCI(name) + "\n"
		head.words = append(head.words, name)
	}
	s := &Section{Type: typ, Name: name, head: head, index: index}
	d.stmts = append(d.stmts, head)
	d.sections = append(d.sections, s)
	d.renumber()
	return s, nil
}

// DeleteSection removes s: its config line, everything up to its last option,
// and one of two blank lines that would then meet. Comments around it stay.
func (d *Document) DeleteSection(s *Section) {
	first := slices.Index(d.stmts, s.head)
	if first < 0 {
		return
	}
	end := first + 1
	if n := len(s.body); n > 0 {
		end = slices.Index(d.stmts, s.body[n-1]) + 1
	}
	blankBefore := first == 0 || isBlank(d.stmts[first-1])
	if blankBefore && end < len(d.stmts) && isBlank(d.stmts[end]) {
		end++
	} else if end == len(d.stmts) && first > 0 && isBlank(d.stmts[first-1]) {
		first--
	}
	d.stmts = slices.Delete(d.stmts, first, end)
	d.sections = slices.DeleteFunc(d.sections, func(o *Section) bool { return o == s })
	d.renumber()
}

// Set gives the option key of s this value. An option that is there keeps its
// place, its indentation and the comment behind it; a second one of the same
// name, or a list, gives way. A new one goes behind the last option of s.
func (d *Document) Set(s *Section, key, value string) error {
	if !validName(key) {
		return fmt.Errorf("option '%s': expected a name of letters, digits and underscores", key)
	}
	if err := checkText(key, value); err != nil {
		return err
	}
	var keep *stmt
	for _, t := range s.body {
		if t.words[1] == key && t.kind == stmtOption {
			keep = t
		}
	}
	for _, t := range slices.Clone(s.body) {
		if t.words[1] == key && t != keep {
			d.removeEntry(s, t)
		}
	}
	if keep == nil {
		d.appendEntry(s, stmtOption, key, value)
		return nil
	}
	d.setValue(keep, value)
	return nil
}

// SetList gives the list key of s these values. Elements that stay keep their
// lines.
func (d *Document) SetList(s *Section, key string, values []string) error {
	if !validName(key) {
		return fmt.Errorf("option '%s': expected a name of letters, digits and underscores", key)
	}
	for _, v := range values {
		if err := checkText(key, v); err != nil {
			return err
		}
	}
	i := 0
	for _, t := range slices.Clone(s.body) {
		switch {
		case t.words[1] != key:
		case t.kind != stmtList || i >= len(values):
			d.removeEntry(s, t)
		default:
			d.setValue(t, values[i])
			i++
		}
	}
	for ; i < len(values); i++ {
		d.appendEntry(s, stmtList, key, values[i])
	}
	return nil
}

// Delete removes the option or list key from s. It reports whether there was
// one.
func (d *Document) Delete(s *Section, key string) bool {
	found := false
	for _, t := range slices.Clone(s.body) {
		if t.words[1] == key {
			d.removeEntry(s, t)
			found = true
		}
	}
	return found
}

func (d *Document) setValue(t *stmt, value string) {
	if t.words[2] == value {
		return
	}
	quoted := QuoteUCI(value)
	t.raw = t.raw[:t.valStart] + quoted + t.raw[t.valEnd:]
	t.valEnd = t.valStart + len(quoted)
	t.words[2] = value
	d.renumber()
}

func (d *Document) removeEntry(s *Section, t *stmt) {
	i := slices.Index(d.stmts, t)
	d.stmts = slices.Delete(d.stmts, i, i+1)
	s.body = slices.DeleteFunc(s.body, func(o *stmt) bool { return o == t })
	d.renumber()
}

func (d *Document) appendEntry(s *Section, kind stmtKind, key, value string) {
	after, indent := s.head, "\t"
	at := len(s.body) // lists stay together
	if at > 0 {
		if kind == stmtList {
			for i, t := range s.body {
				if t.words[1] == key {
					at = i + 1
				}
			}
		}
		after = s.body[at-1]
		raw := after.raw
		if ind := raw[:len(raw)-len(strings.TrimLeft(raw, " \t"))]; ind != "" {
			indent = ind
		}
	}
	verb := "option"
	if kind == stmtList {
		verb = "list"
	}
	prefix := indent + verb + " " + key + " "
	quoted := QuoteUCI(value)
	t := &stmt{
		kind:     kind,
		raw:      prefix + quoted + "\n",
		words:    []string{verb, key, value},
		valStart: len(prefix),
		valEnd:   len(prefix) + len(quoted),
		ended:    true,
	}
	i := slices.Index(d.stmts, after) + 1
	d.endLine(i)
	d.stmts = slices.Insert(d.stmts, i, t)
	s.body = slices.Insert(s.body, at, t)
	d.renumber()
}

// endLine makes sure that a statement inserted at i begins on its own.
func (d *Document) endLine(i int) {
	if i > 0 && !d.stmts[i-1].ended {
		d.stmts[i-1].raw += "\n"
		d.stmts[i-1].ended = true
	}
}

// renumber brings line numbers and indices up to date after an edit.
func (d *Document) renumber() {
	line := 1
	for _, t := range d.stmts {
		t.line = line
		line += strings.Count(t.raw, "\n")
	}
	counts := map[string]int{}
	for _, s := range d.sections {
		s.Line = s.head.line
		s.index = counts[s.Type]
		counts[s.Type]++
	}
}

func isBlank(t *stmt) bool { return t.kind == stmtSpace && strings.TrimSpace(t.raw) == "" }
