package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/meshagent/meshagent/hw/air"
)

// How long the radios alone and the agents on them are watched, in real time.
const (
	idleRadios = 30 * time.Second
	idleSettle = 10 * time.Second
	idleAgents = 60 * time.Second
)

// idleResult is what idle agents cost.
type idleResult struct {
	CPU []time.Duration // of each agent, as its kernel counts
}

// idle runs inside of the kernel: four agents in a line, which have found each
// other and then have nothing to do.
func idle(w *air.World) {
	st := w.Stations(4)
	w.Line(linkGood, st...)
	w.JoinAll(cell, st...)
	time.Sleep(idleSettle)
	w.Mark()
	time.Sleep(idleRadios)
	w.Mark()
	w.StartAll(st...)
	w.Reach("start", 2*time.Minute, st...)
	time.Sleep(idleSettle)
	var r idleResult
	for _, s := range st {
		r.CPU = append(r.CPU, -s.Proc.CPU())
	}
	w.Mark()
	time.Sleep(idleAgents)
	w.Mark()
	for i, s := range st {
		r.CPU[i] += s.Proc.CPU()
	}
	text, err := json.Marshal(r)
	if err != nil {
		w.Fatalf("%v", err)
	}
	w.Notef("%s", text)
}

// perSecond is milliseconds of processor time in a second.
func perSecond(cpu, d time.Duration) float64 { return float64(cpu.Milliseconds()) / d.Seconds() }

// table renders the cost of each agent. marks are the host's processor time
// for the kernel and all that runs in it, at the four marks of idle.
func (r idleResult) table(marks []time.Duration) string {
	var b strings.Builder
	b.WriteString("four agents in a line, 802.11s, idle; ms of processor time a second\n")
	for i, cpu := range r.CPU {
		fmt.Fprintf(&b, "  agent %d, as its kernel counts %24.1f\n", i+1, perSecond(cpu, idleAgents))
	}
	if len(marks) == 4 {
		radios, all := perSecond(marks[1]-marks[0], idleRadios), perSecond(marks[3]-marks[2], idleAgents)
		fmt.Fprintf(&b, "  as the host counts: radios alone %21.1f\n", radios)
		fmt.Fprintf(&b, "  with four agents, kernel and medium %18.1f\n", all)
		fmt.Fprintf(&b, "  so for each agent at most %28.1f\n", (all-radios)/float64(len(r.CPU)))
	}
	return b.String()
}
