package config

import (
	"sort"
	"strconv"
	"strings"
)

// Problem is one complaint about a configuration: where, which key, and what
// was expected there.
type Problem struct {
	File string // as the user named it; may be empty
	Line int    // 1 for the first; 0 if it belongs to no line
	Key  string // option name or JSON path; may be empty
	Text string // what was expected, or what is wrong
}

// Error prints "file:line: option 'key': text", leaving out what is unknown.
func (p Problem) Error() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		b.WriteByte(':')
	}
	if p.Line > 0 {
		if p.File == "" {
			b.WriteString("line ")
		}
		b.WriteString(strconv.Itoa(p.Line))
		b.WriteByte(':')
	}
	if b.Len() > 0 {
		b.WriteByte(' ')
	}
	if p.Key != "" {
		b.WriteString("option '" + p.Key + "': ")
	}
	b.WriteString(p.Text)
	return b.String()
}

// Warning is a Problem that does not keep the configuration from being used.
type Warning = Problem

// Problems is every complaint about one configuration, in the order of the
// lines. As an error it prints one per line.
type Problems []Problem

// Error prints all of them, a line each.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// err returns ps sorted as an error, or nil if it is empty.
func (ps Problems) err() error {
	if len(ps) == 0 {
		return nil
	}
	ps.sort()
	return ps
}

func (ps Problems) sort() {
	sort.SliceStable(ps, func(i, j int) bool {
		if ps[i].File != ps[j].File {
			return ps[i].File < ps[j].File
		}
		return ps[i].Line < ps[j].Line
	})
}
