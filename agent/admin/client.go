package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"syscall"
	"time"
)

// NoAgentError reports that nobody answers on the socket.
type NoAgentError struct {
	Socket string
	Reason error
}

func (e *NoAgentError) Error() string {
	switch {
	case errors.Is(e.Reason, fs.ErrPermission):
		return fmt.Sprintf("no permission to talk to the agent on %s: try as root", e.Socket)
	case errors.Is(e.Reason, fs.ErrNotExist), errors.Is(e.Reason, syscall.ECONNREFUSED):
		return fmt.Sprintf("no agent answers on %s: start it with: meshagent run -c FILE", e.Socket)
	default:
		return fmt.Sprintf("no agent answers on %s: %v", e.Socket, e.Reason)
	}
}

// Unwrap returns the reason.
func (e *NoAgentError) Unwrap() error { return e.Reason }

// Call asks the agent behind the socket and decodes its answer into result, a
// pointer; nil drops the answer. Errors: *NoAgentError, *Error as the agent
// sent it, or those of ctx.
func Call(ctx context.Context, socket, method string, args map[string]any, result any) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return &NoAgentError{socket, err}
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	q := struct {
		ID     int            `json:"id"`
		Method string         `json:"method"`
		Args   map[string]any `json:"args,omitempty"`
	}{1, method, args}
	line, err := json.Marshal(q)
	if err != nil {
		return err
	}
	if len(line) >= MaxLine {
		return Errorf(CodeTooLarge, "the request has %d bytes; expected at most %d", len(line), MaxLine)
	}
	_, writeErr := c.Write(append(line, '\n'))
	// A server that refuses us may close before it has read the request: its
	// answer counts, not our failed write.
	answer, err := readLine(bufio.NewReader(c))
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, io.EOF) || err != nil && writeErr != nil:
		return &NoAgentError{socket, errors.New("it closed the connection; is it stopping?")}
	case err != nil:
		return &NoAgentError{socket, err}
	}
	var p response
	if err := json.Unmarshal(answer, &p); err != nil {
		return &NoAgentError{socket, fmt.Errorf("its answer is not JSON: %w", err)}
	}
	if p.Error != nil {
		return p.Error
	}
	if result == nil {
		return nil
	}
	if raw, ok := result.(*json.RawMessage); ok {
		*raw = p.Result
		return nil
	}
	return json.Unmarshal(p.Result, result)
}
