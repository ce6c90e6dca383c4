package cryptoauth

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"testing"

	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

type hexBytes []byte

func (h *hexBytes) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(string(b))
	return err
}

type noiseVectors struct {
	Vectors []struct {
		Note, Password, Login string
		Initiation, Response  hexBytes
		EphemeralA            hexBytes `json:"ephemeral_a"`
		EphemeralB            hexBytes `json:"ephemeral_b"`
		TAI                   hexBytes `json:"tai64n"`
		Data                  []struct {
			From        string
			Wire, Plain hexBytes
		}
	}
	Rekey  []struct{ Wire, Additional hexBytes }
	Cookie struct {
		Initiation hexBytes `json:"initiation_wire"`
		Reply      hexBytes `json:"cookie_reply_wire"`
		Cookie     hexBytes
		Next       hexBytes `json:"next_initiation_wire"`
	}
	Beacon struct {
		Password    hexBytes `json:"password_20_bytes"`
		Login       string
		Lookup, PSK hexBytes
		Initiation  hexBytes `json:"initiation_wire"`
	}
}

func readNoiseVectors(t testing.TB) (v noiseVectors) {
	t.Helper()
	raw, err := os.ReadFile("testdata/noise_v22.json")
	if err == nil {
		err = json.Unmarshal(raw, &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// scripted gives the ephemeral key and the index of a recorded message.
func scripted(t testing.TB, priv []byte, index uint32) func([]byte) {
	return func(b []byte) {
		switch len(b) {
		case 32:
			copy(b, priv)
		case 3:
			copy(b, []byte{byte(index >> 8), byte(index >> 16), byte(index >> 24)})
		case 1:
			b[0] = byte(index)
		default:
			t.Errorf("%d random bytes asked for", len(b))
		}
	}
}

// TestRecordedNoise: our ends open what real v22.3 nodes sent, and with the
// same chance send the same bytes.
func TestRecordedNoise(t *testing.T) {
	nodes := readCapture(t, "chain3").nodes
	for _, v := range readNoiseVectors(t).Vectors {
		t.Run(v.Note, func(t *testing.T) {
			password := []byte(v.Password)
			users := &Users{}
			if len(password) > 0 {
				if err := users.Set(User{Name: v.Login, Password: password}); err != nil {
					t.Fatal(err)
				}
			}
			ca := &Config{Self: nodes["A"], Rand: scripted(t, v.EphemeralA, binary.LittleEndian.Uint32(v.Initiation[8:]))}
			cb := &Config{Self: nodes["B"], Rand: scripted(t, v.EphemeralB, binary.LittleEndian.Uint32(v.Response[8:])), Users: users}
			ca.Wall.Sec = int64(binary.BigEndian.Uint64(v.TAI)&^(1<<62)) - 37
			ca.Wall.Nsec = binary.BigEndian.Uint32(v.TAI[8:])
			a := New(ca, Options{Key: nodes["B"].Public, Password: password, Login: v.Login, Noise: true}, 0)
			b := New(cb, Options{RequireAuth: len(password) > 0}, 0)

			step := func(from, to *Session, wire []byte, ev Event) {
				t.Helper()
				if got := seal(t, 0, from, "lost").Bytes(); !bytes.Equal(got, wire) {
					t.Fatalf("made\n%x, want\n%x", got, wire)
				}
				var p pkt.Buf
				p.Set(wire)
				got, err := to.Open(0, &p)
				want(t, got, err, ev)
				if p.Len() != 0 {
					t.Errorf("a handshake message left %d bytes", p.Len())
				}
			}
			step(a, b, v.Initiation, Answer)
			step(b, a, v.Response, Promoted|Answer)
			for i, d := range v.Data {
				from, to := a, b
				if d.From == "responder" {
					from, to = b, a
				}
				if got := seal(t, 0, from, string(d.Plain)).Bytes(); !bytes.Equal(got, d.Wire) {
					t.Fatalf("packet %d: made\n%x, want\n%x", i, got, d.Wire)
				}
				var p pkt.Buf
				p.Set(d.Wire)
				ev, err := to.Open(0, &p)
				if err != nil || ev&Fresh == 0 || !bytes.Equal(p.Bytes(), d.Plain) {
					t.Errorf("packet %d: %v %v %x", i, ev, err, p.Bytes())
				}
			}
			if !a.NoiseProto() || !b.NoiseProto() || !a.Established() || !b.Established() {
				t.Error("not established with Noise")
			}
			if b.User() != v.Login && !(v.Login == "" && len(password) > 0 && b.User() == "Anon #1") {
				t.Errorf("user %q, want %q", b.User(), v.Login)
			}
		})
	}
}

func TestRecordedNoiseRekey(t *testing.T) {
	nodes := readCapture(t, "chain3").nodes
	users := &Users{}
	if err := users.Set(User{Name: "A-login", Password: []byte("passForA")}); err != nil {
		t.Fatal(err)
	}
	s := New(&Config{Self: nodes["B"], Users: users, Rand: chance(1)}, Options{RequireAuth: true}, 0)
	for i, r := range readNoiseVectors(t).Rekey {
		var b pkt.Buf
		b.Set(r.Wire)
		ev, err := s.Open(mono.Time(i)*120*second, &b)
		want(t, ev, err, Answer)
		if named, version, ok := parseAdditional(r.Additional); !ok || version != 22 || named != users.list[0].noise.named {
			t.Errorf("additional data %x: %x %d %v", r.Additional, named, version, ok)
		}
	}
}

func TestRecordedBeaconPassword(t *testing.T) {
	v := readNoiseVectors(t).Beacon
	a := newNoiseAuth(v.Password, v.Login)
	if !bytes.Equal(a.psk[:], v.PSK) || !bytes.Equal(a.named[1:], v.Lookup) {
		t.Errorf("psk %x lookup %x, want %x %x", a.psk, a.named[1:], v.PSK, v.Lookup)
	}
	nodes := readCapture(t, "chain3").nodes
	users := &Users{}
	if err := users.Set(User{Name: v.Login, Password: v.Password}); err != nil {
		t.Fatal(err)
	}
	s := New(&Config{Self: nodes["A"], Users: users, Rand: chance(1)}, Options{RequireAuth: true}, 0)
	ev, err := try(s, v.Initiation)
	want(t, ev, err, Answer)
	if s.User() != "Local Peers" || s.PeerKey() != nodes["B"].Public {
		t.Errorf("user %q, key %v", s.User(), s.PeerKey())
	}
}

func TestRecordedCookie(t *testing.T) {
	v := readNoiseVectors(t).Cookie
	nodes := readCapture(t, "chain3").nodes
	s := New(&Config{Self: nodes["A"], Rand: chance(1)}, Options{Key: nodes["B"].Public, Noise: true}, 0)
	s.startHello(0)
	s.out.noise.last = initiation{index: binary.LittleEndian.Uint32(v.Initiation[8:]), msg: bytes.Clone(v.Initiation)}
	refuses(t, s, append(bytes.Clone(v.Reply[:67]), v.Reply[67]^1), ErrHandshakeFailed)
	ev, err := try(s, v.Reply)
	want(t, ev, err, Answer)
	if !bytes.Equal(s.cookie.key[:], v.Cookie) {
		t.Errorf("cookie %x, want %x", s.cookie.key, v.Cookie)
	}
	at := len(v.Next) - macsLen
	if got := putMACs(bytes.Clone(v.Next[:at]), (*[32]byte)(&nodes["B"].Public), s.cookie.get(second)); !bytes.Equal(got, v.Next) {
		t.Errorf("with the cookie made\n%x, want\n%x", got, []byte(v.Next))
	}
	if s.cookie.get(cookieTooOld) != nil {
		t.Error("an old cookie is used")
	}
}

const cookieTooOld = mono.Time(cookieLife) + 1

func newNoiseDuo(t testing.TB) *duo {
	d := newDuo(t)
	d.ca.Wall.Sec, d.cb.Wall.Sec = 1e9, 1e9
	d.a = New(d.ca, Options{Key: d.ids[1].Public, Password: d.password, Login: "ann", Noise: true}, 0)
	return d
}

// shakeNoise brings both ends to StateEstablished.
func (d *duo) shakeNoise(now mono.Time) {
	d.t.Helper()
	for i, ev := range []Event{Answer, Promoted | Answer, Promoted | Fresh | Answer, Fresh} {
		from, to := d.a, d.b
		if i%2 == 1 {
			from, to = d.b, d.a
		}
		b := seal(d.t, now, from, "")
		got, err := to.Open(now, b)
		want(d.t, got, err, ev)
	}
	if !d.a.Established() || !d.b.Established() {
		d.t.Fatal("not established")
	}
}

func TestCookieFromUsUnderLoad(t *testing.T) {
	d := newNoiseDuo(t)
	from := pkt.UDPAddr(netip.MustParseAddrPort("10.0.0.1:5"), 0)
	b := seal(t, 0, d.a, "")
	b.Addr = from
	first := bytes.Clone(b.Bytes())
	if reply, err := d.cb.CheckNoise(0, b, false); reply || err != nil || !bytes.Equal(b.Bytes(), first) {
		t.Fatalf("not busy: %v %v", reply, err)
	}
	if reply, err := d.cb.CheckNoise(0, b, true); !reply || err != nil || b.Len() != cookieLen {
		t.Fatalf("busy: %v %v, %d bytes", reply, err, b.Len())
	}
	ev, err := d.a.Open(0, b)
	want(t, ev, err, Answer)
	b = seal(t, 0, d.a, "")
	b.Addr = from
	if b.Len() != len(first) || bytes.Equal(b.Bytes(), first) {
		t.Error("the cookie was not put into the initiation")
	}
	again := bytes.Clone(b.Bytes())
	if reply, err := d.cb.CheckNoise(second, b, true); reply || err != nil {
		t.Errorf("with the cookie: %v %v", reply, err)
	}
	for name, c := range map[string]struct {
		now mono.Time
		a   pkt.Addr
	}{
		"other port":    {second, pkt.UDPAddr(netip.MustParseAddrPort("10.0.0.1:6"), 0)},
		"other address": {second, pkt.UDPAddr(netip.MustParseAddrPort("10.0.0.2:5"), 0)},
		"too late":      {cookieTooOld, from},
	} {
		b.Set(again)
		b.Addr = c.a
		if reply, err := d.cb.CheckNoise(c.now, b, true); !reply || err != nil {
			t.Errorf("%s: %v %v, want another cookie", name, reply, err)
		}
	}
	for n := range again {
		b.Set(again[:n])
		if reply, err := d.cb.CheckNoise(0, b, true); reply || err == nil {
			t.Fatalf("%d bytes pass", n)
		}
	}
	b.Set(again)
	b.Bytes()[30] ^= 1
	if _, err := d.cb.CheckNoise(0, b, true); !errors.Is(err, ErrHandshakeFailed) {
		t.Errorf("wrong mac1: %v", err)
	}
}

func TestNoiseTrafficAllocs(t *testing.T) {
	d := newNoiseDuo(t)
	d.shakeNoise(0)
	b := new(pkt.Buf)
	text := make([]byte, 1304)
	if n := testing.AllocsPerRun(200, func() {
		b.Set(text)
		if d.a.Seal(0, b) != nil {
			t.Fatal("seal")
		}
		if _, err := d.b.Open(0, b); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations per packet, want 0", n)
	}
}

func TestNoiseRekeys(t *testing.T) {
	d := newNoiseDuo(t)
	d.shakeNoise(0)
	now := 121 * second
	// Something must come now and then, or the transport is given up.
	for n := 20 * second; n <= now; n += 20 * second {
		_, _ = send(t, n, d.a, d.b, "x")
		_, _ = send(t, n, d.b, d.a, "x")
	}
	if !d.a.NeedsRenew(now) || d.b.NeedsRenew(now) {
		t.Fatal("the initiator alone must renew after two minutes")
	}
	old := d.a.cur
	d.a.Renew(now)
	d.shakeNoise(now)
	if d.a.cur == old || d.a.prev != old || d.a.NeedsRenew(now) {
		t.Error("no new transport")
	}
	now = now.Add(rejectAfter) + 1
	if d.a.Seal(now, new(pkt.Buf)); d.a.CanSend() {
		t.Error("a transport of more than three minutes is used")
	}
}

// TestNoiseRetry: an initiation is repeated unchanged for a while, because the
// peer answers each one once, and the response to the one before still counts.
func TestNoiseRetry(t *testing.T) {
	d := newNoiseDuo(t)
	first := bytes.Clone(seal(t, 0, d.a, "").Bytes())
	if again := seal(t, 2*second, d.a, "").Bytes(); !bytes.Equal(first, again) {
		t.Error("another initiation after 2 s")
	}
	second2 := bytes.Clone(seal(t, 2600*ms, d.a, "").Bytes())
	if bytes.Equal(first, second2) {
		t.Error("the same initiation after 2.6 s")
	}
	d.open(d.b, first)
	response := bytes.Clone(seal(t, 0, d.b, "").Bytes())
	d.open(d.b, first) // its repetition
	if again := seal(t, 0, d.b, "").Bytes(); !bytes.Equal(response, again) {
		t.Error("another response to the same initiation")
	}
	ev, err := try(d.a, response)
	want(t, ev, err, Promoted|Answer)
	refuses(t, d.a, response, ErrStrayKey)
}

func TestNoiseFallsBackToLegacy(t *testing.T) {
	d := newNoiseDuo(t)
	var kinds string
	for i := range mono.Time(12) {
		raw := seal(t, i*second, d.a, "").Bytes()
		if raw[0] == 0xff {
			kinds += "N"
		} else {
			kinds += fmt.Sprint(raw[3])
		}
	}
	if kinds != "NNN011NNN111" {
		t.Errorf("packets %s", kinds)
	}
	// A legacy answer ends it, and the next handshake is legacy at once.
	now := 14 * second
	for b := new(pkt.Buf); b.Len() == 0 || b.Bytes()[0] != 0; {
		now += second
		if b = seal(t, now, d.a, "hello"); b.Bytes()[0] == 0 {
			ev, err := d.b.Open(now, b)
			want(t, ev, err, Answer)
			break
		}
	}
	ev, err := send(t, now, d.b, d.a, "key")
	want(t, ev, err, Promoted|Answer)
	now += 20 * second
	if raw := seal(t, now, d.a, "").Bytes(); raw[0] != 0 || d.a.NoiseProto() {
		t.Errorf("began with %x", raw[:4])
	}
	d.a.Reset(now)
	if raw := seal(t, now, d.a, "").Bytes(); raw[0] != 0xff {
		t.Errorf("after a reset began with %x", raw[:4])
	}
}

// TestNoiseCounterInitiation: a stock node that we dialled may begin a
// handshake too, with our password but without naming it.
func TestNoiseCounterInitiation(t *testing.T) {
	d := newNoiseDuo(t)
	d.shakeNoise(0)
	mine := d.a.auth // it keeps the password of our dial
	d.cb.Wall.Sec++
	d.b.auth = mine
	d.b.Renew(0)
	d.b.auth.password = nil // and does not name it
	b := seal(t, 0, d.b, "")
	d.b.auth = mine
	if b.Len() != 176 {
		t.Fatalf("%d bytes", b.Len())
	}
	ev, err := d.a.Open(0, b)
	want(t, ev, err, Answer)
	b = seal(t, 0, d.a, "")
	ev, err = d.b.Open(0, b)
	want(t, ev, err, Promoted|Answer)
	ev, err = send(t, 0, d.b, d.a, "data")
	want(t, ev, err, Promoted|Fresh|Answer)
}

func TestParseAdditional(t *testing.T) {
	for _, c := range []struct {
		hex     string
		ok      bool
		version uint32
		named   string
	}{
		{"", true, 0, "0000000000000000"},
		{"030416000000010803e85875cfc21f24", true, 22, "03e85875cfc21f24"},
		{"0000030416000000", true, 22, "0000000000000000"},
		{"010803e85875cfc21f240304150000000202ffff", false, 0, ""}, // previous index of 2 bytes
		{"0000030416000000010803e85875cfc21f24020401000000", true, 22, "03e85875cfc21f24"},
		{"7702aabb030416000000", true, 22, "0000000000000000"}, // unknown kind
		{"000100", true, 0, "0000000000000000"},
		{"000101", false, 0, ""},               // padding that is not zero
		{"03", false, 0, ""},                   // no length
		{"0305160000", false, 0, ""},           // over the end
		{"0303160000", false, 0, ""},           // version of 3 bytes
		{"010703e85875cfc21f", false, 0, ""},   // challenge of 7 bytes
		{"010801e85875cfc21f24", false, 0, ""}, // challenge of kind 1
	} {
		raw, err := hex.DecodeString(c.hex)
		if err != nil {
			t.Fatal(err)
		}
		named, version, ok := parseAdditional(raw)
		if ok != c.ok || ok && (version != c.version || hex.EncodeToString(named[:]) != c.named) {
			t.Errorf("%s: %x %d %v", c.hex, named, version, ok)
		}
	}
}

func TestNoiseRefuses(t *testing.T) {
	d := newNoiseDuo(t)
	initiation := bytes.Clone(seal(t, 0, d.a, "").Bytes())
	if len(initiation) != 184 {
		t.Fatalf("%d bytes", len(initiation))
	}
	for n := range initiation {
		_, b := d.fresh()
		if _, err := try(b, initiation[:n]); err == nil {
			t.Fatalf("initiation: %d bytes accepted", n)
		}
	}
	for i := range initiation {
		// The index is protected by mac1 too; mac2 is not looked at.
		flipped := bytes.Clone(initiation)
		flipped[i] ^= 0x40
		_, b := d.fresh()
		if _, err := try(b, flipped); (err == nil) != (i >= len(initiation)-16) {
			t.Errorf("initiation, byte %d: %v", i, err)
		}
	}
	d.open(d.b, initiation)
	response := bytes.Clone(seal(t, 0, d.b, "").Bytes())
	for n := range response {
		if _, err := try(d.a, response[:n]); err == nil {
			t.Fatalf("response: %d bytes accepted", n)
		}
	}
	for i := range response[:len(response)-16] {
		flipped := bytes.Clone(response)
		flipped[i] ^= 0x40
		if _, err := try(d.a, flipped); err == nil {
			t.Errorf("response, byte %d: accepted", i)
		}
	}
	d.open(d.a, response)
	data := bytes.Clone(seal(t, 0, d.a, "text").Bytes())
	for n := range data {
		if _, err := try(d.b, data[:n]); err == nil {
			t.Fatalf("data: %d bytes accepted", n)
		}
	}
	for i := range data {
		flipped := bytes.Clone(data)
		flipped[i] ^= 0x40
		if _, err := try(d.b, flipped); err == nil {
			t.Errorf("data, byte %d: accepted", i)
		}
	}
	d.open(d.b, data)
	refuses(t, d.b, data, ErrReplay)
	refuses(t, d.b, initiation, ErrInvalidPacket)
}

func TestNoiseAuthReasons(t *testing.T) {
	ids := identities(t, 3)
	pw := []byte("secret")
	for _, c := range []struct {
		name    string
		user    User
		o       Options
		require bool
		want    error
	}{
		{name: "right", user: User{Name: "u", Password: pw}, o: Options{Password: pw, Login: "u"}, require: true},
		{name: "no logins", user: User{Password: pw}, o: Options{Password: pw}, require: true},
		{name: "login missing", user: User{Name: "u", Password: pw}, o: Options{Password: pw}, want: ErrUnknownAuth},
		{name: "login missing, required", user: User{Name: "u", Password: pw}, o: Options{Password: pw}, require: true, want: ErrAuthRequired},
		{name: "wrong password", user: User{Name: "u", Password: pw}, o: Options{Password: []byte("?"), Login: "u"}, want: ErrUnknownAuth},
		{name: "nothing, required", user: User{Name: "u", Password: pw}, require: true, want: ErrAuthRequired},
		{name: "nothing", user: User{Name: "u", Password: pw}},
		{name: "other address", user: User{Name: "u", Password: pw, IP: ids[2].IP}, o: Options{Password: pw, Login: "u"}, want: ErrIPRestricted},
		{name: "long password", user: User{Name: "u", Password: bytes.Repeat(pw, 20)}, o: Options{Password: bytes.Repeat(pw, 20), Login: "u"}, require: true},
	} {
		users := &Users{}
		if err := users.Set(c.user); err != nil {
			t.Fatal(err)
		}
		c.o.Key, c.o.Noise = ids[1].Public, true
		a := New(&Config{Self: ids[0], Rand: chance(1)}, c.o, 0)
		b := New(&Config{Self: ids[1], Rand: chance(2), Users: users}, Options{RequireAuth: c.require}, 0)
		raw := bytes.Clone(seal(t, 0, a, "").Bytes())
		if _, err := try(b, raw); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
			continue
		}
		if c.want == nil {
			(&duo{t: t, a: New(a.cfg, c.o, 0), b: b}).shakeNoise(0)
		}
	}
	// A message for somebody else does not pass mac1.
	raw := bytes.Clone(seal(t, 0, New(&Config{Self: ids[0], Rand: chance(1)}, Options{Key: ids[2].Public, Noise: true}, 0), "").Bytes())
	refuses(t, New(&Config{Self: ids[1], Rand: chance(1)}, Options{}, 0), raw, ErrHandshakeFailed)
}

func BenchmarkNoise(b *testing.B) {
	for _, size := range []int{64, 1304} {
		b.Run(fmt.Sprintf("seal/size=%d", size), func(b *testing.B) {
			d := newNoiseDuo(b)
			d.shakeNoise(0)
			buf, text := new(pkt.Buf), make([]byte, size)
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				buf.Set(text)
				_ = d.a.Seal(0, buf)
			}
		})
	}
	b.Run("handshake", func(b *testing.B) {
		d := newNoiseDuo(b)
		b.ReportAllocs()
		for b.Loop() {
			d.a.Reset(0)
			d.b.Reset(0)
			d.shakeNoise(0)
		}
	})
}
