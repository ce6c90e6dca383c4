package rig

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// PingOpts are the options of Node.Ping. The zero value is one ping.
type PingOpts struct {
	Count    int           // 0: 1
	Interval time.Duration // 0: 200 ms
	Wait     time.Duration // for each answer; 0: 1 s
	Size     int           // payload bytes; 0: 56. The packet is 48 longer for IPv6
	DF       bool          // do not let our own kernel fragment (-M do)
}

// PingResult is what one run of ping saw.
type PingResult struct {
	Sent     int
	Received int // without duplicates
	RTT      []time.Duration
	// At holds when each answer came, by sequence number from 1.
	At map[int]time.Time
	// Output is all that ping printed, for error messages.
	Output string
}

// Loss returns the share of lost packets in percent.
func (p PingResult) Loss() float64 {
	if p.Sent == 0 {
		return 100
	}
	return float64(p.Sent-p.Received) * 100 / float64(p.Sent)
}

// Mean returns the average round trip, 0 without any.
func (p PingResult) Mean() time.Duration {
	if len(p.RTT) == 0 {
		return 0
	}
	var sum time.Duration
	for _, d := range p.RTT {
		sum += d
	}
	return sum / time.Duration(len(p.RTT))
}

// Gap returns the longest time without an answer between two answers, and how
// many sequence numbers were lost in it.
func (p PingResult) Gap() (longest time.Duration, lost int) {
	last := 0
	for seq := 1; seq <= p.Sent; seq++ {
		at, ok := p.At[seq]
		if !ok {
			continue
		}
		if last != 0 {
			if d := at.Sub(p.At[last]); d > longest {
				longest, lost = d, seq-last-1
			}
		}
		last = seq
	}
	return longest, lost
}

// Ping runs the system's ping in the namespace. err tells only that ping could
// not be run to its end; lost packets are in the result.
func (n *Node) Ping(ctx context.Context, addr string, o PingOpts) (PingResult, error) {
	if o.Count == 0 {
		o.Count = 1
	}
	if o.Interval == 0 {
		o.Interval = 200 * time.Millisecond
	}
	if o.Wait == 0 {
		o.Wait = time.Second
	}
	argv := []string{
		"ping", "-n", "-D", "-c", strconv.Itoa(o.Count), "-i", seconds(o.Interval), "-W", seconds(o.Wait),
	}
	if o.Size > 0 {
		argv = append(argv, "-s", strconv.Itoa(o.Size))
	}
	if o.DF {
		argv = append(argv, "-M", "do")
	}
	out, err := n.Run(ctx, append(argv, addr)...)
	res := parsePing(out)
	if res.Sent > 0 && ctx.Err() == nil {
		err = nil // ping's exit status only repeats the loss
	}
	return res, err
}

// PingGap is a ping that runs beside what the caller does.
type PingGap struct {
	res  chan PingResult
	err  error
	stop context.CancelFunc
}

// PingWhile starts a ping of count packets in the background; Result waits for
// its end. A gap is measured to within interval.
func (n *Node) PingWhile(addr string, count int, interval time.Duration) *PingGap {
	ctx, stop := context.WithTimeout(context.Background(), time.Duration(count)*interval*3/2+10*time.Second)
	g := &PingGap{res: make(chan PingResult, 1), stop: stop}
	go func() {
		var res PingResult
		res, g.err = n.Ping(ctx, addr, PingOpts{Count: count, Interval: interval})
		g.res <- res
	}()
	return g
}

// Result waits for the ping to end.
func (g *PingGap) Result() (PingResult, error) {
	res := <-g.res
	g.stop()
	return res, g.err
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 3, 64) }

// parsePing reads the output of iputils ping -D.
func parsePing(out string) PingResult {
	res := PingResult{At: map[int]time.Time{}, Output: out}
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if _, tail, ok := strings.Cut(line, " bytes from "); ok && !strings.Contains(line, "DUP!") {
			res.answer(line, tail)
		} else if sent, _, ok := strings.Cut(line, " packets transmitted, "); ok {
			res.Sent, _ = strconv.Atoi(sent)
		}
	}
	res.Received = len(res.At)
	return res
}

// answer reads one line "[time] 64 bytes from A: icmp_seq=1 ttl=42 time=0.31 ms".
func (p *PingResult) answer(line, tail string) {
	var at, ms float64
	var seq int
	if _, err := fmt.Sscanf(line, "[%f]", &at); err != nil {
		return
	}
	for _, f := range strings.Fields(tail) {
		if v, ok := strings.CutPrefix(f, "icmp_seq="); ok {
			seq, _ = strconv.Atoi(v)
		} else if v, ok := strings.CutPrefix(f, "time="); ok {
			ms, _ = strconv.ParseFloat(v, 64)
		}
	}
	if seq == 0 {
		return
	}
	p.At[seq] = time.UnixMicro(int64(at * 1e6))
	p.RTT = append(p.RTT, time.Duration(ms*float64(time.Millisecond)))
}
