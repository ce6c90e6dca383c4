package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
)

// Where the configuration is unless the command line says otherwise.
const (
	DefaultPath        = "/etc/meshagent/meshagent.conf"
	DefaultPathOpenWrt = "/etc/config/meshagent"
)

// DefaultFile returns the configuration file of this host.
func DefaultFile() string {
	if _, err := os.Stat("/etc/openwrt_release"); err == nil {
		return DefaultPathOpenWrt
	}
	return DefaultPath
}

// OverlaySuffix is added to the name of a cjdroute.conf for the file beside it
// that holds what was changed.
const OverlaySuffix = ".meshagent"

// maxFile bounds a configuration file, in bytes.
const maxFile = 4 << 20

// Store is a configuration file, native or cjdroute.conf, and the overlay of
// the latter. Every call reads the files anew, so that changes by hand are
// never lost, and every change is written atomically. Safe for concurrent use
// by one process; two processes that write at the same instant may lose one of
// the two changes, never half of one.
type Store struct {
	path string

	mu       sync.Mutex
	cjdroute bool // as of the last reading
}

// Loaded is what one reading of the files gave.
type Loaded struct {
	Config   Config
	Warnings []Warning
	Text     string // of the file, as it was read
}

// Open names the file. It is not read before Load.
func Open(path string) *Store { return &Store{path: path} }

// Path returns the name of the file.
func (s *Store) Path() string { return s.path }

func (s *Store) overlayPath() string { return s.path + OverlaySuffix }

// uciPaths lists the UCI files that may hold options of this configuration.
func (s *Store) uciPaths() []string {
	if s.cjdroute {
		return []string{s.overlayPath()}
	}
	return []string{s.path}
}

// Load reads and checks the file, and its overlay if it is a cjdroute.conf.
// The error is Problems if the text is wrong, an *fs.PathError if it cannot be
// read.
func (s *Store) Load() (*Loaded, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, err := readFile(s.path)
	if err != nil {
		return nil, err
	}
	s.cjdroute = IsCjdroute(text)
	var overlay *Document
	var doc *Document
	if s.cjdroute {
		overlay, err = readUCI(s.overlayPath())
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	} else if doc, err = ParseUCI(s.path, text); err != nil {
		// Options that can be read are checked too: all errors at once.
		var syntax Problems
		errors.As(err, &syntax)
		_, _, err = Parse(doc)
		var more Problems
		errors.As(err, &more)
		return nil, append(syntax, more...).err()
	}
	return s.parse(text, doc, overlay)
}

// parse checks a configuration that may not be stored yet: doc if the file is
// UCI text, text and overlay (may be nil) if it is a cjdroute.conf.
func (s *Store) parse(text string, doc, overlay *Document) (*Loaded, error) {
	d := newDraft(Default())
	if s.cjdroute {
		d.readCjdroute(s.path, text)
		if overlay != nil {
			d.readDocument(overlay, true)
		}
	} else {
		d.readDocument(doc, false)
	}
	c, warnings, err := d.finish()
	if err != nil {
		return nil, err
	}
	return &Loaded{c, warnings, text}, nil
}

func readFile(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if info.IsDir() {
		return "", fmt.Errorf("%s is a directory; expected a configuration file", path)
	}
	if info.Size() > maxFile {
		return "", fmt.Errorf("%s has %d bytes; expected a configuration of at most %d", path, info.Size(), maxFile)
	}
	raw, err := os.ReadFile(path)
	return string(raw), err
}

func readUCI(path string) (*Document, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return ParseUCI(path, text)
}

// edit is one change of the stored configuration in the making.
type edit struct {
	text   string    // the file
	doc    *Document // where the change goes: the file or the overlay
	before *Loaded
}

// begin reads the files for a change. Files with errors are not changed.
func (s *Store) begin() (*edit, error) {
	text, err := readFile(s.path)
	if err != nil {
		return nil, err
	}
	s.cjdroute = IsCjdroute(text)
	e := &edit{text: text}
	if s.cjdroute {
		e.doc, err = readUCI(s.overlayPath())
		if errors.Is(err, fs.ErrNotExist) {
			e.doc, err = ParseUCI(s.overlayPath(), overlayHead)
		}
	} else {
		e.doc, err = ParseUCI(s.path, text)
	}
	if err != nil {
		return nil, err
	}
	e.before, err = s.parse(text, e.doc, e.doc)
	return e, err
}

// commit checks the changed configuration as a whole and writes it.
func (s *Store) commit(e *edit) (*Loaded, error) {
	after, err := s.parse(e.text, e.doc, e.doc)
	if err != nil {
		// The file was right before: the change is to blame, and its lines
		// are in no file.
		var ps Problems
		errors.As(err, &ps)
		for i := range ps {
			ps[i].File, ps[i].Line = "", 0
		}
		return nil, err
	}
	return after, s.write(e.doc.File(), e.text, e.doc.String())
}

const overlayHead = `# Changes that meshagent made to the cjdroute.conf of the same name, which it
# never writes. Peers here are added to those there; "option deleted '1'" takes
# one away. Sections "meshagent" and "tun" may stand here too.
`

// NotFoundError reports a selector that names no peer.
type NotFoundError struct{ Selector string }

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("no peer '%s' in the configuration; expected a section, name, public key, overlay address or link address", e.Selector)
}

// AmbiguousError reports a selector that names several peers.
type AmbiguousError struct {
	Selector string
	Sections []string // that it fits
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("'%s' fits several peers; name one section of: %s", e.Selector, strings.Join(e.Sections, ", "))
}
