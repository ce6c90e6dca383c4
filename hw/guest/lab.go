package guest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/meshagent/meshagent/hw/rig"
)

// Lab is a set of guests and of the Ethernet segments between them. Its
// building steps call Config.Fail of the rig when they fail.
type Lab struct {
	Rig *rig.Rig
	// Artefacts is the folder for what explains a failure; empty: nothing is
	// kept.
	Artefacts string

	cfg    rig.Config
	wire   *rig.Node // holds the segments
	guests int
	lans   int
	all    []*LAN
}

// NewLab makes an empty lab. Close its rig, always.
func NewLab(cfg rig.Config) *Lab {
	l := &Lab{cfg: cfg, Rig: rig.New(cfg)}
	l.wire = l.Rig.Node("wire")
	return l
}

func (l *Lab) fail(format string, args ...any) { l.cfg.Fail(format, args...) }
func (l *Lab) logf(format string, args ...any) {
	if l.cfg.Logf != nil {
		l.cfg.Logf(format, args...)
	}
}

// Keep saves a file in the folder for artefacts.
func (l *Lab) Keep(name string, b []byte) {
	if l.Artefacts == "" {
		return
	}
	if err := os.MkdirAll(l.Artefacts, 0o755); err == nil {
		_ = os.WriteFile(filepath.Join(l.Artefacts, name), b, 0o644)
	}
}

// packages names the Debian package of each program that a lab uses.
var packages = []struct{ program, pkg string }{
	{"qemu-system-x86_64", "qemu-system-x86"}, {"busybox", "busybox-static"}, {"batctl", "batctl"}, {"ip", "iproute2"},
	{"bridge", "iproute2"}, {"tc", "iproute2"}, {"ping", "iputils-ping"}, {"dash", "dash"}, {"nft", "nftables"},
	{"xz", "xz-utils"}, {"zstd", "zstd"}, {"dpkg-deb", "dpkg"}, {"apt-get", "apt"},
}

// Privilege returns an error if this process may not build a lab: it is not
// root, or has no TUN device.
func Privilege() error {
	if os.Geteuid() != 0 {
		return errors.New("root is needed (network namespaces)")
	}
	if !pathExists("/dev/net/tun") {
		return errors.New("/dev/net/tun is needed")
	}
	return nil
}

// Need returns an error that names the packages that this machine lacks.
func Need() error {
	var missing []string
	for _, p := range packages {
		if _, err := exec.LookPath(p.program); err != nil {
			missing = append(missing, p.pkg)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("missing: apt-get install %s", strings.Join(missing, " "))
	}
	return nil
}
