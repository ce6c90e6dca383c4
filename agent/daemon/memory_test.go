package daemon

import (
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/cryptoauth"
)

// What is saved is read again: callers with their address, others without.
func TestMemoryFile(t *testing.T) {
	d := new(Daemon)
	d.cfg.Main.StateDir = t.TempDir()
	var keys [4]cjdns.Key
	for i := range keys {
		keys[i] = cryptoauth.GenerateIdentity(random).Public
	}
	var m memory
	m.add(remembered{"udp0", netip.MustParseAddrPort("192.0.2.1:5"), keys[1], 0})
	m.add(remembered{"udp0", netip.MustParseAddrPort("[2001:db8::1]:6"), keys[2], 200})
	m.add(remembered{"eth0", netip.AddrPort{}, keys[3], 2})
	m.add(remembered{"udp0", netip.MustParseAddrPort("192.0.2.9:5"), keys[1], 0}) // it has moved
	m.forget("udp0", keys[3])                                                     // not there
	m.save(d, true)
	if m.failed || m.dirty {
		t.Fatalf("not saved: %+v", m)
	}
	raw, err := os.ReadFile(d.memoryFile())
	if list := parseMemory(raw); err != nil || len(list) != 3 || !slices.Equal(list, m.list) {
		t.Errorf("read %+v, %v; want %+v", list, err, m.list)
	}
}

func TestMemoryLines(t *testing.T) {
	k := cryptoauth.GenerateIdentity(random).Public.String()
	for line, ok := range map[string]bool{
		"udp0 192.0.2.1:5 " + k + " 3":   true,
		"udp0 - " + k + " 256":           true,
		"udp0 - " + k:                    false,
		"udp0 x " + k + " 3":             false,
		"udp0 192.0.2.1 " + k + " 3":     false,
		"udp0 - " + k + " -1":            false,
		"udp0 - " + k + " 65536":         false,
		"udp0 - " + k[1:] + " 3":         false,
		"udp0 192.0.2.1:5 " + k + " 3 4": false,
	} {
		if got := parseMemory([]byte(line + "\n")); (len(got) == 1) != ok {
			t.Errorf("%q: %+v", line, got)
		}
	}
}
