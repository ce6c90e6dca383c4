package kernelbuild

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestMissing(t *testing.T) {
	const fragment = "# comment\nCONFIG_A=y\n\nCONFIG_B=y\nCONFIG_S=\"x\"\nCONFIG_N=n\nCONFIG_O=n\nCONFIG_P=n\n"
	got := missing(fragment, "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_S=\"x\"\n# CONFIG_N is not set\nCONFIG_P=y\n")
	if want := []string{"CONFIG_B=y", "CONFIG_P=n"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestExcludes: what kernels are made of stays, and so does every Kconfig.
func TestExcludes(t *testing.T) {
	stay := []string{
		"arch/mips/kernel/head.S", "arch/arm/Kconfig", "arch/arm/crypto/Kconfig", "arch/mips/boot/dts/Makefile", "drivers/gpu/Kconfig",
		"drivers/net/tun.c", "drivers/net/ethernet/amd/pcnet32.c", "drivers/net/wireless/mac80211_hwsim.c", "drivers/net/wireless/ath/Kconfig",
		"Documentation/Kconfig", "fs/proc/base.c", "fs/ext4/Kconfig", "net/mac80211/mesh.c",
	}
	leave := []string{
		"arch/arm/kernel/head.S", "arch/arm64/boot/dts/a/b.dts", "drivers/gpu/drm/a/b.c", "drivers/net/wireless/ath/ath9k/main.c", "fs/ext4/inode.c",
		"Documentation/process/license.rst", "tools/perf/Makefile", "sound/core/pcm.c",
	}
	dir := t.TempDir()
	for _, f := range append(slices.Clone(stay), leave...) {
		p := filepath.Join(dir, "linux-source", f)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tarball := filepath.Join(dir, "t.tar")
	if out, err := exec.Command("tar", "cf", tarball, "-C", dir, "linux-source").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	args := append([]string{"tf", tarball, "--wildcards"}, excludes("mips")...)
	out, err := exec.Command("tar", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	list := strings.Fields(string(out))
	for _, f := range stay {
		if !slices.Contains(list, "linux-source/"+f) {
			t.Errorf("%s is left out", f)
		}
	}
	for _, f := range leave {
		if slices.Contains(list, "linux-source/"+f) {
			t.Errorf("%s is not left out", f)
		}
	}
}
