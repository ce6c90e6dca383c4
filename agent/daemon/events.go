package daemon

import (
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/meshagent/meshagent/agent/admin"
)

// keptEvents is how many events are kept for "meshagent events".
const keptEvents = 100

// events tells ubus what happens, and keeps the last of it. Writers: engine,
// supervisor, mesh engine.
type events struct {
	bus *admin.Bus // set before the first event; nil: none

	mu   sync.Mutex
	list []admin.Event
	seq  uint64 // of the newest, from 1
}

// emit tells an event: "peer.up" is meshagent.peer.up on ubus. data becomes a
// JSON object.
func (e *events) emit(name string, data any) {
	if e == nil {
		return
	}
	raw, err := json.Marshal(data)
	if err != nil {
		raw = []byte("{}")
	}
	e.mu.Lock()
	e.seq++
	if len(e.list) == keptEvents {
		copy(e.list, e.list[1:])
		e.list = e.list[:keptEvents-1]
	}
	e.list = append(e.list, admin.Event{Seq: e.seq, Time: time.Now().UnixMilli(), Event: name, Data: raw})
	e.mu.Unlock()
	e.bus.Emit(name, json.RawMessage(raw))
}

func (d *Daemon) emit(name string, data any) { d.events.emit(name, data) }

// Events implements admin.Backend.
func (d *Daemon) Events(after uint64, limit int) []admin.Event {
	e := d.events
	e.mu.Lock()
	defer e.mu.Unlock()
	from := len(e.list)
	for from > 0 && e.list[from-1].Seq > after {
		from--
	}
	list := e.list[from:]
	if limit > 0 && len(list) > limit {
		list = list[len(list)-limit:]
	}
	return append([]admin.Event{}, list...)
}

// problemNotice is what an event says of a problem.
type problemNotice struct {
	Problem string `json:"problem"` // its kind, a word
	Text    string `json:"text"`
}

func (d *Daemon) tellProblem(kind, what, text string) {
	what, _, _ = strings.Cut(what, " ") // peers have their identity behind it
	d.emit("problem."+kind, problemNotice{what, text})
}
