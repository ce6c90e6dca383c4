package netio

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestErrorsNameTheCure(t *testing.T) {
	for _, c := range []struct {
		what string
		err  error
		want string
	}{
		{"open " + tunPath, unix.ENOENT, "kmod-tun"},
		{"open " + tunPath, unix.ENODEV, "kmod-tun"},
		{"open " + tunPath, unix.EACCES, "CAP_NET_ADMIN"},
		{"create tun device x", os.NewSyscallError("ioctl", unix.EPERM), "CAP_NET_ADMIN"},
		{"tun device x", unix.EBUSY, "another program"},
		{"packet socket on x", os.NewSyscallError("socket", unix.EPERM), "CAP_NET_RAW"},
		{"packet socket on x", unix.EAFNOSUPPORT, "CONFIG_PACKET"},
		{"udp socket x", unix.EADDRINUSE, "has the port"},
	} {
		err := explain(c.what, c.err)
		if !strings.HasPrefix(err.Error(), c.what+": ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("explain(%q, %v) = %q, want something with %q", c.what, c.err, err, c.want)
		}
		if !errors.Is(err, c.err) {
			t.Errorf("explain(%q, %v) hides the error", c.what, c.err)
		}
	}
	if err := explain("x", errors.New("y")); err.Error() != "x: y" {
		t.Errorf("explain of an unknown error = %q", err)
	}
}

func TestBatchBySize(t *testing.T) {
	for _, c := range []struct{ in, want int }{{1, 1}, {64, 64}, {1 << 20, 1024}} {
		if got := defaultBatch(c.in); got != c.want {
			t.Errorf("defaultBatch(%d) = %d, want %d", c.in, got, c.want)
		}
	}
	if got := defaultBatch(0); got != SmallBatch && got != DefaultBatch {
		t.Errorf("defaultBatch(0) = %d", got)
	}
	if small, big := defaultRcvBuf(0, SmallBatch), defaultRcvBuf(0, DefaultBatch); small >= big || defaultRcvBuf(5, 64) != 5 {
		t.Errorf("receive buffers: %d for small boards, %d for others", small, big)
	}
}
