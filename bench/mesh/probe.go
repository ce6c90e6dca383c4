package main

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// probePort is where every node answers, and probeSize the payload of a probe.
const (
	probePort = 9
	probeSize = 600
)

// prober sends numbered UDP packets between the nodes and notes which came
// back. One goroutine per node reads; answers keep number and time.
type prober struct {
	conns []*net.UDPConn
	addrs []netip.AddrPort

	mu   sync.Mutex
	back map[uint64]time.Time // by number: when the answer came
	next uint64
}

// Bytes of a probe: 1 kind, 8 number.
const (
	ask    = 0
	answer = 1
)

// newProber opens a socket on each node's address.
func newProber(w *world) (*prober, error) {
	p := &prober{back: map[uint64]time.Time{}}
	for i, n := range w.nodes {
		addr := netip.AddrPortFrom(netip.MustParseAddr(w.addrs[i]), probePort)
		var c *net.UDPConn
		err := n.Do(func() (err error) {
			c, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(addr))
			return err
		})
		if err != nil {
			p.close()
			return nil, err
		}
		p.conns, p.addrs = append(p.conns, c), append(p.addrs, addr)
		go p.read(c)
	}
	return p, nil
}

func (p *prober) close() {
	for _, c := range p.conns {
		_ = c.Close()
	}
}

func (p *prober) read(c *net.UDPConn) {
	buf := make([]byte, 2048)
	for {
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue // an ICMP error of an earlier probe
		}
		if n < 9 {
			continue
		}
		if buf[0] == ask {
			buf[0] = answer
			_, _ = c.WriteToUDPAddrPort(buf[:n], from)
			continue
		}
		number := binary.BigEndian.Uint64(buf[1:])
		p.mu.Lock()
		if _, twice := p.back[number]; !twice {
			p.back[number] = time.Now()
		}
		p.mu.Unlock()
	}
}

// send sends one probe and returns its number. Without a route it is lost.
func (p *prober) send(from, to int) uint64 {
	p.mu.Lock()
	p.next++
	number := p.next
	p.mu.Unlock()
	var b [probeSize]byte
	b[0] = ask
	binary.BigEndian.PutUint64(b[1:], number)
	_, _ = p.conns[from].WriteToUDPAddrPort(b[:], p.addrs[to])
	return number
}

// came reports whether the answer to a probe has come.
func (p *prober) came(number uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.back[number]
	return ok
}

// reachAll probes all ordered pairs until each had an answer, and returns how
// long that took from start on, or how many pairs were without at the end.
func (p *prober) reachAll(start time.Time, limit time.Duration) (took time.Duration, missing int) {
	const every = 100 * time.Millisecond
	type pair struct{ from, to int }
	open := map[pair][]uint64{}
	for i := range p.conns {
		for j := range p.conns {
			if i != j {
				open[pair{i, j}] = nil
			}
		}
	}
	for len(open) > 0 && time.Since(start) < limit {
		for k := range open {
			open[k] = append(open[k], p.send(k.from, k.to))
		}
		for end := time.Now().Add(every); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			for k, numbers := range open {
				for _, n := range numbers {
					if p.came(n) {
						delete(open, k)
						break
					}
				}
			}
			if len(open) == 0 {
				break
			}
		}
	}
	return time.Since(start), len(open)
}

// stream is a row of probes from one node to another.
type stream struct {
	at      []time.Time
	numbers []uint64
	stop    chan struct{}
	done    chan struct{}
}

// start sends a probe each interval until end.
func (p *prober) start(from, to int, interval time.Duration) *stream {
	s := &stream{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-s.stop:
				return
			case <-tick.C:
				s.at = append(s.at, time.Now())
				s.numbers = append(s.numbers, p.send(from, to))
			}
		}
	}()
	return s
}

// end stops the stream, waits for late answers and returns, for each probe,
// when it was sent and whether it came back.
func (p *prober) end(s *stream) (at []time.Time, ok []bool) {
	close(s.stop)
	<-s.done
	time.Sleep(300 * time.Millisecond)
	for _, n := range s.numbers {
		ok = append(ok, p.came(n))
	}
	return s.at, ok
}
