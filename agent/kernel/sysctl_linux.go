package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// sysctlRoot is where the kernel's settings are.
const sysctlRoot = "/proc/sys"

// sysctl reads the setting whose path has the given parts. Parts are not split
// at dots, because device names may contain some (eth0.2).
func sysctl(parts ...string) (string, error) {
	b, err := os.ReadFile(sysctlPath(parts))
	return strings.TrimSpace(string(b)), err
}

// setSysctl writes value unless the setting has it already, so that a
// read-only /proc is no problem where nothing has to change.
func setSysctl(value string, parts ...string) error {
	old, err := sysctl(parts...)
	if err == nil && old == value {
		return nil
	}
	if err == nil {
		err = os.WriteFile(sysctlPath(parts), []byte(value), 0)
	}
	if err != nil {
		return fmt.Errorf("set %s to %s: %w", strings.Join(parts, "."), value, err)
	}
	return nil
}

func sysctlPath(parts []string) string {
	return filepath.Join(append([]string{sysctlRoot}, parts...)...)
}

// enableIPv6 makes sure that the device can have IPv6 addresses.
func enableIPv6(dev string) error {
	err := setSysctl("0", "net", "ipv6", "conf", dev, "disable_ipv6")
	if errors.Is(err, fs.ErrNotExist) {
		if _, e := sysctl("net", "ipv6", "conf", "all", "disable_ipv6"); e != nil {
			return fmt.Errorf("tun device %s: this kernel has no IPv6: install kmod-ipv6, or boot without ipv6.disable=1", dev)
		}
	}
	if err != nil {
		return fmt.Errorf("tun device %s: IPv6 is disabled on it: %w", dev, err)
	}
	return nil
}
