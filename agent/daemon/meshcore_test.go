package daemon

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mesh"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/netio"
	"github.com/meshagent/meshagent/agent/pkt"
)

// wire is a Conn that keeps what is written until somebody takes it. Its
// slots are allocated once.
type wire struct {
	netio.Conn
	slots [256]pkt.Buf
	n     int
}

func (w *wire) WriteBatch(bufs []*pkt.Buf) (int, error) {
	for _, b := range bufs {
		if w.n < len(w.slots) {
			w.slots[w.n].CopyFrom(b)
			w.n++
		}
	}
	return len(bufs), nil
}

// pair is two engines with a mesh each, joined by a wire, on one goroutine
// and in time of their own.
type pair struct {
	now  mono.Time
	e    [2]*engine
	air  [2]*wire
	tap  [2]*wire
	in   inbound
	free chan *pkt.Batch
}

func newPair(t testing.TB) *pair {
	p := &pair{free: make(chan *pkt.Batch, 1)}
	p.in = inbound{batch: &pkt.Batch{Bufs: make([]*pkt.Buf, 64)}, free: p.free}
	for i := range p.in.batch.Bufs {
		p.in.batch.Bufs[i] = new(pkt.Buf)
	}
	log := newMeshLog(slog.New(slog.DiscardHandler))
	for i := range p.e {
		cfg := mesh.Default()
		cfg.OrigInterval, cfg.BLA = 100*time.Millisecond, false
		e := newEngine(64)
		e.mesh = newMeshCore(mesh.Options{Config: cfg, Seed: [32]byte{byte(i)}}, 0, &e.pool, log)
		p.e[i], p.air[i], p.tap[i] = e, new(wire), new(wire)
		e.mesh.air.set(3, p.air[i])
		e.mesh.tap = p.tap[i]
		if err := e.mesh.mesh.SetIface(0, 3, mesh.IfaceConfig{Name: "air", MAC: airMAC(i), MTU: 1500}, &e.mesh.out); err != nil {
			t.Fatal(err)
		}
		e.mesh.mesh.SetMeshIface(0, mesh.MeshIfaceConfig{Name: "bat0", MAC: clientMAC(i), MTU: 1500}, &e.mesh.out)
	}
	return p
}

func airMAC(i int) batman.MAC    { return batman.MAC{2, 0, 0, 0, 1, byte(i)} }
func clientMAC(i int) batman.MAC { return batman.MAC{2, 0, 0, 0, 2, byte(i)} }

// feed gives engine i the frames of a wire.
func (p *pair) feed(i int, w *wire, from source) {
	for at := 0; at < w.n; {
		p.in.n, p.in.from = 0, from
		for ; at < w.n && p.in.n < len(p.in.batch.Bufs); at++ {
			p.in.batch.Bufs[p.in.n].CopyFrom(&w.slots[at])
			p.in.n++
		}
		p.e[i].take(p.now, p.in)
		<-p.free
	}
	w.n = 0
}

// settle carries frames to and fro until nothing is under way.
func (p *pair) settle() {
	for range 10 {
		for i, e := range p.e {
			e.mesh.expire(p.now)
			e.mesh.flush(p.now, &e.pool)
			p.feed(1-i, p.air[i], fromAir)
		}
	}
}

// send lets a program at the mesh device of engine 0 send frames to that of
// engine 1, and reports how many arrived.
func (p *pair) send(frame []byte, count int) int {
	w := p.tap[0]
	for w.n = 0; w.n < count; w.n++ {
		w.slots[w.n].Set(frame)
	}
	p.tap[1].n = 0
	p.feed(0, w, fromTAP)
	p.e[0].mesh.flush(p.now, &p.e[0].pool)
	p.feed(1, p.air[0], fromAir)
	p.e[1].mesh.flush(p.now, &p.e[1].pool)
	return p.tap[1].n
}

// converge runs until frames get through.
func (p *pair) converge(t testing.TB, frame []byte) {
	for range 2000 {
		p.now = p.now.Add(10 * time.Millisecond)
		p.settle()
		if p.now > mono.Time(8*time.Second) && p.send(frame, 1) == 1 {
			return
		}
	}
	t.Fatal("no frame gets through")
}

func clientFrame(n int) []byte {
	f := make([]byte, n)
	dst, src := clientMAC(1), clientMAC(0)
	copy(f, dst[:])
	copy(f[6:], src[:])
	f[12], f[13] = 0x88, 0xb5
	return f
}

// TestMeshPathAllocates: a client's frame, whole or cut, costs no allocation
// on its way from mesh device to mesh device.
func TestMeshPathAllocates(t *testing.T) {
	for _, size := range []int{60, 1400, 1514} {
		p := newPair(t)
		frame := clientFrame(size)
		p.converge(t, frame)
		lost := 0
		n := testing.AllocsPerRun(100, func() { lost += 32 - p.send(frame, 32) })
		if n != 0 || lost != 0 {
			t.Errorf("%d bytes: %v allocations for 32 frames, %d lost", size, n, lost)
		}
	}
}

// BenchmarkMeshPath is one frame from mesh device to mesh device: two nodes'
// work, without system calls.
func BenchmarkMeshPath(b *testing.B) {
	for _, size := range []int{60, 1400, 1514} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			p := newPair(b)
			frame := clientFrame(size)
			p.converge(b, frame)
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for i := 0; i < b.N; i += 32 {
				p.send(frame, 32)
			}
		})
	}
}

// TestMeshGoneKeepsBuffers: batches that arrive after the mesh was switched
// off go back to their reader as they are.
func TestMeshGoneKeepsBuffers(t *testing.T) {
	p := newPair(t)
	e := p.e[0]
	e.mesh = nil
	first := p.in.batch.Bufs[0]
	p.in.n, p.in.from = 1, fromAir
	e.take(0, p.in)
	if b := <-p.free; b != p.in.batch || b.Bufs[0] != first {
		t.Error("the batch was changed")
	}
	if d := e.mesh.deadline(); d != mono.Never {
		t.Errorf("deadline without a mesh: %v", d)
	}
}

// TestMeshEndAnswers: a command that waits is told that the mesh has ended.
func TestMeshEndAnswers(t *testing.T) {
	c := newPair(t).e[0].mesh
	ch := make(chan meshAnswer, 1)
	c.waits[7] = ch
	c.end(5)
	if a := <-ch; a.Err == "" || a.at != 5 || len(c.waits) != 0 {
		t.Errorf("answer %+v, %d left", a, len(c.waits))
	}
}

// TestMeshAPIsolation: two clients on Wi-Fi behind different nodes do not
// reach each other, all others do.
func TestMeshAPIsolation(t *testing.T) {
	for _, c := range []struct {
		isolate, wifi0, wifi1 bool
		want                  int
	}{{true, true, true, 0}, {true, true, false, 1}, {true, false, true, 1}, {false, true, true, 1}} {
		p := newPair(t)
		frame := clientFrame(100)
		p.converge(t, frame)
		for i, wifi := range []bool{c.wifi0, c.wifi1} {
			core := p.e[i].mesh
			cfg := mesh.Default()
			cfg.OrigInterval, cfg.BLA, cfg.APIsolation = 100*time.Millisecond, false, c.isolate
			core.mesh.SetConfig(p.now, cfg, &core.out)
			if wifi {
				core.mesh.SetWifiClients([]batman.MAC{clientMAC(i), {2, 9}})
			}
		}
		// Both speak, so that the marks are announced.
		back := clientFrame(100)
		copy(back, frame[6:12])
		copy(back[6:], frame[:6])
		p.send(frame, 1)
		p.tap[1].n = 1
		p.tap[1].slots[0].Set(back)
		p.feed(1, p.tap[1], fromTAP)
		for range 100 {
			p.now = p.now.Add(10 * time.Millisecond)
			p.settle()
		}
		if got := p.send(frame, 1); got != c.want {
			t.Errorf("%+v: %d frames came through", c, got)
		}
	}
}
