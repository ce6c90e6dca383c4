package guest

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// toolArg is the first argument of this program when it runs as a helper, in a
// guest or on the host.
const toolArg = "guest-tool"

// bounded returns a context for a command that has to end.
func bounded() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), runTime)
}

// tool runs a helper: "crowd DEVICE COUNT MAC" lets as many clients speak,
// "count DEVICE SECONDS" counts what of such a crowd arrives, and
// "serve ADDRESS BYTES" and "fetch ADDRESS BYTES" carry a file over TCP.
func tool(args []string) error {
	if len(args) < 3 {
		return fmt.Errorf("unknown tool %q", args)
	}
	n, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	switch {
	case args[0] == "crowd" && len(args) == 4:
		mac, err := net.ParseMAC(args[3])
		if err != nil {
			return err
		}
		return Crowd(args[1], n, mac)
	case args[0] == "count" && len(args) == 3:
		hosts, frames, err := countCrowd(args[1], time.Duration(n)*time.Second)
		fmt.Println(hosts, frames)
		return err
	case args[0] == "serve" && len(args) == 3:
		return serveFile(args[1], n)
	case args[0] == "fetch" && len(args) == 3:
		return fetchFile(args[1], n)
	}
	return fmt.Errorf("unknown tool %q", args)
}

// Crowd sends one broadcast frame for each of n hosts out of a device, with
// the addresses that follow first, at 500 a second. It is run in the
// namespace of the device; in a guest as "/init guest-tool crowd …".
func Crowd(dev string, n int, first net.HardwareAddr) error {
	i, err := net.InterfaceByName(dev)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	to := &unix.SockaddrLinklayer{Ifindex: i.Index, Halen: 6, Addr: [8]byte{255, 255, 255, 255, 255, 255}}
	frame := make([]byte, 60)
	copy(frame, "\xff\xff\xff\xff\xff\xff")
	copy(frame[12:], "\x88\xb5") // local experiments: IEEE 802, nobody answers
	for k := range n {
		mac := CrowdMAC(first, k)
		copy(frame[6:], mac)
		if err := unix.Sendto(fd, frame, 0, to); err != nil {
			return err
		}
		time.Sleep(2 * time.Millisecond)
	}
	return nil
}

// countCrowd counts the hosts of crowds that a device hears, and their frames,
// for that long.
func countCrowd(dev string, d time.Duration) (hosts, frames int, err error) {
	i, err := net.InterfaceByName(dev)
	if err != nil {
		return 0, 0, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, 0, err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100000}); err != nil {
		return 0, 0, err
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: 0xb588, Ifindex: i.Index}); err != nil { // 0x88b5 in network byte order
		return 0, 0, err
	}
	seen := map[string]bool{}
	buf := make([]byte, 2048)
	for end := time.Now().Add(d); time.Now().Before(end); {
		n, from, err := unix.Recvfrom(fd, buf, 0)
		if sll, ok := from.(*unix.SockaddrLinklayer); err == nil && ok && n >= 14 && sll.Pkttype != unix.PACKET_OUTGOING {
			seen[string(buf[6:12])] = true
			frames++
		}
	}
	return len(seen), frames, nil
}

// CrowdMAC is the address of the host number k of a Crowd.
func CrowdMAC(first net.HardwareAddr, k int) net.HardwareAddr {
	mac := append(net.HardwareAddr(nil), first...)
	binary.BigEndian.PutUint32(mac[2:], binary.BigEndian.Uint32(mac[2:])+uint32(k))
	return mac
}
