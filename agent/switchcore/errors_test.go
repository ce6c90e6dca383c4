package switchcore

import (
	"bytes"
	"errors"
	"testing"

	"github.com/meshagent/meshagent/agent/cjdns"
)

// a -- relay -- nobody: the relay's error comes back to a, and its label
// tells a which path failed where.
func TestErrorFrameComesBack(t *testing.T) {
	var a, relay Table
	for _, p := range []Port{0, Self, 20} {
		a.Set(p, Up)
		relay.Set(p, Up)
	}
	path := cjdns.Splice(cjdns.LabelFor(Port(33).Label(), Port(20).Label()), Port(0).Label())
	f := append(cjdns.SwitchHeader{Label: path, Version: 1}.Append(nil), bytes.Repeat([]byte("body"), 100)...)
	if out, err := Forward(&a, Self, f); err != nil || out != 0 {
		t.Fatalf("%d, %v", out, err)
	}
	_, err := Forward(&relay, 20, f)
	if !errors.Is(err, ErrMalformedAddress) {
		t.Fatalf("the relay says %v", err)
	}
	if !MayError(f) {
		t.Fatal("the sender may not be told")
	}
	e := AppendErrorFrame([]byte("before"), f, Code(err))[6:]
	if len(e) != 256 {
		t.Errorf("error frame has %d bytes, want 256", len(e))
	}
	h, err := cjdns.ParseSwitchHeader(e)
	want := cjdns.SwitchHeader{
		Label: cjdns.Label(0x8000000000000000 | uint64(path)>>4).Reverse(), Congestion: 1, SuppressErrors: true, Version: 1, TrafficClass: 0xffff,
	}
	if err != nil || h != want {
		t.Errorf("header %+v, %v, want %+v", h, err, want)
	}
	if MayError(e) {
		t.Error("an error frame may cause an error frame")
	}
	// It arrives at a on slot 0, and goes to a's router.
	out, err := Forward(&a, 0, e)
	if err != nil || out != Self {
		t.Fatalf("at the sender: %d, %v", out, err)
	}
	if got := labelOf(t, e).Reverse(); got != path {
		t.Errorf("the failing path is %v, want %v", got, path)
	}
	c, err := cjdns.ParseControl(e[cjdns.SwitchHeaderLen:])
	if err != nil {
		t.Fatal(err)
	}
	cause, _ := cjdns.ParseSwitchHeader(f)
	if c.Type != cjdns.CtrlError || c.Code != cjdns.ErrorMalformedAddress || c.Cause != cause || !bytes.HasPrefix(f[12:], c.CauseData) || len(c.CauseData) < 4 {
		t.Errorf("error frame says %+v", c)
	}
}

func TestMayError(t *testing.T) {
	f := frame(0x15)
	for n := range f {
		if MayError(f[:n]) != (n >= 16) {
			t.Errorf("%d bytes: MayError = %v", n, MayError(f[:n]))
		}
		if e := AppendErrorFrame(nil, f[:n:n], cjdns.ErrorInvalid); (e != nil) != (n >= 16) {
			t.Errorf("%d bytes: error frame %x", n, e)
		}
	}
	f[8] |= 1
	if MayError(f) || AppendErrorFrame(nil, f, cjdns.ErrorInvalid) != nil {
		t.Error("suppressed errors are sent")
	}
}

func TestCode(t *testing.T) {
	for err, want := range map[error]cjdns.ErrorCode{
		ErrMalformedAddress: 1, ErrUndeliverable: 8, ErrReturnPathInvalid: 10, ErrLabelShift: 0, ErrShort: 0, nil: 0,
	} {
		if got := Code(err); got != want {
			t.Errorf("Code(%v) = %d, want %d", err, got, want)
		}
	}
}

func TestErrorFrameAllocs(t *testing.T) {
	f := frame(0x15)
	buf := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() { buf = AppendErrorFrame(buf[:0], f, cjdns.ErrorUndeliverable) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
