package community

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/meshagent/meshagent/agent/cjdns"
)

// sample is one object of each kind, with the bytes that it must have, by
// hand from the formats in the documentation.
type sample struct {
	name     string
	context  string
	unsigned string // hexadecimal, blanks between fields
	draft    []byte
}

func samples() []sample {
	id, admin := ID{0xc0, 1, 2, 3, 4, 5, 6, 7}, ID{0xad, 1, 2, 3, 4, 5, 6, 7}
	var key cjdns.VerifyKey
	for i := range key {
		key[i] = byte(0x40 + i)
	}
	keyHex := hex.EncodeToString(key[:])
	ip := cjdns.IP{0xfc, 1, 15: 9}
	invite := InviteID{1, 2, 3, 4, 5, 6, 7, 8}
	a := Admin{Head: Head{Community: id, Signer: id, Number: 0x01020304, Time: 0x05060708}, Key: key, NotAfter: 0x090a0b0c}
	m := Membership{Head: Head{Community: id, Signer: admin, Number: 5, Time: 6}, Role: RoleMember, Key: key, Joined: 7, NotAfter: 8, Invite: invite}
	p := Page{Head: Head{Community: id, Signer: admin, Number: 9, Time: 10}, Page: 3, Entries: []Revocation{
		{what: revokeMember, Reason: ReasonLost, UpTo: 11, IP: ip}, {what: revokeInvite, Reason: ReasonMisuse, Invite: invite},
	}}
	v := Invite{Head: Head{Community: id, Signer: admin, Number: 12, Time: 13}, ID: invite, Secret: [16]byte{0xee, 15: 0xff}, Role: RoleAdmin, Uses: 14, NotAfter: 15}
	return []sample{
		{"admin", "meshagent-adm-v1", "01 01 c001020304050607 c001020304050607 01020304 05060708 " + keyHex + " 090a0b0c", a.unsigned()},
		{"membership", "meshagent-mem-v1", "02 01 c001020304050607 ad01020304050607 00000005 00000006 01 00 " + keyHex + " 00000007 00000008 0102030405060708", m.unsigned()},
		{"page", "meshagent-rvk-v1", "03 01 c001020304050607 ad01020304050607 00000009 0000000a 03 02" +
			" 01 01 0000000b fc010000000000000000000000000009 02 03 00000000 0102030405060708 0000000000000000", p.unsigned()},
		{"invite", "meshagent-inv-v1", "04 01 c001020304050607 ad01020304050607 0000000c 0000000d 0102030405060708 ee0000000000000000000000000000ff 02 0e 0000000f", v.unsigned()},
	}
}

// parseAny reads an object of any kind and returns what it would be written
// as.
func parseAny(b []byte) (h Head, again []byte, err error) {
	if len(b) == 0 {
		return h, nil, ErrObject
	}
	switch b[0] {
	case kindAdmin:
		a, err := ParseAdmin(b)
		return a.Head, a.unsigned(), err
	case kindMember:
		m, err := ParseMembership(b)
		return m.Head, m.unsigned(), err
	case kindPage:
		p, err := ParsePage(b)
		return p.Head, p.unsigned(), err
	case kindInvite:
		v, err := ParseInvite(b)
		return v.Head, v.unsigned(), err
	}
	return h, nil, ErrObject
}

func TestObjects(t *testing.T) {
	k := nodeKey("signer")
	pub := k.Public()
	for _, s := range samples() {
		want, err := hex.DecodeString(strings.ReplaceAll(s.unsigned, " ", ""))
		if err != nil || !bytes.Equal(s.draft, want) {
			t.Errorf("%s\n%x, want\n%x", s.name, s.draft, want)
		}
		raw := sign(k, chance("sign"), s.draft)
		if !ed25519.Verify(pub[:], append([]byte(s.context), want...), raw[len(want):]) {
			t.Errorf("%s: the signature is none to others", s.name)
		}
		h, again, err := parseAny(raw)
		if err != nil || !bytes.Equal(again, want) || !bytes.Equal(h.Raw, raw) {
			t.Fatalf("%s: %v\n%x", s.name, err, again)
		}
		job := Job{check: &h, by: pub}
		if job.Run(nil, nil); job.err != nil {
			t.Errorf("%s: not verified", s.name)
		}
		for i := range raw {
			b := bytes.Clone(raw)
			b[i] ^= 1 << (i % 8)
			h, _, err := parseAny(b)
			job := Job{check: &h, by: pub}
			if err == nil {
				if job.Run(nil, nil); job.err == nil {
					t.Fatalf("%s: byte %d does not matter", s.name, i)
				}
			}
		}
		for n := range raw {
			if _, _, err := parseAny(raw[:n]); !errors.Is(err, ErrObject) {
				t.Errorf("%s: %d of %d bytes: %v", s.name, n, len(raw), err)
			}
		}
		if _, _, err := parseAny(append(raw, 0)); !errors.Is(err, ErrObject) {
			t.Errorf("%s: a byte more: %v", s.name, err)
		}
	}
	if AdminLen > 160 || MembershipLen > 160 || AdminLen+MembershipLen+4 > 296 {
		t.Errorf("certificates of %d and %d bytes", AdminLen, MembershipLen)
	}
	if list := Pages * (MaxObject); list > 4096 || messageHead+batchHead+2+MaxObject > MaxMessage {
		t.Errorf("a list of %d bytes in pages of %d", list, MaxObject)
	}
}

// TestKindsAreApart signs one kind and shows it as another.
func TestKindsAreApart(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range contexts[1:] {
		if len(c) != 16 || seen[c] || !strings.HasPrefix(c, "meshagent-") {
			t.Errorf("context %q", c)
		}
		seen[c] = true
	}
}

// golden is a token with its text, made by hand in testdata/token.py.
func goldenToken() Token {
	t := Token{Role: RoleMember, Invite: InviteID{1, 2, 3, 4, 5, 6, 7, 8}, NotAfter: 1_800_000_000, Uses: 1, Name: "demo", Address: "192.0.2.10:25381"}
	for i := range t.Root {
		t.Root[i] = byte(i)
	}
	for i := range t.Secret {
		t.Secret[i] = byte(0xf0 + i)
	}
	k, _ := cjdns.ParseKey("p1k4y0xpkq5r12br69r6f832jk7h7s9n0ld8fwc8kvgpb70g7kx0.k")
	t.Admins = []cjdns.Key{k}
	return t
}

func TestTokenGolden(t *testing.T) {
	text, err := os.ReadFile("testdata/token.txt")
	if err != nil {
		t.Fatal(err)
	}
	want := strings.TrimSpace(string(text))
	token := goldenToken()
	if got := token.String(); got != want {
		t.Errorf("text\n%s, want\n%s", got, want)
	}
	for _, s := range []string{want, strings.ToLower(want), " " + want[:20] + "\n  " + want[20:] + "\n", strings.NewReplacer("O", "0", "I", "1").Replace(want)} {
		got, err := ParseToken(s)
		if err != nil || !reflect.DeepEqual(got, token) {
			t.Errorf("%q: %+v, %v", s, got, err)
		}
	}
	if len(want) > maxTokenLen {
		t.Errorf("%d characters", len(want))
	}
}

func TestTokenErrors(t *testing.T) {
	token := goldenToken()
	good := token.String()
	swap := func(s string, i int) string {
		c := byte('A')
		if s[i] == c {
			c = 'B'
		}
		return s[:i] + string(c) + s[i+1:]
	}
	encode := func(change func(*Token)) string {
		t := goldenToken()
		change(&t)
		return t.String()
	}
	for _, tc := range []struct{ name, text, want string }{
		{"empty", "", "this is no token: expected a line that begins with MESH1:, as meshagent invite prints it"},
		{"something else", "https://example.org/", "this is no token"},
		{"the root's line", FormatRoot(rootSecret()), "this is no token"},
		{"later version", "mesh2:abcd", "the token is of another version (mesh2), expected mesh1:; update meshagent"},
		{"nothing", "mesh1:", "the token is cut off: 6 characters"},
		{"short", "mesh1:aaaa", "the token is cut off: 10 characters"},
		{"cut", good[:len(good)-8], "the checksum of the token does not fit: it is mistyped, or cut off"},
		{"cut within a byte", good[:len(good)-1], ""},
		{"typo", swap(good, 50), "the checksum of the token does not fit: it is mistyped"},
		{"last character", good[:len(good)-1] + "7", "the checksum of the token does not fit"},
		{"character", good[:30] + "!" + good[31:], "character 31 of the token, '!', cannot occur in one: it is mistyped"},
		{"no name", encode(func(t *Token) { t.Name = "" }), "the token is damaged"},
		{"name", encode(func(t *Token) { t.Name = "a\x1b[2J" }), "the token is damaged"},
		{"address", encode(func(t *Token) { t.Address = "\x00" }), "the token is damaged"},
		{"no admin", encode(func(t *Token) { t.Admins = nil }), "the token is damaged"},
		{"admin", encode(func(t *Token) { t.Admins = []cjdns.Key{{1}} }), "names an admin whose key is no node's key"},
		{"role", encode(func(t *Token) { t.Role = 9 }), "a role that this version does not know"},
	} {
		_, err := ParseToken(tc.text)
		var want *TokenError
		if !errors.As(err, &want) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %s", tc.name, err, tc.want)
		}
	}
	for n := range len(good) {
		if _, err := ParseToken(good[:n]); err == nil {
			t.Errorf("%d characters are enough", n)
		}
	}
	b, _ := base32Text.DecodeString(strings.TrimPrefix(good, tokenPrefix))
	for n := range len(b) - sumLen {
		if _, err := ParseToken(textOf(b[:n])); err == nil {
			t.Errorf("%d bytes with a good checksum are enough", n)
		}
	}
}

// textOf gives bytes a checksum and the form of a token.
func textOf(b []byte) string {
	p := checksum(b)
	return tokenPrefix + base32Text.EncodeToString(append(bytes.Clone(b), p...))
}

func TestRootLine(t *testing.T) {
	secret := rootSecret()
	line := FormatRoot(secret)
	for _, s := range []string{line, strings.ToLower(line), strings.ReplaceAll(line, "-", " "), strings.ReplaceAll(line, "-", "")} {
		if got, err := ParseRoot(s); err != nil || got != secret {
			t.Errorf("%q: %v", s, err)
		}
	}
	for name, s := range map[string]string{
		"checksum": line[:20] + "-" + line[20:len(line)-1] + "7", "begins with MESHROOT1:": goldenTokenText(), "cut off": line[:14],
		"has 31 bytes": strings.Replace(textOf(secret[:31]), tokenPrefix, rootPrefix, 1),
	} {
		if _, err := ParseRoot(s); err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), line[15:30]) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func goldenTokenText() string { t := goldenToken(); return t.String() }

func TestMessages(t *testing.T) {
	objects := [][]byte{bytes.Repeat([]byte{1}, 126), bytes.Repeat([]byte{2}, 140)}
	sum := summary{ask: true, certs: objects}
	for i := range MaxAdmins + 1 {
		sum.states = append(sum.states, state{id: ID{byte(i)}, cert: 1, pages: [Pages]uint32{2, 3, 4, 5}, through: 6})
	}
	log := batch{more: true, signer: ID{9}, from: 3, through: 7, objects: objects}
	red := redeem{invite: InviteID{1}, key: cjdns.VerifyKey{2}, proof: [proofLen]byte{3}}
	wel := welcome{invite: InviteID{1}, outcome: RefusedUsed, objects: objects}
	bodies := map[string]struct {
		b     []byte
		parse func(b []byte) (any, error)
		want  any
	}{
		"summary": {sum.append(nil), func(b []byte) (any, error) { return parseSummary(b) }, sum},
		"batch":   {log.append(nil), func(b []byte) (any, error) { return parseBatch(b) }, log},
		"redeem":  {red.append(nil), func(b []byte) (any, error) { return parseRedeem(b) }, red},
		"welcome": {wel.append(nil), func(b []byte) (any, error) { return parseWelcome(b) }, wel},
	}
	for name, tc := range bodies {
		got, err := tc.parse(tc.b)
		if err != nil || !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: %v\n%+v, want\n%+v", name, err, got, tc.want)
		}
		if messageHead+len(tc.b) > MaxMessage {
			t.Errorf("%s has %d bytes", name, len(tc.b))
		}
		whole := 0
		for n := range tc.b {
			if _, err := tc.parse(tc.b[:n]); err == nil {
				whole++ // between two objects
			}
		}
		if whole > 3 {
			t.Errorf("%s: %d shorter ones are whole", name, whole)
		}
	}
}

// FuzzObject: what is read is written the same, and nothing panics.
func FuzzObject(f *testing.F) {
	for _, s := range samples() {
		f.Add(sign(nodeKey("signer"), chance("sign"), s.draft))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, again, err := parseAny(b)
		if err != nil {
			return
		}
		body := b[:len(b)-cjdns.SignatureLen]
		if b[0] != kindMember && b[0] != kindPage && !bytes.Equal(again, body) || len(again) != len(body) || !bytes.Equal(h.Raw, b) {
			t.Errorf("%x is written as %x", b, again)
		}
	})
}

func FuzzToken(f *testing.F) {
	f.Add(goldenTokenText())
	f.Add(FormatRoot(rootSecret()))
	f.Add("mesh1:")
	f.Fuzz(func(t *testing.T, s string) {
		if token, err := ParseToken(s); err == nil {
			if again, err := ParseToken(token.String()); err != nil || !reflect.DeepEqual(again, token) {
				t.Errorf("%q: %v", s, err)
			}
		}
		_, _ = ParseRoot(s)
	})
}

// FuzzReceive sends a message to an admin, and to a node that is joining.
func FuzzReceive(f *testing.F) {
	w := newWorld(nil, "a", "x")
	a, x := w.nodes[0], w.nodes[1]
	a.found()
	token := a.invite(InviteOptions{})
	w.cut = func(_, _ *tnode) bool { return true }
	disk := a.disk
	f.Fuzz(func(t *testing.T, b []byte) {
		w.t, a.disk, x.disk = t, disk, nil
		a.boot()
		x.boot()
		x.join(token)
		for _, n := range w.nodes {
			n.do(func(out *Out) { n.c.Receive(w.now, x.c.self, b, out) })
			n.do(func(out *Out) { n.c.Receive(w.now, a.c.self, b, out) })
		}
		if x.c.In() {
			t.Error("the fuzzer has joined")
		}
	})
}

func FuzzState(f *testing.F) {
	w := newWorld(nil, "a")
	f.Add([]byte(`{"version":1,"name":"demo"}`))
	f.Add(w.nodes[0].c.Snapshot().Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		var out Out
		c, err := New(Config{Self: w.nodes[0].key.Public(), Rand: chance("x"), Build: build}, 0)
		if err != nil {
			t.Fatal(err)
		}
		if c.Load(b, &out) != nil && c.In() {
			t.Error("in a community by a bad state")
		}
		if err := c.Load(c.Snapshot().Bytes(), &out); err != nil {
			t.Errorf("own state is refused: %v", err)
		}
	})
}

func checksum(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:sumLen]
}
