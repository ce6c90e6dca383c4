package daemon

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/meshagent/meshagent/agent/admin"
	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/mesh"
)

// meshLogLines is how many messages of the mesh are kept.
const meshLogLines = 256

// meshLog keeps the last messages of the mesh for "meshagent bat log", and
// writes those that mean trouble into the agent's own log as well. Writers:
// the mesh engine and the supervisor.
type meshLog struct {
	log    *slog.Logger
	events *events // nil: nobody is told
	// copied is told that a node of the mesh has our key; set before the first
	// event; nil: nobody is.
	copied func(at batman.MAC)

	mu    sync.Mutex
	kinds config.MeshLog // which kinds are kept
	lines []admin.MeshLogLine
	next  uint64 // number of the next line, from 1
	said  map[mesh.EventKind]time.Time
}

func newMeshLog(log *slog.Logger) *meshLog {
	return &meshLog{log: log, next: 1, said: make(map[mesh.EventKind]time.Time)}
}

// setKinds says which kinds of messages are kept from now on.
func (l *meshLog) setKinds(k config.MeshLog) {
	l.mu.Lock()
	l.kinds = k
	l.mu.Unlock()
}

// add keeps a message if its kind is wanted.
func (l *meshLog) add(kind config.MeshLog, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kinds&kind == 0 {
		return
	}
	line := admin.MeshLogLine{Seq: l.next, Time: time.Now().UnixMilli(), Kind: kind.String(), Text: text}
	l.next++
	if len(l.lines) < meshLogLines {
		l.lines = append(l.lines, line)
		return
	}
	l.lines[(line.Seq-1)%meshLogLines] = line
}

// after returns the kept messages behind number n, oldest first.
func (l *meshLog) after(n uint64) []admin.MeshLogLine {
	l.mu.Lock()
	defer l.mu.Unlock()
	from := l.next - uint64(len(l.lines))
	if n >= from {
		from = n + 1
	}
	out := []admin.MeshLogLine{}
	for i := from; i < l.next; i++ {
		out = append(out, l.lines[(i-1)%meshLogLines])
	}
	return out
}

// event keeps what the mesh tells. What an administrator should know goes to
// the agent's log, each kind at most once in ten seconds.
func (l *meshLog) event(e mesh.Event) {
	kind, text, trouble := meshText(e)
	l.add(kind, text)
	if e.Kind == mesh.EventCopied && l.copied != nil {
		l.copied(e.Orig)
	}
	if !trouble {
		tellMesh(l.events, e, text)
		l.log.Debug("mesh event", "event", text)
		return
	}
	now := time.Now()
	l.mu.Lock()
	quiet := now.Sub(l.said[e.Kind]) < 10*time.Second
	if !quiet {
		l.said[e.Kind] = now
	}
	l.mu.Unlock()
	if !quiet {
		tellMesh(l.events, e, text)
		l.log.Warn("mesh event", "event", text)
	}
}

// meshText puts an event into words. trouble says that it should not happen.
func meshText(e mesh.Event) (kind config.MeshLog, text string, trouble bool) {
	why := ""
	if e.Text != "" {
		why = ": " + e.Text
	}
	switch e.Kind {
	case mesh.EventRoute:
		if e.Next.IsZero() {
			return config.MeshLogRoutes, fmt.Sprintf("no way to %v any more%s", e.Orig, why), false
		}
		return config.MeshLogRoutes, fmt.Sprintf("way to %v through %v%s", e.Orig, e.Next, why), false
	case mesh.EventGone:
		return config.MeshLogRoutes, fmt.Sprintf("originator %v is forgotten%s", e.Orig, why), false
	case mesh.EventRoamed:
		return config.MeshLogTT, fmt.Sprintf("client %v %s roams, other node %v%s", e.Client, vidText(e.VID), e.Orig, why), false
	case mesh.EventGateway:
		if e.Orig.IsZero() {
			return config.MeshLogBatman, "no gateway is left" + why, false
		}
		return config.MeshLogBatman, fmt.Sprintf("gateway %v is chosen%s", e.Orig, why), false
	case mesh.EventLoop:
		return config.MeshLogBLA, fmt.Sprintf("bridge loop: our own loop detection frame came back over the mesh%s; the LANs of two nodes are connected in a way that bridge loop avoidance cannot see", why), true
	case mesh.EventClash:
		return config.MeshLogBatman, fmt.Sprintf("another node uses our address %v%s: addresses of hard interfaces must be unique in a mesh", e.Orig, why), true
	case mesh.EventIdentity:
		return config.MeshLogBatman, fmt.Sprintf("identity of %v%s", e.Orig, why), true
	case mesh.EventCopied:
		return config.MeshLogBatman, fmt.Sprintf("identity of %v: a node signs with our own key: it was copied", e.Orig), true
	case mesh.EventLinkMTU:
		return config.MeshLogBatman, fmt.Sprintf("link to %v%s", e.Orig, why), false
	case mesh.EventLimit:
		return config.MeshLogBatman, "a table is full" + why, true
	}
	return config.MeshLogBatman, fmt.Sprintf("event %d%s", e.Kind, why), false
}

// vidText names a VLAN.
func vidText(v batman.VID) string {
	if !v.Tagged() {
		return "(untagged)"
	}
	return fmt.Sprintf("(VLAN %d)", v.ID())
}
