package main

import (
	"context"
	"flag"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/peterbourgon/ff/v3/ffcli"

	"github.com/meshagent/meshagent/agent/admin"
	"github.com/meshagent/meshagent/agent/batman"
)

// Lengths of pings, in bytes. Source: batman-adv batadv_packet.h.
const (
	batPingLen = 20
	batRRLen   = 116 // with room for a route
)

const batTargetHelp = "A target is the MAC of a node or of one of its clients, a name of /etc/bat-hosts,\n" +
	"or the IPv4 address of a client that the distributed ARP table knows."

// batTarget finds the node that a command is about. plain does without
// looking for the node behind a client.
func (a *app) batTarget(ctx context.Context, hosts batHosts, text string, plain bool) (admin.MeshTarget, error) {
	var t admin.MeshTarget
	err := a.call(ctx, "mesh.translate", map[string]any{"target": hosts.target(text)}, &t)
	if plain {
		t.Originator = t.MAC
	}
	t.Target = text
	return t, err
}

// batPing sends one ping.
func (a *app) batPing(ctx context.Context, dst batman.MAC, ttl int, rr bool, wait time.Duration) (r admin.MeshPingReply, err error) {
	err = a.call(ctx, "mesh.ping", map[string]any{
		"target": dst.String(), "translate": false, "ttl": ttl, "record_route": rr, "timeout_ms": max(1, wait.Milliseconds()),
	}, &r)
	return r, err
}

// pingRun is what "bat ping --json" prints.
type pingRun struct {
	Target      string                `json:"target"`
	Originator  batman.MAC            `json:"originator"`
	Replies     []admin.MeshPingReply `json:"replies"`
	Transmitted int                   `json:"transmitted"`
	Received    int                   `json:"received"`
}

func (a *app) batPingCommand() *ffcli.Command {
	var p struct {
		count          int
		interval, wait seconds
		rr, plain      bool
	}
	p.wait = seconds(time.Second)
	const usage = "bat ping [-c COUNT] [-i SECONDS] [-t SECONDS] [-R] [-T] TARGET [--json]"
	c := a.batSub("ping", "TARGET", "ask a node of the mesh whether it is there", func(fs *flag.FlagSet) {
		fs.IntVar(&p.count, "c", 0, "how many pings; 0: until interrupted")
		fs.Var(&p.interval, "i", "`seconds` from an answer to the next ping; without it, one ping a second")
		fs.Var(&p.wait, "t", "`seconds` to wait for an answer")
		fs.BoolVar(&p.rr, "R", false, "print the way there and back")
		fs.BoolVar(&p.plain, "T", false, "the target is a node, do not look for the node of a client")
	}, func(ctx context.Context, args []string) error {
		if err := wantArgs(args, 1, usage); err != nil {
			return err
		}
		switch {
		case p.count < 0:
			return usagef("-c: expected 0 or more")
		case time.Duration(p.wait) > admin.MaxMeshPingTimeout:
			return usagef("-t: expected at most %s", admin.MaxMeshPingTimeout)
		}
		hosts := loadBatHosts(a.getenv)
		t, err := a.batTarget(ctx, hosts, args[0], p.plain)
		if err != nil {
			return err
		}
		run := &pingRun{Target: t.Target, Originator: t.Originator, Replies: []admin.MeshPingReply{}}
		o := &pingPrinter{app: a, hosts: hosts, run: run, rr: p.rr}
		o.begin()
		for p.count == 0 || run.Transmitted < p.count {
			if run.Transmitted > 0 {
				wait := time.Duration(p.interval)
				if wait == 0 {
					wait = max(0, time.Duration(p.wait)-o.lastRTT) // as batctl: the rest of the patience
				}
				if !pause(ctx, wait) {
					break
				}
			}
			reply, err := a.batPing(ctx, t.Originator, admin.MeshTTL, p.rr, time.Duration(p.wait))
			if ctx.Err() != nil {
				break
			}
			if err != nil {
				return err
			}
			o.reply(reply)
		}
		return o.end()
	})
	c.LongHelp += "\n\n" + batTargetHelp
	return c
}

// pingPrinter prints pings as batctl does, or keeps them for JSON.
type pingPrinter struct {
	app     *app
	hosts   batHosts
	run     *pingRun
	rr      bool
	route   []batman.MAC // of the answer before
	lastRTT time.Duration

	least, most, sum, squares float64 // of the answers, ms
}

func (o *pingPrinter) printf(format string, args ...any) {
	if !o.app.json {
		fmt.Fprintf(o.app.stdout, format, args...)
	}
}

func (o *pingPrinter) begin() {
	n := batPingLen
	if o.rr {
		n = batRRLen
	}
	o.printf("PING %s (%s) %d(%d) bytes of data\n", o.run.Target, o.run.Originator, n, n+28)
}

func (o *pingPrinter) reply(r admin.MeshPingReply) {
	o.run.Transmitted++
	seq := o.run.Transmitted
	if o.app.json {
		o.run.Replies = append(o.run.Replies, r)
	}
	o.lastRTT = time.Duration(r.RTTMicros) * time.Microsecond
	switch {
	case r.Error == admin.MeshTimeout:
		o.lastRTT = time.Hour // all patience is used up
		o.printf("Reply from host %s timed out\n", o.run.Target)
	case r.Error != "":
		o.printf("From %s: Destination Host Unreachable (icmp_seq %d): %s\n", o.run.Target, seq, r.Error)
	case r.Type == admin.MeshUnreachable:
		o.printf("From %s: Destination Host Unreachable (icmp_seq %d)\n", o.run.Target, seq)
	case r.Type == admin.MeshTTLExceeded:
		o.printf("From %s: Time to live exceeded (icmp_seq %d)\n", o.run.Target, seq)
	case r.Type != admin.MeshEchoReply:
		o.printf("Unknown message type %d received\n", r.Type)
	default:
		o.run.Received++
		o.answer(seq, r)
	}
}

func (o *pingPrinter) answer(seq int, r admin.MeshPingReply) {
	n := batPingLen
	if o.rr {
		n = batRRLen
	}
	o.printf("%d bytes from %s icmp_seq=%d ttl=%d time=%.2f ms", n, o.run.Target, seq, r.TTL, float64(r.RTTMicros)/1000)
	if o.rr {
		if o.route != nil && slices.Equal(o.route, r.Route) {
			o.printf("\t(same route)")
		} else {
			o.printf("\nRR: ")
			for _, hop := range r.Route {
				o.printf("\t%s\n", o.hosts.label(hop))
				if hop == o.run.Originator { // it is where the way back begins, too
					o.printf("\t%s\n", o.hosts.label(hop))
				}
			}
			o.route = append([]batman.MAC{}, r.Route...)
		}
	}
	o.printf("\n")
	ms := float64(r.RTTMicros) / 1000
	if o.run.Received == 1 {
		o.least = ms
	}
	o.least, o.most = min(o.least, ms), max(o.most, ms)
	o.sum += ms
	o.squares += ms * ms
}

func (o *pingPrinter) end() error {
	if o.app.json {
		if err := o.app.printJSON(o.run); err != nil {
			return err
		}
	} else {
		o.summary()
	}
	if o.run.Received == 0 {
		return errNoAnswer
	}
	return nil
}

func (o *pingPrinter) summary() {
	sent, got := o.run.Transmitted, o.run.Received
	lost, mean, dev := 0, 0.0, 0.0
	if sent > 0 {
		lost = (sent - got) * 100 / sent
	}
	if got > 0 {
		mean = o.sum / float64(got)
		dev = math.Sqrt(max(0, o.squares/float64(got)-mean*mean))
	}
	o.printf("--- %s ping statistics ---\n%d packets transmitted, %d received, %d%% packet loss\n", o.run.Target, sent, got, lost)
	o.printf("rtt min/avg/max/mdev = %.3f/%.3f/%.3f/%.3f ms\n", o.least, mean, o.most, dev)
}
