package kernelbuild

import "slices"

// excludes returns options of tar that leave out what no kernel of ours
// compiles: three quarters of the tree. All Kconfig files and makefiles stay,
// as the tree refers to each of them.
func excludes(arch string) (opts []string) {
	add := func(p string) { opts = append(opts, "--exclude=*/"+p) }
	for _, a := range arches {
		if a == arch || arch == "um" && a == "x86" {
			continue
		}
		for _, p := range []string{"*.[chS]", "*.dts", "*.dtsi", "configs"} {
			add("arch/" + a + "/" + p)
		}
	}
	for _, d := range unused {
		add(d + "/*.[chS]")
	}
	for _, p := range []string{"Documentation/*/*", "tools/testing", "tools/perf", "drivers/net/wireless/*/*.[ch]"} {
		add(p)
	}
	return slices.Clip(opts)
}

var arches = []string{
	"alpha", "arc", "arm", "arm64", "csky", "hexagon", "ia64", "loongarch", "m68k", "microblaze", "mips", "nios2", "openrisc", "parisc",
	"powerpc", "riscv", "s390", "sh", "sparc", "um", "x86", "xtensa",
}

// unused are folders with drivers and file systems for other things than a
// network of a serial console, virtual cards and an initramfs.
var unused = []string{
	"drivers/gpu", "drivers/media", "drivers/infiniband", "drivers/staging", "drivers/scsi", "drivers/usb", "drivers/iio", "drivers/hwmon",
	"drivers/misc", "drivers/mtd", "drivers/target", "drivers/ata", "drivers/net/dsa", "drivers/net/can", "drivers/net/fddi", "drivers/soc",
	"drivers/thunderbolt", "drivers/input", "drivers/crypto", "drivers/isdn", "drivers/regulator", "drivers/mfd", "drivers/comedi",
	"drivers/video", "drivers/hid", "drivers/leds", "drivers/pinctrl", "drivers/platform",
	"drivers/net/ethernet/broadcom", "drivers/net/ethernet/chelsio", "drivers/net/ethernet/freescale", "drivers/net/ethernet/hisilicon",
	"drivers/net/ethernet/huawei", "drivers/net/ethernet/intel", "drivers/net/ethernet/marvell", "drivers/net/ethernet/mellanox",
	"drivers/net/ethernet/microchip", "drivers/net/ethernet/netronome", "drivers/net/ethernet/pensando", "drivers/net/ethernet/qlogic",
	"drivers/net/ethernet/sfc", "drivers/net/ethernet/stmicro", "drivers/net/ethernet/ti",
	"fs/btrfs", "fs/xfs", "fs/ext4", "fs/f2fs", "fs/ocfs2", "fs/cifs", "fs/nfs", "fs/nfsd", "fs/ceph", "fs/gfs2", "fs/ntfs", "fs/ntfs3",
	"fs/reiserfs", "fs/jfs", "fs/ubifs", "fs/afs", "fs/ksmbd", "fs/smbfs_common", "sound", "samples",
}
