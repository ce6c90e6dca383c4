package config

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/meshagent/meshagent/agent/cjdns"
)

// ReadKey reads a private key file: 64 hexadecimal digits and a line end. The
// error is fs.ErrNotExist if there is no file, else it says what is wrong; it
// never shows what is in the file. open reports that others may read it.
func ReadKey(path string) (key cjdns.PrivateKey, open bool, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return key, false, err
	}
	if !info.Mode().IsRegular() || info.Size() > 4096 {
		return key, false, fmt.Errorf("%s is not a key file", path)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return key, false, err
	}
	key, err = cjdns.ParsePrivateKey(strings.TrimSpace(string(raw)))
	if err != nil {
		return key, false, Problem{File: path, Line: 1, Text: errPrivateKey.Error()}
	}
	return key, info.Mode().Perm()&0o077 != 0, nil
}

// WriteKey makes a private key file with mode 0600, and its directory with
// mode 0755 if that is missing. It fails if the file exists: keys are never
// overwritten.
func WriteKey(path string, key cjdns.PrivateKey) error {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s exists; a key is never overwritten", path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // the key itself is 0600
		return err
	}
	return WriteAtomic(path, []byte(key.Hex()+"\n"), 0o600)
}

// Key returns the node's private key: the one in Main.KeyFile, which is made
// if it is missing, out of the configuration if that carries a key, else by
// generate. In UCI text the imported key is then deleted; a cjdroute.conf
// keeps its own. A key file that others may read is closed to them (0600).
//
// A configuration that carries another key than the file is an error: nobody
// but the operator can know which of the two is the node.
func (s *Store) Key(c *Config, generate func() cjdns.PrivateKey) (cjdns.PrivateKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	imported := c.PrivateKey != cjdns.PrivateKey{}
	key, open, err := ReadKey(c.Main.KeyFile)
	switch {
	case err == nil:
		if imported && subtle.ConstantTimeCompare(key[:], c.PrivateKey[:]) != 1 {
			return cjdns.PrivateKey{}, s.keyConflict(c.Main.KeyFile)
		}
		if open {
			if err := os.Chmod(c.Main.KeyFile, 0o600); err != nil {
				return cjdns.PrivateKey{}, fmt.Errorf("others may read the private key: %w", err)
			}
		}
	case errors.Is(err, fs.ErrNotExist):
		if key = c.PrivateKey; !imported {
			key = generate()
		}
		if err := WriteKey(c.Main.KeyFile, key); err != nil {
			return cjdns.PrivateKey{}, fmt.Errorf("the private key cannot be stored: %w", err)
		}
	default:
		return cjdns.PrivateKey{}, err
	}
	if imported {
		// If the file cannot be written, the next reading warns again.
		_ = s.forgetKey()
	}
	return key, nil
}

// PeekKey returns the key that Key would return, without making or moving
// anything; ok is false if one would be generated.
func (s *Store) PeekKey(c *Config) (key cjdns.PrivateKey, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	imported := c.PrivateKey != cjdns.PrivateKey{}
	key, _, err = ReadKey(c.Main.KeyFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return c.PrivateKey, imported, nil
	case err != nil:
		return cjdns.PrivateKey{}, false, err
	case imported && subtle.ConstantTimeCompare(key[:], c.PrivateKey[:]) != 1:
		return cjdns.PrivateKey{}, false, s.keyConflict(c.Main.KeyFile)
	}
	return key, true, nil
}

func (s *Store) keyConflict(keyFile string) error {
	where := "option 'key_file' of section 'main'"
	if s.cjdroute {
		where += " in " + s.overlayPath()
	}
	return fmt.Errorf("%s carries another private key than %s; delete the wrong one, or name another file with %s", s.path, keyFile, where)
}

// forgetKey deletes the imported key from UCI text.
func (s *Store) forgetKey() error {
	for _, path := range s.uciPaths() {
		doc, err := readUCI(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		changed := false
		for _, sec := range doc.Sections() {
			if sec.Type == "meshagent" && doc.Delete(sec, "private_key") {
				changed = true
			}
		}
		if changed {
			if err := WriteAtomic(path, []byte(doc.String()), 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}
