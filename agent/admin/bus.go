package admin

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/meshagent/meshagent/agent/node"
	"github.com/meshagent/meshagent/agent/ubus"
	"github.com/meshagent/meshagent/agent/ubus/wire"
)

// busCallTimeout is how long a method may take. The stock command gives up
// after 30 s unless it is told to wait longer.
const busCallTimeout = 5 * time.Minute

// Limits of events: how many at once, and how many per second.
const (
	busEventBurst = 50
	busEventRate  = 10
)

// Bus serves a Registry on ubus. Make it with NewBus.
type Bus struct {
	Registry *Registry
	log      *slog.Logger
	auto     bool // nobody has asked for ubus by name
	client   ubus.Client
	byPath   map[string]*ubus.Object

	mu      sync.Mutex
	tokens  int
	filled  time.Time
	dropped uint64
	was     bool // connected, as of the last log line
	ever    bool // connected
	said    string
}

// NewBus returns a Bus on the socket of ubusd at path. auto says that the
// path is only the usual one: then nothing is said if it is not there.
func NewBus(r *Registry, path string, auto bool, log *slog.Logger) *Bus {
	b := &Bus{Registry: r, log: log, auto: auto, byPath: map[string]*ubus.Object{}, tokens: busEventBurst, filled: time.Now()}
	b.client.Path, b.client.Objects, b.client.Changed = path, b.objects(), b.changed
	for _, o := range b.client.Objects {
		b.byPath[o.Path] = o
	}
	return b
}

// Run keeps the objects on ubus until ctx ends. ubusd may be absent, come,
// restart and go.
func (b *Bus) Run(ctx context.Context) { b.client.Run(ctx) }

// Status says how it is going.
func (b *Bus) Status() node.BusStatus {
	s := b.client.State()
	out := node.BusStatus{Path: b.client.Path, State: "waiting"}
	if s.Connected {
		out.State = "connected"
	}
	b.mu.Lock()
	dropped, expected := b.dropped, b.ever || !b.auto
	b.mu.Unlock()
	if s.Err != nil && (expected || !errors.Is(s.Err, ubus.ErrAbsent)) {
		out.Error = s.Err.Error()
	}
	c := &b.client.Counters
	for name, n := range map[string]uint64{
		"unknown": c.Unknown.Load(), "malformed": c.Malformed.Load(), "busy": c.Busy.Load(), "too-long": c.TooLong.Load(),
		"event-unsent": c.Unsent.Load(), "event-rate": dropped,
	} {
		if n > 0 {
			if out.Drops == nil {
				out.Drops = map[string]uint64{}
			}
			out.Drops[name] = n
		}
	}
	return out
}

// changed logs what became of the connection: coming and going, and why it
// cannot be had when that is another reason than before.
func (b *Bus) changed(s ubus.State) {
	text := ""
	if s.Err != nil {
		text = s.Err.Error()
	}
	b.mu.Lock()
	was, said := b.was, b.said
	b.was, b.said, b.ever = s.Connected, text, b.ever || s.Connected
	expected := b.ever || !b.auto
	b.mu.Unlock()
	switch {
	case s.Connected && !was:
		b.log.Info("ubus is connected", "path", b.client.Path)
	case errors.Is(s.Err, ubus.ErrClosed):
	case was && !s.Connected:
		b.log.Warn("ubus is lost", "path", b.client.Path, "err", text)
	case text != "" && text != said && (expected || !errors.Is(s.Err, ubus.ErrAbsent)):
		b.log.Warn("ubus does not work", "path", b.client.Path, "err", text)
	}
}

// Emit sends an event: "peer.up" as meshagent.peer.up to all that listen, and
// as "up" to the subscribers of the object meshagent.peer. data is plain data
// that encoding/json writes as an object. It does not wait; events beyond
// what is bearable are dropped and counted.
func (b *Bus) Emit(name string, data any) {
	if b == nil || b.client.Conn() == nil {
		return
	}
	if !b.allow(time.Now()) {
		return
	}
	t, err := busTable(data)
	if err != nil {
		t = wire.Table{}
	}
	noun, kind, _ := strings.Cut(name, ".")
	b.client.Emit(BusObject+"."+name, t, b.byPath[BusObject+"."+noun], kind)
}

// ServiceEvent tells procd of an event: it then runs, as root, what start
// scripts have asked it to run.
func (b *Bus) ServiceEvent(ctx context.Context, name string) error {
	if b == nil {
		return ubus.ErrAbsent
	}
	c := b.client.Conn()
	if c == nil {
		return ubus.ErrAbsent
	}
	_, err := c.Call(ctx, "service", "event", wire.Table{{Name: "type", Value: name}, {Name: "data", Value: wire.Table{}}})
	return err
}

// allow takes a token for one event.
func (b *Bus) allow(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := int(min(now.Sub(b.filled), time.Minute) * busEventRate / time.Second); n > 0 {
		b.tokens, b.filled = min(busEventBurst, b.tokens+n), now
	}
	if b.tokens == 0 {
		b.dropped++
		return false
	}
	b.tokens--
	return true
}
