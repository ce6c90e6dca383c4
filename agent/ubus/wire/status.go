package wire

import "fmt"

// Status is the outcome of a request. Any but OK is an error.
type Status uint32

// The outcomes. Source: ubus ubusmsg.h, enum ubus_msg_status.
const (
	OK               Status = iota
	InvalidCommand          // no such message, or no such method of ubusd
	InvalidArgument         // also: a path that is taken or may not be published
	MethodNotFound          //
	NotFound                // no such object
	NoData                  //
	PermissionDenied        //
	Timeout                 //
	NotSupported            //
	UnknownError            //
	ConnectionFailed        //
	NoMemory                //
	ParseError              //
	SystemError             //
	statuses
)

var statusTexts = [statuses]string{"success", "invalid command", "invalid argument", "method not found", "not found", "no response", "permission denied",
	"request timed out", "operation not supported", "unknown error", "connection failed", "out of memory", "parsing message data failed", "system error"}

// Error returns the outcome in words.
func (s Status) Error() string {
	if s < statuses {
		return "ubus: " + statusTexts[s]
	}
	return fmt.Sprintf("ubus: status %d", uint32(s))
}
