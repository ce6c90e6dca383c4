// Package pack is what all package formats have in common: what a package is,
// the description it is made from, and compression.
package pack

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Package is one package for one architecture.
type Package struct {
	Name        string
	Version     string // X.Y.Z-rN
	Arch        string // of OpenWrt or Debian; ArchAll for every one
	Title       string // one line
	Description string // more lines; may be empty
	Section     string
	License     string
	Maintainer  string
	URL         string
	Origin      string // where its source lies in the feed
	Depends     []Dependency
	Users       []string // to make at the installation, as OpenWrt's USERID: user=uid:group=gid
	Files       []File   // sorted by path, directories are implied
	Empty       []string // directories without files
	Conffiles   []string // paths of Files that belong to the operator
	Scripts     Scripts
	Epoch       int64 // time of all files, seconds since 1970
}

// ArchAll is the architecture of packages that hold no program.
const ArchAll = "all"

// File is a regular file, owned by root, or a symbolic link.
type File struct {
	Path    string // absolute
	Mode    uint32 // permissions
	Content []byte
	Target  string // not empty: a symbolic link to this
}

// Scripts are the maintainer scripts; the tools run them by /bin/sh. PostInst
// and PreRm are run by opkg and dpkg for upgrades too, which they notice by
// their arguments; apk runs PostUpgrade then.
type Scripts struct {
	PreInst, PostInst, PostUpgrade, PreRm, PostRm string
}

// Dependency is a package that must be there.
type Dependency struct {
	Name    string
	Op      string // =, <, <=, >, >=; empty: any version
	Version string
}

var (
	namePattern    = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]*$`)
	dependsPattern = regexp.MustCompile(`^([a-z0-9][a-z0-9+.-]*)(?:(=|<=|>=|<|>)(.+))?$`)
	// What both apk and opkg compare in the same way: the suffix -rN is asked
	// for by apk. Source: apk-tools, doc/apk-package.5.
	versionPattern = regexp.MustCompile(`^[0-9]+(\.[0-9]+)*[a-z]?(_(alpha|beta|pre|rc|git|p)[0-9]*)*(~[0-9a-f]+)?-r[0-9]+$`)
	archPattern    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*$`)
)

// ParseDependency reads NAME or NAME>=VERSION.
func ParseDependency(text string) (Dependency, error) {
	m := dependsPattern.FindStringSubmatch(text)
	if m == nil {
		return Dependency{}, fmt.Errorf("dependency %q: expected NAME or NAME>=VERSION", text)
	}
	return Dependency{m[1], m[2], m[3]}, nil
}

// CheckVersion says what is wrong with a version.
func CheckVersion(v string) error {
	if !versionPattern.MatchString(v) {
		return fmt.Errorf("version %q: expected a form that apk and opkg both order, such as 1.2.3-r1, 1.2.3_rc1-r1 or 1.3.0_git20261122-r1", v)
	}
	return nil
}

// Check says what is wrong with p, and brings lists into their order.
func (p *Package) Check() error {
	if !namePattern.MatchString(p.Name) {
		return fmt.Errorf("package name %q: expected small letters, digits and +.-", p.Name)
	}
	if err := CheckVersion(p.Version); err != nil {
		return fmt.Errorf("package %s: %w", p.Name, err)
	}
	if !archPattern.MatchString(p.Arch) {
		return fmt.Errorf("package %s: architecture %q", p.Name, p.Arch)
	}
	for _, line := range []string{p.Title, p.Section, p.License, p.Maintainer, p.URL, p.Origin} {
		if strings.ContainsAny(line, "\n\r") {
			return fmt.Errorf("package %s: %q has more than one line", p.Name, line)
		}
	}
	if p.Title == "" {
		return fmt.Errorf("package %s: no title", p.Name)
	}
	slices.SortFunc(p.Files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	slices.SortFunc(p.Depends, func(a, b Dependency) int { return cmp.Compare(a.Name, b.Name) })
	for i, f := range p.Files {
		if !path.IsAbs(f.Path) || path.Clean(f.Path) != f.Path || f.Path == "/" || strings.ContainsAny(f.Path, "\n ") {
			return fmt.Errorf("package %s: path %q: expected a clean absolute one without spaces", p.Name, f.Path)
		}
		if i > 0 && p.Files[i-1].Path == f.Path {
			return fmt.Errorf("package %s: %s twice", p.Name, f.Path)
		}
		if f.Mode&^uint32(0o7777) != 0 {
			return fmt.Errorf("package %s: %s: mode %#o", p.Name, f.Path, f.Mode)
		}
	}
	for _, c := range p.Conffiles {
		if p.File(c) == nil {
			return fmt.Errorf("package %s: conffile %s is not in it", p.Name, c)
		}
	}
	return nil
}

// File finds a file by its path; nil if there is none.
func (p *Package) File(path string) *File {
	for i := range p.Files {
		if p.Files[i].Path == path {
			return &p.Files[i]
		}
	}
	return nil
}

// Dirs lists the directories, without the root, sorted.
func (p *Package) Dirs() []string {
	seen := map[string]bool{}
	above := func(p string) {
		for d := path.Dir(p); d != "/" && d != "."; d = path.Dir(d) {
			seen[d] = true
		}
	}
	for _, f := range p.Files {
		above(f.Path)
	}
	for _, d := range p.Empty {
		above(d + "/.")
	}
	dirs := make([]string, 0, len(seen))
	for d := range seen {
		dirs = append(dirs, d)
	}
	slices.Sort(dirs)
	return dirs
}

// Size is the sum of the files, in bytes.
func (p *Package) Size() (n int64) {
	for _, f := range p.Files {
		n += int64(len(f.Content))
	}
	return n
}
