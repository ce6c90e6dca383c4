package rig

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParsePing(t *testing.T) {
	out := `PING fc00::1(fc00::1) 56 data bytes
[1700000000.000000] 64 bytes from fc00::1: icmp_seq=1 ttl=42 time=0.50 ms
[1700000000.200000] 64 bytes from fc00::1: icmp_seq=2 ttl=42 time=1.50 ms
[1700000000.200100] 64 bytes from fc00::1: icmp_seq=2 ttl=42 time=1.60 ms (DUP!)
From fc00::2 icmp_seq=3 Destination unreachable: No route
[1700000001.700000] 64 bytes from fc00::1: icmp_seq=5 ttl=42 time=1.00 ms

--- fc00::1 ping statistics ---
5 packets transmitted, 3 received, +1 duplicates, +1 errors, 40% packet loss, time 1700ms
rtt min/avg/max/mdev = 0.500/1.000/1.500/0.000 ms
`
	p := parsePing(out)
	if p.Sent != 5 || p.Received != 3 || p.Loss() != 40 {
		t.Errorf("sent %d received %d loss %v, want 5, 3, 40", p.Sent, p.Received, p.Loss())
	}
	if p.Mean() != time.Millisecond {
		t.Errorf("mean %v, want 1ms", p.Mean())
	}
	if gap, lost := p.Gap(); gap != 1500*time.Millisecond || lost != 2 {
		t.Errorf("gap %v lost %d, want 1.5s and 2", gap, lost)
	}
}

func TestParsePingOfNothing(t *testing.T) {
	p := parsePing("ping: connect: Network is unreachable\n")
	if p.Sent != 0 || p.Received != 0 || p.Loss() != 100 {
		t.Errorf("got %+v, want nothing sent and 100 %% loss", p)
	}
}

func TestOwner(t *testing.T) {
	for _, tc := range []struct {
		name string
		pid  int
		ok   bool
	}{
		{"ma4711-n1", 4711, true},
		{"ma4711x2-n1", 4711, true},
		{"ma1-n1", 0, false},
		{"mary-jane", 0, false},
		{"ma-n1", 0, false},
	} {
		pid, ok := owner(tc.name)
		if ok != tc.ok || ok && pid != tc.pid {
			t.Errorf("owner(%q) = %d, %v, want %d, %v", tc.name, pid, ok, tc.pid, tc.ok)
		}
	}
}

func TestNeedNamesThePackage(t *testing.T) {
	err := Need("no-such-tool")
	if err == nil || !strings.Contains(err.Error(), "apt-get install") || !strings.Contains(err.Error(), "no-such-tool") {
		t.Errorf("Need(no-such-tool) = %v, want the package to install", err)
	}
}

func TestBencode(t *testing.T) {
	v := map[string]any{"q": "ping", "n": int64(-3), "l": []any{"a", int64(0), map[string]any{}}}
	const text = "d1:ll1:ai0edee1:ni-3e1:q4:pinge"
	if got := string(bencode(nil, v)); got != text {
		t.Errorf("bencode = %q, want %q", got, text)
	}
	got, rest, err := bdecode([]byte(text + "tail"))
	if err != nil || string(rest) != "tail" || !reflect.DeepEqual(got, any(v)) {
		t.Errorf("bdecode = %v, %q, %v, want %v", got, rest, err, v)
	}
	for n := range text {
		if _, _, err := bdecode([]byte(text[:n])); err == nil {
			t.Errorf("bdecode(%q) gave no error", text[:n])
		}
	}
}

func TestNewIdentity(t *testing.T) {
	id := NewIdentity()
	if ip := id.Key.IP(); !ip.Valid() || ip.String() != id.IP {
		t.Errorf("identity %+v: want an address in fc00::/8 that belongs to the key", id)
	}
}
