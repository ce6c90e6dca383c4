package daemon

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/kernel"
)

// radioChoice is which radio a section "wifi" gets, and how it is used.
type radioChoice struct {
	phy    kernel.Phy
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
// that is for r itself, if there is one.
func chooseRadio(r config.Radio, phys []kernel.Phy, up []kernel.WifiIface, own string) (radioChoice, error) {
	var errs []error
	for _, p := range phys {
		if r.Phy != "" && r.Phy != p.Name {
			continue
		}
		used := slices.DeleteFunc(slices.Clone(up), func(f kernel.WifiIface) bool { return f.Phy != p.Index || f.Name == own })
		c, err := choosePhy(r, p, used)
		if err == nil {
			return c, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", p.Name, err))
	}
	switch {
	case errs == nil && len(phys) == 0:
		return radioChoice{}, errors.New("there is no radio: no Wi-Fi device, or its driver or firmware is missing")
	case errs == nil:
		return radioChoice{}, fmt.Errorf("option phy: there is no radio %s; expected one of%s", r.Phy, phyNames(phys))
	}
	return radioChoice{}, errors.Join(errs[:min(len(errs), 4)]...)
}

func phyNames(phys []kernel.Phy) (s string) {
	for _, p := range phys[:min(len(phys), 8)] {
		s += " " + p.Name
	}
	return s
}

// choosePhy chooses type and channel on one radio. used are the other
// interfaces that are up on it.
func choosePhy(r config.Radio, p kernel.Phy, used []kernel.WifiIface) (radioChoice, error) {
	c := radioChoice{phy: p}
	channels, err := c.chooseType(r.Mode, used)
	if err != nil {
		return c, err
	}
	c.mhz = r.Channel
	if c.mhz != 0 && c.mhz < 1000 {
		c.mhz = kernel.ChannelMHz(c.mhz)
	}
	if i := slices.IndexFunc(used, kernel.WifiIface.Active); i >= 0 && channels <= 1 {
		f := used[i]
		switch {
		case c.mhz == 0:
			c.mhz = f.MHz
			c.reason += fmt.Sprintf("; channel %d because of %s, as the radio can be on one channel only", kernel.MHzChannel(f.MHz), f.Name)
		case c.mhz != f.MHz:
			return c, fmt.Errorf("option channel: the radio can be on one channel only, and %s has it on %d: expected that, or auto", f.Name, kernel.MHzChannel(f.MHz))
		}
	}
	if c.mhz == 0 {
		c.mhz = freeMHz(p)
	}
	if c.mhz == 0 {
		return c, errors.New("the regulatory domain allows no channel to begin a network on: set the country")
	}
	return c, p.Check(c.mhz, r.Width)
}

// chooseType chooses between mesh point and IBSS, and returns on how many
// channels the radio can be then.
func (c *radioChoice) chooseType(mode config.RadioMode, used []kernel.WifiIface) (channels int, err error) {
	types := []kernel.IfType{kernel.IfMesh, kernel.IfAdhoc}
	switch mode {
	case config.RadioMesh:
		types = types[:1]
	case config.RadioIBSS:
		types = types[1:]
	}
	with := make([]kernel.IfType, len(used), len(used)+2)
	ap := false
	for i, f := range used {
		with[i] = f.Type
		ap = ap || f.Type == kernel.IfAP
	}
	type fit struct {
		typ      kernel.IfType
		channels int
		beside   bool // an access point can run beside it
	}
	var fits []fit
	var no []string
	for _, t := range types {
		n, ok := c.phy.Together(append(with, t)...)
		switch {
		case !c.phy.Types.Has(t):
			no = append(no, "the driver has no "+t.String())
		case !ok:
			no = append(no, fmt.Sprintf("the driver has no %s beside %s", t, used[0].Name))
		default:
			_, beside := c.phy.Together(append(with, t, kernel.IfAP)...)
			fits = append(fits, fit{t, n, beside || ap})
		}
	}
	if fits == nil {
		return 0, errors.New(strings.Join(no, ", and "))
	}
	best := fits[0]
	if len(fits) > 1 && !best.beside && fits[1].beside {
		best = fits[1]
		no = append(no, "an access point can run beside it, but not beside a "+fits[0].typ.String())
	}
	c.typ, c.reason = best.typ, best.typ.String()
	switch {
	case best.typ != types[0]:
		c.reason += ": " + strings.Join(no, ", and ")
	case mode != config.RadioAuto:
		c.reason += ": set by option mode"
	case ap:
		c.reason += ": the driver has it beside the access point"
	case best.beside:
		c.reason += ": the driver has it, and an access point can run beside it"
	default:
		c.reason += ": the driver has it, but no access point can run beside it"
	}
	return best.channels, nil
}

// freeMHz is the channel that a node without an option begins on; 0 if none is
// allowed.
func freeMHz(p kernel.Phy) int {
	for _, mhz := range [...]int{firstMHz, secondMHz} {
		if _, ch, ok := p.Channel(mhz); ok && ch.Free() {
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
func (c radioChoice) cell(r config.Radio) kernel.Cell {
	cell := kernel.Cell{ID: r.MeshID, MHz: c.mhz, Width: r.Width, BSSID: r.BSSID, McastRate: r.McastRate, MinSignal: r.MinSignal}
	if b, _, ok := c.phy.Channel(c.mhz); ok && !b.HT && b.ID < 2 {
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
