package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/meshagent/meshagent/hw/air"
	"github.com/meshagent/meshagent/hw/rig"
)

// wifiPlan is for the four stations of the line: in real time, in a kernel
// whose system calls are slow.
var wifiPlan = plan{limit: 110 * time.Second, abreast: 2}

const wifiPicture = `
   n1 )))  ((( n2 )))  ((( n3 )))  ((( n4      only neighbours hear each other
`

// wifiLink is how neighbours hear each other.
var wifiLink = air.Link{Signal: -60, Loss: 0.02, MCS: 7}

// wifiScenarios are what this program plays as the first process of a kernel.
var wifiScenarios = map[string]func(*air.World){"wifi": playWifi}

// Words for the scenario.
const (
	wordCheck    = "check"
	wordTerminal = "terminal"
)

// showWifi boots a kernel with four radios, and shows or checks the agents in
// it.
func showWifi(bin string, check bool) (status int) {
	if err := air.Need(); err != nil {
		fatal(err)
	}
	bin, err := filepath.Abs(bin)
	if err != nil {
		fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	c := air.Config{Scenario: "wifi", Agent: bin, RealTime: true, Screen: os.Stdout}
	if check {
		c.Arg = wordCheck
		var done context.CancelFunc
		ctx, done = context.WithTimeout(ctx, wifiPlan.limit+time.Minute)
		defer done()
	} else if onTerminal() {
		c.Arg = wordTerminal
	}
	_, err = air.Play(ctx, c)
	if ctx.Err() != nil && !check {
		return 130
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo: failed:", err)
		return 1
	}
	return 0
}

// playWifi runs inside of the kernel.
func playWifi(w *air.World) {
	st := w.Stations(4)
	w.Line(wifiLink, st...)
	w.JoinAll(air.Cell{Kind: air.Mesh, Name: "demo", Freq: 2412}, st...)
	w.StartAll(st...)
	d := &wifi{w: w, st: st, start: time.Now()}
	for _, s := range st {
		d.hosts = append(d.hosts, s.Host)
	}
	if w.Arg != wordCheck {
		d.run()
	}
	fmt.Printf("four radios of mac80211_hwsim in a line, one kernel, 802.11s:\n%s", wifiPicture)
	if checkPairs(d.hosts, wifiPlan, d.checkAir) != 0 {
		w.Errorf("not every pair of stations pings over the overlay")
	}
}

// wifi is the line of stations.
type wifi struct {
	w     *air.World
	st    []*air.Station
	hosts []*rig.Host
	start time.Time
	pings pingTable

	mu  sync.Mutex
	say string // what the air does at the moment
}

// checkAir prints the table of stations and fails if somebody hears more than
// its neighbours.
func (d *wifi) checkAir() error {
	fmt.Print(d.stations())
	for i, s := range d.st {
		want := 2
		if i == 0 || i == len(d.st)-1 {
			want = 1
		}
		if got := len(s.Radio.Stations()); got != want {
			return fmt.Errorf("%s hears %d stations, want %d", s.Node.Name, got, want)
		}
	}
	return nil
}

// stations is the table of who hears whom.
func (d *wifi) stations() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-8s %-6s %-8s %-10s %-16s %-9s %s\n", "station", "hears", "signal", "to it", "rate control", "retries", "failed")
	for _, s := range d.st {
		for _, o := range s.Radio.Stations() {
			name := o.MAC
			for _, x := range d.st {
				if x.Radio.MAC() == o.MAC {
					name = x.Node.Name
				}
			}
			expected := "-"
			if o.Expected > 0 {
				expected = fmt.Sprintf("expects %.1f", o.Expected)
			}
			fmt.Fprintf(&b, "%-8s %-6s %-8s %-10s %-16s %-9d %d\n", s.Node.Name, name, fmt.Sprintf("%d dBm", o.Signal),
				fmt.Sprintf("%.1f Mb/s", o.Rate), expected, o.Retries, o.Failed)
		}
	}
	return b.String()
}

// run shows the stations until somebody ends the program.
func (d *wifi) run() {
	for i, a := range d.hosts {
		for j, b := range d.hosts {
			if i != j {
				go d.ping(i, j, a, b)
			}
		}
	}
	go d.weather()
	show(d.w.Arg == wordTerminal, "", d.draw)
}

// weather makes the link in the middle bad and good again.
func (d *wifi) weather() {
	for {
		for _, x := range []struct {
			link air.Link
			say  string
		}{
			{wifiLink, "good air everywhere"},
			{air.Link{Signal: -86, Loss: 0.3, MCS: 0}, "n2 and n3 hear each other badly"},
		} {
			d.w.Line(x.link, d.st[1:3]...)
			d.mu.Lock()
			d.say = x.say
			d.mu.Unlock()
			time.Sleep(20 * time.Second)
		}
	}
}

// ping keeps one pair pinging and notes each answer.
func (d *wifi) ping(i, j int, a, b *rig.Host) {
	for {
		ctx, done := context.WithTimeout(context.Background(), 5*time.Second)
		res, _ := a.Node.Ping(ctx, b.IP(), rig.PingOpts{})
		done()
		d.pings.result(i, j, res)
		time.Sleep(3 * time.Second)
	}
}

// draw writes the screen.
func (d *wifi) draw() {
	var b strings.Builder
	terminal := d.w.Arg == wordTerminal
	if terminal {
		b.WriteString(home)
	}
	b.WriteString("meshagent demo: four routers, each with a radio of mac80211_hwsim" + wifiPicture)
	d.mu.Lock()
	fmt.Fprintf(&b, "\nup %v: %s\n%-8s %-40s peers\n", time.Since(d.start).Round(time.Second), d.say, "station", "address")
	d.mu.Unlock()
	for _, h := range d.hosts {
		fmt.Fprintf(&b, "%-8s %-40s %s\n", h.Node.Name, h.IP(), peerNames(d.hosts, h))
	}
	b.WriteString(d.stations() + "\n")
	d.pings.write(&b, d.hosts, 8)
	b.WriteString("\nctrl-C ends the demo and removes everything.\n")
	text := b.String()
	if terminal {
		overwrite(text)
		return
	}
	fmt.Print(text)
}
