package cryptoauth

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// capture is a recording of real nodes, with all their secrets.
type capture struct {
	nodes   map[string]*Identity
	temps   map[[32]byte][32]byte // private by public temporary key
	secrets []*userEntry
	packets []captured
}

type captured struct {
	at       mono.Time
	from, to string
	raw      []byte
}

func readCapture(t testing.TB, name string) *capture {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c := &capture{nodes: map[string]*Identity{}, temps: map[[32]byte][32]byte{}}
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		w := strings.Fields(sc.Text())
		if len(w) == 0 || w[0] == "#" {
			continue
		}
		last := w[len(w)-1]
		if w[0] == "password" {
			last = w[1]
		}
		raw, err := hex.DecodeString(last)
		if err != nil {
			t.Fatal(err)
		}
		switch w[0] {
		case "node":
			if c.nodes[w[1]], err = NewIdentity(cjdns.PrivateKey(raw)); err != nil {
				t.Fatal(err)
			}
		case "temp":
			c.temps[publicKey((*[32]byte)(raw))] = [32]byte(raw)
		case "password":
			e := &userEntry{User: User{Name: w[2]}, secret: [32]byte(raw), byLogin: loginChallenge(w[2])}
			e.byPassword = passwordChallenge(&e.secret)
			c.secrets = append(c.secrets, e)
		default:
			ms, err := strconv.Atoi(w[0])
			if err != nil {
				t.Fatal(err)
			}
			c.packets = append(c.packets, captured{mono.Time(ms) * mono.Time(time.Millisecond), w[1], w[2], raw})
		}
	}
	return c
}

// script is the chance of one node: the bytes of the packet being imitated.
type script struct {
	t    testing.TB
	temp [32]byte
	raw  []byte
}

func (s *script) rand(b []byte) {
	switch len(b) {
	case 32:
		copy(b, s.temp[:])
	case 24:
		copy(b, s.raw[16:40])
	case 9:
		copy(b, s.raw[5:14])
	default:
		s.t.Errorf("%d random bytes asked for", len(b))
	}
}

// replayer has one of our sessions at each end of each recorded session.
type replayer struct {
	t        *testing.T
	c        *capture
	script   script
	sessions map[[3]string]*Session  // layer, own name, peer's name
	handles  map[[2]string][2]string // node and its handle: receiver, sender
	seen     map[string]bool         // inner packets, which pass several times
	opened   map[string]int
	same     map[string]int
	skipped  map[string]int
}

func (r *replayer) session(layer, own, peer string) *Session {
	k := [3]string{layer, own, peer}
	if s := r.sessions[k]; s != nil {
		return s
	}
	cfg := &Config{Self: r.c.nodes[own], Rand: r.script.rand, Users: &Users{}}
	s := New(cfg, Options{Key: r.c.nodes[peer].Public}, 0)
	if layer == "outer" {
		cfg.Users.list = r.c.secrets
	}
	r.sessions[k] = s
	return s
}

// step lets the receiver open the packet and the sender make it again.
func (r *replayer) step(layer string, now mono.Time, from, to string, raw []byte) (plain []byte, ok bool) {
	word := binary.BigEndian.Uint32(raw)
	recv, send := r.session(layer, to, from), r.session(layer, from, to)
	var b pkt.Buf
	b.Set(raw)
	if _, err := recv.Open(now, &b); err != nil {
		return nil, false
	}
	r.opened[layer]++
	plain = bytes.Clone(b.Bytes())

	r.script.raw = raw
	can := send.cur != nil
	if word < firstNonce {
		temp := [32]byte(b.Push(32))
		if r.script.temp, ok = r.c.temps[temp]; !ok {
			r.t.Fatal("the recording does not know the temporary key")
		}
		send.auth = outAuth{}
		for _, e := range r.c.secrets {
			if named := challenge(raw[4:12]); named == e.byLogin || named == e.byPassword {
				send.auth = outAuth{password: []byte("x"), secret: e.secret, named: named}
			}
		}
		if word == cjdns.StateHello {
			send.Renew(now)
		}
		can = word <= cjdns.StateRepeatHello && send.out.waiting() && send.out.sent == (word == cjdns.StateRepeatHello) ||
			word >= cjdns.StateKey && send.in.live && send.in.answered == (word == cjdns.StateRepeatKey)
		if word == cjdns.StateHello {
			can = true
		}
	} else if can {
		send.cur.next = uint64(word)
	}
	if !can {
		r.skipped[layer]++
		return plain, true
	}
	b.Set(plain)
	if err := send.SealCandidate(now, &b); err != nil {
		r.t.Fatalf("seal: %v", err)
	}
	if !bytes.Equal(b.Bytes(), raw) {
		r.t.Errorf("%s at %v, word %d: made\n%x, want\n%x", layer, now, word, b.Bytes(), raw)
	}
	r.same[layer]++
	return plain, true
}

// inner takes the inner packet out of a switch frame.
func (r *replayer) inner(now mono.Time, frame []byte) {
	body := frame[cjdns.SwitchHeaderLen:]
	word := binary.BigEndian.Uint32(body)
	if word == 0xffffffff || r.seen[string(body)] {
		return
	}
	r.seen[string(body)] = true
	if word < firstNonce {
		var from string
		for name, id := range r.c.nodes {
			if id.Public == cjdns.Key(body[40:72]) {
				from = name
			}
		}
		for to := range r.c.nodes {
			if to == from {
				continue
			}
			if plain, ok := r.step("inner", now, from, to, body); ok {
				r.handles[[2]string{to, string(plain[:4])}] = [2]string{from, to}
				return
			}
		}
		r.t.Errorf("at %v: inner handshake %d from %s opens nowhere", now, word, from)
		return
	}
	for _, ends := range r.handles {
		// The handle names the receiver only if we know who sends, and the
		// keys say that best.
		if r.handles[[2]string{ends[1], string(body[:4])}] != ends {
			continue
		}
		if _, ok := r.step("inner", now, ends[1], ends[0], body[4:]); ok {
			return
		}
	}
	r.t.Errorf("at %v: inner traffic for handle %d opens nowhere", now, word)
}

// TestRecordedSessions replays real sessions: ours must open every packet at
// both ends, and given the same chance make the same bytes.
func TestRecordedSessions(t *testing.T) {
	for _, c := range []struct {
		name                 string
		outer, inner         int // packets opened
		outerSkip, innerSkip int // packets that our state machine would not have sent
	}{
		{name: "two_udp", outer: 70, inner: 56},
		{name: "two_udp_beacon", outer: 78, inner: 55, outerSkip: 3},
		{name: "two_eth", outer: 85, inner: 68},
		{name: "chain3", outer: 110, inner: 73},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &replayer{
				t: t, c: readCapture(t, c.name), sessions: map[[3]string]*Session{},
				handles: map[[2]string][2]string{}, seen: map[string]bool{},
				opened: map[string]int{}, same: map[string]int{}, skipped: map[string]int{},
			}
			r.script.t = t
			for i, p := range r.c.packets {
				plain, ok := r.step("outer", p.at, p.from, p.to, p.raw)
				if !ok {
					t.Errorf("packet %d at %v from %s does not open: word %x", i, p.at, p.from, p.raw[:4])
					continue
				}
				r.inner(p.at, plain)
			}
			got := [4]int{r.opened["outer"], r.opened["inner"], r.skipped["outer"], r.skipped["inner"]}
			if want := [4]int{c.outer, c.inner, c.outerSkip, c.innerSkip}; got != want {
				t.Errorf("opened outer, inner, skipped outer, inner: %v, want %v", got, want)
			}
		})
	}
}
