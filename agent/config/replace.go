package config

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// UnwrittenError is a change that was right and that this process may not
// write: the file or its directory is another user's, or read-only as in a
// jail. It matches fs.ErrPermission. Who may can do it by Replace.
type UnwrittenError struct {
	Base string // what the file holds
	Text string // what it should hold
	Err  error
}

func (e *UnwrittenError) Error() string { return "the change is not stored: " + e.Err.Error() }

// Unwrap returns the reason.
func (e *UnwrittenError) Unwrap() []error { return []error{e.Err, fs.ErrPermission} }

// write replaces base, the text of a file, by text.
func (s *Store) write(path, base, text string) error {
	err := WriteAtomic(path, []byte(text), 0o600)
	switch {
	case err == nil:
		return nil
	case path == s.path && (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)):
		return &UnwrittenError{base, text, err}
	}
	return fmt.Errorf("the change is not stored: %w", err)
}

// ErrChanged says that a file does not hold any more what a change was made
// from.
var ErrChanged = errors.New("the configuration was changed by somebody else meanwhile; nothing was written")

// Replace writes text, which must be a right configuration, if the file holds
// base. It is done if the file holds text already. Errors: ErrChanged,
// Problems, *UnwrittenError.
func (s *Store) Replace(base, text string) error {
	if _, err := s.Check(text); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now, err := readFile(s.path)
	switch {
	case err != nil:
		return err
	case now == text:
		return nil
	case now != base:
		return ErrChanged
	}
	return s.write(s.path, base, text)
}

// Check reads text, UCI that is not the file, as Load would read it there.
func (s *Store) Check(text string) (*Loaded, error) {
	doc, err := ParseUCI(s.path, text)
	if err != nil {
		return nil, err
	}
	c, warnings, err := Parse(doc)
	if err != nil {
		return nil, err
	}
	return &Loaded{c, warnings, text}, nil
}

// Text reads the file, whatever it holds.
func (s *Store) Text() (string, error) { return readFile(s.path) }
