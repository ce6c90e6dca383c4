// Command mkpkg makes the packages of this project: see package feed.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/meshagent/meshagent/openwrt-feed/tools/feed"
)

func main() {
	switch err := feed.Run(os.Args[1:]); {
	case err == nil, errors.Is(err, flag.ErrHelp):
	default:
		fmt.Fprintln(os.Stderr, "mkpkg:", err)
		os.Exit(1)
	}
}
