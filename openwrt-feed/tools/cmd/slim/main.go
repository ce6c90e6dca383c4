// Command slim takes the tables for tracebacks out of Go programs, and gives a
// traceback its files and lines back: see package slim.
//
//	slim FROM TO           writes the program FROM without them to TO
//	slim -lines PROGRAM    copies a traceback from standard input, with files
//	                       and lines; PROGRAM is one that was not slimmed
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/meshagent/meshagent/openwrt-feed/tools/slim"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "slim:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: slim FROM TO, or slim -lines PROGRAM <TRACEBACK")
	}
	if args[0] == "-lines" {
		b, err := os.ReadFile(args[1])
		if err != nil {
			return err
		}
		in, err := io.ReadAll(os.Stdin)
		if err != nil {
			return err
		}
		out, err := slim.Lines(b, string(in))
		if err != nil {
			return fmt.Errorf("%s: %w", args[1], err)
		}
		_, err = os.Stdout.WriteString(out)
		return err
	}
	b, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	if _, err := slim.Slim(b); err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	tmp := args[1] + ".tmp"
	if err := os.WriteFile(tmp, b, 0o755); err != nil { //nolint:gosec // a program
		return err
	}
	return os.Rename(tmp, args[1])
}
