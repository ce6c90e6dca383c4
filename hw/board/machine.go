package board

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/meshagent/meshagent/hw/kernelbuild"
)

// Machine is a kind of board.
type Machine struct {
	Target string // of make cross, whose program it runs
	goEnv  []string

	emulator string   // the command
	args     []string // what makes it this board
	console  string   // as the kernel calls it
	card     string   // the network card, as the emulator calls it

	arch, cross string // of the kernel, as kernelbuild wants them
	config      string // of the kernel, beside kernel.config
}

// What kernels have: every one, and further those of a kind of board. All else
// is off.
//
//go:embed kernel.config
var kernelConfig string

//go:embed malta.config
var maltaConfig string

//go:embed virt.config
var virtConfig string

// Machines are the boards that there are. Big-endian MIPS comes first: there
// byte order matters, and user-mode emulation can do the least.
var Machines = []Machine{
	{
		Target: "mips-softfloat", goEnv: []string{"GOARCH=mips", "GOMIPS=softfloat"},
		emulator: "qemu-system-mips", args: []string{"-M", "malta", "-cpu", "24Kc"}, console: "ttyS0", card: "pcnet",
		arch: "mips", cross: "mips-linux-gnu-", config: maltaConfig + "CONFIG_CPU_BIG_ENDIAN=y\n",
	},
	{
		Target: "mipsle-softfloat", goEnv: []string{"GOARCH=mipsle", "GOMIPS=softfloat"},
		emulator: "qemu-system-mipsel", args: []string{"-M", "malta", "-cpu", "24KEc"}, console: "ttyS0", card: "pcnet",
		arch: "mips", cross: "mips-linux-gnu-", config: maltaConfig + "CONFIG_CPU_LITTLE_ENDIAN=y\n",
	},
	{
		Target: "arm-7", goEnv: []string{"GOARCH=arm", "GOARM=7"},
		emulator: "qemu-system-arm", args: []string{"-M", "virt", "-cpu", "cortex-a7"}, console: "ttyAMA0", card: "virtio-net-device",
		arch: "arm", cross: "arm-linux-gnueabihf-",
		config: virtConfig + "CONFIG_MMU=y\nCONFIG_AUTO_ZRELADDR=y\nCONFIG_ARCH_MULTI_V7=y\nCONFIG_ARCH_VIRT=y\nCONFIG_AEABI=y\nCONFIG_VFP=y\nCONFIG_NEON=y\nCONFIG_KUSER_HELPERS=y\n",
	},
	{
		Target: "arm64", goEnv: []string{"GOARCH=arm64"},
		emulator: "qemu-system-aarch64", args: []string{"-M", "virt", "-cpu", "cortex-a53"}, console: "ttyAMA0", card: "virtio-net-device",
		arch: "arm64", cross: "aarch64-linux-gnu-", config: virtConfig,
	},
}

// Choose returns the machines whose targets are named, separated by blanks.
func Choose(targets string) (list []Machine, err error) {
next:
	for _, name := range strings.Fields(targets) {
		for _, m := range Machines {
			if m.Target == name {
				list = append(list, m)
				continue next
			}
		}
		return nil, fmt.Errorf("board: there is no board for %q", name)
	}
	return list, nil
}

// Kernel returns the path of the board's kernel, and builds it if it is not in
// the cache.
func (m *Machine) Kernel() (string, error) {
	return kernelbuild.Build(kernelConfig+m.config, m.arch, m.cross)
}

// BuildTest builds the tests of a package for the board, with the tag board.
func (m *Machine) BuildTest(pkg, to string) error {
	cmd := exec.Command("go", "test", "-c", "-tags", "board", "-trimpath", "-ldflags", "-s -w", "-o", to, pkg)
	cmd.Env = append(append(os.Environ(), "GOOS=linux", "CGO_ENABLED=0"), m.goEnv...)
	cmd.Stderr = os.Stderr
	return cmd.Run()
}
