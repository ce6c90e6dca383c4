package kernel

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// explain says what was tried, and what helps against the error if we know it.
func explain(what string, err error) error {
	hint := ""
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		hint = ": need root or CAP_NET_ADMIN"
	case errors.Is(err, unix.EAFNOSUPPORT):
		hint = ": the kernel lacks IPv6 or netlink"
	}
	return fmt.Errorf("%s: %w%s", what, err, hint)
}
