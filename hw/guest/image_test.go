//go:build !guest

package guest

import (
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/meshagent/meshagent/hw/cpio"
)

// bzImage makes the head of a bzImage with a payload.
func bzImage(payload string) []byte {
	b := make([]byte, 1024, 2048)
	b[0x1f1] = 1 // one more sector of setup code
	copy(b[0x202:], "HdrS")
	b[0x248] = 8                      // offset of the payload
	b[0x24c] = byte(len(payload) + 4) // with the length behind it
	b = append(b, make([]byte, 8)...)
	return append(append(b, payload...), 1, 2, 3, 4)
}

func TestBzPayload(t *testing.T) {
	const payload = "\xfd7zXZ\x00 and so on"
	image := bzImage(payload)
	got, err := bzPayload(image)
	if err != nil || string(got) != payload {
		t.Errorf("got %q, %v", got, err)
	}
	for n := range len(image) - 4 { // the length behind the payload is not read
		if _, err := bzPayload(image[:n]); !errors.Is(err, errBzImage) {
			t.Fatalf("%d of %d bytes: %v, want an error", n, len(image), err)
		}
	}
}

func TestParseDepends(t *testing.T) {
	for _, tc := range []struct {
		info string
		want []string
	}{
		{"license=GPL\x00depends=llc,net-failover\x00name=x\x00", []string{"llc", "net_failover"}},
		{"depends=\x00", nil},
		{"", nil},
	} {
		if got := parseDepends([]byte(tc.info)); !slices.Equal(got, tc.want) {
			t.Errorf("%q: %q, want %q", tc.info, got, tc.want)
		}
	}
}

func TestModuleName(t *testing.T) {
	for path, want := range map[string]string{
		"/a/batman-adv.ko": "batman_adv", "x/veth.ko.xz": "veth", "kernel/lib/crc16.ko": "crc16",
	} {
		if got, ok := moduleName(path); !ok || got != want {
			t.Errorf("%s: %q, %v", path, got, ok)
		}
	}
	if _, ok := moduleName("modules.order"); ok {
		t.Error("modules.order is taken for a module")
	}
}

func TestCacheFolderIsReadOrRefused(t *testing.T) {
	dir := t.TempDir()
	if _, err := load(dir); err == nil {
		t.Error("an empty folder is taken for a kernel")
	}
	if err := os.WriteFile(filepath.Join(dir, "order"), []byte("6.1.0\nvirtio.ko\nbatman_adv.ko\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	img, err := load(dir)
	if err != nil || img.Release != "6.1.0" || !slices.Equal(img.Modules, []string{"virtio.ko", "batman_adv.ko"}) {
		t.Errorf("%+v, %v", img, err)
	}
}

// TestArchive: newc archives have headers of 110 bytes, and everything ends on
// a multiple of four.
func TestArchive(t *testing.T) {
	var b bytes.Buffer
	a := cpio.New(&b)
	a.Dir("bin")
	a.File("bin/x", []byte("12345"))
	a.Link("bin/y", "x")
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if b.Len()%4 != 0 || !bytes.HasPrefix(b.Bytes(), []byte("070701")) || !bytes.Contains(b.Bytes(), []byte("TRAILER!!!")) {
		t.Errorf("%d bytes: %.200q", b.Len(), b.Bytes())
	}
}

func TestCrowdMAC(t *testing.T) {
	first := net.HardwareAddr{2, 0xcc, 1, 0, 0, 0xff}
	if got := CrowdMAC(first, 1).String(); got != "02:cc:01:00:01:00" {
		t.Error(got)
	}
	if got := first.String(); got != "02:cc:01:00:00:ff" {
		t.Errorf("the first address was changed to %s", got)
	}
}
