package admin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Server serves a Registry on a unix socket. Requests of one connection are
// answered one after the other, in order. The zero values of the limits are
// replaced by defaults; set them before Serve.
type Server struct {
	Registry *Registry

	MaxConns     int           // open connections; more are refused with CodeBusy. Default 32
	IdleTimeout  time.Duration // for a whole request line to arrive. Default 1 minute
	WriteTimeout time.Duration // for a whole answer to be taken. Default 10 seconds
	CallTimeout  time.Duration // for a method. Default 5 minutes

	mu    sync.Mutex
	conns map[net.Conn]bool
	wg    sync.WaitGroup
}

// LiveSocketError reports a socket that somebody answers on.
type LiveSocketError struct{ Path string }

func (e *LiveSocketError) Error() string {
	return fmt.Sprintf("another agent is running on %s; give each its own option 'socket'", e.Path)
}

// Listen makes the socket, for its owner only (0600). A socket file that
// nobody listens on any more is replaced; a live one gives *LiveSocketError,
// and a file that is no socket is left alone. A missing directory is made.
func Listen(path string) (*net.UnixListener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // the socket itself is 0600
		return nil, err
	}
	if err := CheckFree(path); err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	// The mode must be right from the first instant, not after a chmod. The
	// mask belongs to the process; files made meanwhile only get less.
	old := syscall.Umask(0o177)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	syscall.Umask(old)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, &LiveSocketError{path}
	}
	return l, err
}

// CheckFree reports whether an agent may listen on path: *LiveSocketError if
// another one does, an error if the file there is no socket. It changes
// nothing.
func CheckFree(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is there and is no socket; expected a path for option 'socket'", path)
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	switch {
	case err == nil:
		c.Close()
		return &LiveSocketError{path}
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return nil
	default: // full queue: somebody is there, but slow
		return &LiveSocketError{path}
	}
}

// Serve answers until ctx ends, then closes the listener (which removes the
// socket file) and all connections, and returns when every method that was
// running has. It returns nil, or the error of the listener.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	s.defaults()
	stop := context.AfterFunc(ctx, func() {
		l.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		for c := range s.conns {
			c.Close()
		}
	})
	defer stop()
	defer s.wg.Wait()
	for {
		c, err := l.Accept()
		switch {
		case err == nil:
			s.start(ctx, c)
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ENOMEM), errors.Is(err, syscall.ECONNABORTED):
			select { // too few resources now; try again in a moment
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		default:
			return err
		}
	}
}

func (s *Server) defaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	if s.MaxConns == 0 {
		s.MaxConns = 32
	}
	set(&s.IdleTimeout, time.Minute)
	set(&s.WriteTimeout, 10*time.Second)
	set(&s.CallTimeout, 5*time.Minute)
	if s.conns == nil {
		s.conns = map[net.Conn]bool{}
	}
}

// start serves c, unless there are too many.
func (s *Server) start(ctx context.Context, c net.Conn) {
	s.mu.Lock()
	full := len(s.conns) >= s.MaxConns
	if !full && ctx.Err() == nil {
		s.conns[c] = true
		s.wg.Add(1)
	}
	s.mu.Unlock()
	switch {
	case full:
		_ = c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)) // fits into the socket's buffer
		_, _ = c.Write(response{Error: Errorf(CodeBusy, "%d connections are open already", s.MaxConns)}.line())
		c.Close()
	case ctx.Err() != nil:
		c.Close()
	default:
		go func() {
			defer s.wg.Done()
			s.serveConn(ctx, c)
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
			c.Close()
		}()
	}
}

func (s *Server) serveConn(ctx context.Context, c net.Conn) {
	r := bufio.NewReaderSize(c, 4096)
	for {
		if c.SetReadDeadline(time.Now().Add(s.IdleTimeout)) != nil {
			return
		}
		line, err := readLine(r)
		if errors.Is(err, errLineTooLong) {
			s.send(c, response{Error: Errorf(CodeTooLarge, "expected a request of at most %d bytes", MaxLine)}.line())
			return
		}
		if err != nil {
			return
		}
		if len(line) == 0 {
			continue
		}
		out := s.Registry.answer(line, func(q request) (any, error) {
			callCtx, cancel := context.WithTimeout(ctx, s.CallTimeout)
			defer cancel()
			return s.Registry.Call(callCtx, q.Method, q.Args)
		})
		if !s.send(c, out) {
			return
		}
	}
}

func (s *Server) send(c net.Conn, line []byte) bool {
	if c.SetWriteDeadline(time.Now().Add(s.WriteTimeout)) != nil {
		return false
	}
	_, err := c.Write(line)
	return err == nil
}

var errLineTooLong = errors.New("admin: line too long")

// readLine reads up to a line end, or the end of the stream if something came
// before it. The result is without the line end and valid until the next call.
func readLine(r *bufio.Reader) ([]byte, error) {
	var long []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(long)+len(part) > MaxLine {
			return nil, errLineTooLong
		}
		switch {
		case err == nil && long == nil:
			return trimEnd(part), nil
		case err == nil, errors.Is(err, io.EOF) && len(long)+len(part) > 0:
			return trimEnd(append(long, part...)), nil
		case errors.Is(err, bufio.ErrBufferFull):
			long = append(long, part...)
		default:
			return nil, err
		}
	}
}

func trimEnd(b []byte) []byte {
	for len(b) > 0 && (b[len(b)-1] == '\n' || b[len(b)-1] == '\r' || b[len(b)-1] == ' ') {
		b = b[:len(b)-1]
	}
	return b
}
