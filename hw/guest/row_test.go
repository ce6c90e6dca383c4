//go:build guest

package guest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// bench is a lab with one guest: all rows of one kernel run in it, one after
// the other. Those of the two kernels run at the same time.
type bench struct {
	once  sync.Once
	err   error
	lab   *Lab
	guest *Guest
	rows  int
}

var benches = map[string]*bench{}

func init() {
	for _, k := range Kernels {
		benches[k] = &bench{}
	}
}

// failure is what a step of the lab or of the rig panics with.
type failure string

// cards is how many network cards a guest has. Each hard interface and each
// client port of a node takes one.
const cards = 8

func (b *bench) boot(t *testing.T, kernel string) {
	b.once.Do(func() {
		defer func() {
			if f, ok := recover().(failure); ok {
				b.err = errors.New(string(f))
			}
		}()
		b.lab = NewLab(rig.Config{Fail: func(f string, a ...any) { panic(failure(fmt.Sprintf(f, a...))) }})
		b.lab.Artefacts = artefacts()
		b.guest = b.lab.Start(Config{Name: "k" + strings.ReplaceAll(kernel, ".", ""), Kernel: kernel, NICs: cards})
		t.Logf("kernel %s up after %v", b.guest.Image.Release, b.guest.BootTime.Round(100*time.Millisecond))
	})
}

// artefacts is the folder for what explains a failure.
func artefacts() string { return os.Getenv("GUEST_ARTEFACTS") }

func closeLabs() {
	for _, b := range benches {
		if b.lab != nil {
			b.lab.Rig.Close()
		}
	}
}

// row plays one row of the table against each kernel.
func row(t *testing.T, what string, play func(w *world)) {
	for _, k := range Kernels {
		t.Run(k, func(t *testing.T) {
			t.Parallel()
			r := &result{row: what, kernel: k, text: "FAIL"}
			table.add(r)
			begin := time.Now()
			defer func() { r.took = time.Since(begin) }()
			b := benches[k]
			b.boot(t, k)
			if b.err != nil {
				t.Fatal(b.err)
			}
			b.rows++
			w := &world{T: t, bench: b, guest: b.guest, lab: b.lab, result: r}
			w.play(play)
			if !t.Failed() {
				r.text = "ok"
			}
		})
	}
}

// play runs the scenario, looks at what the kernel said of it, and takes
// everything away.
func (w *world) play(scenario func(w *world)) {
	w.Helper()
	defer func() {
		if f := recover(); f != nil {
			msg, ok := f.(failure)
			if !ok {
				panic(f)
			}
			w.Error(string(msg))
		}
		if w.Failed() {
			w.keep()
		}
		w.close()
		w.judgeLog()
	}()
	if _, err := w.guest.Run("dmesg -c >/dev/null"); err != nil {
		w.Logf("%v: rebooting", err)
		w.guest.Reboot()
		w.guest.Log()
	}
	scenario(w)
}

// benign are the kernel's words about what a test itself does: interfaces that
// come and go, settings that change.
var benign = regexp.MustCompile(`Adding interface|Removing interface|Interface (de)?activated|The MTU of interface|` +
	`[a-z_]+: Changed from|Changing gw mode|Changing gateway|No (IGMP|MLD) Querier present|(IGMP|MLD) Querier appeared|` +
	`Adding gateway|Removing selected gateway|B\.A\.T\.M\.A\.N\. advanced .* loaded|Setting (the )?MTU|Not using interface .* \(retrying later\)`)

// suspect are words of a kernel that is in trouble, whoever caused it.
var suspect = regexp.MustCompile(`batman_adv|BUG|WARNING|Oops|Call Trace|general protection|refcount|unregister_netdevice: waiting`)

// judgeLog fails the row if the guest's kernel complains.
func (w *world) judgeLog() {
	out, err := w.guest.Run("dmesg -c")
	if err != nil {
		w.Errorf("the guest is lost: %v\n%s", err, tail(w.guest.Console(), 30))
		return
	}
	for line := range strings.Lines(out) {
		if suspect.MatchString(line) && !benign.MatchString(line) {
			w.Errorf("the guest's kernel says: %s", strings.TrimSpace(line))
		}
	}
}

// keep saves what explains a failure.
func (w *world) keep() {
	var b strings.Builder
	for _, n := range w.nodes {
		fmt.Fprintf(&b, "=== %s %s\n", n.label(), n.mac())
		for _, cmd := range []string{"o", "n", "if", "tl", "tg", "gwl", "dc", "cl", "bbt", "s"} {
			out, err := n.bat(cmd)
			fmt.Fprintf(&b, "--- %s %v\n%s\n", cmd, err, out)
		}
		if a, ok := n.(*agent); ok {
			log := ""
			if a.Proc != nil {
				log = a.Proc.Tail(100)
			}
			fmt.Fprintf(&b, "--- log\n%s\n", log)
		}
	}
	name := strings.ReplaceAll(w.Name(), "/", "-")
	w.lab.Keep(name+".txt", []byte(b.String()))
	if artefacts() == "" {
		w.Logf("the nodes at the time:\n%s", b.String())
	} else {
		w.Logf("the nodes at the time: %s", filepath.Join(artefacts(), name+".txt"))
	}
}

// result is one cell of the table.
type result struct {
	row, kernel, text string
	notes             []string
	took              time.Duration
}

var table results

type results struct {
	mu   sync.Mutex
	list []*result
}

func (s *results) add(r *result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, r)
}

// printTable prints the rows in the order of the tests, kernels one below the
// other.
func printTable() {
	var names []string
	by := map[string][]*result{}
	for _, r := range table.list {
		if by[r.row] == nil {
			names = append(names, r.row)
		}
		by[r.row] = append(by[r.row], r)
	}
	fmt.Printf("\n%-4s %-6s %5s  %s\n", "", "KERNEL", "TIME", "ROW: FIGURES")
	for _, n := range names {
		for _, k := range Kernels {
			for _, r := range by[n] {
				if r.kernel == k {
					fmt.Printf("%-4s %-6s %4.0fs  %s\n", r.text, r.kernel, r.took.Seconds(), strings.Join(append([]string{n}, r.notes...), "; "))
				}
			}
		}
	}
}
