package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// MaxLine bounds a request and an answer, in bytes, with the line end.
const MaxLine = 1 << 20

// request is one line from the client:
//
//	{"id": 1, "method": "ping", "args": {"target": "fc…"}}
//
// id is any JSON value, given back as it came; args may be missing.
type request struct {
	ID     json.RawMessage
	Method string
	Args   map[string]any
}

// response is one line to the client: {"id", "result"} or {"id", "error"}.
type response struct {
	ID     json.RawMessage `json:"id"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  *Error          `json:"error,omitempty"`
}

// maxID bounds the part of a request that the agent gives back.
const maxID = 256

// parseRequest reads one line. Even on an error the request has the id, if
// that could be read.
func parseRequest(line []byte) (request, *Error) {
	var q request
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.UseNumber()
	var fields map[string]json.RawMessage
	if err := dec.Decode(&fields); err != nil || fields == nil {
		return q, Errorf(CodeBadRequest, "expected one JSON object on a line: {\"id\", \"method\", \"args\"}")
	}
	if len(fields["id"]) <= maxID {
		q.ID = fields["id"]
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return q, Errorf(CodeBadRequest, "expected one JSON object on a line, found more behind it")
	}
	for name, raw := range fields {
		switch name {
		case "id":
			if len(raw) > maxID {
				return q, Errorf(CodeBadRequest, "expected an id of at most %d bytes", maxID)
			}
		case "method":
			if json.Unmarshal(raw, &q.Method) != nil || q.Method == "" {
				return q, Errorf(CodeBadRequest, "method: expected a string")
			}
		case "args":
			d := json.NewDecoder(bytes.NewReader(raw))
			d.UseNumber()
			if d.Decode(&q.Args) != nil {
				return q, Errorf(CodeBadRequest, "args: expected an object {…}")
			}
		default:
			return q, Errorf(CodeBadRequest, "'%s': expected id, method and args only", clip(name))
		}
	}
	if q.Method == "" {
		return q, Errorf(CodeBadRequest, "method: missing")
	}
	return q, nil
}

// line writes an answer as one line; one that is too long becomes an error.
func (p response) line() []byte {
	if p.ID == nil {
		p.ID = json.RawMessage("null")
	}
	b, err := json.Marshal(p)
	if err != nil {
		b, _ = json.Marshal(response{ID: json.RawMessage("null"), Error: Errorf(CodeFailed, "the answer cannot be written as JSON: %v", err)})
	}
	if len(b) >= MaxLine {
		b, _ = json.Marshal(response{ID: p.ID, Error: Errorf(CodeTooLarge,
			"the answer has %d bytes, more than the %d of a line; ask for parts with limit and offset", len(b)+1, MaxLine)})
	}
	return append(b, '\n')
}

// answer runs one request and returns the line to send.
func (r *Registry) answer(line []byte, call func(q request) (any, error)) []byte {
	q, perr := parseRequest(line)
	if perr != nil {
		return response{ID: q.ID, Error: perr}.line()
	}
	result, err := call(q)
	if err != nil {
		return response{ID: q.ID, Error: asError(err)}.line()
	}
	raw, err := json.Marshal(result)
	if err != nil {
		return response{ID: q.ID, Error: Errorf(CodeFailed, "the answer cannot be written as JSON: %v", err)}.line()
	}
	return response{ID: q.ID, Result: raw}.line()
}
