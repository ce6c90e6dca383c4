package node

// Status is everything that the outside may know of the node, as plain data:
// the admin methods and the command line print parts of it. Byte counts and
// packet counts are totals since the start of the agent.
type Status struct {
	Version   string           `json:"version"`  // of the program, X.Y.Z
	Protocol  uint32           `json:"protocol"` // the cjdns protocol version we announce
	PublicKey string           `json:"publicKey"`
	IP        string           `json:"ip"`
	UptimeMs  int64            `json:"uptimeMs"`
	TUN       TUNStatus        `json:"tun"`
	Links     []LinkStatus     `json:"links"`
	Peers     []PeerStatus     `json:"peers"`
	Sessions  []SessionStatus  `json:"sessions"`
	Drops     map[string]int64 `json:"drops"` // packets dropped, by reason; zero counts are absent
	Tables    []TableStatus    `json:"tables"`
	Problems  []string         `json:"problems"` // what does not work now, one sentence each
	Bus       BusStatus        `json:"ubus"`
	Supernode SupernodeStatus  `json:"supernode"`
}

// BusStatus describes the connection to ubusd, OpenWrt's local bus.
type BusStatus struct {
	Path  string            `json:"path,omitempty"`
	State string            `json:"state"`           // connected, waiting or off
	Error string            `json:"error,omitempty"` // why it waits, or what does not work
	Drops map[string]uint64 `json:"drops,omitempty"` // by reason
}

// TUNStatus describes the device towards local programs.
type TUNStatus struct {
	Name    string `json:"name"`
	State   string `json:"state"` // up, down or off
	MTU     int    `json:"mtu"`
	Offload string `json:"offload"` // how packets are batched, as netio says: "tun+vnet+gso+gro+uso", "tun"
	Inbound string `json:"inbound"` // closed or open
}

// LinkStatus describes one socket on which peers are met.
type LinkStatus struct {
	Index     uint16 `json:"index"`
	Kind      string `json:"kind"` // udp or eth
	Name      string `json:"name"` // configuration section
	Bind      string `json:"bind"` // address and port, or device
	State     string `json:"state"`
	Beacon    string `json:"beacon"`  // off, accept or send
	Offload   string `json:"offload"` // "mmsg+gso+gro", "mmsg" or "plain"
	RxPackets uint64 `json:"rxPackets"`
	TxPackets uint64 `json:"txPackets"`
	Error     string `json:"error,omitempty"`
}

// PeerStatus describes one direct neighbour.
type PeerStatus struct {
	Name         string `json:"name"` // configuration section, login of the password it used, or empty
	PublicKey    string `json:"publicKey"`
	IP           string `json:"ip"`
	Addr         string `json:"addr"`   // node text: vN.path.key
	LLAddr       string `json:"lladdr"` // ip:port or MAC
	Link         string `json:"link"`
	LinkKind     string `json:"linkKind"`            // udp, eth or mesh
	Metric       uint8  `json:"metric,omitempty"`    // of the way through the mesh, 255 is perfect; mesh only
	CarriedBy    string `json:"carriedBy,omitempty"` // link to the same node that carries its frames while it does not answer
	State        string `json:"state"`               // cjdns's words: INIT, SENT_HELLO, …, ESTABLISHED, UNRESPONSIVE
	Version      uint32 `json:"version"`
	Label        string `json:"label"` // path to it, four groups
	Incoming     bool   `json:"incoming"`
	Source       string `json:"source"` // config, beacon or incoming
	Noise        bool   `json:"noise"`
	BytesIn      uint64 `json:"bytesIn"`
	BytesOut     uint64 `json:"bytesOut"`
	RecvKbps     uint32 `json:"recvKbps"`
	SendKbps     uint32 `json:"sendKbps"`
	Received     uint64 `json:"receivedPackets"`
	Duplicates   uint64 `json:"duplicates"`
	Lost         uint64 `json:"lostPackets"`
	OutOfRange   uint64 `json:"receivedOutOfRange"`
	LastInMs     int64  `json:"lastInMs"` // ms since the last authenticated packet, -1 never
	RTTMicros    int64  `json:"rttMicros"`
	LossPermille int    `json:"lossPermille"` // of the packets that it sends us, smoothed
	Handshakes   uint64 `json:"handshakes"`
	LastProblem  string `json:"lastProblem,omitempty"`
	ConfiguredAs string `json:"configuredAs,omitempty"` // host name as written, if it is one
}

// SessionStatus describes one end-to-end session.
type SessionStatus struct {
	IP         string `json:"ip"`
	PublicKey  string `json:"publicKey"`
	Addr       string `json:"addr"`
	State      string `json:"state"`
	Version    uint32 `json:"version"`
	Label      string `json:"label"`
	RecvHandle uint32 `json:"handle"`
	SendHandle uint32 `json:"sendHandle"`
	Duplicates uint64 `json:"duplicates"`
	Lost       uint64 `json:"lostPackets"`
	OutOfRange uint64 `json:"receivedOutOfRange"`
	LastInMs   int64  `json:"lastInMs"`
	LastOutMs  int64  `json:"lastOutMs"`
	RTTMicros  int64  `json:"rttMicros"`
	// Why it uses its path: found (the first that was known), theirs (the
	// other end came along it), better (measured), broken (another one did
	// not answer). Changes counts, ChangedMs is ms since the last; -1 never.
	Why       string       `json:"why"`
	Changes   uint32       `json:"pathChanges"`
	ChangedMs int64        `json:"pathChangedMs"`
	Paths     []PathStatus `json:"paths"`
}

// PathStatus describes one way to the other end of a session.
type PathStatus struct {
	Label        string `json:"label"`
	State        string `json:"state"` // used, good, unmeasured, or bad: it did not answer and rests
	RTTMicros    int64  `json:"rttMicros"`
	LossPermille int    `json:"lossPermille"`
	Direct       bool   `json:"direct"`
}

// TableStatus says how full a bounded table is.
type TableStatus struct {
	Name  string `json:"name"`
	Used  int    `json:"used"`
	Limit int    `json:"limit"`
}
