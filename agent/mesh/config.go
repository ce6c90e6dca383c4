package mesh

import (
	"time"

	"github.com/meshagent/meshagent/agent/batman"
)

// Algo is the routing algorithm. Nodes of different algorithms see each
// other's payload but never form routes.
type Algo uint8

// Routing algorithms.
const (
	BatmanIV Algo = iota
	BatmanV
)

// String names the algorithm as batctl does.
func (a Algo) String() string {
	if a == BatmanV {
		return "BATMAN_V"
	}
	return "BATMAN_IV"
}

// GWMode says what the node does about gateways.
type GWMode uint8

// Gateway modes.
const (
	GWOff GWMode = iota
	GWClient
	GWServer
)

// String names the mode as batctl does.
func (g GWMode) String() string { return [...]string{"off", "client", "server"}[min(g, 2)] }

// SignPolicy says what is only taken from nodes with a verified identity.
type SignPolicy uint8

// Policies; see docs/protocol/identity.md.
const (
	SignOff SignPolicy = iota
	SignOverlay
	SignAll
)

// String names the policy as the configuration does.
func (p SignPolicy) String() string { return [...]string{"off", "overlay", "all"}[min(p, SignAll)] }

// Config is what can be set while the mesh runs. Names and defaults are those
// of the kernel module.
type Config struct {
	Algo            Algo
	OrigInterval    time.Duration
	HopPenalty      uint8
	Aggregation     bool
	Bonding         bool
	Fragmentation   bool
	APIsolation     bool
	BLA             bool
	DAT             bool
	Multicast       bool // multicast optimisation; off floods
	MulticastFanout int
	GWMode          GWMode
	GWSelClass      uint32 // IV: 20 by default; V: units of 100 kbit/s, 50 by default
	GWDown, GWUp    uint32 // units of 100 kbit/s

	RequireSigned SignPolicy
	IdentityType  uint8 // of the container in OGMs; 0: 198
	OverlayType   uint8 // of packets between agents; 0: 109
	VerifyRate    int   // signatures that are checked in a second; 0: 50
	ProbeMTU      bool  // find out how large packets each link carries; the kernel does not
}

// Default returns the kernel module's defaults.
func Default() Config {
	return Config{
		OrigInterval: time.Second, HopPenalty: 30, Aggregation: true, Fragmentation: true, BLA: true, DAT: true,
		Multicast: true, MulticastFanout: 16, GWSelClass: 20, GWDown: 100, GWUp: 20,
	}
}

// IfaceConfig describes a hard interface. It may be set again at any time.
type IfaceConfig struct {
	Name string
	MAC  batman.MAC
	MTU  int // largest packet without the Ethernet header
	Wifi bool
	// FullDuplex and Speed come from the driver; Speed is in units of 100
	// kbit/s, 0 if unknown. B.A.T.M.A.N. V and the costs of links use them.
	FullDuplex         bool
	Speed              uint32
	HopPenalty         uint8
	ELPInterval        time.Duration // 0: 500 ms
	ThroughputOverride uint32        // units of 100 kbit/s, 0: none
}

// MeshIfaceConfig describes the interface on which clients enter.
type MeshIfaceConfig struct {
	Name    string
	MAC     batman.MAC
	MTU     int
	Bridged bool // it is a port of a bridge
}

// Seqnos are the counters that must not jump when the program is restarted:
// others refuse jumps for 30 s.
type Seqnos struct {
	OGM       map[batman.MAC]uint32 `json:"ogm"` // next number by hard interface
	Broadcast uint32                `json:"broadcast"`
	Fragment  uint16                `json:"fragment"`
	ELP       map[batman.MAC]uint32 `json:"elp,omitempty"`
	OGM2      uint32                `json:"ogm2,omitempty"`
	// First is where OGMs begin that have no number above; 0 is anywhere.
	First uint32 `json:"-"`
}

// Limits of the tables; see docs/protocol/batman.md.
const (
	MaxIfaces       = 16
	MaxOriginators  = 4096
	MaxClients      = 16384 // global clients of all originators
	MaxClientsOrig  = 2048  // of one originator
	MaxLocalClients = 4096
	MaxVLANs        = 64    // of one originator
	MaxPacket       = 20160 // largest packet that fragments may carry
)
