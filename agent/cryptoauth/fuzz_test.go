package cryptoauth

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// stages of a session in which strangers may send it anything.
const (
	stageNew = iota
	stageCalling
	stageCalled
	stageAnswered
	stageKey
	stageEstablished
	stageRenewing
	stages // the same again with Noise
)

// at brings a new pair to a stage and returns the session under test, its
// peer, and the packets that passed.
func (d *duo) at(stage int) (s, peer *Session, passed [][]byte) {
	s, peer = d.b, d.a
	if stage == stageCalling || stage == stageKey {
		s, peer = d.a, d.b
	}
	pass := func(from, to *Session) {
		raw := bytes.Clone(seal(d.t, 0, from, "text").Bytes())
		passed = append(passed, raw)
		if to != nil {
			d.open(to, raw)
		}
	}
	switch stage {
	case stageCalling:
		pass(s, nil)
	case stageCalled:
		pass(peer, s)
	case stageAnswered:
		pass(peer, s)
		pass(s, nil)
	case stageKey:
		pass(s, peer)
		pass(peer, s)
	case stageEstablished, stageRenewing:
		for range 2 {
			pass(peer, s)
			pass(s, peer)
		}
		if stage == stageRenewing {
			s.Renew(0)
			pass(s, nil)
		}
	}
	return s, peer, passed
}

// FuzzOpen sends a session in one of its stages what strangers can: anything,
// and what passed before, whole or changed. It must not panic, must not
// believe, and an established session must go on.
func FuzzOpen(f *testing.F) {
	d := newDuo(f)
	r := d.record()
	for stage := range byte(2 * stages) {
		f.Add(stage, []byte{0, 0, 0, 1, 3, 7, 2, 200, 1, 0})
		f.Add(stage, append([]byte{4, byte(len(r.hello))}, r.hello...))
		f.Add(stage, append([]byte{4, byte(len(r.fromA))}, r.fromA...))
	}
	for _, v := range readNoiseVectors(f).Vectors {
		f.Add(byte(0), append([]byte{4, byte(len(v.Initiation))}, v.Initiation...))
		f.Add(byte(stages+stageCalling), append([]byte{4, byte(len(v.Response))}, v.Response...))
	}
	f.Fuzz(func(t *testing.T, stage byte, program []byte) {
		d := newDuo(t)
		if stage%(2*stages) >= stages {
			d = newNoiseDuo(t)
		}
		s, peer, passed := d.at(int(stage % stages))
		cur, up := s.cur, s.Established()
		now := mono.Time(0)
		for len(program) >= 2 && now < 5*second {
			op, arg := program[0], int(program[1])
			program = program[2:]
			now += 50 * ms
			var b pkt.Buf
			switch op % 6 {
			case 0, 1: // what passed, perhaps changed
				if len(passed) == 0 {
					continue
				}
				raw := bytes.Clone(passed[arg%len(passed)])
				if op%6 == 1 && len(program) >= 2 {
					raw[int(program[0])%len(raw)] ^= program[1]
					program = program[2:]
				}
				b.Set(raw)
			case 2: // the same, shortened
				if len(passed) == 0 {
					continue
				}
				raw := passed[arg%len(passed)]
				b.Set(raw[:arg*len(raw)/256])
			case 3: // our own side sends
				b.Set(make([]byte, arg))
				_ = s.SealCandidate(now, &b)
				continue
			default:
				n := min(arg, len(program))
				b.Set(program[:n])
				program = program[n:]
			}
			_ = s.cfg.CheckAuth(b.Bytes(), true)
			ProbeHello(b.Bytes())
			IsHandshake(b.Bytes())
			var c pkt.Buf
			c.CopyFrom(&b)
			_, _ = s.cfg.CheckNoise(now, &c, op&8 != 0)
			ev, err := s.Open(now, &b)
			if ev&(Fresh|Promoted) != 0 && up {
				t.Fatalf("a stranger was believed: %04b %v", ev, err)
			}
			if up && s.cur != cur {
				t.Fatal("a stranger changed the current transport")
			}
		}
		if up && peer.Established() {
			var b pkt.Buf
			b.Set([]byte("still here"))
			if err := peer.Seal(now, &b); err != nil {
				t.Fatal(err)
			}
			if ev, err := s.Open(now, &b); err != nil || ev != Fresh || string(b.Bytes()) != "still here" {
				t.Fatalf("the session does not go on: %04b %v %q", ev, err, b.Bytes())
			}
		}
	})
}

// FuzzAdditional: padding changes nothing, and what we write can be read.
func FuzzAdditional(f *testing.F) {
	for _, s := range []string{"030416000000010803e85875cfc21f24", "0000030416000000", "000101"} {
		raw, _ := hex.DecodeString(s)
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		named, version, ok := parseAdditional(b)
		if !ok {
			return
		}
		again, v, ok := parseAdditional(append([]byte{0, 2, 0, 0}, b...))
		if !ok || again != named || v != version {
			t.Fatalf("padding changed %x %d to %x %d", named, version, again, v)
		}
		var auth *noiseAuth
		if named != (challenge{}) {
			auth = &noiseAuth{named: named}
		}
		out := appendAdditional(nil, version, auth)
		if again, v, ok := parseAdditional(out); !ok || again != named || v != version || len(out)%4 != 0 {
			t.Fatalf("wrote %x, read %x %d", out, again, v)
		}
	})
}
