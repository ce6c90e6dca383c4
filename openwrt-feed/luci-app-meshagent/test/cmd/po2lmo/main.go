// Command po2lmo writes a catalogue in the form that LuCI reads on the router,
// for packages that are built without LuCI's build system:
//
//	po2lmo po/de/meshagent.po /usr/lib/lua/luci/i18n/meshagent.de.lmo
package main

import (
	"fmt"
	"os"

	"github.com/meshagent/meshagent/openwrt-feed/luci-app-meshagent/test/po"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: po2lmo FILE.po FILE.lmo")
		os.Exit(2)
	}
	if err := convert(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "po2lmo:", err)
		os.Exit(1)
	}
}

func convert(from, to string) error {
	raw, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	list, err := po.Parse(string(raw))
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	return os.WriteFile(to, po.LMO(list), 0o644) //nolint:gosec // a public file
}
