package identity

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

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
	s := NewSelf(k.Public(), boot, counting())
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
	golden(t, "golden.txt", b.String())
}

// A chain of ten elements by hand.
func TestChainByHand(t *testing.T) {
	a, first := testKey(0).Public(), uint32(0xfffffffe)
	c := NewChain(&a, mac1, 77, first, 128, Element{1})
	c.Build(1000)
	l := newLink(&a, mac1, 77)
	x := Element{1}
	for i := 127; i >= 0; i-- {
		x = l.below(first+uint32(i), &x)
		if got, ok := c.At(0xfffffffe + uint32(i)); !ok || got != x {
			t.Fatalf("element %d is %x, want %x", i, got, x)
		}
	}
	if _, ok := c.At(first - 1); ok {
		t.Error("there is an element before the first")
	}
	if _, ok := c.At(first + 129); ok {
		t.Error("there is an element behind the last")
	}
	if c.Left(first) != 129 || c.Left(first+128) != 1 || c.Left(first+129) != 0 {
		t.Error("what is left is miscounted")
	}
}

func TestChainIsBuiltPiecemeal(t *testing.T) {
	a := testKey(0).Public()
	whole := NewChain(&a, mac1, 1, 100, 4096, Element{9})
	whole.Build(1 << 20)
	c := NewChain(&a, mac1, 1, 100, 4096, Element{9})
	steps := 1
	for !c.Build(64) {
		if _, ok := c.At(100); ok {
			t.Fatal("an unfinished chain has elements")
		}
		steps++
	}
	if steps != 64 {
		t.Errorf("%d steps of 64 hashes, want 64", steps)
	}
	for _, n := range []uint32{100, 101, 163, 164, 165, 4000, 4195, 4196} {
		x, ok := whole.At(n)
		y, ok2 := c.At(n)
		if !ok || !ok2 || x != y {
			t.Errorf("element %d differs", n)
		}
	}
}

// A receiver follows a chain over gaps, and believes nothing else.
func TestFollow(t *testing.T) {
	a := testKey(0).Public()
	first := uint32(0xffffff00) // numbers wrap
	c := NewChain(&a, mac1, 1, first, 4096, Element{9})
	c.Build(1 << 20)
	at := func(n int) *Element { e, _ := c.At(first + uint32(n)); return &e }
	p, _ := c.point(first)
	l := newLink(&a, mac1, 1)
	f := newFollow(&p)
	budget := 10000
	for _, s := range []struct {
		n    int
		e    *Element
		want fit
		cost int
	}{
		{0, at(0), fitPast, 0}, // the point itself is known to all
		{-1, at(0), fitPast, 0},
		{1, at(1), fitNew, 0},
		{1, at(1), fitOld, 0},
		{1, at(2), fitNo, 0},
		{2, at(1), fitNo, 0},
		{2, &Element{}, fitNo, 0},
		{5, at(5), fitNew, 3},
		{4, at(4), fitOld, 0},
		{2, at(2), fitOld, 0},
		{1, at(1), fitOld, 0},
		{3, at(4), fitNo, 0},
		{40, at(40), fitNew, 34},
		{33, at(33), fitOld, 0},
		{32, at(32), fitOld, 0}, // one hash
		{10, at(10), fitOld, 22},
		{10, at(11), fitNo, 22},
		{300, at(300), fitNew, 259},
		{236, at(236), fitPast, 0},
		{237, at(237), fitOld, 55},
		{300 + Gap, at(300 + Gap), fitNew, Gap - 1},
		{301 + 2*Gap, at(301 + 2*Gap), fitFar, 0},
		{1 << 30, at(1), fitFar, 0},
		{-1 << 31, at(1), fitPast, 0},
	} {
		before := budget
		if got := f.take(&l, first+uint32(s.n), s.e, &budget); got != s.want || before-budget != s.cost {
			t.Errorf("number %d: %d for %d hashes, want %d for %d", s.n, got, before-budget, s.want, s.cost)
		}
	}
	budget = 3
	if got := f.take(&l, first+uint32(300+Gap+5), at(300+Gap+5), &budget); got != fitUnpaid || budget != 3 {
		t.Errorf("unpaid: %d, %d left", got, budget)
	}
	if got := f.take(&l, first+uint32(300+Gap+4), at(300+Gap+4), &budget); got != fitNew || budget != 0 {
		t.Errorf("paid: %d, %d left", got, budget)
	}
}

// A point that lies in the future does not open what is before it.
func TestFollowFuturePoint(t *testing.T) {
	a := testKey(0).Public()
	c := NewChain(&a, mac1, 1, 500, 640, Element{9})
	c.Build(1 << 20)
	p, _ := c.point(500)
	l := newLink(&a, mac1, 1)
	f := newFollow(&p)
	budget := 1000
	for n := uint32(437); n <= 500; n++ {
		x := p.Element
		for i := uint32(500); i > n; i-- {
			x = l.below(i-1, &x)
		}
		if got := f.take(&l, n, &x, &budget); got != fitPast {
			t.Fatalf("number %d of a chain that begins at 500: %d", n, got)
		}
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

// A job for another key is not signed.
func TestJobOfAnotherKey(t *testing.T) {
	s := NewSelf(testKey(0).Public(), 1, counting())
	s.SetIfaces([]Iface{{mac1, 1}})
	j := s.Sign(0, Facts{}, func() (d [16]byte) { return d })
	j.Run(testKey(1), func([]byte) {})
	if s.Signed(0, j) || s.Record() != nil {
		t.Error("signed with another key")
	}
	if s.Sign(0, Facts{}, func() (d [16]byte) { return d }) == nil {
		t.Error("it is not tried again")
	}
}

// When records are signed.
func TestSignSchedule(t *testing.T) {
	k := testKey(0)
	s := signedSelf(k, 1, 0)
	f := s.facts
	now := mono.Time(0)
	run := func(d time.Duration, f Facts) (n int) {
		for end := now.Add(d); now < end; now = now.Add(time.Second) {
			if sign(s, k, now, f) {
				n++
			}
		}
		return n
	}
	if n := run(599*time.Second, f); n != 0 {
		t.Errorf("%d records without a reason", n)
	}
	if n := run(2*time.Second, f); n != 1 {
		t.Errorf("%d records after the lifetime", n)
	}
	f.Clock++
	if n := run(100*time.Second, f); n != 0 {
		t.Error("the clock is a reason")
	}
	n := 0
	for range 100 {
		f.TTVN++
		n += run(time.Second, f)
	}
	if n < 10 || n > 12 {
		t.Errorf("%d records in 100 s of changes", n)
	}
	f.Uplink = !f.Uplink // clients leave one signature for worse
	if run(time.Second, f) != 1 {
		t.Error("a change of the uplink has to wait for clients")
	}
	if s.serial < 12 || s.parsed.Serial != s.serial {
		t.Errorf("serial %d", s.serial)
	}
}

// Records ride in four OGMs after a change and in every 16th then.
func TestRideSchedule(t *testing.T) {
	s := signedSelf(testKey(0), 1, 0)
	var rides []int
	for i := range 60 {
		e, _ := s.Element(mac1, 1000+uint32(i))
		due, _ := s.RecordDue()
		if due {
			rides = append(rides, i)
		}
		s.Append(nil, TVLVType, e, due, due)
	}
	want := []int{0, 1, 2, 3, 19, 35, 51}
	if len(rides) != len(want) {
		t.Fatalf("rides %v, want %v", rides, want)
	}
	for i := range want {
		if rides[i] != want[i] {
			t.Errorf("rides %v, want %v", rides, want)
		}
	}
	for i := range 11 { // due in the eighth, put off four times
		e, _ := s.Element(mac1, 1060+uint32(i))
		due, off := s.RecordDue()
		if due != (i >= 7) || !off {
			t.Errorf("OGM %d: due %v, to be put off %v", i, due, off)
		}
		s.Append(nil, TVLVType, e, due, false)
	}
	if due, off := s.RecordDue(); !due || off {
		t.Errorf("due %v, to be put off %v", due, off)
	}
}

func TestDigestIgnoresOrder(t *testing.T) {
	a, b, c := Client{mac1, 0, 0}, Client{mac1, 0x8001, 0}, Client{mac1, 0, 0x10}
	x := Digest([]Client{a, b, c})
	if x != Digest([]Client{c, a, b}) || x == Digest([]Client{a, b}) || x == Digest([]Client{a, b, c, c}) {
		t.Error("digests do not tell tables apart")
	}
}
