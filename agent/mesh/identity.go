package mesh

import (
	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/identity"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// NodeChange tells of a node whose identity was verified: that it can be
// reached now or not any more, that it is another one, or that the way to it
// became much better or worse.
type NodeChange struct {
	Key       cjdns.Key
	IP        cjdns.IP
	MAC       batman.MAC // of its primary hard interface
	Reachable bool
	Uplink    bool  // it says that it has a way out of the mesh
	Metric    uint8 // 0 to 255: TQ, or throughput on a logarithmic scale
	Boot      uint32
	Member    [8]byte  // first bytes of SHA-256 of its certificate of membership
	Certs     [][]byte // certificates that it sent along when asked, else nil
}

// Self is what this node says about itself in its record.
type Self struct {
	Uplink bool
	Clock  uint32 // seconds since 1970; 0 unknown
	Member [8]byte
	Certs  [][]byte // what who asks for the record is given along with it
}

// JobDone takes back a job that was run.
func (m *Mesh) JobDone(now mono.Time, j *identity.Job, out *Out) {}

// SetSelf changes what this node says about itself.
func (m *Mesh) SetSelf(now mono.Time, s Self, out *Out) {}

// SendOverlay sends a CryptoAuth frame of the node to the originator b.Addr.
// It takes b.
func (m *Mesh) SendOverlay(now mono.Time, b *pkt.Buf, out *Out) { m.drop(b, dropNoRoute, out) }

// AskRecord asks an originator for its record and certificates.
func (m *Mesh) AskRecord(now mono.Time, mac batman.MAC, out *Out) {}

// Avoid tells that packets to an originator get lost on the present way
// though its OGMs arrive.
func (m *Mesh) Avoid(now mono.Time, mac batman.MAC, out *Out) {}

// SetStanding tells whether a session stands with a key at an originator.
func (m *Mesh) SetStanding(now mono.Time, key cjdns.Key, mac batman.MAC, up bool) {}
