package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// How long the mesh check waits at most: for all nodes to know each other, for
// pings to come back after a change.
const (
	meshReach = 60 * time.Second
	meshHeal  = 30 * time.Second
)

// checkMesh plays the scenario and returns the exit status.
func checkMesh(m *mesh) (status int) {
	start := time.Now()
	fmt.Printf("a 3x3 grid, OGM interval %v; loss of broadcasts in percent, there/back:\n%s", meshInterval, m.picture())
	for _, step := range []struct {
		name string
		run  func() (string, error)
	}{
		{"every node knows a way to every other", m.checkOriginators},
		{"p1 reaches p2", func() (string, error) { return m.checkPing(start) }},
		{"a cut in the middle of the way", func() (string, error) { return m.checkCut(true) }},
		{"a cut of one direction only", func() (string, error) { return m.checkCut(false) }},
		{"p2 moves to another corner", func() (string, error) { return m.checkRoam(side - 1) }},
		{"p2 moves back", func() (string, error) { return m.checkRoam(side*side - 1) }},
	} {
		text, err := step.run()
		if err != nil {
			fmt.Printf("%5.1f s  %s: FAILED: %v\n", time.Since(start).Seconds(), step.name, err)
			m.explain()
			fmt.Println("demo: failed:", step.name)
			return 1
		}
		fmt.Printf("%5.1f s  %s: %s\n", time.Since(start).Seconds(), step.name, text)
	}
	fmt.Println("demo: ok")
	return 0
}

// checkOriginators waits until each node has a next hop towards each other one.
func (m *mesh) checkOriginators() (string, error) {
	start := time.Now()
	missing := map[string]bool{}
	worst := 255
	ok := rig.Until(meshReach, 200*time.Millisecond, func() bool {
		clear(missing)
		worst = 255
		for i, h := range m.hosts {
			tq := map[string]int{}
			list, err := h.Originators()
			if err != nil {
				missing[err.Error()] = true
				return false
			}
			for _, o := range list {
				if o.Best {
					tq[o.Orig] = o.TQ
				}
			}
			for j := range m.hosts {
				if i == j {
					continue
				}
				q := tq[nodeMAC(j)]
				worst = min(worst, q)
				if q == 0 {
					missing[fmt.Sprintf("n%d->n%d", i+1, j+1)] = true
				}
			}
		}
		return len(missing) == 0
	})
	if !ok {
		return "", fmt.Errorf("after %v still missing: %s", meshReach, strings.Join(sortedKeys(missing), " "))
	}
	return fmt.Sprintf("after %.1f s, lowest TQ %d", time.Since(start).Seconds(), worst), nil
}

func sortedKeys(set map[string]bool) (keys []string) {
	for k := range set {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// checkPing waits for the first answer, lets the windows fill, and counts.
func (m *mesh) checkPing(start time.Time) (string, error) {
	first := time.Now()
	if _, _, err := m.steady(meshHeal); err != nil {
		return "", err
	}
	took := time.Since(first)
	// the receive window is 64 OGMs long, and only a full one shows a link as good as it is
	if rest := 64*meshInterval - time.Since(start); rest > 0 {
		time.Sleep(rest)
	}
	const count = 100
	res, err := m.ping(count)
	if err != nil {
		return "", err
	}
	if res.Received < count*9/10 {
		return "", fmt.Errorf("%d of %d pings lost\n%s", res.Sent-res.Received, count, res.Output)
	}
	return fmt.Sprintf("after %.1f s; then %d of %d pings, rtt %.2f ms, way %s", took.Seconds(), res.Received, count,
		float64(res.Mean())/float64(time.Millisecond), wayText(m.way(m.at(0), m.at(1)))), nil
}

// ping pings from the first phone to the second.
func (m *mesh) ping(count int) (rig.PingResult, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return m.phones[0].Node.Ping(ctx, m.phones[1].Addr, rig.PingOpts{Count: count, Interval: 50 * time.Millisecond, Wait: 500 * time.Millisecond})
}

// steady pings until ten in a row come back, and returns when the first of
// them did, from now on, and how many pings were lost before.
func (m *mesh) steady(within time.Duration) (took time.Duration, lost int, err error) {
	start := time.Now()
	for {
		begin := time.Now()
		res, err := m.ping(10)
		if err != nil {
			return 0, lost, err
		}
		if res.Received == 10 {
			return begin.Sub(start), lost, nil
		}
		lost += res.Sent - res.Received
		if time.Since(start) > within {
			return 0, lost, fmt.Errorf("after %v pings still get lost (%d so far)\n%s", within, lost, res.Output)
		}
	}
}

// checkCut cuts the link in the middle of the way between the phones, or one
// direction of it, waits for another way and restores the link.
func (m *mesh) checkCut(both bool) (string, error) {
	from, to := m.at(0), m.at(1)
	var way []int
	ok := false
	if !rig.Until(meshHeal, meshInterval, func() bool { way, ok = m.way(from, to); return ok }) {
		return "", fmt.Errorf("no way before the cut: %s", wayText(way, ok))
	}
	x, y := way[(len(way)-1)/2], way[(len(way)-1)/2+1]
	m.air.Cut(m.radios[x], m.radios[y], true)
	if both {
		m.air.Cut(m.radios[y], m.radios[x], true)
	}
	took, lost, err := m.steady(meshHeal)
	if err != nil {
		return "", fmt.Errorf("n%d-n%d on the way %s was cut: %w", x+1, y+1, wayText(way, ok), err)
	}
	// Pings may come back before all have made up their minds: ways as good as
	// each other change places until the window is full of what is missing.
	var after []int
	avoids := func() bool { after, ok = m.way(from, to); return ok && !uses(after, x, y) }
	if !rig.Until(meshHeal, meshInterval, avoids) {
		return "", fmt.Errorf("n%d-n%d was cut, pings come back, but the tables say %s", x+1, y+1, wayText(after, ok))
	}
	m.air.CutBoth(m.radios[x], m.radios[y], false)
	if _, _, err := m.steady(meshHeal); err != nil {
		return "", fmt.Errorf("after the link n%d-n%d was restored: %w", x+1, y+1, err)
	}
	return fmt.Sprintf("n%d-n%d of %s; pings come back after %.1f s (%d lost) over %s", x+1, y+1, wayText(way, true),
		took.Seconds(), lost, wayText(after, true)), nil
}

// uses reports whether a way goes from x to y.
func uses(way []int, x, y int) bool {
	for i := 0; i+1 < len(way); i++ {
		if way[i] == x && way[i+1] == y {
			return true
		}
	}
	return false
}

// checkRoam moves the second phone to another node and waits until pings come
// back and the first phone's node knows where it is.
func (m *mesh) checkRoam(node int) (string, error) {
	from := m.at(1)
	m.plug(1, node)
	start := time.Now()
	took, lost, err := m.steady(meshHeal)
	if err != nil {
		return "", fmt.Errorf("from n%d to n%d: %w", from+1, node+1, err)
	}
	var where string
	if !rig.Until(meshHeal, 200*time.Millisecond, func() bool { where, err = m.whereIs(0, m.phones[1].MAC); return where == nodeMAC(node) }) {
		return "", fmt.Errorf("pings come back, but n1 says that p2 is at %s (want n%d): %w", nodeName(where), node+1, err)
	}
	return fmt.Sprintf("from n%d to n%d; pings come back after %.1f s (%d lost), n1 knows after %.1f s", from+1, node+1,
		took.Seconds(), lost, time.Since(start).Seconds()), nil
}

// whereIs asks a node behind which other one a client is.
func (m *mesh) whereIs(node int, client string) (orig string, err error) {
	var list []rig.BatGlobal
	err = m.hosts[node].Bat(&list, "tg")
	for _, g := range list {
		if strings.EqualFold(g.Client, client) && (g.Best || orig == "") {
			orig = g.Orig
		}
	}
	return orig, err
}

// explain shows what the nodes know about their trouble.
func (m *mesh) explain() {
	fmt.Fprint(os.Stderr, "\n"+m.picture())
	for _, h := range m.hosts {
		fmt.Fprintf(os.Stderr, "\n%s: running: %v\n", h.Node.Name, h.Proc.Alive())
		list, err := h.Originators()
		if err != nil {
			fmt.Fprintln(os.Stderr, "  originators:", err)
		}
		for _, o := range list {
			fmt.Fprintf(os.Stderr, "  %v %s tq %d via %s, %d ms ago\n", o.Best, nodeName(o.Orig), o.TQ, nodeName(o.Next), o.LastSeen)
		}
		for p := range m.phones {
			where, err := m.whereIs(m.index(h), m.phones[p].MAC)
			fmt.Fprintf(os.Stderr, "  p%d at %s %v\n", p+1, nodeName(where), errText(err))
		}
		fmt.Fprintln(os.Stderr, h.Proc.Tail(8))
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (m *mesh) index(h *rig.Host) int { return slices.Index(m.hosts, h) }
