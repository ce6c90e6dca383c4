package config

import (
	"slices"
	"strings"
	"testing"
)

func TestParseUCI(t *testing.T) {
	text := strings.Join([]string{
		"# head",
		"package meshagent",
		"",
		"config meshagent 'main'",
		"\toption enabled 1 # yes",
		"\toption\tsocket\t\"/run/a b\\\".sock\"",
		"c peer",
		"  o name 'it'\\''s'x",
		"  l tag a; l tag 'b;#c'",
		"config peer 'two'",
		"\toption note 'first",
		"second'",
		"\toption wide \\",
		"\t  on",
		"",
	}, "\n")
	d, err := ParseUCI("f", text)
	if err != nil {
		t.Fatal(err)
	}
	if got := d.String(); got != text {
		t.Errorf("printed as %q, want %q", got, text)
	}
	type row struct {
		id, typ string
		line    int
		entries []Entry
	}
	want := []row{
		{"main", "meshagent", 4, []Entry{{"enabled", "1", false, 5}, {"socket", `/run/a b".sock`, false, 6}}},
		{"@peer[0]", "peer", 7, []Entry{{"name", "it'sx", false, 8}, {"tag", "a", true, 9}, {"tag", "b;#c", true, 9}}},
		{"two", "peer", 10, []Entry{{"note", "first\nsecond", false, 11}, {"wide", "on", false, 13}}},
	}
	if len(d.Sections()) != len(want) {
		t.Fatalf("%d sections, want %d", len(d.Sections()), len(want))
	}
	for i, s := range d.Sections() {
		w := want[i]
		if s.ID() != w.id || s.Type != w.typ || s.Line != w.line || !slices.Equal(s.Entries(), w.entries) {
			t.Errorf("section %d: %s %s line %d %v, want %v", i, s.ID(), s.Type, s.Line, s.Entries(), w)
		}
		if d.Section(w.id) != s {
			t.Errorf("Section(%q) is another section", w.id)
		}
	}
}

func TestParseUCIErrors(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"option first", "option a b\n", "f:1: expected a line \"config TYPE 'NAME'\" before the first option"},
		{"unknown word", "config a\nopton b c\n", "f:2: expected config, option or list, found 'opton'"},
		{"value with blanks", "config a\n\n option b c d\n", "f:3: expected \"option KEY 'VALUE'\", with quotes around a value that has blanks in it"},
		{"list without value", "config a\nlist b\n", "f:2: expected \"list KEY 'VALUE'\", with quotes around a value that has blanks in it"},
		{"no type", "config\n", "f:1: expected \"config TYPE\" or \"config TYPE 'NAME'\""},
		{"section name", "config a 'b c'\n", "f:1: section name 'b c': expected letters, digits and underscores"},
		{"section type", "config a.b\n", "f:1: section type 'a.b': expected letters, digits and underscores"},
		{"option name", "config a\noption b.c d\n", "f:2: option 'b.c': expected a name of letters, digits and underscores"},
		{"open quote", "config a\noption b 'c\nd\n", "f:2: the quote ' that begins here is never closed"},
		{"open double quote", "config a\noption b \"c\\", "f:2: the quote \" that begins here is never closed"},
		{"backslash", "config a\noption b c\\", "f:2: a backslash at the end of the file"},
		{"zero", "config a\noption b c\x00\n", "f:2: a zero byte; expected text"},
		{"two at once", "option a b\nx\n", "f:1: expected a line \"config TYPE 'NAME'\" before the first option\nf:2: expected config, option or list, found 'x'"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d, err := ParseUCI("f", tc.text)
			if err == nil || err.Error() != tc.want {
				t.Errorf("error\n%v, want\n%v", err, tc.want)
			}
			if d.String() != tc.text {
				t.Errorf("printed as %q, want %q", d.String(), tc.text)
			}
		})
	}
}

const editBase = `# mine
config meshagent 'main'
	option enabled '1'   # keep me

	# a note
	option odd "x"
config peer
    option address 'a'
    list tag 'one'
    list tag 'two'
    option last 1

# about the third
config other 'third'
	option foo 'bar'
`

func TestUCIEdits(t *testing.T) {
	for _, tc := range []struct {
		name string
		edit func(t *testing.T, d *Document)
		// from is replaced by to, once; nothing else may change
		from, to string
	}{
		{"set keeps place and comment", func(t *testing.T, d *Document) { set(t, d, "main", "enabled", "0") },
			"'1'   # keep", "'0'   # keep"},
		{"set requotes", func(t *testing.T, d *Document) { set(t, d, "main", "odd", "it's # \"x\"") },
			`odd "x"`, `odd 'it'\''s # "x"'`},
		{"set to the same changes nothing", func(t *testing.T, d *Document) { set(t, d, "main", "odd", "x") }, "", ""},
		{"new option", func(t *testing.T, d *Document) { set(t, d, "@peer[0]", "login", "me") },
			"last 1\n", "last 1\n    option login 'me'\n"},
		{"delete option", func(t *testing.T, d *Document) {
			if !d.Delete(d.Section("main"), "enabled") {
				t.Error("not found")
			}
		}, "\toption enabled '1'   # keep me\n", ""},
		{"delete list", func(t *testing.T, d *Document) { d.Delete(d.Section("@peer[0]"), "tag") },
			"    list tag 'one'\n    list tag 'two'\n", ""},
		{"shorter list", func(t *testing.T, d *Document) { setList(t, d, "@peer[0]", "tag", "one") }, "    list tag 'two'\n", ""},
		{"longer list", func(t *testing.T, d *Document) { setList(t, d, "@peer[0]", "tag", "one", "2", "3") },
			"list tag 'two'\n", "list tag '2'\n    list tag '3'\n"},
		{"list becomes option", func(t *testing.T, d *Document) { set(t, d, "@peer[0]", "tag", "x") },
			"    list tag 'one'\n    list tag 'two'\n    option last 1\n", "    option last 1\n    option tag 'x'\n"},
		{"delete section", func(t *testing.T, d *Document) { d.DeleteSection(d.Section("@peer[0]")) },
			"config peer\n    option address 'a'\n    list tag 'one'\n    list tag 'two'\n    option last 1\n", ""},
		{"delete last section", func(t *testing.T, d *Document) { d.DeleteSection(d.Section("third")) },
			"config other 'third'\n\toption foo 'bar'\n", ""},
		{"new section", func(t *testing.T, d *Document) {
			s, err := d.AddSection("peer", "nyc")
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Set(s, "a", "b"); err != nil {
				t.Fatal(err)
			}
		}, "'bar'\n", "'bar'\n\nconfig peer 'nyc'\n\toption a 'b'\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d, err := ParseUCI("f", editBase)
			if err != nil {
				t.Fatal(err)
			}
			if tc.from != "" && strings.Count(editBase, tc.from) != 1 {
				t.Fatalf("%q is not once in the text", tc.from)
			}
			tc.edit(t, d)
			want := strings.Replace(editBase, tc.from, tc.to, 1)
			if got := d.String(); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			sameAsParsed(t, d)
		})
	}
}

func TestUCIEditsWithoutLineEnd(t *testing.T) {
	for _, text := range []string{"config a", "config a;", "config a # c", "config a\n# c;", "config a\n\toption x y", "config a\n\toption x y\\\n", ""} {
		d, err := ParseUCI("f", text)
		if err != nil {
			t.Fatal(err)
		}
		if text != "" {
			set(t, d, "@a[0]", "k", "v")
		}
		s, err := d.AddSection("b", "c")
		if err != nil {
			t.Fatal(err)
		}
		if err := d.SetList(s, "l", []string{"1", "2"}); err != nil {
			t.Fatal(err)
		}
		sameAsParsed(t, d)
	}
}

func TestUCIEditErrors(t *testing.T) {
	d, err := ParseUCI("f", "config a 'x'\n")
	if err != nil {
		t.Fatal(err)
	}
	s := d.Sections()[0]
	for _, tc := range []struct {
		name string
		err  error
		want string
	}{
		{"taken", second(d.AddSection("b", "x")), "there is a section 'x' already"},
		{"name", second(d.AddSection("b", "x y")), "section 'x y' of type 'b': expected letters, digits and underscores"},
		{"value", d.Set(s, "k", "a\nb"), "option 'k': expected text without line ends and control characters"},
		{"list value", d.SetList(s, "k", []string{"a\x00"}), "option 'k': expected text without line ends and control characters"},
		{"key", d.Set(s, "k k", "a"), "option 'k k': expected a name of letters, digits and underscores"},
	} {
		if tc.err == nil || tc.err.Error() != tc.want {
			t.Errorf("%s: error %v, want %s", tc.name, tc.err, tc.want)
		}
	}
}

func second(_ *Section, err error) error { return err }

func set(t *testing.T, d *Document, id, key, value string) {
	t.Helper()
	if err := d.Set(d.Section(id), key, value); err != nil {
		t.Fatal(err)
	}
}

func setList(t *testing.T, d *Document, id, key string, values ...string) {
	t.Helper()
	if err := d.SetList(d.Section(id), key, values); err != nil {
		t.Fatal(err)
	}
}

// sameAsParsed checks that an edited document is what its text says.
func sameAsParsed(t *testing.T, d *Document) {
	t.Helper()
	again, err := ParseUCI("f", d.String())
	if err != nil {
		t.Fatalf("edited text is malformed: %v\n%s", err, d)
	}
	if len(again.sections) != len(d.sections) {
		t.Fatalf("%d sections, the text has %d:\n%s", len(d.sections), len(again.sections), d)
	}
	for i, s := range again.sections {
		o := d.sections[i]
		if s.ID() != o.ID() || s.Type != o.Type || s.Line != o.Line || !slices.Equal(s.Entries(), o.Entries()) {
			t.Fatalf("section %s line %d %v, the text says %s line %d %v:\n%s", o.ID(), o.Line, o.Entries(), s.ID(), s.Line, s.Entries(), d)
		}
	}
}

// FuzzUCI checks that a document prints as it was read, whatever it holds, and
// that an edit of a well-formed one changes what it should and nothing else.
func FuzzUCI(f *testing.F) {
	f.Add(editBase, "key", "value", uint8(0))
	f.Add("config a; option b 'c\nd'\\\n e", "b", "'", uint8(1))
	f.Add("config a\noption b c\\", "x", "y", uint8(0))
	f.Add("# c;", "x", "y", uint8(3))
	f.Fuzz(func(t *testing.T, text, key, value string, n uint8) {
		d, err := ParseUCI("f", text)
		if d.String() != text {
			t.Fatalf("%q printed as %q", text, d.String())
		}
		if err != nil || len(d.sections) == 0 {
			return
		}
		sameAsParsed(t, d)
		target := d.sections[int(n)%len(d.sections)]
		rest := textWithout(d, target, key)
		if err := d.Set(target, key, value); err != nil {
			return
		}
		if got, ok := target.Get(key); !ok || got != value {
			t.Fatalf("Set(%q, %q), Get = %q, %v", key, value, got, ok)
		}
		sameAsParsed(t, d)
		if got := textWithout(d, target, key); got != rest && got != rest+"\n" {
			t.Fatalf("the rest changed from %q to %q", rest, got)
		}
		d.Delete(target, key)
		sameAsParsed(t, d)
		if got := d.String(); got != rest && got != rest+"\n" {
			t.Fatalf("without the option %q, want %q", got, rest)
		}
		d.DeleteSection(target)
		sameAsParsed(t, d)
	})
}

// textWithout returns the text of d without the statements of one option.
func textWithout(d *Document, s *Section, key string) string {
	var b strings.Builder
	for _, t := range d.stmts {
		if !slices.Contains(s.body, t) || t.words[1] != key {
			b.WriteString(t.raw)
		}
	}
	return b.String()
}
