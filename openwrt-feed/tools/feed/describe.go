package feed

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/meshagent/meshagent/openwrt-feed/tools/pack"
)

// description is packages.yaml.
type description struct {
	Maintainer string
	License    string
	URL        string
	OpenWrt    map[string]string `yaml:"openwrt"` // architecture -> target of the program
	Debian     map[string]string
	Packages   []entry
	DebianPkgs []entry `yaml:"debian_packages"`
}

// entry describes one package.
type entry struct {
	Name        string
	Title       string
	Description string
	Section     string
	All         bool // for every architecture: no program in it
	Depends     []string
	Users       []string
	Tree        string // folder with the files as they are installed
	Program     string // where the program is installed
	Conffiles   []string
	Modes       map[string]uint32
	// OpenWrt: bodies that run after the installation, and before a removal.
	Installed, Removed string
	// Debian: whole scripts.
	PostInst, PreRm, PostRm string
}

func readDescription(path string) (*description, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	d := new(description)
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(d); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return d, nil
}

// load makes the package of an entry, without architecture, program and
// scripts.
func (b *builder) load(e *entry) (*pack.Package, error) {
	p := &pack.Package{
		Name: e.Name, Version: b.version, Title: e.Title, Description: e.Description, Section: e.Section,
		License: b.d.License, Maintainer: b.d.Maintainer, URL: b.d.URL, Users: e.Users, Conffiles: e.Conffiles, Epoch: b.epoch,
	}
	for _, text := range e.Depends {
		d, err := pack.ParseDependency(text)
		if err != nil {
			return nil, fmt.Errorf("package %s: %w", e.Name, err)
		}
		p.Depends = append(p.Depends, d)
	}
	root := filepath.Join(b.base, e.Tree)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := readFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		f.Path = "/" + filepath.ToSlash(rel)
		if m, ok := e.Modes[f.Path]; ok {
			f.Mode = m
		}
		p.Files = append(p.Files, f)
		return err
	})
	if err != nil {
		return nil, err
	}
	for path := range e.Modes {
		if !slices.ContainsFunc(p.Files, func(f pack.File) bool { return f.Path == path }) {
			return nil, fmt.Errorf("package %s: mode for %s, which is not in it", e.Name, path)
		}
	}
	return p, nil
}

// readFile reads a file of a tree. Only whether it can be executed counts: the
// rest of its mode depends on who has checked it out.
func readFile(path string) (pack.File, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return pack.File{}, err
	}
	if info.Mode().Type() == fs.ModeSymlink {
		target, err := os.Readlink(path)
		return pack.File{Target: target}, err
	}
	if !info.Mode().IsRegular() {
		return pack.File{}, fmt.Errorf("%s is neither a file nor a link", path)
	}
	mode := uint32(0o644)
	if info.Mode()&0o100 != 0 {
		mode = 0o755
	}
	content, err := os.ReadFile(path)
	return pack.File{Mode: mode, Content: content}, err
}
