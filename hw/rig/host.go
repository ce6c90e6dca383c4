package rig

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
)

// Identity is the key pair of a Host.
type Identity struct {
	Private cjdns.PrivateKey
	Key     cjdns.Key
	IP      string // overlay address, all 39 characters
}

// NewIdentity draws keys until one hashes into fc00::/8.
func NewIdentity() (id Identity) {
	for {
		if _, err := rand.Read(id.Private[:]); err != nil {
			panic(err) // documented never to happen
		}
		k, err := ecdh.X25519().NewPrivateKey(id.Private[:])
		if err != nil {
			continue
		}
		id.Key = cjdns.Key(k.PublicKey().Bytes())
		if ip := id.Key.IP(); ip.Valid() {
			id.IP = ip.String()
			return id
		}
	}
}

// Host is one overlay node, ours or a stock cjdroute, in a namespace. Fill in
// Spec, then Start. Config text is written at each Start, so a changed Spec
// takes effect with a restart.
type Host struct {
	Node  *Node
	ID    Identity
	Spec  Spec
	Bin   string // meshagent or cjdroute
	Stock bool   // Bin is a cjdroute
	Proc  *Proc  // of the last Start

	// Socket is the unix socket of our agent's commands; Conf its
	// configuration. Both are set by New.
	Socket, Conf string

	name string // of the program, for logs
}

// Agent makes a host that will run meshagent.
func (n *Node) Agent(bin string) *Host { return n.host(bin, false) }

// StockNode makes a host that will run a real cjdroute.
func (n *Node) StockNode(bin string) *Host { return n.host(bin, true) }

func (n *Node) host(bin string, stock bool) *Host {
	h := &Host{Node: n, ID: NewIdentity(), Bin: bin, Stock: stock, name: "meshagent"}
	if stock {
		h.name = "cjdroute"
	}
	for i := 1; ; i++ { // a namespace may hold several hosts
		dir := filepath.Join(n.rig.Dir, fmt.Sprintf("%s-%s%d", n.Name, h.name, i))
		err := os.Mkdir(dir, 0o700)
		if os.IsExist(err) {
			continue
		}
		if err != nil {
			n.rig.fail("%v", err)
		}
		h.Socket, h.Conf = filepath.Join(dir, "sock"), filepath.Join(dir, "conf")
		return h
	}
}

// IP returns the overlay address.
func (h *Host) IP() string { return h.ID.IP }

// WriteConf writes the configuration and the key without starting anything.
func (h *Host) WriteConf() {
	var text string
	if h.Stock {
		text = h.Spec.cjdroute(h)
	} else {
		text = h.Spec.uci(h)
		h.write(h.keyFile(), h.ID.Private.Hex()+"\n")
	}
	h.write(h.Conf, text)
}

func (h *Host) keyFile() string { return filepath.Join(filepath.Dir(h.Conf), "key") }

func (h *Host) write(file, text string) {
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		h.Node.rig.fail("%v", err)
	}
}

// Start writes the configuration and starts the program. It does not wait for
// ours to serve: see WaitUp.
func (h *Host) Start() {
	h.WriteConf()
	h.StartAsIs()
}

// StartAsIs starts the program with the configuration that lies there.
func (h *Host) StartAsIs() {
	if h.Stock {
		h.startStock()
		return
	}
	h.Proc = h.Node.Start(h.name, h.Bin, "run", "-c", h.Conf)
}

// Restart kills the program without a goodbye and starts it again.
func (h *Host) Restart() {
	h.Proc.Kill()
	h.Start()
}

// WaitUp waits until the program answers to commands, and fails the rig with
// the end of its log if it does not within d.
func (h *Host) WaitUp(d time.Duration) {
	var err error
	if !Until(d, 20*time.Millisecond, func() bool {
		_, err = h.Peers()
		return err == nil || !h.Proc.Alive()
	}) || err != nil {
		h.Node.rig.fail("%s in %s does not serve: %v\n%s", h.name, h.Node.NS, err, h.Proc.Tail(20))
	}
}

// Peer is what a host says of one direct neighbour.
type Peer struct {
	Key        string // public key
	LLAddr     string // address on the link
	State      string // ESTABLISHED, …
	User       string
	Lost       uint64 // lostPackets
	OutOfRange uint64 // receivedOutOfRange
	Duplicates uint64
}

// Peers asks the running program for its neighbours.
func (h *Host) Peers() (peers []Peer, err error) {
	if h.Stock {
		return h.stockPeers()
	}
	s, err := h.Status()
	for _, p := range s.Peers {
		peers = append(peers, Peer{
			Key: p.PublicKey, LLAddr: p.LLAddr, State: p.State, User: p.Name,
			Lost: p.LostPackets, OutOfRange: p.ReceivedOutOfRange, Duplicates: p.Duplicates,
		})
	}
	return peers, err
}

// Peer returns the neighbour with the given key, and whether it is an
// established one.
func (h *Host) Peer(key cjdns.Key) (p Peer, established bool) {
	peers, _ := h.Peers()
	for _, p := range peers {
		if p.Key == key.String() {
			return p, p.State == "ESTABLISHED"
		}
	}
	return Peer{}, false
}

// WaitPeer waits until both hosts show each other established.
func WaitPeer(a, b *Host, d time.Duration) bool {
	return Until(d, 50*time.Millisecond, func() bool {
		_, ab := a.Peer(b.ID.Key)
		_, ba := b.Peer(a.ID.Key)
		return ab && ba
	})
}

// Status holds those fields of our agent's status that the rig reads. It is a
// type of its own, so that a field renamed in the agent shows as a failure
// here as it would at a user's script.
type Status struct {
	Version string
	TUN     struct{ Name, State, Offload, Inbound string }
	Links   []struct{ Kind, Name, Bind, State, Offload, Error string }
	Peers   []struct {
		Name, PublicKey, IP, Addr, LLAddr, State, Label, LastProblem string
		LostPackets, ReceivedOutOfRange, Duplicates, ReceivedPackets uint64
		RTTMicros                                                    int64
	}
	Sessions []struct {
		IP, State, Label                            string
		LostPackets, ReceivedOutOfRange, Duplicates uint64
	}
	Supernode struct {
		Active               string
		AnnouncedLinks       int
		AnnouncementsTaken   int
		Nodes, Links, Routes int
		Taken, NoRoute       int
		AnnouncementRestarts int
	}
	Bus    struct{ State, Error string } `json:"ubus"`
	Drops  map[string]int64
	Tables []struct {
		Name        string
		Used, Limit int
	}
	Problems []string
}

// Status asks our agent for what it shows.
func (h *Host) Status() (s Status, err error) {
	err = h.Call("status", nil, &s)
	return s, err
}

// Call sends one request to our agent and decodes the result into out.
func (h *Host) Call(method string, args, out any) error {
	c, err := net.DialTimeout("unix", h.Socket, time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	req := map[string]any{"id": 1, "method": method}
	if args != nil {
		req["args"] = args
	}
	if err := json.NewEncoder(c).Encode(req); err != nil {
		return err
	}
	var rep struct {
		Result json.RawMessage
		Error  *struct{ Code, Text string }
	}
	if err := json.NewDecoder(c).Decode(&rep); err != nil {
		return err
	}
	if rep.Error != nil {
		return fmt.Errorf("%s: %s: %s", method, rep.Error.Code, rep.Error.Text)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(rep.Result, out)
}
