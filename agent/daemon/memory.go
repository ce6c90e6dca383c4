package daemon

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/node"
	"github.com/meshagent/meshagent/agent/pkt"
)

// maxRemembered bounds the file; the newest stay.
const maxRemembered = 64

// memory is the list of peers, kept in the state folder over a restart. A stock
// node that dialled us does not notice our restart for a minute; called by us,
// it is back within a second. And each peer gets the slot of the switch that it
// had, so that the labels that others hold stay good.
//
// One line a peer: section of the link, address of one that has called us over
// UDP or "-", public key, slot.
type memory struct {
	list     []remembered
	dirty    bool
	recalled map[string]bool // links whose peers the node has been told
	saved    time.Time
	saves    int
	failed   bool
}

type remembered struct {
	link string
	addr netip.AddrPort // not valid: it need not be called
	key  cjdns.Key
	slot uint16
}

func (d *Daemon) memoryFile() string { return filepath.Join(d.cfg.Main.StateDir, "peers") }

// load reads the file, before there are peers. Lines that make no sense are
// dropped: nothing depends on them.
func (m *memory) load(ctx context.Context, d *Daemon) {
	raw, err := os.ReadFile(d.memoryFile())
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			d.log.Warn("peers of the last run are not known", "err", err)
		}
		return
	}
	m.list = parseMemory(raw)
	d.engine.do(ctx, func(mono.Time) {
		for _, r := range m.list {
			d.engine.node.KeepSlot(r.key, r.slot)
		}
	})
}

// noAddr stands for the address of a peer that need not be called.
const noAddr = "-"

// parseMemory reads the lines of the file, at most maxRemembered.
func parseMemory(raw []byte) (list []remembered) {
	sc := bufio.NewScanner(bytes.NewReader(raw))
	for sc.Scan() && len(list) < maxRemembered {
		f := strings.Fields(sc.Text())
		if len(f) != 4 {
			continue
		}
		addr, err := netip.ParseAddrPort(f[1])
		key, kerr := cjdns.ParseKey(f[2])
		slot, serr := strconv.ParseUint(f[3], 10, 16)
		if (err == nil || f[1] == noAddr) && kerr == nil && serr == nil {
			list = append(list, remembered{f[0], addr, key, uint16(slot)})
		}
	}
	return list
}

// recall gives the peers of the last run to the node, when their link is up
// for the first time.
func (m *memory) recall(ctx context.Context, d *Daemon, s *socket) {
	if m.recalled[s.name()] || s.kind != node.LinkUDP {
		return
	}
	if m.recalled == nil {
		m.recalled = make(map[string]bool)
	}
	m.recalled[s.name()] = true
	for _, r := range m.list {
		if r.link == s.name() && r.addr.IsValid() {
			d.engine.do(ctx, func(now mono.Time) {
				d.engine.node.Remember(now, s.index, pkt.UDPAddr(r.addr, zoneIndex(r.addr.Addr())), r.key, &d.engine.out)
			})
		}
	}
}

// add notes a peer, as the newest.
func (m *memory) add(r remembered) {
	if i := slices.Index(m.list, r); i >= 0 {
		return
	}
	m.list = slices.DeleteFunc(m.list, func(o remembered) bool { return o.key == r.key && o.link == r.link })
	m.list = append(m.list, r)
	if n := len(m.list); n > maxRemembered {
		m.list = m.list[n-maxRemembered:]
	}
	m.dirty = true
}

// forget drops a peer that has been gone for long.
func (m *memory) forget(link string, key cjdns.Key) {
	n := len(m.list)
	m.list = slices.DeleteFunc(m.list, func(o remembered) bool { return o.key == key && o.link == link })
	m.dirty = m.dirty || len(m.list) != n
}

// savePause is the least time between two writings, after the first ones: at
// the start peers come one after the other, and one that comes and goes must
// not wear out the flash.
const (
	savePause  = 30 * time.Second
	quickSaves = 8
)

// save writes the file if the list has changed; now without waiting.
func (m *memory) save(d *Daemon, now bool) {
	if !m.dirty || m.failed || !now && m.saves >= quickSaves && time.Since(m.saved) < savePause {
		return
	}
	m.dirty, m.saved = false, time.Now()
	m.saves++
	var b bytes.Buffer
	for _, r := range m.list {
		addr := noAddr
		if r.addr.IsValid() {
			addr = r.addr.String()
		}
		fmt.Fprintf(&b, "%s %s %s %d\n", r.link, addr, r.key, r.slot)
	}
	if err := writeState(d.memoryFile(), b.Bytes()); err != nil {
		m.failed = true
		d.problem("state", fmt.Sprintf("peers are not remembered over a restart: %v; set option state_dir in section meshagent", err))
	}
}

// writeState replaces a file of the state directory, which is made if it is
// missing.
func writeState(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return config.WriteAtomic(path, data, 0o600)
}
