package guest

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"time"
)

// transferTime bounds a transfer of a file.
const transferTime = 40 * time.Second

// pattern fills a buffer with what stands at an offset of the file: a
// sequence that does not repeat within a segment.
func pattern(b []byte, offset int) {
	for i := range b {
		k := uint32(offset + i)
		b[i] = byte(k*2654435761>>24) ^ byte(k)
	}
}

// serveFile sends n bytes over TCP to the first who asks.
func serveFile(addr string, n int) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	defer l.Close()
	if t, ok := l.(*net.TCPListener); ok {
		_ = t.SetDeadline(time.Now().Add(transferTime))
	}
	c, err := l.Accept()
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(transferTime))
	buf := make([]byte, 1<<16)
	for sent := 0; sent < n; {
		b := buf[:min(len(buf), n-sent)]
		pattern(b, sent)
		k, err := c.Write(b)
		sent += k
		if err != nil {
			return fmt.Errorf("after %d bytes: %w", sent, err)
		}
	}
	return nil
}

// fetchFile asks for n bytes over TCP, compares each and prints the rate in
// Mbit/s.
func fetchFile(addr string, n int) error {
	var c net.Conn
	var err error
	end := time.Now().Add(10 * time.Second)
	for {
		if c, err = net.DialTimeout("tcp", addr, 3*time.Second); err == nil {
			break
		}
		if time.Now().After(end) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
	defer c.Close()
	begin := time.Now()
	_ = c.SetDeadline(begin.Add(transferTime))
	buf, want := make([]byte, 1<<16), make([]byte, 1<<16)
	for got := 0; ; {
		k, err := c.Read(buf)
		pattern(want[:k], got)
		if !bytes.Equal(buf[:k], want[:k]) {
			return fmt.Errorf("wrong bytes behind %d", got)
		}
		got += k
		if err == io.EOF && got == n {
			break
		}
		if err != nil {
			return fmt.Errorf("after %d of %d bytes: %w", got, n, err)
		}
	}
	fmt.Printf("%.1f\n", float64(n)*8/1e6/time.Since(begin).Seconds())
	return nil
}
