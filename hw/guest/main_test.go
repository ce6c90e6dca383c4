//go:build guest

package guest

import (
	"fmt"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	Main()
	for _, check := range []func() error{Privilege, Need} {
		if err := check(); err != nil {
			fmt.Fprintln(os.Stderr, "check-guest: NOT RUN:", err)
			os.Exit(1)
		}
	}
	code := m.Run()
	closeLabs()
	printTable()
	os.Exit(code)
}
