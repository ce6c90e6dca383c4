package node

// Why says how packets for one node travel, as plain data: every way that is
// known, the one that is used hop by hop, and why it is that one. If there is
// none, it says what was tried.
type Why struct {
	Target    string `json:"target"` // as asked for
	IP        string `json:"ip"`
	PublicKey string `json:"publicKey,omitempty"`
	Name      string `json:"name,omitempty"` // of a direct peer
	// State is session (packets go along Label), idle (there is no session;
	// the first packet would go along Label), none (no way is known), or self.
	State   string      `json:"state"`
	Session string      `json:"session,omitempty"` // state of its CryptoAuth
	Label   string      `json:"label,omitempty"`
	Ways    []WayStatus `json:"ways"` // the one in use first, then the better ones
	Hops    []HopStatus `json:"hops"` // of Label

	// SilentMs is for how long nothing has come back to what the session sends,
	// if that is longer than it should take.
	SilentMs int64 `json:"silentMs,omitempty"`

	// Cause says why the session uses Label: found, theirs, better (as in
	// SessionStatus), or why it left the way before: broken (it did not answer),
	// refused (a switch on it has reported an error), peer-lost (the peer where
	// it begins is gone), followed (it did not answer, and the other end had
	// left it). Was is the way before, with the costs of both at the change, 0
	// if not measured; ChangedMs is ms since then, -1 never.
	Cause         string `json:"cause,omitempty"`
	Changes       uint32 `json:"pathChanges"`
	ChangedMs     int64  `json:"pathChangedMs"`
	Was           string `json:"was,omitempty"`
	CostMicros    int64  `json:"costThenMicros,omitempty"`
	WasCostMicros int64  `json:"wasCostMicros,omitempty"`

	Reason string   `json:"reason"` // all that in one sentence; admin writes it
	Tried  []string `json:"tried"`  // without a session: what was done to find a way and what is next, a sentence each
}

// WayStatus is one way to a node.
type WayStatus struct {
	Label string `json:"label,omitempty"` // empty: it never had a slot
	// Source says who named it: peer (it is a direct link), mesh (the same, over
	// the mesh), theirs (the other end's packets came along it), dht (a node
	// named it), supernode.
	Source string `json:"source"`
	// State is used, standby (it works as far as is known), untried (a claim
	// that nothing has answered along yet), resting (it did not answer; NextMs
	// until it may be tried again), failed (the same, and it may), or down (a
	// direct link that is not up).
	State        string `json:"state"`
	RTTMicros    int64  `json:"rttMicros"`
	LossPermille int    `json:"lossPermille"`
	Answers      int    `json:"answers"`    // to measuring pings, up to 255
	CostMicros   int64  `json:"costMicros"` // by which ways are compared; 0: not measured lately
	AnsweredMs   int64  `json:"answeredMs"` // ms since the last answer along it; -1 never
	Hops         int    `json:"hops"`
	Link         string `json:"link,omitempty"` // on which it begins
	Metric       uint8  `json:"metric,omitempty"`
	// AirMicros is what the links of a way through the mesh cost, in microseconds
	// of air or wire for 1250 bytes, by what the nodes tell of their links; 0
	// unknown. AirGuessed: by the metric alone. It counts until something is
	// measured.
	AirMicros  uint32 `json:"airMicros,omitempty"`
	AirGuessed bool   `json:"airGuessed,omitempty"`
	NextMs     int64  `json:"nextMs,omitempty"`
	Problem    string `json:"problem,omitempty"`
}

// HopStatus is one hop of a way: the director by which the switch before it is
// left, and who is there. Directors of other nodes are read as those of V358,
// the scheme that all known nodes use.
type HopStatus struct {
	Hop      int    `json:"hop"`      // from 1
	Director string `json:"director"` // its bits, the highest first
	Bits     int    `json:"bits"`
	Form     int    `json:"form"` // of the encoding scheme: 0, 1 or 2
	Slot     int    `json:"slot"` // of the switch before it
	Label    string `json:"label"`
	// KnownBy says who names the node: peer, theirs, dht, supernode, announced
	// (we are a supernode, and its links were announced to us). Empty: nobody.
	KnownBy string `json:"knownBy,omitempty"`
	Name    string `json:"name,omitempty"`
	IP      string `json:"ip,omitempty"`
	Link    string `json:"link,omitempty"`   // of the first hop
	LLAddr  string `json:"lladdr,omitempty"` // of the first hop
}
