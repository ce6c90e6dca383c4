package rig

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Talk is one TCP connection between two nodes on which a number goes there
// and comes back, again and again. It shows whether a connection outlives what
// happens to the network, and how long it stood still.
type Talk struct {
	conn, peer net.Conn
	stop       chan struct{}
	done       chan struct{}

	mu     sync.Mutex
	result TalkResult
	last   time.Time // of the last answer
}

// TalkResult is what came of a Talk.
type TalkResult struct {
	Rounds  int
	Longest time.Duration // between two answers
	Err     error         // why the connection ended, nil while it stands
}

// Talk opens a connection from the node to addr, an address of to, and begins
// to send, a number every step. Close it.
func (n *Node) Talk(to *Node, addr string, step time.Duration) (*Talk, error) {
	l, err := to.Listen("tcp", net.JoinHostPort(addr, "0"))
	if err != nil {
		return nil, err
	}
	defer l.Close()
	type accepted struct {
		c   net.Conn
		err error
	}
	in := make(chan accepted, 1)
	go func() {
		c, err := l.Accept()
		in <- accepted{c, err}
	}()
	t := &Talk{stop: make(chan struct{}), done: make(chan struct{}), last: time.Now()}
	err = n.Do(func() (err error) {
		t.conn, err = net.DialTimeout("tcp", l.Addr().String(), 10*time.Second)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s to %s: %w", n.Name, to.Name, err)
	}
	a := <-in
	if a.err != nil {
		_ = t.conn.Close()
		return nil, a.err
	}
	t.peer = a.c
	go func() { _, _ = io.Copy(t.peer, t.peer) }()
	go t.run(step)
	return t, nil
}

// run sends numbers and waits for each to come back.
func (t *Talk) run(step time.Duration) {
	defer close(t.done)
	var out, in [4]byte
	for i := uint32(1); ; i++ {
		binary.BigEndian.PutUint32(out[:], i)
		_, err := t.conn.Write(out[:])
		if err == nil {
			_, err = io.ReadFull(t.conn, in[:])
		}
		if err == nil && in != out {
			err = fmt.Errorf("number %d came back as %x", i, in)
		}
		now := time.Now()
		t.mu.Lock()
		if err != nil {
			t.result.Err = err
			t.mu.Unlock()
			return
		}
		t.result.Rounds++
		t.result.Longest = max(t.result.Longest, now.Sub(t.last))
		t.last = now
		t.mu.Unlock()
		select {
		case <-t.stop:
			return
		case <-time.After(step):
		}
	}
}

// Result returns what was seen until now. A pause that has not ended yet
// counts.
func (t *Talk) Result() TalkResult {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.result
	r.Longest = max(r.Longest, time.Since(t.last))
	return r
}

// Mark forgets the longest pause, so that the next Result is about what comes.
func (t *Talk) Mark() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.result.Longest = 0
}

// WaitRounds waits until so many more numbers have come back.
func (t *Talk) WaitRounds(n int, d time.Duration) bool {
	want := t.Result().Rounds + n
	return Until(d, 10*time.Millisecond, func() bool { return t.Result().Rounds >= want })
}

// Close ends the connection and returns what was seen.
func (t *Talk) Close() TalkResult {
	r := t.Result()
	close(t.stop)
	_ = t.conn.Close()
	_ = t.peer.Close()
	<-t.done
	return r
}

// Flow is a stream of numbered UDP packets from one node to another.
type Flow struct {
	step       time.Duration
	conn       net.Conn
	sink       net.PacketConn
	stop, done chan struct{}
	begin      time.Time

	mu   sync.Mutex
	sent []time.Duration // since begin, by number
	came map[uint32]time.Duration
}

// flowSize is what each packet of a Flow carries.
const flowSize = 100

// Flow sends a packet every step to addr, an address of to, until Stop.
func (n *Node) Flow(to *Node, addr string, step time.Duration) (*Flow, error) {
	f := &Flow{step: step, stop: make(chan struct{}), done: make(chan struct{}), begin: time.Now(), came: map[uint32]time.Duration{}}
	err := to.Do(func() (err error) {
		f.sink, err = net.ListenPacket("udp", net.JoinHostPort(addr, "0"))
		return err
	})
	if err != nil {
		return nil, err
	}
	if f.conn, err = n.DialUDP(f.sink.LocalAddr().String()); err != nil {
		_ = f.sink.Close()
		return nil, err
	}
	go f.receive()
	go f.send()
	return f, nil
}

func (f *Flow) receive() {
	b := make([]byte, 2048)
	for {
		n, _, err := f.sink.ReadFrom(b)
		if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil || n != flowSize {
			continue
		}
		f.mu.Lock()
		f.came[binary.BigEndian.Uint32(b)] = time.Since(f.begin)
		f.mu.Unlock()
	}
}

func (f *Flow) send() {
	defer close(f.done)
	tick := time.NewTicker(f.step)
	defer tick.Stop()
	b := make([]byte, flowSize)
	for i := uint32(0); ; i++ {
		select {
		case <-f.stop:
			return
		case <-tick.C:
		}
		binary.BigEndian.PutUint32(b, i)
		f.mu.Lock()
		f.sent = append(f.sent, time.Since(f.begin))
		f.mu.Unlock()
		_, _ = f.conn.Write(b) // an error is a loss
	}
}

// FlowResult is what became of the packets of a Flow.
type FlowResult struct {
	Sent, Received int
	// Hole is the longest time over which everything that was sent got lost:
	// from the last packet before to the first after that arrived, both by the
	// time at which they were sent. 0: nothing was lost.
	Hole time.Duration
	// Lost is how many packets are missing in that hole.
	Lost int
	// Pause is the longest time between two arrivals.
	Pause time.Duration
}

// Stop ends the stream, waits for what is under way, and returns the result.
func (f *Flow) Stop() FlowResult {
	close(f.stop)
	<-f.done
	time.Sleep(300 * time.Millisecond)
	_ = f.conn.Close()
	_ = f.sink.Close()
	return f.Result()
}

// Result returns what became of the packets until now.
func (f *Flow) Result() FlowResult {
	f.mu.Lock()
	defer f.mu.Unlock()
	return flowResult(f.sent, f.came)
}

// flowResult counts: sent holds when each number was sent, came when it
// arrived.
func flowResult(sent []time.Duration, came map[uint32]time.Duration) (r FlowResult) {
	r.Sent = len(sent)
	last := -1
	var latest time.Duration
	for i, at := range sent {
		arrived, ok := came[uint32(i)]
		if !ok {
			continue
		}
		r.Received++
		if last >= 0 {
			if d := at - sent[last]; i-last > 1 && d > r.Hole {
				r.Hole, r.Lost = d, i-last-1
			}
			r.Pause = max(r.Pause, arrived-latest)
		}
		last, latest = i, max(latest, arrived)
	}
	if lost := len(sent) - 1 - last; last >= 0 && lost > r.Lost { // it ends within a hole
		r.Hole, r.Lost = sent[len(sent)-1]-sent[last], lost
	}
	return r
}
