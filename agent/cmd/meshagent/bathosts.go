package main

import (
	"bufio"
	"io"
	"os"
	"strings"

	"github.com/meshagent/meshagent/agent/batman"
)

// batHosts are the names that people gave to addresses in the files that
// batctl reads: lines of an address and a name.
type batHosts struct {
	names map[batman.MAC]string
	macs  map[string]batman.MAC
}

// maxBatHosts bounds a file of names, in bytes.
const maxBatHosts = 1 << 20

// loadBatHosts reads the files that batctl reads, in its order. A file that is
// not there is no error; nor is a line that cannot be read: names are for
// convenience.
func loadBatHosts(getenv func(string) string) batHosts {
	h := batHosts{map[batman.MAC]string{}, map[string]batman.MAC{}}
	paths := []string{"/etc/bat-hosts"}
	if home := getenv("HOME"); home != "" {
		paths = append(paths, home+"/bat-hosts")
	}
	for _, path := range append(paths, "bat-hosts") {
		if f, err := os.Open(path); err == nil {
			h.read(io.LimitReader(f, maxBatHosts))
			f.Close()
		}
	}
	return h
}

// read adds the lines of r. A later line about the same address, or with the
// same name, takes the place of the earlier one.
func (h batHosts) read(r io.Reader) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) < 2 || strings.HasPrefix(words[0], "#") {
			continue
		}
		mac, err := batman.ParseMAC(words[0])
		if err != nil {
			continue
		}
		name := words[1]
		if len(name) > maxBatHost {
			name = name[:maxBatHost]
		}
		delete(h.macs, h.names[mac])
		if old, ok := h.macs[name]; ok {
			delete(h.names, old)
		}
		h.names[mac], h.macs[name] = name, mac
	}
}

// maxBatHost is the longest name, in bytes; batctl cuts there too.
const maxBatHost = 49

// name returns the name of an address, or "".
func (h batHosts) name(mac batman.MAC) string { return h.names[mac] }

// label is the name of an address, or the address.
func (h batHosts) label(mac batman.MAC) string {
	if n := h.names[mac]; n != "" {
		return n
	}
	return mac.String()
}

// target replaces a name by its address.
func (h batHosts) target(s string) string {
	if mac, ok := h.macs[s]; ok {
		return mac.String()
	}
	return s
}
