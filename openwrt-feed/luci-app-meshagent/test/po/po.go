// Package po reads the catalogues of the app, and writes them in the form that
// LuCI reads on the router.
package po

import (
	"fmt"
	"strconv"
	"strings"
)

// Entry is one message of a .po or .pot file.
type Entry struct {
	Refs  []string // "#:" lines
	Fuzzy bool
	ID    string
	Text  string
}

// Parse reads the messages of a file, without its header. Plural forms and
// contexts are not used by the app, and are an error.
func Parse(text string) (out []Entry, err error) {
	var e Entry
	var into *string
	flush := func() {
		if e.ID != "" {
			out = append(out, e)
		}
		e, into = Entry{}, nil
	}
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "":
			flush()
		case strings.HasPrefix(line, "#:"):
			e.Refs = append(e.Refs, strings.Fields(line[2:])...)
		case strings.HasPrefix(line, "#,"):
			e.Fuzzy = strings.Contains(line, "fuzzy")
		case strings.HasPrefix(line, "#"):
		default:
			quoted := line
			if key, rest, ok := strings.Cut(line, " "); ok && key == "msgid" {
				into, quoted = &e.ID, rest
			} else if ok && key == "msgstr" {
				into, quoted = &e.Text, rest
			}
			s, err := strconv.Unquote(quoted)
			if err != nil || into == nil {
				return nil, fmt.Errorf("line %d: %s", n+1, line)
			}
			*into += s
		}
	}
	flush()
	return out, nil
}
