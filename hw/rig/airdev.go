package rig

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// openPacket opens a device of a namespace so that a read returns a frame that
// the device received and a write sends one.
func openPacket(e End) (f *os.File, err error) {
	err = e.Node.Do(func() error {
		dev, err := net.InterfaceByName(e.Dev)
		if err != nil {
			return fmt.Errorf("%s in %s: %w", e.Dev, e.Node.NS, err)
		}
		// protocol 0: nothing arrives before the bind
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return fmt.Errorf("packet socket: %w", err)
		}
		err = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
		if err == nil {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20) // else bursts of a busy machine count as loss
			err = unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP,
				&unix.PacketMreq{Ifindex: int32(dev.Index), Type: unix.PACKET_MR_PROMISC})
		}
		if err == nil {
			const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8 // network byte order
			err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: dev.Index})
		}
		if err != nil {
			_ = unix.Close(fd)
			return fmt.Errorf("packet socket on %s: %w", e.Dev, err)
		}
		f = os.NewFile(uintptr(fd), e.Dev)
		return nil
	})
	return f, err
}

// downForNow reports whether a read failed only because the device was
// switched off: it may be switched on again.
func downForNow(err error) bool { return errors.Is(err, unix.ENETDOWN) }

// deviceMAC returns the address of a device, or none.
func deviceMAC(e End) (mac [6]byte) {
	_ = e.Node.Do(func() error {
		i, err := net.InterfaceByName(e.Dev)
		if err == nil && len(i.HardwareAddr) == 6 {
			mac = [6]byte(i.HardwareAddr)
		}
		return err
	})
	return mac
}
