package guest

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/meshagent/meshagent/hw/cache"
)

// Image is a kernel that lies in the cache, ready to boot.
type Image struct {
	Release string // as uname -r says
	Dir     string // vmlinux, modules/*.ko and the files below
	Modules []string
}

// Vmlinux returns the path of the kernel.
func (i *Image) Vmlinux() string { return filepath.Join(i.Dir, "vmlinux") }

// suites maps the names that kernels go by here to the releases of Debian that
// ship them.
var suites = map[string]string{"6.1": "bookworm", "6.12": "trixie"}

// Kernels are the names that Prepare and Config.Kernel understand, oldest
// first. 6.1 (Debian 12) has batman-adv 2022.3, 6.12 (Debian 13) has 2024.2.
var Kernels = []string{"6.1", "6.12"}

// modules are loaded into every guest, in this order, each after those it
// needs.
var modules = []string{
	"virtio_pci", "virtio_console", "virtio_rng", "virtio_net", // how it is reached
	"crc32c_generic", // libcrc32c asks for it by another name
	"af_packet", "veth", "bridge", "8021q", "dummy", "macvlan", "tun", "sch_netem", "sch_tbf",
	"batman_adv",
}

// layout is the version of what lies in a cache folder: one written by another
// version of this package is made anew.
const layout = "2"

const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// Prepare returns the kernel with that name (see Kernels). What is not in the
// cache is downloaded with apt-get, with package lists of its own, so that the
// host's packages and lists stay as they are. apt-get checks the signature of
// the lists and the checksum of the package, and tries three times.
func Prepare(kernel string) (*Image, error) {
	suite, ok := suites[kernel]
	if !ok {
		return nil, fmt.Errorf("guest: unknown kernel %q", kernel)
	}
	folder, err := cache.Dir()
	if err != nil {
		return nil, err
	}
	unlock, err := cache.Lock(filepath.Join(folder, "lock"))
	if err != nil {
		return nil, err
	}
	defer unlock()
	dir := filepath.Join(folder, "kernel-"+kernel+"-"+layout)
	if img, err := load(dir); err == nil {
		return img, nil
	}
	for _, pattern := range []string{"new-*", "kernel-" + kernel + "-*"} { // of a run that was killed, of older versions
		old, _ := filepath.Glob(filepath.Join(folder, pattern))
		for _, o := range old {
			_ = os.RemoveAll(o)
		}
	}
	tmp, err := os.MkdirTemp(folder, "new-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	if err := fetch(tmp, suite); err != nil {
		return nil, fmt.Errorf("guest: no kernel %s in %s, and it cannot be downloaded: %w", kernel, folder, err)
	}
	if err := os.Rename(filepath.Join(tmp, "image"), dir); err != nil {
		return nil, err
	}
	return load(dir)
}

// load reads a finished folder of the cache. The file order is written last.
func load(dir string) (*Image, error) {
	b, err := os.ReadFile(filepath.Join(dir, "order"))
	if err != nil {
		return nil, err
	}
	lines := strings.Fields(string(b))
	if len(lines) < 2 {
		return nil, errors.New("guest: empty cache folder")
	}
	return &Image{Release: lines[0], Dir: dir, Modules: lines[1:]}, nil
}

// fetch downloads the kernel of a release of Debian and leaves what a guest
// needs of it in tmp/image.
func fetch(tmp, suite string) error {
	deb, err := download(tmp, suite)
	if err != nil {
		return err
	}
	root := filepath.Join(tmp, "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		return err
	}
	if err := cache.Run(tmp, "dpkg-deb", "-x", deb, root); err != nil {
		return err
	}
	kernels, err := filepath.Glob(filepath.Join(root, "boot", "vmlinuz-*"))
	if err != nil || len(kernels) != 1 {
		return fmt.Errorf("%d kernels in %s", len(kernels), filepath.Base(deb))
	}
	release := strings.TrimPrefix(filepath.Base(kernels[0]), "vmlinuz-")
	image := filepath.Join(tmp, "image")
	if err := os.MkdirAll(filepath.Join(image, "modules"), 0o755); err != nil {
		return err
	}
	if err := unpackKernel(kernels[0], filepath.Join(image, "vmlinux")); err != nil {
		return err
	}
	tree := filepath.Join(root, "lib", "modules", release)
	if _, err := os.Stat(tree); err != nil {
		tree = filepath.Join(root, "usr", "lib", "modules", release) // Debian 13 on
	}
	order, err := copyModules(tree, filepath.Join(image, "modules"), modules)
	if err != nil {
		return err
	}
	text := release + "\n" + strings.Join(order, "\n") + "\n"
	return os.WriteFile(filepath.Join(image, "order"), []byte(text), 0o644)
}

// download brings the package of the suite's current kernel into tmp.
func download(tmp, suite string) (deb string, err error) {
	if !pathExists(keyring) {
		return "", fmt.Errorf("%s is missing (package debian-archive-keyring)", keyring)
	}
	for _, d := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(tmp, d), 0o755); err != nil {
			return "", err
		}
	}
	from := mirror()
	if from == "" {
		return "", errors.New("no Debian mirror in /etc/apt/sources.list or sources.list.d: set MIRROR to one")
	}
	source := fmt.Sprintf("deb [signed-by=%s] %s %s main\n", keyring, from, suite)
	list := filepath.Join(tmp, "sources.list")
	if err := os.WriteFile(list, []byte(source), 0o644); err != nil {
		return "", err
	}
	opts := []string{
		"-o", "Dir::Etc::SourceList=" + list, "-o", "Dir::Etc::SourceParts=/dev/null",
		"-o", "Dir::State::Lists=" + filepath.Join(tmp, "lists"), "-o", "Dir::Cache=" + filepath.Join(tmp, "cache"),
		"-o", "APT::Sandbox::User=root", "-o", "APT::Architectures::=amd64", "-o", "Acquire::Languages=none",
		"-o", "Acquire::Retries=3", "-q",
	}
	if err := cache.Run(tmp, "apt-get", append(opts, "update")...); err != nil {
		return "", err
	}
	out, err := exec.Command("apt-cache", append(opts, "depends", "linux-image-amd64")...).Output()
	if err != nil {
		return "", fmt.Errorf("apt-cache: %w", err)
	}
	_, rest, _ := strings.Cut(string(out), "Depends: linux-image-")
	name, _, ok := strings.Cut(rest, "\n")
	if !ok {
		return "", fmt.Errorf("no linux-image-amd64 in %s", suite)
	}
	if err := cache.Run(tmp, "apt-get", append(opts, "download", "linux-image-"+strings.TrimSpace(name))...); err != nil {
		return "", err
	}
	debs, err := filepath.Glob(filepath.Join(tmp, "linux-image-*.deb"))
	if err != nil || len(debs) != 1 {
		return "", fmt.Errorf("%d packages downloaded", len(debs))
	}
	return debs[0], nil
}

// mirror returns the Debian mirror that the host uses, or else $MIRROR.
func mirror() string {
	files, _ := filepath.Glob("/etc/apt/sources.list.d/*")
	for _, file := range append(files, "/etc/apt/sources.list") {
		f, err := os.Open(file)
		if err != nil {
			continue
		}
		defer f.Close()
		for s := bufio.NewScanner(f); s.Scan(); {
			line := strings.TrimSpace(s.Text())
			if !strings.HasPrefix(line, "URIs:") && !strings.HasPrefix(line, "deb ") {
				continue
			}
			for _, w := range strings.Fields(line) {
				if strings.Contains(w, "://") && strings.HasSuffix(strings.TrimRight(w, "/"), "/debian") {
					return w
				}
			}
		}
	}
	return os.Getenv("MIRROR")
}
