package admin

import (
	"strings"
	"testing"

	"github.com/meshagent/meshagent/agent/node"
)

const (
	viaR1 = "0000.0000.0000.0153"
	viaR2 = "0000.0000.0000.0155"
	ipB   = "fcd7:ed76:602b:b9bf:74bf:8ac2:9276:858b"
)

func sampleWhy() node.Why {
	return node.Why{
		Target: ipA, IP: ipA, PublicKey: keyA, State: "session", Session: "ESTABLISHED", Label: viaR1, Cause: "broken",
		Changes: 1, ChangedMs: 63_000, Was: viaR2, Tried: []string{},
		Ways: []node.WayStatus{
			{Label: viaR1, Source: "dht", State: "used", RTTMicros: 3100, CostMicros: 4100, Answers: 9, AnsweredMs: 500, Hops: 2, Link: "udp4"},
			{Label: "0000.0000.0000.0013", Source: "mesh", State: "standby", RTTMicros: 9000, LossPermille: 125, CostMicros: 20_000, Answers: 4, AnsweredMs: 3000, Hops: 1, Link: "bat0", Metric: 200, AirMicros: 1440},
			{Label: "0000.0000.0000.0157", Source: "supernode", State: "untried", AnsweredMs: -1, Hops: 2},
			{Label: viaR2, Source: "theirs", State: "resting", RTTMicros: 2000, CostMicros: 3000, Answers: 5, AnsweredMs: -1, Hops: 2, NextMs: 1400},
			{Source: "peer", State: "down", AnsweredMs: -1, Hops: 1, Link: "lan", Problem: "does not answer\x1b"},
		},
		Hops: []node.HopStatus{
			{Hop: 1, Director: "0011", Bits: 4, Slot: 0, Label: "0000.0000.0000.0013", KnownBy: "peer", Name: "r1", IP: ipB, Link: "udp4", LLAddr: "192.0.2.10:5"},
			{Hop: 2, Director: "0000000100", Bits: 10, Form: 2, Slot: 2, Label: viaR1},
		},
	}
}

func TestWhyText(t *testing.T) {
	y := sampleWhy()
	y.Reason = whyReason(&y)
	equal(t, render(t, func(w *strings.Builder) error { return WriteWhy(w, &y) }), `
node     `+ipA+`
key      `+keyA+`
session  established, path changed 1 time
reason   dht: measured 3.10 ms / 0 %, 79 % better than 0000.0000.0000.0013 (mesh: measured 9.00 ms / 12.5 %); since 1m 3s, when 0000.0000.0000.0155 did not answer

WAY                  SOURCE     STATE    COST      RTT      LOSS    HOPS  ANSWERED  NOTE
0000.0000.0000.0153  dht        used     4.10 ms   3.10 ms  0 %     2     0s        udp4
0000.0000.0000.0013  mesh       standby  20.00 ms  9.00 ms  12.5 %  1     3s        bat0, metric 200, links cost 1440 µs
0000.0000.0000.0157  supernode  untried  -         -        -       2     never
0000.0000.0000.0155  theirs     resting  3.00 ms   2.00 ms  0 %     2     never     rests 1.4s
-                    peer       down     -         -        -       1     never     lan, does not answer?

HOP  DIRECTOR    SLOT  NODE  ADDRESS                                  PATH                 KNOWN BY
1    0011        0     r1    fcd7:ed76:602b:b9bf:74bf:8ac2:9276:858b  0000.0000.0000.0013  peer udp4 192.0.2.10:5
2    0000000100  2     -     unknown                                  0000.0000.0000.0153  -
`)
}

func TestWhyReasons(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(y *node.Why)
		want   string
	}{
		{"ourselves", func(y *node.Why) { y.State = "self" }, "this is the address of this node: packets for it do not leave the host"},
		{"no way", func(y *node.Why) { y.State = "none" }, "no way is known"},
		{"no session", func(y *node.Why) { y.State = "idle" },
			"nothing was sent to it lately; the first packet would go along 0000.0000.0000.0153 (dht: measured 3.10 ms / 0 %)"},
		{"forgotten", func(y *node.Why) { y.Ways = y.Ways[1:] },
			"along 0000.0000.0000.0153, which nobody names any more; since 1m 3s, when 0000.0000.0000.0155 did not answer"},
		{"alone", func(y *node.Why) {
			y.Ways = append(y.Ways[:1:1], y.Ways[4])
			y.Ways[0].CostMicros, y.Ways[0].Answers, y.Ways[0].Source = 0, 0, "peer"
			y.Changes, y.Cause = 0, "found"
		},
			"direct peer: not measured, the only way that is known; it was the first that was known"},
		{"silent", func(y *node.Why) { y.SilentMs = 5300; y.Ways = y.Ways[:1]; y.Changes, y.Cause = 0, "theirs" },
			"nothing has come back for 5s: dht: measured 3.10 ms / 0 %, the only way that is known; its first packet came along it"},
		{"long ago", func(y *node.Why) { y.Ways = y.Ways[:1]; y.Ways[0].CostMicros = 0; y.Changes, y.Cause = 0, "found" },
			"dht: not measured lately, 3.10 ms / 0 % before, the only way that is known; it was the first that was known"},
		{"claims", func(y *node.Why) { y.Ways = append(y.Ways[:1:1], y.Ways[2:]...); y.Changes, y.Cause = 0, "theirs" },
			"dht: measured 3.10 ms / 0 %, 2 other ways not measured, or resting; its first packet came along it"},
		{"hysteresis", func(y *node.Why) {
			y.Ways[1].CostMicros = 3500
			y.Cause, y.CostMicros, y.WasCostMicros = "better", 4000, 6000
		},
			"dht: measured 3.10 ms / 0 %, 0000.0000.0000.0013 (mesh: measured 9.00 ms / 12.5 %) is 14 % better, which is too little or too new for a change; since 1m 3s, when 0000.0000.0000.0155 was measured to be 50 % worse"},
		{"direct", func(y *node.Why) { y.Ways = y.Ways[:1]; y.Cause, y.CostMicros, y.WasCostMicros = "better", 4000, 3900 },
			"dht: measured 3.10 ms / 0 %, the only way that is known; since 1m 3s, when 0000.0000.0000.0155 was measured to be worse, or no better than this direct one"},
		{"error", func(y *node.Why) { y.Ways = y.Ways[:1]; y.Cause = "refused" },
			"dht: measured 3.10 ms / 0 %, the only way that is known; since 1m 3s, when 0000.0000.0000.0155 was reported broken by a switch on it"},
		{"peer", func(y *node.Why) { y.Ways = y.Ways[:1]; y.Cause = "peer-lost" },
			"dht: measured 3.10 ms / 0 %, the only way that is known; since 1m 3s, when 0000.0000.0000.0155 lost the peer where it begins"},
		{"followed", func(y *node.Why) { y.Ways = y.Ways[:1]; y.Cause = "followed" },
			"dht: measured 3.10 ms / 0 %, the only way that is known; since 1m 3s, when 0000.0000.0000.0155 did not answer and the other end had left it"},
	} {
		y := sampleWhy()
		c.change(&y)
		if got := whyReason(&y); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

// What was tried stands below the reason.
func TestWhyTried(t *testing.T) {
	y := node.Why{IP: ipA, State: "none", Tried: []string{"mesh: not\x1b there", "search: none"}}
	y.Reason = whyReason(&y)
	equal(t, render(t, func(w *strings.Builder) error { return WriteWhy(w, &y) }), `
node    `+ipA+`
reason  no way is known
        mesh: not? there
        search: none
`)
}

// The method completes what the node says by the sentence.
func TestWhyMethod(t *testing.T) {
	r := NewMethods(&fakeBackend{why: sampleWhy()})
	got, err := r.Call(t.Context(), "why", map[string]any{"target": "nyc"})
	y, ok := got.(*node.Why)
	if err != nil || !ok || y.Target != "nyc" || !strings.HasPrefix(y.Reason, "dht: measured") {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := r.Call(t.Context(), "why", nil); err == nil || !strings.Contains(err.Error(), "argument 'target' is missing") {
		t.Errorf("error %v", err)
	}
	if _, err := NewMethods(&fakeBackend{err: Errorf(CodeNotFound, "nobody")}).Call(t.Context(), "why", map[string]any{"target": "x"}); err == nil || asError(err).Code != CodeNotFound {
		t.Errorf("error %v", err)
	}
}
