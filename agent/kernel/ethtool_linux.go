package kernel

import (
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sysNet is where the kernel shows network devices as files. It shows those of
// the namespace in which it was mounted.
const sysNet = "/sys/class/net"

// Wireless reports whether the device is a Wi-Fi interface.
func Wireless(name string) bool {
	if name == "" || name != filepath.Base(name) || name == ".." {
		return false
	}
	for _, f := range [...]string{"phy80211", "wireless"} {
		if _, err := os.Stat(filepath.Join(sysNet, name, f)); err == nil {
			return true
		}
	}
	return false
}

// Ethtool is what a driver says of its wire.
type Ethtool struct {
	SpeedMbit  int // 0: unknown
	FullDuplex bool
}

// ethtoolCmd is struct ethtool_cmd. Source: include/uapi/linux/ethtool.h.
type ethtoolCmd struct {
	cmd, supported, advertising                           uint32
	speed                                                 uint16
	duplex, port, phyAddr, transceiver, autoneg, mdioSupp uint8
	maxTxPkt, maxRxPkt                                    uint32
	speedHi                                               uint16
	mdix, mdixCtrl                                        uint8
	lpAdvertising                                         uint32
	reserved                                              [2]uint32
}

// ethtoolReq is struct ifreq with a pointer in its union, which is at most 24
// bytes long.
type ethtoolReq struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [24 - unsafe.Sizeof(uintptr(0))]byte
}

const (
	ethtoolGSET   = 1 // ETHTOOL_GSET: every kernel and every driver knows it
	duplexFull    = 1
	speedUnknown  = 0xffffffff
	speedUnknown2 = 0xffff // what old drivers mean by it
)

// GetEthtool asks the driver of the device for speed and duplex. The zero
// Ethtool means that it does not know: Wi-Fi, most virtual devices, a wire
// without a link.
func GetEthtool(name string) Ethtool {
	if name == "" || len(name) >= unix.IFNAMSIZ {
		return Ethtool{}
	}
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return Ethtool{}
	}
	defer unix.Close(s)
	c := &ethtoolCmd{cmd: ethtoolGSET}
	r := ethtoolReq{data: unsafe.Pointer(c)}
	copy(r.name[:], name)
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(s), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&r))); e != 0 {
		return Ethtool{}
	}
	speed := uint32(c.speedHi)<<16 | uint32(c.speed)
	if speed == speedUnknown || speed == speedUnknown2 {
		return Ethtool{}
	}
	return Ethtool{SpeedMbit: int(speed), FullDuplex: c.duplex == duplexFull}
}
