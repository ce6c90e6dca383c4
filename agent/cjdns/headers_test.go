package cjdns

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
)

// The headers are those of control frames and data in captures of
// cjdroute 20.7.
func TestSwitchHeader(t *testing.T) {
	for _, c := range []struct {
		raw  string
		want SwitchHeader
	}{
		{"80000000000000010044ffff", SwitchHeader{Label: 0x8000000000000001, Version: 1, LabelShift: 4, TrafficClass: 0xffff}},
		{"80000000000000130004ffff", SwitchHeader{Label: 0x8000000000000013, LabelShift: 4, TrafficClass: 0xffff}},
		{"ce80000000000013034c1234", SwitchHeader{Label: 0xce80000000000013, Congestion: 1, SuppressErrors: true, Version: 1, LabelShift: 12, TrafficClass: 0x1234}},
	} {
		b := unhex(t, c.raw)
		if h, err := ParseSwitchHeader(b); err != nil || h != c.want {
			t.Errorf("ParseSwitchHeader(%s) = %+v, %v, want %+v", c.raw, h, err, c.want)
		}
		put := bytes.Repeat([]byte{0xee}, SwitchHeaderLen+1)
		c.want.Put(put)
		if hex.EncodeToString(put) != c.raw+"ee" {
			t.Errorf("Put writes %x, want %s", put, c.raw)
		}
		eachPrefix(b, func(p []byte) {
			if _, err := ParseSwitchHeader(p); !errors.Is(err, ErrShort) {
				t.Errorf("%d bytes: %v, want ErrShort", len(p), err)
			}
		})
	}
	b := unhex(t, "80000000000000010044ffff")
	PutLabel(b, 0x13)
	if hex.EncodeToString(b) != "00000000000000130044ffff" {
		t.Errorf("PutLabel gives %x", b)
	}
}

func FuzzSwitchHeader(f *testing.F) {
	f.Add(SwitchHeader{Label: 0x13, Version: 1, LabelShift: 4, TrafficClass: 0xffff}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ParseSwitchHeader(b)
		if err != nil {
			if len(b) >= SwitchHeaderLen {
				t.Fatalf("refused %d bytes: %v", len(b), err)
			}
			return
		}
		if got := h.Append(nil); string(got) != string(b[:SwitchHeaderLen]) {
			t.Fatalf("%x parsed to %+v, written back as %x", b[:SwitchHeaderLen], h, got)
		}
	})
}

func TestDataHeader(t *testing.T) {
	b := unhex(t, "10000100"+"6430")
	h, err := ParseDataHeader(b)
	if err != nil || h.ContentType != ContentDHT || h.Version != 1 {
		t.Errorf("ParseDataHeader = %+v, %v", h, err)
	}
	if got := h.Append(nil); string(got) != string(b[:4]) {
		t.Errorf("Append = %x, want %x", got, b[:4])
	}
	put := make([]byte, DataHeaderLen)
	PutDataHeader(put, ContentIPTunnel)
	if hex.EncodeToString(put) != "10000101" {
		t.Errorf("PutDataHeader = %x", put)
	}
	eachPrefix(b[:DataHeaderLen], func(p []byte) {
		if _, err := ParseDataHeader(p); !errors.Is(err, ErrShort) {
			t.Errorf("%d bytes: %v, want ErrShort", len(p), err)
		}
	})
}

func FuzzDataHeader(f *testing.F) {
	f.Add([]byte{0x10, 0, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ParseDataHeader(b)
		if (err != nil) != (len(b) < DataHeaderLen) {
			t.Fatalf("%d bytes: %v", len(b), err)
		}
		if again, err2 := ParseDataHeader(h.Append(nil)); err == nil && (err2 != nil || again != h) {
			t.Fatalf("%+v written and parsed to %+v, %v", h, again, err2)
		}
	})
}

func TestCryptoHeaderOfRealPackets(t *testing.T) {
	for _, v := range vectors(t, "handshake.txt") {
		state, auth, raw := atoi(t, v[0]), atoi(t, v[1]), unhex(t, v[5])
		h, err := ParseCryptoHeader(raw)
		if err != nil {
			t.Fatal(err)
		}
		if h.State != uint32(state) || h.Auth != AuthType(auth) || hex.EncodeToString(h.Lookup[:]) != v[2] ||
			hex.EncodeToString(h.Nonce[:]) != v[3] || h.Key.String() != v[4] || len(h.Sealed) != len(raw)-72 {
			t.Errorf("%s…: parsed to %+v", v[5][:32], h)
		}
		got := h.Append(nil)
		if h.Auth == AuthNone {
			copy(raw[12:14], []byte{0, 0}) // derivations are random without a password
		}
		if !bytes.Equal(got, raw) {
			t.Errorf("written back as %x, want %x", got, raw)
		}
		eachPrefix(raw[:CryptoHeaderLen], func(p []byte) {
			if _, err := ParseCryptoHeader(p); !errors.Is(err, ErrShort) {
				t.Errorf("%d bytes: %v, want ErrShort", len(p), err)
			}
		})
	}
}

func FuzzCryptoHeader(f *testing.F) {
	for _, v := range vectors(f, "handshake.txt") {
		f.Add(unhex(f, v[5]))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ParseCryptoHeader(b)
		if err != nil {
			return
		}
		got := h.Append(nil)
		if len(got) != len(b) || !bytes.Equal(got[:12], b[:12]) || !bytes.Equal(got[16:], b[16:]) {
			t.Fatalf("%x written back as %x", b, got)
		}
	})
}

func TestEthernetFramesOfRealNodes(t *testing.T) {
	beacons := 0
	for _, v := range vectors(t, "ethernet.txt") {
		raw := unhex(t, v[0])
		frame := raw[14:]
		payload, err := ParseEthHeader(frame)
		if err != nil {
			t.Fatal(err)
		}
		if got := append(AppendEthHeader(nil, len(payload)), payload...); !bytes.Equal(got, frame[:len(got)]) {
			t.Errorf("header is %x, written as %x", frame[:EthHeaderLen], got[:EthHeaderLen])
		}
		padded := append(bytes.Clone(frame), make([]byte, 40)...)
		if p, err := ParseEthHeader(padded); err != nil || !bytes.Equal(p, payload) {
			t.Errorf("padding is not cut off: %d bytes, %v", len(p), err)
		}
		eachPrefix(frame, func(p []byte) {
			if _, err := ParseEthHeader(p); !errors.Is(err, ErrShort) {
				t.Errorf("%d of %d bytes: %v, want ErrShort", len(p), len(frame), err)
			}
		})
		if raw[0] != 0xff {
			continue
		}
		beacons++
		b, err := ParseBeacon(payload)
		if err != nil || b.Version != 20 || !b.Key.IP().Valid() {
			t.Errorf("beacon %+v, %v", b, err)
		}
		if got := b.Append(nil); !bytes.Equal(got, payload) {
			t.Errorf("beacon written as %x, want %x", got, payload)
		}
		eachPrefix(payload, func(p []byte) {
			if _, err := ParseBeacon(p); !errors.Is(err, ErrShort) {
				t.Errorf("%d bytes: %v, want ErrShort", len(p), err)
			}
		})
	}
	if beacons != 2 {
		t.Errorf("%d beacons among the vectors, want 2", beacons)
	}
}

func TestEthHeaderRefuses(t *testing.T) {
	good := append(AppendEthHeader(nil, 3), "abc"...)
	for _, c := range []struct {
		name string
		at   int
		v    byte
		want error
	}{
		{"version", 0, 1, ErrEthHeader},
		{"length below the header", 3, 5, ErrEthHeader},
		{"length behind the end", 3, 10, ErrShort},
		{"ethertype", 4, 0xfb, ErrEthHeader},
	} {
		b := bytes.Clone(good)
		b[c.at] = c.v
		if p, err := ParseEthHeader(b); !errors.Is(err, c.want) {
			t.Errorf("%s: %x, %v, want %v", c.name, p, err, c.want)
		}
	}
}

func FuzzEthHeader(f *testing.F) {
	for _, v := range vectors(f, "ethernet.txt") {
		f.Add(unhex(f, v[0])[14:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseEthHeader(b)
		if err == nil && (len(p) > len(b)-EthHeaderLen || !bytes.HasPrefix(b[EthHeaderLen:], p)) {
			t.Fatalf("%x has payload %x", b, p)
		}
	})
}

func TestUDPBeaconsOfRealNodes(t *testing.T) {
	for _, v := range vectors(t, "udpbeacon.txt") {
		raw := unhex(t, v[0])
		b, err := ParseUDPBeacon(raw)
		if err != nil || b.Version != 20 || b.Port < 20001 || b.Port > 20002 || !b.Key.IP().Valid() {
			t.Errorf("%+v, %v", b, err)
		}
		if got := b.Append(nil); !bytes.Equal(got, raw) || len(got) != UDPBeaconLen {
			t.Errorf("written as %x, want %x", got, raw)
		}
		eachPrefix(raw, func(p []byte) {
			if _, err := ParseUDPBeacon(p); !errors.Is(err, ErrShort) {
				t.Errorf("%d bytes: %v, want ErrShort", len(p), err)
			}
		})
		for _, at := range []int{0, 3, 4} {
			bad := bytes.Clone(raw)
			bad[at] ^= 1
			if _, err := ParseUDPBeacon(bad); !errors.Is(err, ErrBeaconMagic) {
				t.Errorf("byte %d changed: %v, want ErrBeaconMagic", at, err)
			}
		}
	}
}

func FuzzUDPBeacon(f *testing.F) {
	for _, v := range vectors(f, "udpbeacon.txt") {
		f.Add(unhex(f, v[0]))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseUDPBeacon(b)
		if err != nil {
			return
		}
		if d, err := ParseUDPBeacon(c.Append(nil)); err != nil || d != c {
			t.Fatalf("%+v written and parsed to %+v, %v", c, d, err)
		}
	})
}

func TestHeaderAllocs(t *testing.T) {
	w := SwitchHeader{Label: 0x13}.Append(nil)
	d := DataHeader{1, ContentDHT}.Append(nil)
	c := make([]byte, 200)
	e := append(AppendEthHeader(nil, 60), make([]byte, 60)...)
	buf := make([]byte, 0, 300)
	if n := testing.AllocsPerRun(100, func() {
		h, _ := ParseSwitchHeader(w)
		buf = h.Append(buf[:0])
		h.Put(w)
		dh, _ := ParseDataHeader(d)
		buf = dh.Append(buf)
		PutDataHeader(d, ContentDHT)
		ch, _ := ParseCryptoHeader(c)
		buf = ch.Append(buf)
		p, _ := ParseEthHeader(e)
		PutEthHeader(e, len(p))
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
