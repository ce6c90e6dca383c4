// Package kernelbuild builds Linux kernels for tests from the source package of
// the distribution, where it has no kernel of the wanted kind: big-endian MIPS,
// user-mode Linux with radios. A kernel lies in the user's cache folder
// afterwards (package cache), and is built again only when its configuration,
// the source package or this recipe changes.
//
// Packages needed, in Debian's names: linux-source bc bison flex gcc make
// xz-utils, and the cross compiler.
package kernelbuild

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/meshagent/meshagent/hw/cache"
)

// recipe is the version of what this package does: kernels that another
// version built are not taken from the cache.
const recipe = "1"

// sources is where the source package puts its tarball, next to nothing else of
// that form.
const sources = "/usr/src/linux-source-*.tar.xz"

// Build returns the path of a kernel image without debugging information.
// config holds lines of the form CONFIG_X=y, or =n for what would be on by
// default; what has no default and is not named is off. A line that the kernel's own rules do not allow is an error.
// arch is a folder of the kernel's arch/: for um the image is a program, for arm
// and arm64 what their boot loaders want, else an ELF kernel. cross is the prefix of the compiler, as "mips-linux-gnu-", and
// may be empty. Two callers do not build the same kernel twice: the second
// waits.
func Build(config, arch, cross string) (path string, err error) {
	tarball, version, err := source()
	if err != nil {
		return "", err
	}
	folder, err := cache.Dir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{recipe, version, arch, cross, config}, "\x00")))
	path = filepath.Join(folder, fmt.Sprintf("built-%s-%x", arch, sum[:8]))
	unlock, err := cache.Lock(path + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	tmp, err := os.MkdirTemp(folder, "build-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	fmt.Fprintf(os.Stderr, "kernelbuild: no kernel for %s with this configuration in %s: building one from %s\n", arch, folder, tarball)
	begin := time.Now()
	b := builder{dir: tmp, log: path + ".log", arch: arch, cross: cross}
	if err := b.build(tarball, config); err != nil {
		return "", fmt.Errorf("kernelbuild: %s: %w", arch, err)
	}
	fmt.Fprintf(os.Stderr, "kernelbuild: built in %v, %v of CPU time\n", time.Since(begin).Round(time.Second), b.cpu.Round(time.Second))
	_, file := b.image()
	return path, os.Rename(filepath.Join(tmp, "out", file), path)
}

// source returns the newest source tarball and the version of its package.
func source() (tarball, version string, err error) {
	found, _ := filepath.Glob(sources)
	for _, f := range found {
		if len(f) > len(tarball) || len(f) == len(tarball) && f > tarball { // 6.12 after 6.1
			tarball = f
		}
	}
	if tarball == "" {
		return "", "", errors.New("kernelbuild: no " + sources + ": apt-get install linux-source")
	}
	pkg, _, _ := strings.Cut(filepath.Base(tarball), ".tar")
	out, err := exec.Command("dpkg-query", "-W", "-f", "${Version}", pkg).Output()
	if err != nil {
		return "", "", fmt.Errorf("kernelbuild: the version of package %s: %w", pkg, err)
	}
	return tarball, pkg + " " + string(out), nil
}

type builder struct {
	dir, log    string
	arch, cross string
	cpu         time.Duration // of all programs that ran
}

// image is the name of the make target, and file that of what it makes.
func (b *builder) image() (target, file string) {
	switch b.arch {
	case "um":
		return "linux", "linux"
	case "arm":
		return "zImage", "arch/arm/boot/zImage"
	case "arm64":
		return "Image", "arch/arm64/boot/Image"
	}
	return "vmlinux", "vmlinux"
}

func (b *builder) build(tarball, config string) error {
	if err := os.Remove(b.log); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	src, out := filepath.Join(b.dir, "src"), filepath.Join(b.dir, "out")
	for _, d := range []string{src, out} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return err
		}
	}
	fragment := filepath.Join(b.dir, "fragment")
	if err := os.WriteFile(fragment, []byte(config), 0o644); err != nil {
		return err
	}
	// xz -T0 decompresses on all CPUs. The patterns match behind the first folder.
	args := []string{"x", "-f", tarball, "-I", "xz -T0", "-C", src, "--strip-components=1", "--wildcards"}
	if err := b.run("tar", append(args, excludes(b.arch)...)...); err != nil {
		return err
	}
	tree := []string{"-C", src, "O=" + out, "ARCH=" + b.arch, "CROSS_COMPILE=" + b.cross}
	if err := b.run("make", append(tree, "KCONFIG_ALLCONFIG="+fragment, "allnoconfig")...); err != nil {
		return err
	}
	made, err := os.ReadFile(filepath.Join(out, ".config"))
	if err != nil {
		return err
	}
	if m := missing(config, string(made)); len(m) > 0 {
		return fmt.Errorf("the kernel does not accept %s", strings.Join(m, " "))
	}
	target, file := b.image()
	if err := b.run("make", append(tree, fmt.Sprintf("-j%d", runtime.NumCPU()), target)...); err != nil || target != file {
		return err
	}
	return b.run(b.cross+"strip", filepath.Join(out, file))
}

// run runs a program; what it prints goes to the log.
func (b *builder) run(name string, args ...string) error {
	log, err := os.OpenFile(b.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), "LC_ALL=C", "KBUILD_BUILD_TIMESTAMP=@0", "KBUILD_BUILD_USER=meshagent", "KBUILD_BUILD_HOST=meshagent")
	err = cmd.Run()
	if cmd.ProcessState != nil {
		b.cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	if err != nil {
		return fmt.Errorf("%s: %w: see %s", name, err, b.log)
	}
	return nil
}

// missing returns the lines of a fragment that the configuration made of it
// does not follow.
func missing(fragment, made string) (lines []string) {
	have := map[string]bool{}
	for l := range strings.Lines(made) {
		have[strings.TrimSpace(l)] = true
	}
	for l := range strings.Lines(fragment) {
		l = strings.TrimSpace(l)
		name, off := strings.CutSuffix(l, "=n")
		if off && have[name+"=y"] || !off && l != "" && l[0] != '#' && !have[l] {
			lines = append(lines, l)
		}
	}
	return lines
}
