package netio

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/songgao/water"
	"golang.org/x/sys/unix"

	"github.com/meshagent/meshagent/agent/pkt"
)

const tunPath = "/dev/net/tun"

// TUNOptions are the options of OpenTUN.
type TUNOptions struct {
	Name       string // "" = the kernel chooses
	MTU        int    // longest packet in bytes, 1280 to pkt.MaxMTU; 0 = pkt.MaxMTU
	Batch      int    // packets per batch, 0 = by the size of the machine
	NoOffload  bool   // no vnet header: one packet per system call
	Persistent bool   // the device stays, with its addresses, when we close it
}

// TUN is a TUN device for IPv6. It is a Conn without addresses.
//
// With a vnet header the kernel hands over TCP and UDP super-packets of up to
// 64 KiB, which ReadBatch cuts, and takes such from WriteBatch. Packets that
// are not IPv6 are dropped in ReadBatch.
type TUN struct {
	counters
	file   *os.File
	name   string
	batch  int
	vnet   bool
	gso    bool // the kernel sends super-packets
	uso    bool // UDP ones too
	rd     *tunReader
	mu     sync.Mutex // guards wr
	wr     *tunWriter
	closed atomic.Bool
}

// OpenTUN creates the device, or takes over a persistent one of that name, and
// leaves it down and without MTU and addresses if it is new.
//
// songgao/water makes the device but cannot ask for IFF_VNET_HDR. So the
// device is made persistent, closed, and opened again; whether the kernel took
// the flag is read back, because it may be ignored without an error.
func OpenTUN(o TUNOptions) (*TUN, error) {
	if o.MTU == 0 {
		o.MTU = pkt.MaxMTU
	}
	if o.MTU < 1280 || o.MTU > pkt.MaxMTU {
		return nil, fmt.Errorf("tun device %s: mtu %d is not between 1280 and %d", o.Name, o.MTU, pkt.MaxMTU)
	}
	name, made, err := makeTUN(o.Name)
	if err != nil {
		return nil, err
	}
	fd, flags, err := attachTUN(name, !o.NoOffload)
	if err != nil {
		if made {
			removeTUN(name)
		}
		return nil, err
	}
	t := &TUN{name: name, batch: defaultBatch(o.Batch), vnet: flags&unix.IFF_VNET_HDR != 0}
	if t.vnet {
		t.gso, t.uso = setOffload(fd)
	}
	persist := 0
	if o.Persistent {
		persist = 1
	}
	if err := unix.IoctlSetInt(fd, unix.TUNSETPERSIST, persist); err != nil {
		unix.Close(fd)
		return nil, explain("tun device "+name+": set persistence", err)
	}
	t.file = os.NewFile(uintptr(fd), tunPath) // registers with the poller: fd is non-blocking
	rc, err := t.file.SyscallConn()
	if err != nil {
		t.file.Close()
		return nil, explain("tun device "+name, err)
	}
	t.rd = newTUNReader(rc, t.vnet, o.MTU, &t.counters)
	t.wr = newTUNWriter(rc, t.vnet, t.uso, t.batch, &t.counters)
	return t, nil
}

// makeTUN makes a persistent device unless name exists already.
func makeTUN(name string) (string, bool, error) {
	if len(name) >= unix.IFNAMSIZ {
		return "", false, fmt.Errorf("tun device %s: the name has more than %d bytes", name, unix.IFNAMSIZ-1)
	}
	if name != "" {
		if _, err := net.InterfaceByName(name); err == nil {
			return name, false, nil
		}
	}
	// water's open error has no operand, its ioctl error has "ioctl".
	w, err := water.New(water.Config{
		DeviceType:             water.TUN,
		PlatformSpecificParams: water.PlatformSpecificParams{Name: name, Persist: true},
	})
	var call *os.SyscallError
	if err != nil && !errors.As(err, &call) {
		return "", false, explain("open "+tunPath, err)
	}
	if err != nil {
		return "", false, explain("create tun device "+name, err)
	}
	name = w.Name()
	if err := w.Close(); err != nil {
		return "", false, explain("tun device "+name, err)
	}
	return name, true, nil
}

// attachTUN opens the device name, with a vnet header if wanted and possible,
// and returns the flags that the kernel took.
func attachTUN(name string, vnet bool) (fd int, flags uint16, err error) {
	fd, err = unix.Open(tunPath, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, 0, explain("open "+tunPath, err)
	}
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		unix.Close(fd)
		return -1, 0, fmt.Errorf("tun device %s: %w", name, err)
	}
	want := uint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if vnet {
		want |= unix.IFF_VNET_HDR
	}
	ifr.SetUint16(want)
	if err = unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err == nil {
		err = unix.IoctlIfreq(fd, unix.TUNGETIFF, ifr)
	}
	if err != nil {
		unix.Close(fd)
		if vnet && errors.Is(err, unix.EINVAL) {
			return attachTUN(name, false)
		}
		if errors.Is(err, unix.EINVAL) {
			return -1, 0, fmt.Errorf("tun device %s: %w: the name is taken by another kind of device", name, err)
		}
		return -1, 0, explain("tun device "+name, err)
	}
	return fd, ifr.Uint16(), nil
}

// removeTUN takes back what makeTUN did.
func removeTUN(name string) {
	if fd, _, err := attachTUN(name, false); err == nil {
		_ = unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 0)
		unix.Close(fd)
	}
}

// setOffload asks for as much as the kernel has. UDP needs Linux 6.2 and is
// there for both IP versions or for none; IPv4 packets are dropped later.
// TUNSETOFFLOAD succeeds without a vnet header as well, so it proves nothing
// by itself.
func setOffload(fd int) (tso, uso bool) {
	const tcp = unix.TUN_F_CSUM | unix.TUN_F_TSO6 | unix.TUN_F_TSO_ECN
	if unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, tcp|unix.TUN_F_USO4|unix.TUN_F_USO6) == nil {
		return true, true
	}
	return unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, tcp) == nil, false
}

// Name returns the name of the device.
func (t *TUN) Name() string { return t.name }

// SetPersistent says whether the device stays, with its addresses, when we
// close it or die.
func (t *TUN) SetPersistent(on bool) error {
	rc, err := t.file.SyscallConn()
	if err == nil {
		err = setPersistent(rc, on)
	}
	if err != nil {
		return explain("tun device "+t.name+": set persistence", err)
	}
	return nil
}

// Stats may be called at any time.
func (t *TUN) Stats() Stats { return t.stats() }

// Caps implements Conn.
func (t *TUN) Caps() Caps {
	c := Caps{Batch: t.batch, GSO: t.gso, GRO: t.vnet, VNetHdr: t.vnet, Text: capsText("tun", t.gso, t.vnet, t.vnet)}
	if t.uso {
		c.Text += "+uso"
	}
	return c
}

// Close implements Conn. Unless the device is persistent, it goes away with
// its addresses and routes.
func (t *TUN) Close() error {
	if t.closed.Swap(true) {
		return errClosed
	}
	return t.file.Close()
}

// ReadBatch implements Conn. The packets are IPv6 packets with right
// checksums, none longer than the MTU.
func (t *TUN) ReadBatch(bufs []*pkt.Buf) (int, error) {
	for len(bufs) > 0 {
		n, err := t.rd.read(bufs)
		if t.closed.Load() {
			return 0, errClosed
		}
		if n > 0 {
			return n, nil
		}
		if err != nil {
			return 0, goneError(err)
		}
	}
	return 0, nil
}

// WriteBatch implements Conn; addresses are ignored. Packets of one TCP or UDP
// flow are merged where that changes nothing but their number.
func (t *TUN) WriteBatch(bufs []*pkt.Buf) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	sent := 0
	for len(bufs) > 0 {
		k := min(len(bufs), t.batch)
		n, err := t.wr.write(bufs[:k])
		sent += n
		if err != nil {
			if t.closed.Load() {
				err = errClosed
			}
			return sent, goneError(err)
		}
		bufs = bufs[k:]
	}
	return sent, nil
}

// goneError recognises a TUN device that was deleted under us.
func goneError(err error) error {
	if e := errno(err); e == syscall.EBADFD || e == syscall.ENODEV {
		return ErrLinkGone
	}
	return err
}
