package config

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// relaxJSON turns what cjdroute accepts into what a JSON parser with comments
// and trailing commas accepts, without moving anything to another line:
//
//   - strings know one escape, \xff for a byte; a tab may stand in them;
//   - files without "version": 2 may leave out commas and colons, and may have
//     too many commas;
//   - whatever follows the closing brace is not looked at.
//
// Comments become blanks. repaired is the line of the first comma or colon
// that was put in or taken out, 0 if there was none. problem is a Problem
// without File if the text cannot be mended.
//
// Source: cjdns benc/serialization/json/JsonBencMessageReader.
func relaxJSON(text string) (out string, repaired int, problem *Problem) {
	r := relaxer{text: text, line: 1}
	r.run()
	return r.out.String(), r.repaired, r.problem
}

type relaxer struct {
	text     string
	pos      int
	line     int
	out      strings.Builder
	stack    []jsonLevel
	repaired int
	problem  *Problem
}

// jsonLevel is one open object or list and what may come next in it.
type jsonLevel struct {
	open byte
	want jsonWant
}

type jsonWant uint8

const (
	wantItem  jsonWant = iota // an element, a key or the end; commas before it are too many
	wantColon                 // behind a key
	wantValue                 // behind a colon
	wantComma                 // behind an element
)

const maxJSONDepth = 32

func (r *relaxer) fail(text string) {
	if r.problem == nil {
		r.problem = &Problem{Line: r.line, Text: text}
	}
}

// repair notes that the text is not strict here.
func (r *relaxer) repair() {
	if r.repaired == 0 {
		r.repaired = r.line
	}
}

func (r *relaxer) run() {
	begun := false
	for r.pos < len(r.text) && r.problem == nil {
		if begun && len(r.stack) == 0 {
			return
		}
		switch c := r.text[r.pos]; c {
		case '\n':
			r.line++
			r.copy(1)
		case ' ', '\t', '\r':
			r.copy(1)
		case '/':
			r.comment()
		case ',':
			r.comma()
		case ':':
			r.colon()
		case '}', ']':
			r.closeLevel(c)
		case '{', '[':
			begun = true
			r.before(c)
			if len(r.stack) == maxJSONDepth {
				r.fail("nested too deep")
				return
			}
			r.stack = append(r.stack, jsonLevel{open: c})
			r.copy(1)
		case '"':
			r.before(c)
			r.quoted()
			r.after()
		default:
			r.before(c)
			r.bare()
			r.after()
		}
	}
	if r.problem == nil && (len(r.stack) > 0 || !begun) {
		r.fail("the text ends before the last brace is closed")
	}
}

func (r *relaxer) copy(n int) {
	r.out.WriteString(r.text[r.pos : r.pos+n])
	r.pos += n
}

func (r *relaxer) top() *jsonLevel {
	if len(r.stack) == 0 {
		return nil
	}
	return &r.stack[len(r.stack)-1]
}

// comment replaces a comment by the line ends in it.
func (r *relaxer) comment() {
	rest := r.text[r.pos:]
	switch {
	case strings.HasPrefix(rest, "//"):
		end := strings.IndexByte(rest, '\n')
		if end < 0 {
			end = len(rest)
		}
		r.pos += end
	case strings.HasPrefix(rest, "/*"):
		end := strings.Index(rest[2:], "*/")
		if end < 0 {
			r.fail("the comment that begins here is never closed")
			return
		}
		n := strings.Count(rest[:end+4], "\n")
		r.out.WriteByte(' ')
		r.out.WriteString(strings.Repeat("\n", n))
		r.line += n
		r.pos += end + 4
	default:
		r.fail("expected // or /* after a slash")
	}
}

func (r *relaxer) comma() {
	if l := r.top(); l != nil && l.want == wantComma {
		l.want = wantItem
		r.copy(1)
		return
	}
	r.repair()
	r.pos++
}

func (r *relaxer) colon() {
	l := r.top()
	if l == nil || l.want != wantColon {
		r.fail("a colon where none is expected")
		return
	}
	l.want = wantValue
	r.copy(1)
}

func (r *relaxer) closeLevel(c byte) {
	l := r.top()
	if l == nil || c == '}' != (l.open == '{') {
		r.fail("'" + string(c) + "' closes what is not open")
		return
	}
	if l.want == wantColon || l.want == wantValue {
		r.fail("a key without a value")
		return
	}
	r.stack = r.stack[:len(r.stack)-1]
	r.copy(1)
	r.after()
}

// before puts in the comma or colon that should have come before a token that
// begins with c.
func (r *relaxer) before(c byte) {
	l := r.top()
	if l == nil {
		if c != '{' {
			r.fail("expected '{'")
		}
		return
	}
	switch l.want {
	case wantComma:
		r.repair()
		r.out.WriteByte(',')
		l.want = wantItem
	case wantColon:
		r.repair()
		r.out.WriteByte(':')
		l.want = wantValue
	default:
	}
	if l.open == '{' && l.want == wantItem && c != '"' {
		r.fail("expected a key in double quotes")
	}
}

// after notes that an element has been read.
func (r *relaxer) after() {
	l := r.top()
	if l == nil {
		return
	}
	if l.open == '{' && l.want == wantItem {
		l.want = wantColon
		return
	}
	l.want = wantComma
}

// bare copies a number or a word; the JSON parser judges it.
func (r *relaxer) bare() {
	end := strings.IndexAny(r.text[r.pos:], " \t\r\n,:/{}[]\"")
	if end < 0 {
		end = len(r.text) - r.pos
	}
	if end == 0 {
		r.fail("an unexpected '" + string(r.text[r.pos]) + "'")
		return
	}
	r.copy(end)
}

// quoted copies a string, decoding cjdns's escapes.
func (r *relaxer) quoted() {
	if r.problem != nil {
		return
	}
	var b []byte
	for i := r.pos + 1; i < len(r.text); i++ {
		switch c := r.text[i]; c {
		case '"':
			if !utf8.Valid(b) {
				r.fail("expected UTF-8 text")
				return
			}
			r.out.WriteByte('"')
			r.out.Write(b)
			r.out.WriteByte('"')
			r.pos = i + 1
			return
		case '\n', 0:
			r.fail("the string that begins here is not closed on its line")
			return
		case '\\':
			n := 2
			if i+3 < len(r.text) && r.text[i+1] == 'x' {
				v, err := strconv.ParseUint(r.text[i+2:i+4], 16, 8)
				if err != nil {
					r.fail(`expected two hexadecimal digits behind \x`)
					return
				}
				b = appendStringByte(b, byte(v))
				n = 4
			} else {
				b = append(b, r.text[i:min(i+2, len(r.text))]...) // JSON's own escapes
			}
			i += n - 1
		default:
			b = appendStringByte(b, c)
		}
	}
	r.fail("the string that begins here is not closed on its line")
}

func appendStringByte(b []byte, c byte) []byte {
	if c >= ' ' && c != '"' && c != '\\' && c != 0x7f {
		return append(b, c)
	}
	const digits = "0123456789abcdef"
	return append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
}
