package batman

import "hash/crc32"

// Flags of a TT container.
const (
	TTOGMDiff   = 0x01
	TTRequest   = 0x02
	TTResponse  = 0x04
	TTTypeMask  = 0x0f
	TTFullTable = 0x10
)

// Flags of a TT entry. Those in TTSyncMask are part of the checksum.
const (
	TTDel      = 0x01
	TTRoam     = 0x02
	TTWifi     = 0x10
	TTIsolated = 0x20
	TTSyncMask = 0xf0
)

// Sizes inside a TT container.
const (
	TTLen      = 4
	TTVLANLen  = 8
	TTEntryLen = 12
)

// TT is the head of the value of a TT container.
//
//	0   1 byte   flags
//	1   1 byte   TTVN
//	2   2 bytes  number of VLANs
//	4            VLANs, 8 bytes each
//	             entries, 12 bytes each, to the end
//
// VLANs and Entries alias what was parsed.
//
// Source: batadv_packet.h, struct batadv_tvlv_tt_data.
type TT struct {
	Flags, TTVN uint8
	VLANs       TTVLANs
	Entries     TTEntries
}

// TTVLANs is the list of checksums by VLAN.
type TTVLANs []byte

// TTVLAN is one of them.
//
//	0   4 bytes  CRC
//	4   2 bytes  VLAN
//	6   2 bytes  0
type TTVLAN struct {
	CRC uint32
	VID VID
}

// Len returns the number of VLANs.
func (v TTVLANs) Len() int { return len(v) / TTVLANLen }

// At returns VLAN i.
func (v TTVLANs) At(i int) TTVLAN {
	b := v[i*TTVLANLen : (i+1)*TTVLANLen]
	return TTVLAN{be.Uint32(b), VID(be.Uint16(b[4:]))}
}

// TTEntries is a list of changes, or of a whole table.
type TTEntries []byte

// TTEntry is one client.
//
//	0   1 byte   flags
//	1   3 bytes  0
//	4   6 bytes  client
//	10  2 bytes  VLAN
type TTEntry struct {
	Flags  uint8
	Client MAC
	VID    VID
}

// Len returns the number of entries; trailing bytes do not count.
func (e TTEntries) Len() int { return len(e) / TTEntryLen }

// At returns entry i.
func (e TTEntries) At(i int) TTEntry {
	b := e[i*TTEntryLen : (i+1)*TTEntryLen]
	return TTEntry{b[0], MAC(b[4:10]), VID(be.Uint16(b[10:]))}
}

// ParseTT reads the value of a TT container.
func ParseTT(b []byte) (TT, error) {
	if len(b) < TTLen {
		return TT{}, ErrShort
	}
	end := TTLen + TTVLANLen*int(be.Uint16(b[2:]))
	if len(b) < end {
		return TT{}, ErrShort
	}
	return TT{b[0], b[1], TTVLANs(b[TTLen:end:end]), TTEntries(b[end:])}, nil
}

// AppendTT appends the head of a TT value for n VLANs.
func AppendTT(dst []byte, flags, ttvn uint8, n int) []byte {
	return append(dst, flags, ttvn, byte(n>>8), byte(n))
}

// Append appends the VLAN.
func (v TTVLAN) Append(dst []byte) []byte {
	dst = be.AppendUint32(dst, v.CRC)
	dst = be.AppendUint16(dst, uint16(v.VID))
	return append(dst, 0, 0)
}

// Append appends the entry.
func (e TTEntry) Append(dst []byte) []byte {
	dst = append(dst, e.Flags, 0, 0, 0)
	dst = append(dst, e.Client[:]...)
	return be.AppendUint16(dst, uint16(e.VID))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// TTSum returns what one client adds to the checksum of its VLAN: the table's
// CRC is the XOR of these. It is CRC-32C without inversions, over the VLAN,
// the synchronised flags and the address.
//
// Source: batman-adv translation-table.c, batadv_tt_local_crc.
func TTSum(client MAC, v VID, flags uint8) uint32 {
	var b [9]byte
	be.PutUint16(b[:], uint16(v))
	b[2] = flags & TTSyncMask
	copy(b[3:], client[:])
	return ^crc32.Update(^uint32(0), castagnoli, b[:])
}
