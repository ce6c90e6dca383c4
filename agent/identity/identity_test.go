package identity

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

var (
	mac1 = batman.MAC{2, 0xba, 0, 0, 1, 0}
	mac2 = batman.MAC{2, 0xba, 0, 0, 1, 1}
	mac3 = batman.MAC{2, 0xba, 0, 0, 2, 0}
)

// counting is randomness that is the same every time.
func counting() func([]byte) {
	var n byte
	return func(b []byte) {
		for i := range b {
			n++
			b[i] = n
		}
	}
}

// testKey returns the n-th key that hashes into fc00::/8.
func testKey(n int) *cjdns.SigningKey {
	for seed := uint64(1); ; seed++ {
		var p cjdns.PrivateKey
		binary.BigEndian.PutUint64(p[:], seed)
		k := cjdns.NewSigningKey(p)
		if key, err := k.Public().Identity(); err == nil && key.IP().Valid() {
			if n--; n < 0 {
				return k
			}
		}
	}
}

// signedSelf is a node with two interfaces and a record.
func signedSelf(k *cjdns.SigningKey, boot uint32, now mono.Time) *Self {
	s := NewSelf(k.Public(), boot, 0, counting())
	s.SetIfaces([]Iface{{mac1, 1000}, {mac2, 5}})
	f := Facts{Uplink: true, Clock: 1764113000, TTVN: 7, Gateway: batman.Gateway{Down: 100, Up: 20}, Member: [8]byte{1, 2, 3}}
	sign(s, k, now, f)
	return s
}

func sign(s *Self, k *cjdns.SigningKey, now mono.Time, f Facts) bool {
	j := s.Sign(now, f, func() [16]byte { return Digest([]Client{{mac3, 0, 0x10}, {mac1, 0x800a, 0}}) })
	if j == nil {
		return false
	}
	j.Run(k, func(b []byte) { clear(b) })
	return s.Signing(j) && s.Signed(now, j)
}

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares lines of hex with a file.
func golden(t *testing.T, name string, got string) {
	t.Helper()
	file := "testdata/" + name
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || got != string(want) {
		t.Errorf("%s (%v): got\n%s\nwant\n%s", name, err, got, want)
	}
}

// The bytes of records, containers, elements and packets, as they were when
// the format was made: others rely on them.
func TestGolden(t *testing.T) {
	k := testKey(0)
	s := signedSelf(k, 3, 0)
	var b strings.Builder
	line := func(name string, p []byte) { b.WriteString(name + " " + hex.EncodeToString(p) + "\n") }
	pub := k.Public()
	line("key", pub[:])
	line("record", s.Record())
	e, _ := s.Element(mac1, 1000)
	line("element of 1000", e[:])
	line("with record", s.Append(nil, TVLVType, e, true, true))
	e, _ = s.Element(mac1, 1001)
	line("element of 1001", e[:])
	line("without", s.Append(nil, TVLVType, e, false, false))
	h := make([]byte, HeaderLen)
	Header{PacketType, 50, mac3, mac1, KindChallenge}.Put(h)
	line("header", h)
	line("request", AppendRequest(nil, s.id))
	line("record packet", AppendRecord(nil, s.Record(), [][]byte{{1, 2, 3}, {4}}))
	line("challenge", AppendChallenge(nil, Nonce{9, 8, 7}))
	for _, p := range []struct {
		name string
		j    *Job
	}{
		{"answer", s.AnswerJob(mac1, mac3, Nonce{9, 8, 7})},
		{"roaming", s.RoamJob(mac1, mac3, []Moved{{mac2, 0}, {mac3, 0x800a}})},
	} {
		p.j.Run(k, func(b []byte) { clear(b) })
		c, _ := p.j.Content()
		line(p.name, c)
	}
	line("record with costs", costly(k, 3).Record())
	golden(t, "golden.txt", b.String())
}

// costly is signedSelf with costs of that many links.
func costly(k *cjdns.SigningKey, links int) *Self {
	s := NewSelf(k.Public(), 3, 0, counting())
	s.SetIfaces([]Iface{{mac1, 1000}, {mac2, 5}})
	var c Costs
	for i := range links {
		c.List[i] = LinkCost{batman.MAC{2, 0xcc, 0, 0, 0, byte(i)}, uint16(100 + i)}
	}
	c.K = links
	sign(s, k, 0, Facts{Uplink: true, TTVN: 7, Costs: c})
	return s
}

// Costs come back as they were signed, as many as there is room for, and what
// others make of the count is refused.
func TestRecordCosts(t *testing.T) {
	k := testKey(0)
	for links := range MaxCosts + 1 {
		s := costly(k, links)
		raw := s.Record()
		r, err := ParseRecord(raw)
		if err != nil || r != s.parsed || r.K != links || len(raw) != 84+60+8*links+64 {
			t.Fatalf("%d links: %d bytes, %+v, %v", links, len(raw), r, err)
		}
		j := recordJob(raw, &r)
		if j.Run(nil, nil); !j.ok {
			t.Errorf("%d links: the signature is refused", links)
		}
		if links == 0 {
			continue
		}
		raw = bytes.Clone(raw)
		raw[84+60+7]++ // a cheaper or dearer link
		r, err = ParseRecord(raw)
		j = recordJob(raw, &r)
		if j.Run(nil, nil); err != nil || j.ok {
			t.Errorf("%d links: costs are not signed (%v)", links, err)
		}
		for _, count := range []byte{byte(links - 1), byte(links + 1), MaxCosts + 1, 255} {
			raw[3] = count
			if _, err := ParseRecord(raw); err == nil {
				t.Errorf("a count of %d is taken for %d", count, links)
			}
		}
	}
	for n, want := range []int{8, 8, 8, 7, 4, 0} {
		if r := (Record{N: n}); r.room() != want {
			t.Errorf("%d points leave room for %d costs, want %d", n, r.room(), want)
		}
	}
	s := NewSelf(k.Public(), 1, 0, counting())
	s.SetIfaces([]Iface{{mac1, 1}, {mac2, 1}, {mac3, 1}, {batman.MAC{2, 9}, 1}})
	f := Facts{Costs: costly(k, MaxCosts).facts.Costs}
	if !sign(s, k, 0, f) || s.parsed.K != 4 || len(s.Record()) > MaxRecord {
		t.Errorf("four interfaces: %d costs, %d bytes", s.parsed.K, len(s.Record()))
	}
	if sign(s, k, mono.Time(signCosts), f) {
		t.Error("what there was no room for is a reason for a new record")
	}
}

func TestRecordRoundTrip(t *testing.T) {
	k := testKey(0)
	s := signedSelf(k, 3, 0)
	r, err := ParseRecord(s.Record())
	if err != nil || r != s.parsed {
		t.Fatalf("%v: %+v, want %+v", err, r, s.parsed)
	}
	if len(s.Record()) != 84+60+64 || r.N != 2 || r.MAC() != mac1 || r.Flags != FlagUplink|FlagTime {
		t.Errorf("record of %d bytes: %+v", len(s.Record()), r)
	}
	j := recordJob(s.Record(), &r)
	j.Run(nil, nil)
	if key, _ := k.Public().Identity(); !j.ok || j.key != key || j.ip != key.IP() {
		t.Error("the signature is refused")
	}
	for bit := range 8 * len(s.Record()) {
		b := bytes.Clone(s.Record())
		b[bit/8] ^= 1 << (bit % 8)
		r, err := ParseRecord(b)
		if err != nil || bit%29 != 0 { // signatures are slow
			continue
		}
		j := recordJob(b, &r)
		j.Run(nil, nil)
		if j.ok {
			t.Errorf("bit %d is not signed", bit)
		}
	}
}

func TestRecordRefused(t *testing.T) {
	good := signedSelf(testKey(0), 3, 0).Record()
	for n := range len(good) {
		if _, err := ParseRecord(good[:n]); err == nil {
			t.Errorf("a record cut to %d bytes is taken", n)
		}
	}
	for name, change := range map[string]func(b []byte) []byte{
		"longer":          func(b []byte) []byte { return append(b, 0) },
		"version":         func(b []byte) []byte { b[0] = 2; return b },
		"no point":        func(b []byte) []byte { b[2] = 0; return append(b[:84], b[144:]...) },
		"six points":      func(b []byte) []byte { b[2] = 6; return append(b, make([]byte, 120)...) },
		"nine costs":      func(b []byte) []byte { b[3] = 9; return append(b, make([]byte, 72)...) },
		"above 300 bytes": func(b []byte) []byte { b[2], b[3] = 4, 5; return append(b, make([]byte, 100)...) },
		"multicast":       func(b []byte) []byte { b[84] |= 1; return b },
		"zero address":    func(b []byte) []byte { clear(b[114:120]); return b },
		"thrice": func(b []byte) []byte {
			b[2] = 3
			b = append(b, make([]byte, 30)...)
			copy(b[114:], mac1[:])
			copy(b[144:], mac1[:])
			return b
		},
	} {
		if _, err := ParseRecord(change(bytes.Clone(good))); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	five := append(bytes.Clone(good), make([]byte, 90)...)
	five[2] = 5
	for i := range 5 {
		five[84+30*i] = 2
		five[84+30*i+5] = byte(i)
	}
	if _, err := ParseRecord(five); err != nil || len(five) != 298 {
		t.Errorf("five points, %d bytes: %v", len(five), err)
	}
}

// Keys that prove nothing are refused before the signature is looked at.
func TestWeakKeysRefused(t *testing.T) {
	for name, hexKey := range map[string]string{
		"identity":          "0100000000000000000000000000000000000000000000000000000000000000",
		"order 2":           "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"order 4":           "0000000000000000000000000000000000000000000000000000000000000000",
		"order 4, negative": "0000000000000000000000000000000000000000000000000000000000000080",
		"order 8":           "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"order 8, other":    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"not canonical":     "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"not canonical 0":   "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"no point":          "0200000000000000000000000000000000000000000000000000000000000000",
	} {
		raw, _ := hex.DecodeString(hexKey)
		if _, err := cjdns.VerifyKey(raw).Identity(); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	k := testKey(0).Public()
	if _, err := k.Identity(); err != nil {
		t.Error(err)
	}
	minus := k
	minus[31] ^= 0x80
	x, _ := k.Identity()
	y, err := minus.Identity()
	if err != nil || x != y || !k.SameNode(minus) {
		t.Error("a key and its negative are not one node")
	}
}

// A key whose address is not in fc00::/8 proves nothing either.
func TestAddressOutsideRefused(t *testing.T) {
	for seed := byte(1); ; seed++ {
		k := cjdns.NewSigningKey(cjdns.PrivateKey{seed})
		if key, _ := cjdns.KeyFromSigning(k.Public()); key.IP().Valid() {
			continue
		}
		s := signedSelf(k, 1, 0)
		r, _ := ParseRecord(s.Record())
		j := recordJob(s.Record(), &r)
		if j.Run(nil, nil); j.ok {
			t.Error("taken")
		}
		return
	}
}

func TestContainer(t *testing.T) {
	s := signedSelf(testKey(0), 3, 0)
	e, _ := s.Element(mac1, 1000)
	for _, with := range []bool{true, false} {
		b := s.Append(nil, TVLVType, e, with, with)
		c, ok := FindContainer(append(batman.AppendTVLV(nil, 2, 1, 0), b...), TVLVType)
		if !ok || c.Element != e || c.ID != s.id || (c.Record != nil) != with || with && !bytes.Equal(c.Record, s.Record()) || len(b)%2 != 0 {
			t.Errorf("with record %v: %v %+v", with, ok, c)
		}
		for n := range len(b) {
			if c, ok := FindContainer(b[:n], TVLVType); ok {
				t.Errorf("cut to %d bytes: %+v", n, c)
			}
		}
		if _, ok := FindContainer(b, TVLVType+1); ok {
			t.Error("found by another type")
		}
		for _, i := range []int{4, 5} {
			x := bytes.Clone(b)
			x[i] ^= 0xf0
			if _, ok := FindContainer(x, TVLVType); ok {
				t.Errorf("byte %d does not matter", i)
			}
		}
	}
}

func TestPackets(t *testing.T) {
	k, s := testKey(0), signedSelf(testKey(0), 3, 0)
	h := make([]byte, HeaderLen)
	Header{PacketType, 50, mac3, mac1, KindRoam}.Put(h)
	if got, rest, err := ParseHeader(append(h, 1)); err != nil || len(rest) != 1 || got != (Header{PacketType, 50, mac3, mac1, KindRoam}) {
		t.Errorf("header %+v, %v", got, err)
	}
	for i, bad := range [][]byte{append(bytes.Clone(h[:16]), 0, 0x61, 1, 0, 0, 0), append(bytes.Clone(h[:10]), make([]byte, 12)...)} {
		if _, _, err := ParseHeader(bad); err == nil {
			t.Errorf("header %d is taken", i)
		}
	}
	roam := s.RoamJob(mac1, mac3, []Moved{{mac2, 0}, {mac3, 0x800a}})
	roam.Run(k, func(b []byte) { clear(b) })
	roamed, _ := roam.Content()
	ans := s.AnswerJob(mac1, mac3, Nonce{1})
	ans.Run(k, func(b []byte) { clear(b) })
	answered, _ := ans.Content()
	record := AppendRecord(nil, s.Record(), [][]byte{make([]byte, 160), make([]byte, 160), make([]byte, 160)})
	if n := HeaderLen + len(record); n > 3*requestLen || n < 500 {
		t.Errorf("an answer of %d bytes", n)
	}
	for name, c := range map[string]struct {
		b     []byte
		parse func([]byte) error
		all   bool // every cut is an error
	}{
		"header":    {h, func(b []byte) error { _, _, err := ParseHeader(b); return err }, true},
		"request":   {AppendRequest(nil, s.id), func(b []byte) error { _, err := ParseRequest(b); return err }, true},
		"challenge": {AppendChallenge(nil, Nonce{}), func(b []byte) error { _, err := ParseChallenge(b); return err }, true},
		"answer":    {answered, func(b []byte) error { _, err := parseAnswer(b); return err }, true},
		"roaming":   {roamed, func(b []byte) error { _, _, _, err := parseRoam(b); return err }, true},
		"record":    {record, func(b []byte) error { _, _, err := ParseRecordPacket(b); return err }, false},
	} {
		if err := c.parse(c.b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for n := range len(c.b) {
			if err := c.parse(c.b[:n]); err == nil && c.all {
				t.Errorf("%s cut to %d bytes is taken", name, n)
			}
		}
	}
	for _, n := range []int{0, 33, 65535} {
		b := bytes.Clone(roamed)
		binary.BigEndian.PutUint16(b[8:], uint16(n))
		if _, _, _, err := parseRoam(append(b, make([]byte, 600000)...)); err == nil {
			t.Errorf("%d clients are taken", n)
		}
	}
	if len(answered)+HeaderLen > 3*challengeLen {
		t.Errorf("an answer of %d bytes", len(answered)+HeaderLen)
	}
	if s, ok := (&Job{sign: true}).Content(); ok {
		t.Errorf("a job that was not done has content %x", s)
	}
}

func TestDigestIgnoresOrder(t *testing.T) {
	a, b, c := Client{mac1, 0, 0}, Client{mac1, 0x8001, 0}, Client{mac1, 0, 0x10}
	x := Digest([]Client{a, b, c})
	if x != Digest([]Client{c, a, b}) || x == Digest([]Client{a, b}) || x == Digest([]Client{a, b, c, c}) {
		t.Error("digests do not tell tables apart")
	}
}
