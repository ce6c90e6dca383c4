package air

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/meshagent/meshagent/hw/kernelbuild"
)

// kernelConfig says what the kernel has; all else is off.
//
//go:embed kernel.config
var kernelConfig string

// Kernel returns the path of the user-mode kernel, and builds it if it is not
// in the cache.
func Kernel() (string, error) { return kernelbuild.Build(kernelConfig, "um", "") }

// packages names the Debian package of each program that a rig uses.
var packages = []struct{ program, pkg string }{
	{"unshare", "util-linux"}, {"iw", "iw"}, {"ip", "iproute2"}, {"ping", "iputils-ping"}, {"batctl", "batctl"},
	{"gcc", "gcc"}, {"make", "make"}, {"bc", "bc"}, {"bison", "bison"}, {"flex", "flex"}, {"xz", "xz-utils"},
}

// Need returns an error that says what this machine lacks for a rig.
func Need() error {
	if os.Geteuid() != 0 {
		return errors.New("root is needed (process namespace)")
	}
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
