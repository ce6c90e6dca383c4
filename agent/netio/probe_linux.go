package netio

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// smallMemory is the size of boards where batches and buffers are kept small,
// in bytes: 128 MB of RAM, of which the kernel shows a little less.
const smallMemory = 136 << 20

// defaultBatch returns n, or for 0 what suits the machine.
func defaultBatch(n int) int {
	if n > 0 {
		return min(n, 1024)
	}
	var si unix.Sysinfo_t
	if unix.Sysinfo(&si) == nil && uint64(si.Totalram)*uint64(max(si.Unit, 1)) <= smallMemory {
		return SmallBatch
	}
	return DefaultBatch
}

// defaultRcvBuf returns n, or for 0 what suits the batch: a burst of one
// round trip at a few hundred Mbit/s must fit while the reader is not
// running. The kernel takes the memory only while packets wait.
func defaultRcvBuf(n, batch int) int {
	switch {
	case n > 0:
		return n
	case batch <= SmallBatch:
		return 256 << 10
	}
	return 1 << 20
}

// setRcvBuf asks for a receive buffer beyond net.core.rmem_max first, which
// needs CAP_NET_ADMIN. Getting less is no error.
func setRcvBuf(fd, n int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, n) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, n)
	}
}

// probeUDP asks the kernel for UDP_SEGMENT (Linux 4.18) and turns UDP_GRO
// (Linux 5.0) on.
func probeUDP(fd int, wantGRO bool) (gso, gro bool) {
	_, err := unix.GetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT)
	gso = err == nil
	gro = wantGRO && unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_GRO, 1) == nil
	return gso, gro
}

// capsText joins the words that are true.
func capsText(base string, gso, gro, vnet bool) string {
	w := []string{base}
	for _, f := range []struct {
		name string
		on   bool
	}{{"vnet", vnet}, {"gso", gso}, {"gro", gro}} {
		if f.on {
			w = append(w, f.name)
		}
	}
	return strings.Join(w, "+")
}

// explain adds the cause and the cure to an error of opening something.
func explain(what string, err error) error {
	var hint string
	switch errno(err) {
	case unix.EPERM, unix.EACCES:
		hint = ": need root or CAP_NET_ADMIN"
		if strings.HasPrefix(what, "packet socket") {
			hint = ": need root or CAP_NET_RAW"
		}
	case unix.ENOENT, unix.ENXIO, unix.ENODEV:
		if strings.HasPrefix(what, "open "+tunPath) {
			hint = ": install kmod-tun, or load the module tun"
		}
	case unix.EAFNOSUPPORT:
		if strings.HasPrefix(what, "packet socket") {
			hint = ": the kernel has no AF_PACKET (CONFIG_PACKET)"
		}
	case unix.EBUSY:
		hint = ": another program has the device open"
	case unix.EADDRINUSE:
		hint = ": another program has the port"
	case unix.EADDRNOTAVAIL:
		hint = ": this machine does not have the address"
	}
	return fmt.Errorf("%s: %w%s", what, err, hint)
}

// errno finds the kernel's error number in err, 0 if there is none.
func errno(err error) (e syscall.Errno) {
	errors.As(err, &e)
	return e
}
