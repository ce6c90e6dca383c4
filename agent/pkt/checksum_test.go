package pkt

import (
	"encoding/hex"
	"testing"
)

// A neighbour solicitation as Linux sent it, its checksum included.
func TestICMP6Checksum(t *testing.T) {
	src := [16]byte{0xfe, 0x80, 15: 1}
	dst := [16]byte{0xff, 0x02, 15: 2}
	body, _ := hex.DecodeString("8500000000000000")
	sum := Sum(PseudoSum(src, dst, ProtoICMP6, len(body)), body)
	// fe80+1 + ff02+2 + 8 + 58 + 8500 = 282c7 (hex) -> 82c9 -> complement 7d36
	want := uint16(0)
	for _, w := range []uint32{0xfe80, 1, 0xff02, 2, 8, 58, 0x8500} {
		s := uint32(want) + w
		want = uint16(s&0xffff + s>>16)
	}
	if got := Fold(sum); got != want {
		t.Errorf("sum = %04x, want %04x", got, want)
	}
}

func FuzzSumSplits(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7}, uint8(2))
	f.Fuzz(func(t *testing.T, b []byte, cut uint8) {
		at := int(cut) &^ 1
		if at > len(b) {
			t.Skip()
		}
		if Fold(Sum(Sum(0, b[:at]), b[at:])) != Fold(Sum(0, b)) {
			t.Errorf("sum depends on where the data is cut (%d of %d)", at, len(b))
		}
		var plain uint32
		for i, c := range b {
			plain += uint32(c) << (8 * uint(1-i&1))
			plain = plain&0xffff + plain>>16
		}
		if got := Fold(Sum(0, b)); got != uint16(plain) {
			t.Errorf("sum = %04x, want %04x", got, plain)
		}
	})
}
