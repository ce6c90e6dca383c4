package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// result is one run of one kind. CPU figures are of all daemons together, zero
// for the bare cable.
type result struct {
	kind string
	v    [len(columns)]float64
}

// columns of the table, in order; the names carry the units.
var columns = [...]string{
	"tcp_mbit_s", "tcp_cpu_s_per_gb", "udp_mbit_s", "udp_loss_percent", "udp_cpu_us_per_packet",
	"rtt_idle_ms", "rtt_load_ms", "rss_start_mb", "rss_load_mb", "rss_idle_mb",
}

// Indexes of columns.
const (
	tcpRate = iota
	tcpCPU
	udpRate
	udpLoss
	udpCPU
	rttIdle
	rttLoad
	rssStart
	rssLoad
	rssIdle
)

// udpPayload is what each UDP packet carries; it fits into every kind's MTU.
const udpPayload = 1200

// measure sets one kind up and runs the tests on it.
func measure(k kind, o options) (res result, err error) {
	res.kind = k.name
	r := rig.New(rig.Config{})
	defer r.Close()
	defer func() {
		if p := recover(); p != nil { // a building step that failed
			err = fmt.Errorf("%v", p)
		}
	}()
	r.CloseOnSignal()
	a, b := r.Node("a"), r.Node("b")
	to, daemons := k.start(r, a, b)
	if !rig.Until(20*time.Second, 50*time.Millisecond, func() bool {
		p, _ := a.Ping(context.Background(), to, rig.PingOpts{Wait: 300 * time.Millisecond})
		return p.Received == 1
	}) {
		return res, fmt.Errorf("no ping comes back")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(4*o.secs+60)*time.Second+o.idle)
	defer cancel()
	res.v[rssStart] = rss(daemons)
	if res.v[rttIdle], err = rtt(ctx, a, to, 100); err != nil {
		return res, err
	}
	b.Start("iperf3", "iperf3", "-s")
	time.Sleep(300 * time.Millisecond)

	loaded := make(chan float64, 1)
	go func() {
		time.Sleep(500 * time.Millisecond)
		ms, _ := rtt(ctx, a, to, (o.secs-1)*20)
		loaded <- ms
	}()
	before := cpu(daemons)
	tcp, err := a.Iperf(ctx, to, o.secs)
	if err != nil {
		return res, err
	}
	res.v[tcpRate] = tcp.End.Received.Bits / 1e6
	res.v[tcpCPU] = (cpu(daemons) - before).Seconds() / (tcp.End.Received.Bytes / 1e9)
	res.v[rttLoad] = <-loaded

	before = cpu(daemons)
	udp, err := a.Iperf(ctx, to, o.secs, "-u", "-b", "0", "-l", strconv.Itoa(udpPayload))
	if err != nil {
		return res, err
	}
	sum := udp.End.Sum
	delivered := sum.Packets - sum.Lost
	if sum.Packets > 0 && delivered > 0 {
		res.v[udpRate] = delivered * udpPayload * 8 / float64(o.secs) / 1e6
		res.v[udpLoss] = sum.Lost * 100 / sum.Packets
		res.v[udpCPU] = float64((cpu(daemons) - before).Microseconds()) / delivered
	}
	res.v[rssLoad] = rss(daemons)
	if o.idle > 0 {
		time.Sleep(o.idle)
		res.v[rssIdle] = rss(daemons)
	}
	return res, nil
}

// cpu returns the processor time of all daemons.
func cpu(daemons []*rig.Proc) (sum time.Duration) {
	for _, d := range daemons {
		sum += d.CPU()
	}
	return sum
}

// rss returns the memory of the largest daemon in MB.
func rss(daemons []*rig.Proc) (max float64) {
	for _, d := range daemons {
		if mb := float64(d.RSS()) / (1 << 20); mb > max {
			max = mb
		}
	}
	return max
}

// rtt returns the median of count pings in ms.
func rtt(ctx context.Context, from *rig.Node, to string, count int) (float64, error) {
	p, err := from.Ping(ctx, to, rig.PingOpts{Count: count, Interval: 20 * time.Millisecond})
	if err != nil || len(p.RTT) == 0 {
		return 0, fmt.Errorf("ping: %d answers, %w", p.Received, err)
	}
	slices.Sort(p.RTT)
	return float64(p.RTT[len(p.RTT)/2].Microseconds()) / 1e3, nil
}

// table renders the medians, one kind a line.
func table(all []result, kinds []kind) string {
	var b strings.Builder
	head := []string{"TCP", "CPU", "UDP 1200", "loss", "CPU", "RTT idle", "loaded", "RSS start", "loaded", "idle"}
	unit := []string{"Mbit/s", "s/GB", "Mbit/s", "%", "us/packet", "ms", "ms", "MB", "MB", "MB"}
	for _, row := range [][]string{head, unit} {
		fmt.Fprintf(&b, "%-14s", "")
		for _, c := range row {
			fmt.Fprintf(&b, "%10s", c)
		}
		b.WriteByte('\n')
	}
	for _, k := range kinds {
		fmt.Fprintf(&b, "%-14s", k.name)
		for c := range columns {
			var values []float64
			for _, r := range all {
				if r.kind == k.name {
					values = append(values, r.v[c])
				}
			}
			if len(values) == 0 {
				continue
			}
			slices.Sort(values)
			fmt.Fprintf(&b, "%10s", number(values[len(values)/2]))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// number prints three digits, and a dash for what was not measured.
func number(v float64) string {
	switch {
	case v == 0:
		return "-"
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// csv renders every run.
func csv(all []result) string {
	var b strings.Builder
	b.WriteString("kind," + strings.Join(columns[:], ",") + "\n")
	for _, r := range all {
		b.WriteString(r.kind)
		for _, v := range r.v {
			b.WriteString("," + strconv.FormatFloat(v, 'g', 6, 64))
		}
		b.WriteByte('\n')
	}
	return b.String()
}
