// Package feed makes the packages that packages.yaml describes: for opkg and apk
// with their signed indexes, or for dpkg. It needs neither OpenWrt's SDK nor
// root, and makes the same bytes from the same input.
package feed

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/meshagent/meshagent/openwrt-feed/tools/pack"
)

// options are the flags.
type options struct {
	description string
	programs    string
	out         string
	keys        string
	version     string
	epoch       int64
	debian      bool
	libdeflate  bool
	max         int
	only        string
}

// Run makes packages as the flags in args say, and prints their sizes.
func Run(args []string) error {
	var o options
	fs := flag.NewFlagSet("mkpkg", flag.ContinueOnError)
	fs.StringVar(&o.description, "f", "openwrt-feed/packages.yaml", "the description; paths in it are relative to it")
	fs.StringVar(&o.programs, "programs", ".build/cross", "`folder` with meshagent-linux-TARGET")
	fs.StringVar(&o.out, "o", "dist", "`folder` to write to")
	fs.StringVar(&o.keys, "keys", ".build/keys", "`folder` with opkg.key and apk.pem; keys are drawn where they are missing")
	fs.StringVar(&o.version, "version", "", "`X.Y.Z-rN`")
	fs.Int64Var(&o.epoch, "epoch", 0, "time of all files, `seconds` since 1970")
	fs.BoolVar(&o.debian, "debian", false, "packages for Debian instead of OpenWrt")
	fs.BoolVar(&o.libdeflate, "libdeflate", false, "compress with the program libdeflate-gzip")
	fs.IntVar(&o.max, "max", 0, "most `bytes` that a package may have; 0: any size")
	fs.StringVar(&o.only, "arch", "", "this architecture only")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if err := pack.CheckVersion(o.version); err != nil {
		return err
	}
	d, err := readDescription(o.description)
	if err != nil {
		return err
	}
	b := &builder{options: o, base: filepath.Dir(o.description), d: d, deflate: pack.Deflate, compressed: map[string][]byte{}}
	if o.libdeflate {
		b.deflate = pack.Libdeflate
	}
	if o.debian {
		err = b.debianPackages()
	} else {
		err = b.openwrtPackages()
	}
	if err == nil && len(b.large) > 0 {
		err = fmt.Errorf("beyond the %d bytes that a package may have: %s", o.max, strings.Join(b.large, ", "))
	}
	return err
}

// writeFile replaces a file, and makes its directory.
func writeFile(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o644) //nolint:gosec // packages are for everybody
}
