package mesh

import (
	"encoding/binary"
	"os"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/mono"
)

// captured is a frame of a capture. The captures were taken on links between
// machines with the kernel's module (6.1 is module 2022.3, 6.12 is 2024.2):
// la joins v1 and v2, lw is a LAN that both are bridged to.
type captured struct {
	at    mono.Time // since the first frame
	frame []byte
}

// readPcap reads testdata/name, a little-endian pcap file with microseconds.
func readPcap(t testing.TB, name string) (fs []captured) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	if len(b) < 24 || le.Uint32(b) != 0xa1b2c3d4 {
		t.Fatalf("%s is no capture", name)
	}
	var start mono.Time
	for b = b[24:]; len(b) >= 16; {
		at := mono.Time(time.Duration(le.Uint32(b))*time.Second + time.Duration(le.Uint32(b[4:]))*time.Microsecond)
		n := int(le.Uint32(b[8:]))
		if len(b) < 16+n {
			t.Fatalf("%s is cut off", name)
		}
		if start == 0 {
			start = at
		}
		fs = append(fs, captured{mono.Time(at.Sub(start)), b[16 : 16+n]})
		b = b[16+n:]
	}
	return fs
}
