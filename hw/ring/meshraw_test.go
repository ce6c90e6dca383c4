//go:build netns

package ring

import (
	"bytes"
	"encoding/binary"
	"io"
	stdnet "net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshagent/meshagent/hw/rig"
)

// rawSocket is a packet socket for whole frames, tags included.
type rawSocket struct {
	t   *testing.T
	raw *rig.Raw
}

// openRaw opens a socket for all EtherTypes on a device of a namespace.
func openRaw(t *testing.T, n *rig.Node, dev string) *rawSocket {
	t.Helper()
	raw, err := n.Raw(dev)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(raw.Close)
	return &rawSocket{t, raw}
}

// send sends a frame.
func (s *rawSocket) send(frame []byte) {
	s.t.Helper()
	if err := s.raw.Send(frame); err != nil {
		s.t.Fatal(err)
	}
}

// expect reports whether a frame arrives within d.
func (s *rawSocket) expect(frame []byte, d time.Duration) bool {
	for end := time.Now().Add(d); time.Now().Before(end); {
		got, oob, err := s.raw.Receive(time.Until(end))
		if err == nil && bytes.Equal(retag(got, oob), frame) {
			return true
		}
	}
	return false
}

// retag puts the tag back that the kernel took out of a frame. Source:
// packet(7), struct tpacket_auxdata.
func retag(frame, oob []byte) []byte {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(frame) < 14 {
		return frame
	}
	for _, m := range msgs {
		if m.Header.Type != unix.PACKET_AUXDATA || len(m.Data) < 20 {
			continue
		}
		if status := binary.NativeEndian.Uint32(m.Data); status&unix.TP_STATUS_VLAN_VALID != 0 {
			tag := binary.BigEndian.AppendUint16([]byte{0x81, 0}, binary.NativeEndian.Uint16(m.Data[16:]))
			return append(append(append([]byte{}, frame[:12]...), tag...), frame[12:]...)
		}
	}
	return frame
}

// vlanFrame is a frame with a tag and a payload of n bytes.
func vlanFrame(dst, src string, vlan uint16, n int) []byte {
	d, _ := stdnet.ParseMAC(dst)
	s, _ := stdnet.ParseMAC(src)
	f := append(append([]byte{}, d...), s...)
	f = binary.BigEndian.AppendUint16(append(f, 0x81, 0), vlan)
	f = append(f, 0x88, 0xb5) // for experiments
	for i := range n {
		f = append(f, byte(i))
	}
	return f
}

// tcpBytes is what meshTCP sends.
const tcpBytes = 4 << 20

// meshTCP sends bytes over a TCP connection and returns how many arrived.
func meshTCP(t *testing.T, from, to *rig.Phone) int64 {
	t.Helper()
	l, err := to.Node.Listen("tcp", stdnet.JoinHostPort(to.Addr, "5001"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan int64, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			got <- -1
			return
		}
		defer c.Close()
		_ = c.SetReadDeadline(time.Now().Add(meshWait))
		n, _ := io.Copy(io.Discard, c)
		got <- n
	}()
	var c stdnet.Conn
	if err := from.Node.Do(func() (err error) {
		c, err = stdnet.DialTimeout("tcp", stdnet.JoinHostPort(to.Addr, "5001"), meshWait)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	_ = c.SetWriteDeadline(time.Now().Add(meshWait))
	_, err = c.Write(make([]byte, tcpBytes))
	c.Close()
	n := <-got
	t.Logf("TCP: %d bytes in %v, %v", n, time.Since(start), err)
	return n
}
