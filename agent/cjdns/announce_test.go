package cjdns

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"testing"
)

func TestAnnouncementsOfRealNodes(t *testing.T) {
	hashes := map[Key]StateHash{}
	times := map[Key]uint64{}
	for i, v := range vectors(t, "announcements.txt") {
		raw := unhex(t, v[0])
		key, err := VerifyAnnouncement(raw)
		if err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		a, err := ParseAnnouncement(raw)
		if err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		first := a.Reset
		if a.Snode.String() != vectors(t, "keys.txt")[3][4] || first != (times[key] == 0) || a.Time <= times[key] {
			t.Errorf("%d: header %+v", i, a)
		}
		times[key] = a.Time
		if first && (a.Version != 20 || string(a.Scheme) != v358Serialized || len(a.Peers) == 0) {
			t.Errorf("%d: first announcement %+v", i, a)
		}
		for _, p := range a.Peers {
			if !p.IP.Valid() || !Label(p.Label).IsOneHop() || p.Form != 0 {
				t.Errorf("%d: peer %+v", i, p)
			}
		}
		if got := a.Append(nil); !bytes.Equal(got, raw) {
			t.Errorf("%d: written as\n%x, want\n%x", i, got, raw)
		}
		hashes[key] = hashes[key].Add(raw)
		if h := hashes[key]; hex.EncodeToString(h[:]) != v[1] {
			t.Errorf("%d: state hash %x, want %s", i, h, v[1])
		}
	}
	if len(hashes) != 3 {
		t.Errorf("%d announcing nodes among the vectors, want 3", len(hashes))
	}
}

func TestAnnouncementValues(t *testing.T) {
	a, err := ParseAnnouncement(unhex(t, vectors(t, "announcements.txt")[3][0]))
	if err != nil {
		t.Fatal(err)
	}
	if a.Time != 1795311856054 || a.Reset || a.Version != 0 || a.Scheme != nil || len(a.Peers) != 0 || len(a.Links) != 3 {
		t.Errorf("parsed to %+v", a)
	}
	want := LinkState{PeerNum: 0, StartSlot: 1, Samples: []LinkSample{{2, 0x38e3, 5}, {4, 0, 10}, {4, 0, 5}, {4, 0, 5}, {6, 0, 6}, {6, 0, 8}}}
	if got := a.Links[2]; !reflect.DeepEqual(got, want) {
		t.Errorf("link state %+v, want %+v", got, want)
	}
	a, err = ParseAnnouncement(unhex(t, vectors(t, "announcements.txt")[0][0]))
	if err != nil {
		t.Fatal(err)
	}
	var nums []uint16
	for _, p := range a.Peers {
		nums = append(nums, p.PeerNum)
		if p.Label != 0x13 || p.MTU8 != 0 {
			t.Errorf("peer %+v", p)
		}
	}
	if !a.Reset || !reflect.DeepEqual(nums, []uint16{0, 2, 3}) {
		t.Errorf("peers %v, reset %v", nums, a.Reset)
	}
}

func TestAnnouncementTruncated(t *testing.T) {
	for _, v := range vectors(t, "announcements.txt") {
		raw := unhex(t, v[0])
		whole, err := ParseAnnouncement(raw)
		if err != nil {
			t.Fatal(err)
		}
		eachPrefix(raw, func(p []byte) {
			a, err := ParseAnnouncement(p)
			switch {
			case len(p) < AnnounceHeaderLen:
				if !errors.Is(err, ErrShort) {
					t.Errorf("%d bytes: %v, want ErrShort", len(p), err)
				}
			case err == nil:
				// Cut between two entities it is shorter, but well formed;
				// only the signature tells.
				if reflect.DeepEqual(a, whole) {
					t.Errorf("%d of %d bytes parsed to the whole", len(p), len(raw))
				}
			case !errors.Is(err, ErrAnnounce):
				t.Errorf("%d bytes: %v", len(p), err)
			}
			if _, err := VerifyAnnouncement(p); err == nil {
				t.Errorf("%d of %d bytes are signed", len(p), len(raw))
			}
		})
	}
}

func TestAnnouncementSigned(t *testing.T) {
	p, err := ParsePrivateKey(vectors(t, "keys.txt")[1][1])
	if err != nil {
		t.Fatal(err)
	}
	a := Announcement{
		Snode: IP{0xfc, 1}, Time: 1<<60 - 1, Reset: true, Version: 20, Scheme: []byte(v358Serialized),
		Links: []LinkState{
			{PeerNum: 2, StartSlot: 17, Samples: []LinkSample{{1, math.MaxUint32, 0xfc}, {0xfd, 0xffff, 0x10000}}},
			{PeerNum: 3},
		},
		Peers: []AnnouncedPeer{{Form: 2, MTU8: 178, PeerNum: 256, IP: IP{0xfc, 2}, Label: 0x7fc}},
	}
	raw := a.AppendSigned([]byte("before"), NewSigningKey(p), testRand(3))[6:]
	key, err := VerifyAnnouncement(raw)
	if err != nil || key.String() != vectors(t, "keys.txt")[1][3] {
		t.Fatalf("VerifyAnnouncement = %v, %v", key, err)
	}
	if got, err := ParseAnnouncement(raw); err != nil || !reflect.DeepEqual(got, &a) {
		t.Errorf("%+v comes back as %+v, %v", a, got, err)
	}
	for i := range raw {
		bad := bytes.Clone(raw)
		bad[i] ^= 1
		if k, err := VerifyAnnouncement(bad); err == nil {
			t.Fatalf("byte %d changed: accepted, of %v", i, k)
		}
	}
}

func TestAnnouncementFullLinkState(t *testing.T) {
	big := LinkSample{math.MaxUint32, math.MaxUint32, math.MaxUint32}
	l := LinkState{PeerNum: 1}
	for range AnnounceSlots + 1 {
		l.Samples = append(l.Samples, big)
	}
	a := Announcement{Links: []LinkState{l, l}}
	got, err := ParseAnnouncement(a.Append(nil))
	if err != nil || len(got.Links) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	for _, l := range got.Links {
		if n := len(l.Samples); n < 16 || n > AnnounceSlots {
			t.Errorf("%d samples fitted in", n)
		}
		for _, s := range l.Samples {
			if s != big {
				t.Errorf("sample %+v", s)
			}
		}
	}
}

func TestAnnouncementRefuses(t *testing.T) {
	head := (&Announcement{}).Append(nil)
	for _, c := range []struct {
		name, entities string
		ok             bool
	}{
		{"nothing", "", true},
		{"pads", "010101", true},
		{"unknown type", "04ff0000", true},
		{"version", "04020014", true},
		{"link state without samples", "0503000000", true},
		{"length 0", "00", false},
		{"beyond the end", "0402", false},
		{"short version", "0302001401", false},
		{"short peer", "04010000", false},
		{"link state without numbers", "020301", false},
		{"padding beyond the end", "04030200", false},
		{"half a varint", "050300fd00", false},
		{"half a sample", "07030000010101", false},
		{"number beyond 32 bits", "0d0300ff000000010000000000", false},
		{"19 samples", "3e03000000" + "010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101", false},
	} {
		raw := append(bytes.Clone(head), unhex(t, c.entities)...)
		if a, err := ParseAnnouncement(raw); (err == nil) != c.ok || !c.ok && !errors.Is(err, ErrAnnounce) {
			t.Errorf("%s: %+v, %v", c.name, a, err)
		}
	}
	head[119] = 2
	if _, err := ParseAnnouncement(head); !errors.Is(err, ErrAnnounce) {
		t.Errorf("version 2: %v, want ErrAnnounce", err)
	}
}

func TestVarint(t *testing.T) {
	for _, v := range []uint32{0, 1, 0xfc, 0xfd, 0xffff, 0x10000, math.MaxUint32} {
		b := appendVarint(nil, v)
		if got, rest, ok := varint(b); !ok || got != v || len(rest) != 0 {
			t.Errorf("%d comes back as %d, %v", v, got, ok)
		}
		eachPrefix(b, func(p []byte) {
			if got, _, ok := varint(p); ok {
				t.Errorf("%x is %d", p, got)
			}
		})
	}
	if v, _, ok := varint(unhex(t, "ff0000000000000007")); !ok || v != 7 {
		t.Errorf("eight bytes: %d, %v", v, ok)
	}
}

func FuzzAnnouncement(f *testing.F) {
	for _, v := range vectors(f, "announcements.txt") {
		f.Add(unhex(f, v[0]))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := ParseAnnouncement(b)
		if err != nil {
			return
		}
		raw := a.Append(nil)
		again, err := ParseAnnouncement(raw)
		if err != nil {
			t.Fatalf("%x written as %x: %v", b, raw, err)
		}
		if got := again.Append(nil); !bytes.Equal(got, raw) {
			t.Fatalf("%x written again as %x", raw, got)
		}
	})
}
