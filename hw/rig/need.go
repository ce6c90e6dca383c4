package rig

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// packages names the Debian package of each tool a rig can use.
var packages = map[string]string{
	"ip":     "iproute2",
	"ping":   "iputils-ping",
	"iperf3": "iperf3",
	"nft":    "nftables",
	"ssh":    "openssh-client",
	"sshd":   "openssh-server",
}

// Need returns an error that says what this machine lacks for a rig that uses
// the tools (ip, ping, iperf3, nft, ssh, sshd; ip is always asked for): the privilege,
// the TUN device, or the packages to install. nil means that New will work.
func Need(tools ...string) error {
	var lacks, install []string
	if os.Geteuid() != 0 {
		lacks = append(lacks, "root (network namespaces): run it with sudo")
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		lacks = append(lacks, "/dev/net/tun (modprobe tun, or: mkdir -p /dev/net; mknod /dev/net/tun c 10 200)")
	}
	for _, t := range append([]string{"ip"}, tools...) {
		if _, err := exec.LookPath(t); err == nil {
			continue
		}
		pkg := packages[t]
		if pkg == "" {
			pkg = t
		}
		lacks = append(lacks, "the command "+t)
		install = append(install, pkg)
	}
	if len(lacks) == 0 {
		return nil
	}
	msg := "missing: " + strings.Join(lacks, ", ")
	if len(install) > 0 {
		msg += "; apt-get install " + strings.Join(install, " ")
	}
	return fmt.Errorf("%s", msg)
}
