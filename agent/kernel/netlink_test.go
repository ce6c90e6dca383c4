package kernel

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// answer is a message to the request seq.
func answer(typ netlink.HeaderType, flags netlink.HeaderFlags, seq uint32, data []byte) []byte {
	return appendMessage(nil, netlink.Message{Header: netlink.Header{Type: typ, Flags: flags}, Data: data}, seq)
}

// number is an error's code as the kernel writes it.
func number(e unix.Errno) []byte { return putNumber(uint32(-int32(e))) }

func putNumber(v uint32) []byte { return putU32(nil, 0, v)[attrHeader:] }

func TestSplitMessages(t *testing.T) {
	said := putString(putU32(nil, unix.NLMSGERR_ATTR_OFFS, 20), unix.NLMSGERR_ATTR_MSG, "too long")
	request := answer(unix.RTM_NEWLINK, netlink.Request, 7, make([]byte, 20))
	cat := func(list ...[]byte) (b []byte) {
		for _, l := range list {
			b = append(b, l...)
		}
		return b
	}
	for _, c := range []struct {
		name string
		in   []byte
		n    int
		end  uint32
		want string // of the error
		is   error
	}{
		{name: "nothing"},
		{name: "two", in: cat(answer(16, netlink.Multi, 1, []byte{1, 2, 3}), answer(16, netlink.Multi, 1, nil)), n: 2},
		{name: "end of a list", in: cat(answer(16, netlink.Multi, 9, nil), answer(netlink.Done, netlink.Multi, 9, number(0))), n: 1, end: 9},
		{name: "end without a number", in: answer(netlink.Done, netlink.Multi, 9, nil), end: 9},
		{name: "acknowledgement", in: answer(netlink.Error, 0, 3, cat(number(0), request[:unix.NLMSG_HDRLEN])), n: 1},
		{name: "refusal", in: answer(netlink.Error, 0, 3, cat(number(unix.EPERM), request)), want: "netlink receive: operation not permitted", is: unix.EPERM},
		{name: "refusal at the end", in: answer(netlink.Done, netlink.Multi, 3, number(unix.EBUSY)), want: "netlink receive: device or resource busy", is: unix.EBUSY},
		{name: "refusal with words", in: answer(netlink.Error, netlink.AcknowledgeTLVs, 3, cat(number(unix.EINVAL), request, said)),
			want: `netlink receive: invalid argument, offset: 20, message: "too long"`, is: unix.EINVAL},
		{name: "refusal with words, request cut off", in: answer(netlink.Error, netlink.AcknowledgeTLVs|netlink.Capped, 3, cat(number(unix.EINVAL), request[:unix.NLMSG_HDRLEN], said)),
			want: `netlink receive: invalid argument, offset: 20, message: "too long"`, is: unix.EINVAL},
		{name: "words cut off", in: answer(netlink.Error, netlink.AcknowledgeTLVs, 3, cat(number(unix.EINVAL), request[:unix.NLMSG_HDRLEN])),
			want: "netlink receive: invalid argument", is: unix.EINVAL},
		{name: "error without a number", in: answer(netlink.Error, 0, 3, nil), want: "cut off", is: errShort},
		{name: "half a header", in: request[:10], want: "cut off", is: errShort},
		{name: "longer than it is", in: request[:30], want: "cut off", is: errShort},
		{name: "length of 0", in: make([]byte, 32), want: "cut off", is: errShort},
	} {
		list, end, err := splitMessages(c.in)
		if len(list) != c.n || end != c.end {
			t.Errorf("%s: %d messages, end %d, want %d and %d", c.name, len(list), end, c.n, c.end)
		}
		if !errors.Is(err, c.is) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// pair is a socket with the test in the kernel's place.
func pair(t *testing.T) (s *socket, peer int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[1]) })
	if s, err = newSocket(fds[0]); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, fds[1]
}

func TestExecute(t *testing.T) {
	s, peer := pair(t)
	say := func(list ...[]byte) {
		for _, b := range list {
			if _, err := unix.Write(peer, b); err != nil {
				t.Fatal(err)
			}
		}
	}
	ask := func() ([]netlink.Message, error) {
		return s.Execute(netlink.Message{Header: netlink.Header{Type: unix.RTM_GETLINK, Flags: netlink.Request}, Data: []byte{1, 2, 3}})
	}
	say(answer(16, 0, 1, []byte{1}))
	if l, err := ask(); err != nil || len(l) != 1 {
		t.Errorf("a single answer: %v, %v", l, err)
	}
	got := make([]byte, 100)
	n, err := unix.Read(peer, got)
	want, _ := netlink.Message{
		Header: netlink.Header{Length: 20, Type: unix.RTM_GETLINK, Flags: netlink.Request, Sequence: 1}, Data: []byte{1, 2, 3},
	}.MarshalBinary()
	if err != nil || string(got[:n]) != string(want) {
		t.Errorf("asked %x, %v, want %x", got[:n], err, want)
	}
	say(answer(netlink.Error, 0, 2, number(unix.ENODEV)))
	if _, err := ask(); !errors.Is(err, unix.ENODEV) {
		t.Errorf("a refusal: %v", err)
	}
	// What is left of earlier requests, an error among it, comes first.
	say(answer(16, netlink.Multi, 1, nil), answer(netlink.Done, netlink.Multi, 1, number(0)), answer(netlink.Error, 0, 2, number(unix.EBUSY)),
		answer(16, netlink.Multi, 3, []byte{1}), answer(16, netlink.Multi, 3, []byte{2}), answer(netlink.Done, netlink.Multi, 3, number(0)))
	if l, err := ask(); err != nil || len(l) != 2 || l[1].Data[0] != 2 {
		t.Errorf("a list: %v, %v", l, err)
	}
}

func TestExecuteWithoutKernel(t *testing.T) {
	s, peer := pair(t)
	unix.Shutdown(peer, unix.SHUT_WR)
	if _, err := s.Execute(netlink.Message{}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("an answer of no bytes: %v", err)
	}
}

func TestCloseEndsReceive(t *testing.T) {
	s, _ := pair(t)
	done := make(chan error)
	go func() {
		_, err := s.Receive()
		done <- err
	}()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("Receive ended with %v", err)
	}
	if _, err := s.Execute(netlink.Message{}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Execute on a closed socket: %v", err)
	}
	if err := s.JoinGroup(1); err == nil {
		t.Error("JoinGroup on a closed socket worked")
	}
}
