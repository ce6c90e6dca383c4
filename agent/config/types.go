package config

import (
	"net/netip"

	"github.com/meshagent/meshagent/agent/cjdns"
)

// Defaults of options that the text leaves out.
const (
	DefaultKeyFile    = "/etc/meshagent/key"
	DefaultStateDir   = "/var/lib/meshagent"
	DefaultSocket     = "/var/run/meshagent/meshagent.sock" // in a directory that can belong to the agent's user
	DefaultTUN        = "tunmesh0"
	DefaultMTU        = 1304 // what stock nodes use: 1492 less 188 bytes of headers
	DefaultBeaconPort = 64512
)

// Config is a checked configuration. Slices are in the order of the text. The
// zero value is not usable; Default gives the values of an empty file.
type Config struct {
	Main       Main
	TUN        TUN
	UDP        []UDP
	Eth        []Eth
	Peers      []Peer
	Passwords  []Password
	Supernodes []Supernode
	Mesh       Mesh // zero: none
	HardIfs    []HardIf

	// PrivateKey is a key found in the text itself; zero if there is none. It
	// is an import: Store.Key moves it into Main.KeyFile.
	PrivateKey cjdns.PrivateKey
	// PublicKey is the key that a cjdroute.conf says belongs to PrivateKey;
	// zero if it says nothing. Who can derive keys should compare.
	PublicKey cjdns.Key
}

// Main is the section "meshagent".
type Main struct {
	Enabled  bool
	KeyFile  string   // the private key, 64 hexadecimal digits
	StateDir string   // what the agent may remember over a restart
	Socket   string   // unix socket of the command line
	Inbound  Inbound  // what the overlay may start towards this host
	LogLevel LogLevel // least severe message that is logged
	Ubus     string   // socket of ubusd, UbusAuto or UbusOff
	// Supernode: this node is one, and those in Config.Supernodes are the
	// others of its community.
	Supernode bool
	// SupernodeFind: one that only nodes farther away name may be used, if
	// none is configured and no peer names one.
	SupernodeFind bool
}

// Values of Main.Ubus that are no path.
const (
	UbusAuto = "auto" // the usual path, and no matter if it is not there
	UbusOff  = "off"
)

// Inbound says whether nodes of the overlay may open connections to this host.
type Inbound uint8

// Values of Inbound.
const (
	InboundClosed Inbound = iota // answers and rate-limited ICMPv6 only
	InboundOpen                  // everything
)

// String returns the word used in the configuration.
func (i Inbound) String() string { return word(inboundWords, int(i)) }

// LogLevel orders log messages.
type LogLevel uint8

// Values of LogLevel.
const (
	LogError LogLevel = iota
	LogWarn
	LogInfo
	LogDebug
)

// String returns the word used in the configuration.
func (l LogLevel) String() string { return word(logLevelWords, int(l)) }

// BeaconMode says what a link does with beacons. The numbers are cjdns's.
type BeaconMode uint8

// Values of BeaconMode.
const (
	BeaconOff    BeaconMode = iota // neither send nor listen
	BeaconAccept                   // peer with neighbours that send
	BeaconSend                     // send, and accept too
)

// String returns the word used in the configuration.
func (b BeaconMode) String() string { return word(beaconWords, int(b)) }

var (
	inboundWords  = []string{"closed", "open"}
	logLevelWords = []string{"error", "warn", "info", "debug"}
	beaconWords   = []string{"off", "accept", "send"}
)

func word(words []string, i int) string {
	if i < len(words) {
		return words[i]
	}
	return "invalid"
}

// TUN is the device towards local programs.
type TUN struct {
	Enabled bool
	Name    string // empty: the kernel chooses (tun0, tun1, …), as for cjdroute without tunDevice
	MTU     int    // bytes, MinMTU to MaxMTU
	// Persist keeps the device, its address and route when the agent ends, so
	// that connections survive a restart. A device without a name never stays.
	Persist bool
}

// Limits of the MTU of the TUN device: what IPv6 asks for, and what fits into
// a packet buffer with all headers.
const (
	MinMTU = 1280
	MaxMTU = 2000
)

// UDP is one UDP socket on which peers are met.
type UDP struct {
	Section       string
	Enabled       bool
	Bind          netip.AddrPort
	Beacon        BeaconMode
	BeaconDevices []string // devices, broadcast addresses or "all"; never empty if Beacon is not off
	BeaconPort    uint16   // the port that all nodes of a LAN share
	DSCP          uint8    // 0 to 63
	Device        string   // bind to this device; empty: any
}

// DeviceAll is the pseudo-name for every device that can be used.
const DeviceAll = "all"

// Eth is one Ethernet device on which peers are met.
type Eth struct {
	Section string
	Enabled bool
	Device  string // or DeviceAll
	Beacon  BeaconMode
}

// Peer is a node that we dial.
type Peer struct {
	Section   string
	Enabled   bool
	Name      string // for people; may be empty
	Address   string // ip:port, [ip6]:port, hostname:port or a MAC; see Endpoint
	Interface string // eth device or section of a udp or eth link; empty: any that fits
	PublicKey cjdns.Key
	Password  string // empty: send none
	Login     string // empty: the password itself is looked up (auth type 1)
	Version   uint32 // protocol version it is known to speak; 0 unknown
}

// Password lets others in.
type Password struct {
	Section  string
	Enabled  bool
	Name     string // login, and the name that peers using it get
	Password string
	IP       cjdns.IP // zero: any; else only the node with this address
}

// MaxSupernodes is how many sections supernode are used, in their order; more
// of them are not.
const MaxSupernodes = 8

// Supernode is a node that is asked for paths.
type Supernode struct {
	Section string
	Enabled bool
	Key     cjdns.Key
}

// Default returns the configuration of an empty file: a TUN device and no
// links.
func Default() Config {
	return Config{
		Main: Main{
			Enabled:  true,
			KeyFile:  DefaultKeyFile,
			StateDir: DefaultStateDir,
			Socket:   DefaultSocket,
			Ubus:     UbusAuto,
			LogLevel: LogInfo,
		},
		TUN: TUN{Enabled: true, Name: DefaultTUN, MTU: DefaultMTU, Persist: true},
	}
}
