package daemon

import (
	"crypto/sha256"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/kernel"
)

// radioChoice is which radio a section "wifi" gets, and how it is used.
type radioChoice struct {
	phy    *kernel.Phy
	typ    kernel.IfType
	mhz    int
	reason string // for people: why this type and channel
}

// Channels to begin with, so that nodes without an option meet: 1, 36.
const (
	firstMHz  = 2412
	secondMHz = 5180
)

// chooseRadio chooses the first radio that can do what r wants beside the
// interfaces that are up on it. A mesh point is better than an IBSS, unless
// only the IBSS lets an access point run on the same radio. own is the device
// that is for r itself, if there is one. Radios that are in a mesh already come
// last: most drivers can have several mesh points, but two sections are for two
// radios.
func chooseRadio(r *config.Radio, phys []*kernel.Phy, up []*kernel.WifiIface, own string) (*radioChoice, error) {
	meshes := func(p *kernel.Phy) int {
		other := func(f *kernel.WifiIface) bool { return f.Phy == p.Index && f.Name != own && inMesh(f) }
		if slices.ContainsFunc(up, other) {
			return 1
		}
		return 0
	}
	phys = slices.Clone(phys)
	slices.SortStableFunc(phys, func(a, b *kernel.Phy) int { return meshes(a) - meshes(b) })
	why := ""
	for _, p := range phys {
		if r.Phy != "" && r.Phy != p.Name {
			continue
		}
		var used []*kernel.WifiIface
		for _, f := range up {
			if f.Phy == p.Index && f.Name != own {
				used = append(used, f)
			}
		}
		c := &radioChoice{phy: p}
		err := c.choose(r, used)
		if err == nil {
			return c, nil
		}
		if why != "" {
			why += "; "
		}
		why += p.Name + ": " + err.Error()
	}
	switch {
	case why != "":
	case len(phys) == 0:
		why = "there is no radio: no Wi-Fi device, or its driver or firmware is missing"
	default:
		return nil, noSuchRadio(r.Phy)
	}
	return nil, errors.New(why)
}

func noSuchRadio(phy string) error {
	return errors.New("option phy: there is no radio " + phy + "; expected auto or one that meshagent wifi lists")
}

// choose chooses type and channel on one radio. used are the other interfaces
// that are up on it.
func (c *radioChoice) choose(r *config.Radio, used []*kernel.WifiIface) error {
	channels, err := c.chooseType(r.Mode, used)
	if err != nil {
		return err
	}
	c.mhz = r.Channel
	if c.mhz < 1000 {
		c.mhz = kernel.ChannelMHz(c.mhz)
	}
	for _, f := range used {
		switch {
		case !f.Active() || channels > 1:
		case c.mhz == 0:
			c.mhz = f.MHz
			c.reason += "; on the channel of " + f.Name + ", as the radio can be on one channel only"
		case c.mhz != f.MHz:
			return errors.New("option channel: the radio can be on one channel only, and " + f.Name + " has it on " + strconv.Itoa(kernel.MHzChannel(f.MHz)) + ": expected that, or auto")
		}
	}
	if c.mhz == 0 {
		c.mhz = freeMHz(c.phy)
	}
	if c.mhz == 0 {
		return errors.New("the regulatory domain allows no channel to begin a network on: set the country")
	}
	return c.phy.Check(c.mhz, r.Width)
}

// chooseType chooses between mesh point and IBSS, and returns on how many
// channels the radio can be then.
func (c *radioChoice) chooseType(mode config.RadioMode, used []*kernel.WifiIface) (channels int, err error) {
	types := []kernel.IfType{kernel.IfMesh, kernel.IfAdhoc}
	switch mode {
	case config.RadioMesh:
		types = types[:1]
	case config.RadioIBSS:
		types = types[1:]
	}
	var with []kernel.IfType
	ap := false
	for _, f := range used {
		with = append(with, f.Type)
		ap = ap || f.Type == kernel.IfAP
	}
	why, beside := "", false
	for _, t := range types {
		n, ok := c.phy.Together(append(with, t)...)
		_, room := c.phy.Together(append(with, t, kernel.IfAP)...)
		room = room || ap && ok
		switch name := t.String(); {
		case !c.phy.Types.Has(t):
			why += "; the driver has no " + name
		case !ok:
			why += "; the driver has no " + name + " beside " + used[0].Name
		case c.typ == 0:
			c.typ, channels, beside = t, n, room
		case !beside && room:
			why = "; an access point can run beside it, but not beside a " + c.typ.String()
			c.typ, channels, beside = t, n, room
		}
	}
	switch {
	case c.typ == 0:
		return 0, errors.New(strings.TrimPrefix(why, "; "))
	case mode != config.RadioAuto:
		why = "; set by option mode"
	case c.typ != types[0]:
	case beside:
		why = "; an access point can run beside it"
	default:
		why = "; no access point can run beside it"
	}
	c.reason = c.typ.String() + why
	return channels, nil
}

// freeMHz is the channel that a node without an option begins on; 0 if none is
// allowed.
func freeMHz(p *kernel.Phy) int {
	for _, mhz := range [...]int{firstMHz, secondMHz} {
		if b, ch := p.Channel(mhz); b != nil && ch.Free() {
			return mhz
		}
	}
	for _, b := range p.Bands {
		for _, ch := range b.Channels {
			if ch.Free() && kernel.MHzChannel(ch.MHz) != 0 {
				return ch.MHz
			}
		}
	}
	return 0
}

// cell is what is joined on the radio.
func (c *radioChoice) cell(r *config.Radio) *kernel.Cell {
	cell := &kernel.Cell{ID: r.MeshID, MHz: c.mhz, Width: r.Width, BSSID: r.BSSID, McastRate: r.McastRate, MinSignal: r.MinSignal}
	if b, _ := c.phy.Channel(c.mhz); !b.HT && b.ID < 2 {
		cell.Width = 0 // before 802.11n
	}
	if cell.BSSID == [6]byte{} {
		// All nodes make the same one, so that the cell cannot split.
		sum := sha256.Sum256([]byte(r.MeshID))
		copy(cell.BSSID[:], sum[:])
		cell.BSSID[0] = cell.BSSID[0]&^1 | 2
	}
	return cell
}
