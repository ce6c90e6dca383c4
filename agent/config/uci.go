package config

import (
	"fmt"
	"strings"
)

// A Document is UCI text, kept byte for byte. It is cut into statements: the
// text of all statements together is the text of the file. Comments and blank
// lines are statements too. Edits replace, insert or remove statements and
// touch no others.
//
// The grammar, as libuci reads it: a statement ends at a line end or at a
// semicolon; '#' begins a comment; words are made of plain characters, of
// 'single quotes', which know no escapes, and of "double quotes", in which a
// backslash keeps the next character. Quoted text may run over line ends. A
// backslash outside quotes keeps the next character or joins two lines. The
// words package, config, option and list may be cut to their first letter.
//
// Not safe for concurrent use.
type Document struct {
	file     string
	stmts    []*stmt
	sections []*Section
}

type stmtKind uint8

const (
	stmtSpace  stmtKind = iota // blank or comment
	stmtConfig                 // config TYPE [NAME]
	stmtOption                 // option KEY VALUE
	stmtList                   // list KEY VALUE
	stmtOther                  // package, or what is no statement at all
)

// stmt is one statement and the line end (or semicolon) behind it.
type stmt struct {
	kind             stmtKind
	raw              string
	line             int
	words            []string
	valStart, valEnd int  // of the last word, in raw
	ended            bool // by a line end or a semicolon; only the last one may not be
}

// Section is a "config" statement and what belongs to it. It stays valid while
// its Document is edited, until it is deleted.
type Section struct {
	Type string
	Name string // empty for an anonymous section
	Line int

	index int // among the sections of the same type
	head  *stmt
	body  []*stmt // options and lists only
}

// ID names the section as uci does: its name, or "@type[n]".
func (s *Section) ID() string {
	if s.Name != "" {
		return s.Name
	}
	return fmt.Sprintf("@%s[%d]", s.Type, s.index)
}

// Entry is one option or one element of a list.
type Entry struct {
	Key   string
	Value string
	List  bool
	Line  int
}

// Entries returns the options and list elements of s, in order.
func (s *Section) Entries() []Entry {
	out := make([]Entry, len(s.body))
	for i, t := range s.body {
		out[i] = Entry{Key: t.words[1], Value: t.words[2], List: t.kind == stmtList, Line: t.line}
	}
	return out
}

// Get returns the value of the last option (or list element) called key, as
// libuci does when an option is given twice.
func (s *Section) Get(key string) (value string, ok bool) {
	for _, t := range s.body {
		if t.words[1] == key {
			value, ok = t.words[2], true
		}
	}
	return value, ok
}

// List returns all values called key, in order.
func (s *Section) List(key string) []string {
	var out []string
	for _, t := range s.body {
		if t.words[1] == key {
			out = append(out, t.words[2])
		}
	}
	return out
}

// File returns the name that problems are reported under.
func (d *Document) File() string { return d.file }

// Sections returns all sections in the order of the text. The slice belongs to
// the Document and is valid until the next edit.
func (d *Document) Sections() []*Section { return d.sections }

// Section returns the section with this ID, or nil.
func (d *Document) Section(id string) *Section {
	for _, s := range d.sections {
		if s.ID() == id {
			return s
		}
	}
	return nil
}

// String returns the text. Without edits it is the text that was parsed.
func (d *Document) String() string {
	n := 0
	for _, t := range d.stmts {
		n += len(t.raw)
	}
	var b strings.Builder
	b.Grow(n)
	for _, t := range d.stmts {
		b.WriteString(t.raw)
	}
	return b.String()
}

// ParseUCI reads text. The Document is complete even if err, which is then
// Problems, names statements that nobody can read: they are kept as they are.
// file is only for messages.
func ParseUCI(file, text string) (*Document, error) {
	d := &Document{file: file}
	var ps Problems
	var current *Section
	counts := map[string]int{}
	line := 1
	for text != "" {
		t, n, perr := scanStatement(text)
		t.line = line
		t.raw = text[:n]
		text = text[n:]
		line += strings.Count(t.raw, "\n")
		if perr == "" {
			perr = t.classify()
		}
		if perr == "" {
			switch t.kind {
			case stmtConfig:
				current = &Section{Type: t.words[1], Line: t.line, head: t, index: counts[t.words[1]]}
				counts[t.words[1]]++
				if len(t.words) > 2 {
					current.Name = t.words[2]
				}
				d.sections = append(d.sections, current)
			case stmtOption, stmtList:
				if current == nil {
					perr = "expected a line \"config TYPE 'NAME'\" before the first option"
					break
				}
				current.body = append(current.body, t)
			default:
			}
		}
		if perr != "" {
			t.kind = stmtOther
			ps = append(ps, Problem{File: file, Line: t.line, Text: perr})
		}
		d.stmts = append(d.stmts, t)
	}
	return d, ps.err()
}

// classify gives t its kind by its words and returns what is wrong with it, or
// nothing. A statement with fault keeps the kind stmtOther.
func (t *stmt) classify() string {
	if len(t.words) == 0 {
		t.kind = stmtSpace
		return ""
	}
	t.kind = stmtOther
	switch w := t.words[0]; w {
	case "package", "p":
		return ""
	case "config", "c":
		if len(t.words) < 2 || len(t.words) > 3 {
			return "expected \"config TYPE\" or \"config TYPE 'NAME'\""
		}
		if !validName(t.words[1]) {
			return fmt.Sprintf("section type '%s': expected letters, digits and underscores", t.words[1])
		}
		if len(t.words) == 3 && t.words[2] != "" && !validName(t.words[2]) {
			return fmt.Sprintf("section name '%s': expected letters, digits and underscores", t.words[2])
		}
		t.kind = stmtConfig
		return ""
	case "option", "o", "list", "l":
		full := map[byte]string{'o': "option", 'l': "list"}[w[0]]
		if len(t.words) != 3 {
			return fmt.Sprintf("expected \"%s KEY 'VALUE'\", with quotes around a value that has blanks in it", full)
		}
		if !validName(t.words[1]) {
			return fmt.Sprintf("option '%s': expected a name of letters, digits and underscores", t.words[1])
		}
		t.kind = stmtOption
		if w[0] == 'l' {
			t.kind = stmtList
		}
		return ""
	default:
		return fmt.Sprintf("expected config, option or list, found '%s'", w)
	}
}

// scanStatement reads one statement at the front of text, up to and with its
// line end or semicolon, n bytes in all. problem is empty if it is well formed.
func scanStatement(text string) (t *stmt, n int, problem string) {
	t = &stmt{}
	var word []byte
	inWord := false
	start := 0
	begin := func(i int) {
		if !inWord {
			inWord, start, word = true, i, nil
		}
	}
	finish := func(i int) {
		if inWord {
			t.words = append(t.words, string(word))
			t.valStart, t.valEnd = start, i
			inWord = false
		}
	}
	for i := 0; i < len(text); {
		switch c := text[i]; c {
		case '\n', ';':
			finish(i)
			t.ended = true
			return t, i + 1, problem
		case '#':
			finish(i)
			for i < len(text) && text[i] != '\n' {
				i++
			}
		case ' ', '\t', '\r', '\v', '\f':
			finish(i)
			i++
		case '\'', '"':
			begin(i)
			end, part, ok := scanQuoted(text, i)
			if !ok {
				return t, len(text), fmt.Sprintf("the quote %c that begins here is never closed", c)
			}
			word = append(word, part...)
			i = end
		case '\\':
			switch rest := text[i+1:]; {
			case rest == "":
				return t, len(text), "a backslash at the end of the file"
			case rest[0] == '\n':
				i += 2
			default:
				begin(i)
				word = append(word, rest[0])
				i += 2
			}
		case 0:
			problem = "a zero byte; expected text"
			i++
		default:
			begin(i)
			word = append(word, c)
			i++
		}
	}
	finish(len(text))
	return t, len(text), problem
}

// scanQuoted reads the quoted part that begins at text[i]; end is behind the
// closing quote.
func scanQuoted(text string, i int) (end int, part []byte, ok bool) {
	quote := text[i]
	for i++; i < len(text); i++ {
		switch c := text[i]; {
		case c == quote:
			return i + 1, part, true
		case c == '\\' && quote == '"':
			i++
			if i == len(text) {
				return i, nil, false
			}
			if text[i] != '\n' { // escaped line end: the value goes on without it
				part = append(part, text[i])
			}
		default:
			part = append(part, c)
		}
	}
	return i, nil, false
}

// validName reports whether libuci takes s as the name of a section or option.
// Types of sections may hold a dash too, which harms nobody here.
func validName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '_' && c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return s != ""
}
