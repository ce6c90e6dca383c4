package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// counted is what the nodes did at rest, averages over all of them.
type counted struct {
	bytes   float64 // a second that a node sends, with IP and Ethernet headers
	most    float64 // of the node that sends most
	packets float64 // a second
	rss     float64 // median, in MB of 10^6 bytes
}

// count waits for d and says what the nodes sent meanwhile.
func (w *world) count(d time.Duration) (c counted) {
	before, began := w.sent(), time.Now()
	time.Sleep(d)
	after, secs := w.sent(), time.Since(began).Seconds()
	var rss []int64
	n := float64(len(w.hosts))
	for i, h := range w.hosts {
		bytes := float64(after[i][0]-before[i][0]) / secs
		c.bytes += bytes / n
		c.most = max(c.most, bytes)
		c.packets += float64(after[i][1]-before[i][1]) / secs / n
		rss = append(rss, h.Proc.RSS())
	}
	slices.Sort(rss)
	c.rss = float64(rss[len(rss)/2]) / 1e6
	return c
}

// sent returns the bytes and packets that each node has sent on its cables.
func (w *world) sent() [][2]int64 {
	sums := make([][2]int64, len(w.hosts))
	for i, h := range w.hosts {
		err := h.Node.Do(func() error {
			b, err := os.ReadFile("/proc/thread-self/net/dev")
			sums[i] = sumDev(string(b))
			return err
		})
		if err != nil {
			panic(err)
		}
	}
	return sums
}

// sumDev adds the bytes and packets sent of all devices but lo.
func sumDev(text string) (sum [2]int64) {
	for line := range strings.Lines(text) {
		name, rest, ok := strings.Cut(line, ":")
		f := strings.Fields(rest)
		if !ok || strings.TrimSpace(name) == "lo" || len(f) < 10 {
			continue
		}
		for i := range sum {
			n, _ := strconv.ParseInt(f[8+i], 10, 64)
			sum[i] += n
		}
	}
	return sum
}

// tables prints how full the tables of the middle node are.
func (w *world) tables() {
	s, err := w.hosts[len(w.hosts)/2].Status()
	if err != nil {
		w.say("no status: %v", err)
		return
	}
	var words []string
	for _, t := range s.Tables {
		if t.Used > 0 {
			words = append(words, fmt.Sprintf("%s %d/%d", t.Name, t.Used, t.Limit))
		}
	}
	w.say("n%d: %s; drops %v", len(w.hosts)/2, strings.Join(words, ", "), s.Drops)
}
