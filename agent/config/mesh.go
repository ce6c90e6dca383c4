package config

import (
	"strconv"
	"strings"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
)

// Defaults of the sections "mesh" and "hardif". They are those of batman-adv,
// except for the types of identity and overlay, which it does not have.
// Source: batman-adv soft-interface.c, batadv_softif_init_late, and
// gateway_common.c; docs/protocol/identity.md.
const (
	DefaultMeshName     = "bat0" // of a section without a name
	DefaultMeshMTU      = 1500
	DefaultOrigInterval = time.Second
	DefaultELPInterval  = 500 * time.Millisecond
	DefaultHopPenalty   = 30
	DefaultFanout       = 16
	DefaultGWDown       = 100 // 10 Mbit/s, in units of 100 kbit/s
	DefaultGWUp         = 20  // 2 Mbit/s
	DefaultGWSelClassIV = 20  // TQ
	DefaultGWSelClassV  = 50  // 5 Mbit/s
	DefaultIdentityType = 0xc6
	DefaultOverlayType  = 0x6d
)

// Mesh is the section "mesh": one B.A.T.M.A.N. mesh and the TAP device through
// which the host and its bridges take part in it. The zero value means that
// there is no mesh.
type Mesh struct {
	Name    string // of the TAP device; empty if there is no such section
	Enabled bool
	MAC     [6]byte // of the TAP device; zero: any
	MTU     int     // of the TAP device, bytes

	Algo            MeshAlgo
	OrigInterval    time.Duration // from one OGM to the next
	HopPenalty      uint8         // 255ths that a metric loses when we forward it
	Aggregation     bool          // several OGMs in one frame
	Bonding         bool          // spread own traffic over several links
	Fragmentation   bool
	APIsolation     bool // clients on Wi-Fi do not reach each other
	BLA             bool // bridge loop avoidance
	DAT             bool // distributed ARP table
	Multicast       bool // send multicast to listeners only; false: flood it
	MulticastFanout uint32

	GWMode     GWMode
	GWSelClass uint32 // IV: the class, or the TQ by which another one must be better; V: 100 kbit/s
	GWDown     uint32 // what a server announces, 100 kbit/s
	GWUp       uint32

	IsolationMark, IsolationMask uint32 // mask 0: off

	Log MeshLog // which messages "meshagent bat log" shows

	Identity      bool        // sign our OGMs, and check those of others
	RequireSigned SignPolicy  // what a verified identity is needed for
	IdentityType  uint8       // TVLV type of the identity
	OverlayType   uint8       // packet type of the overlay
	Admit         Admit       // whose identity stands in for a password
	Allow         []cjdns.Key // with AdmitList, in the order of the file, none twice
}

// Equal reports whether m and o are the same mesh with the same options.
func (m Mesh) Equal(o Mesh) bool { return m.Name == o.Name && len(meshDiff(m, o)) == 0 }

// HardIf is one device of a section "hardif": an interface that the mesh runs
// on. A section with a list of devices gives several. A section "wifi" gives
// one, with its radio.
type HardIf struct {
	Section            string
	Enabled            bool
	Device             string
	Mesh               string // the Name of the Mesh
	HopPenalty         uint8  // 255ths, added to that of the mesh
	ELPInterval        time.Duration
	ThroughputOverride uint32 // 100 kbit/s; 0: measured
	MTU                int    // given to the device when it joins; 0: as it is
	Radio              *Radio // of a section "wifi"; nil: the device is as others have made it
}

// MeshAlgo is the routing algorithm of a mesh.
type MeshAlgo uint8

// Values of MeshAlgo.
const (
	BatmanIV MeshAlgo = iota
	BatmanV
)

// String returns the word used in the configuration.
func (a MeshAlgo) String() string { return word(meshAlgoWords, int(a)) }

// GWMode says what the node is to the DHCP of a mesh. The numbers are
// batman-adv's.
type GWMode uint8

// Values of GWMode.
const (
	GWOff    GWMode = iota
	GWClient        // DHCP requests go to the best server only
	GWServer        // announce that there is a DHCP server behind us
)

// String returns the word used in the configuration.
func (m GWMode) String() string { return word(gwModeWords, int(m)) }

// SignPolicy says what a verified identity is needed for.
type SignPolicy uint8

// Values of SignPolicy.
const (
	SignOff     SignPolicy = iota // nothing: identities are only shown
	SignOverlay                   // overlay peerings, and to beat unsigned claims
	SignAll                       // clients, gateways, roaming and payload too
)

// String returns the word used in the configuration.
func (p SignPolicy) String() string { return word(signPolicyWords, int(p)) }

// Admit says whose verified identity stands in for a password when it peers
// with us over the mesh.
type Admit uint8

// Values of Admit.
const (
	AdmitAny       Admit = iota
	AdmitCommunity       // members of our community
	AdmitList            // the keys in Mesh.Allow
)

// String returns the word used in the configuration.
func (a Admit) String() string { return word(admitWords, int(a)) }

var (
	meshAlgoWords   = []string{"BATMAN_IV", "BATMAN_V"}
	gwModeWords     = []string{"off", "client", "server"}
	signPolicyWords = []string{"off", "overlay", "all"}
	admitWords      = []string{"any", "community", "list"}
)

// MeshLog is a set of kinds of messages. The bits are batman-adv's.
// Source: batman-adv log.h, enum batadv_dbg_level.
type MeshLog uint32

// Bits of MeshLog.
const (
	MeshLogBatman MeshLog = 1 << iota // routing, flooding
	MeshLogRoutes                     // routes added, changed, deleted
	MeshLogTT
	MeshLogBLA
	MeshLogDAT
	meshLogNC // network coding, which we do not have
	MeshLogMcast
	MeshLogTP
	MeshLogAll = MeshLogBatman | MeshLogRoutes | MeshLogTT | MeshLogBLA | MeshLogDAT | MeshLogMcast | MeshLogTP
)

// meshLogWords are the names of the bits, in their order.
var meshLogWords = []string{"batman", "routes", "tt", "bla", "dat", "nc", "mcast", "tp"}

// String returns the words used in the configuration, with blanks between.
func (l MeshLog) String() string {
	switch l & MeshLogAll {
	case 0:
		return "none"
	case MeshLogAll:
		return "all"
	}
	var names []string
	for i, name := range meshLogWords {
		if bit := MeshLog(1) << i; l&bit != 0 && bit != meshLogNC {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

func defaultMesh() Mesh {
	return Mesh{
		Name:            DefaultMeshName,
		Enabled:         true,
		MTU:             DefaultMeshMTU,
		OrigInterval:    DefaultOrigInterval,
		HopPenalty:      DefaultHopPenalty,
		Aggregation:     true,
		Fragmentation:   true,
		BLA:             true,
		DAT:             true,
		Multicast:       true,
		MulticastFanout: DefaultFanout,
		GWDown:          DefaultGWDown,
		GWUp:            DefaultGWUp,
		Identity:        true,
		RequireSigned:   SignOverlay,
		IdentityType:    DefaultIdentityType,
		OverlayType:     DefaultOverlayType,
	}
}

// FormatRate writes a rate as batctl does: "10.0" for 100 units of 100 kbit/s.
func FormatRate(units uint32) string {
	return strconv.FormatUint(uint64(units)/10, 10) + "." + strconv.FormatUint(uint64(units)%10, 10)
}
