package rig

import (
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// Raw is a packet socket on one device: whole frames, of all types, those that
// the device sends included. It is for stations that no program plays.
type Raw struct{ fd int }

// Raw opens a packet socket on a device of the namespace. Close it.
func (n *Node) Raw(dev string) (r *Raw, err error) {
	err = n.Do(func() error {
		ifi, err := net.InterfaceByName(dev)
		if err != nil {
			return err
		}
		const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8 // network byte order
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, all)
		if err != nil {
			return err
		}
		err = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1)
		if err == nil {
			err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: ifi.Index})
		}
		if err != nil {
			_ = unix.Close(fd)
			return err
		}
		r = &Raw{fd}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("packet socket on %s in %s: %w", dev, n.NS, err)
	}
	return r, nil
}

// Close closes the socket.
func (r *Raw) Close() { _ = unix.Close(r.fd) }

// Send sends a frame.
func (r *Raw) Send(frame []byte) error {
	_, err := unix.Write(r.fd, frame)
	return err
}

// ErrNothing reports that no frame came in time.
var ErrNothing = errors.New("no frame came")

// Receive waits for one frame, at most d. oob is what the kernel says of it
// (packet(7), PACKET_AUXDATA).
func (r *Raw) Receive(d time.Duration) (frame, oob []byte, err error) {
	left := unix.NsecToTimeval(max(d, time.Millisecond).Nanoseconds())
	if err := unix.SetsockoptTimeval(r.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &left); err != nil {
		return nil, nil, err
	}
	frame, oob = make([]byte, 4096), make([]byte, 256)
	n, m, _, _, err := unix.Recvmsg(r.fd, frame, oob, 0)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return nil, nil, ErrNothing
	}
	return frame[:max(n, 0)], oob[:max(m, 0)], err
}
