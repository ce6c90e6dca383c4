package po

import (
	"encoding/binary"
	"sort"
)

// pluralForms is the rule of all languages that the app has.
const pluralForms = "nplurals=2; plural=(n != 1);"

// LMO returns a catalogue in LuCI's binary form: the values, padded to 4 bytes;
// an index, sorted by key, of key, number of the plural form from 1, offset and
// length, 32 bits each, big endian; the offset of the index. Key 0 is the rule
// for plurals. Messages that read the same in the language are left out.
// Source: luci modules/luci-base/src/po2lmo.c.
func LMO(list []Entry) []byte {
	type entry struct{ key, form, offset, length uint32 }
	var out []byte
	var index []entry
	add := func(key, form uint32, text string) {
		index = append(index, entry{key, form, uint32(len(out)), uint32(len(text))}) //nolint:gosec // some kB
		out = append(out, text...)
		for len(out)%4 != 0 {
			out = append(out, 0)
		}
	}
	add(0, 0, pluralForms)
	for _, e := range list {
		if e.Text != "" && Hash(e.ID) != Hash(e.Text) {
			add(Hash(e.ID), 1, e.Text)
		}
	}
	at := uint32(len(out)) //nolint:gosec // some kB
	sort.Slice(index, func(i, j int) bool { return index[i].key < index[j].key })
	for _, e := range index {
		for _, n := range []uint32{e.key, e.form, e.offset, e.length} {
			out = binary.BigEndian.AppendUint32(out, n)
		}
	}
	return binary.BigEndian.AppendUint32(out, at)
}

// Hash is Paul Hsieh's SuperFastHash as LuCI uses it for the keys of
// messages.
// Source: luci modules/luci-base/src/lib/lmo.c.
func Hash(s string) uint32 {
	b := []byte(s)
	at := func(i int) uint32 { return uint32(b[i]) | uint32(b[i+1])<<8 }
	h, i := uint32(len(b)), 0 //nolint:gosec // a message
	for ; i+4 <= len(b); i += 4 {
		h += at(i)
		h = h<<16 ^ at(i+2)<<11 ^ h
		h += h >> 11
	}
	signed := func(c byte) uint32 { return uint32(int32(int8(c))) } //nolint:gosec // a char is signed there
	switch len(b) - i {
	case 3:
		h += at(i)
		h ^= h << 16
		h ^= signed(b[i+2]) << 18
		h += h >> 11
	case 2:
		h += at(i)
		h ^= h << 11
		h += h >> 17
	case 1:
		h += signed(b[i])
		h ^= h << 10
		h += h >> 1
	}
	h ^= h << 3
	h += h >> 5
	h ^= h << 4
	h += h >> 17
	h ^= h << 25
	h += h >> 6
	return h
}
