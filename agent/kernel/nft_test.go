package kernel

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestNFTMessages compares the firewall's messages with those that the library
// sent which they were once made with.
func TestNFTMessages(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("recorded on a little-endian machine")
	}
	file, err := os.ReadFile("testdata/nftables.txt")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for line := range strings.Lines(string(file)) {
		if !strings.HasPrefix(line, "#") {
			want = append(want, strings.TrimSpace(line))
		}
	}
	got := nftBatch(openMessages("meshagent_ed-tun", FirewallOptions{TUN: "ed-tun", TCP: []uint16{7002}, UDP: []uint16{7003}}))
	if len(got) != len(want) {
		t.Fatalf("%d messages, want %d", len(got), len(want))
	}
	const newRule, echo = 0x0a06, 0x08
	for i, m := range got {
		if m.Header.Type == newRule {
			m.Header.Flags |= echo
		}
		head := binary.LittleEndian.AppendUint16(nil, uint16(m.Header.Type))
		head = binary.LittleEndian.AppendUint16(head, uint16(m.Header.Flags))
		if s := fmt.Sprintf("%s %s", hex.EncodeToString(head), hex.EncodeToString(m.Data)); s != want[i] {
			t.Errorf("message %d is\n%s\nand was\n%s", i, s, want[i])
		}
	}
}
