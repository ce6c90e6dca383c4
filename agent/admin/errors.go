package admin

import (
	"context"
	"errors"
	"fmt"
)

// Code is the kind of an error: a word that programs compare, while people
// read the text. The list is part of the interface; words are added, never
// changed.
type Code string

// The codes.
const (
	CodeBadRequest    Code = "bad_request"    // the line is not a request
	CodeUnknownMethod Code = "unknown_method" // no method of this name
	CodeBadArgument   Code = "bad_argument"   // an argument is missing, unknown, of the wrong type or out of range
	CodeNotFound      Code = "not_found"      // what an argument names is not there
	CodeAmbiguous     Code = "ambiguous"      // an argument names several things
	CodeBadConfig     Code = "bad_config"     // the configuration has errors; nothing was changed
	CodeFailed        Code = "failed"         // the agent tried and could not
	CodeDenied        Code = "denied"         // the agent's user has no right to do it
	CodeTimeout       Code = "timeout"        // it took too long
	CodeBusy          Code = "busy"           // too many connections
	CodeTooLarge      Code = "too_large"      // a request or an answer is longer than MaxLine
	CodeUnsupported   Code = "unsupported"    // known, but this agent cannot
)

// Codes lists all codes.
var Codes = []Code{CodeBadRequest, CodeUnknownMethod, CodeBadArgument, CodeNotFound, CodeAmbiguous, CodeBadConfig,
	CodeFailed, CodeDenied, CodeTimeout, CodeBusy, CodeTooLarge, CodeUnsupported}

// Error is an error as it crosses the socket.
type Error struct {
	Code Code   `json:"code"`
	Text string `json:"text"`
}

// Error returns the text.
func (e *Error) Error() string { return e.Text }

// Errorf makes an Error.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Text: fmt.Sprintf(format, args...)}
}

// asError gives every error a code.
func asError(err error) *Error {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{CodeTimeout, "the agent did not finish in time"}
	case errors.Is(err, context.Canceled):
		return &Error{CodeFailed, "the agent is stopping"}
	default:
		return &Error{CodeFailed, err.Error()}
	}
}
