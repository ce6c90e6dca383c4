package daemon

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/kernel"
)

// radioState is what became of a section "wifi": it turns a radio into a device
// that is a hard interface. Supervisor only.
//
// Who owns an interface decides what is done with it. One that we made, or that
// lay idle, we join and leave. One that netifd, wpa_supplicant or the user has
// brought into a mesh is used as it is, and nothing about it is changed.
type radioState struct {
	want  config.Radio
	index int // of the device that is in the mesh; 0: none
	typ   kernel.IfType
	made  bool // by us
	taken bool // it lay idle, and we joined
	text  string
	note  string // what is wrong though it works
	err   error  // why it does not work
	wait  time.Duration
	tried time.Time
	next  time.Time // of the next attempt or look
}

// Attempts to get a radio to work, and how often one that works is looked at.
// News from the kernel comes before.
const (
	radioWaitMin = time.Second
	radioWaitMax = 16 * time.Second
	radioLook    = 10 * time.Second
)

// netifdPath exists on OpenWrt, where netifd owns the radios.
var netifdPath = "/sbin/netifd"

func netifd() bool {
	_, err := os.Stat(netifdPath)
	return err == nil
}

// ours reports whether we may leave the mesh and change the device.
func (r *radioState) ours() bool { return r.made || r.taken }

// again ends the pause after a failure: something has changed. Our own attempts
// are such changes too, so there is a pause all the same.
func (r *radioState) again() {
	r.wait = 0
	if t := r.tried.Add(radioWaitMin); t.Before(r.next) {
		r.next = t
	}
}

// checkRadio makes the device of h if a section "wifi" asks for it, and keeps
// it in the mesh. It says why there is none. devs is read anew if it changes.
func (m *meshRun) checkRadio(h *hardIf, devs *kernel.Links) error {
	if h.cfg.Radio.MeshID == "" {
		return nil
	}
	r := &h.radio
	if r.want != h.cfg.Radio {
		if r.want.MeshID != "" {
			h.releaseRadio(m.d.log)
		}
		*r, h.device = radioState{want: h.cfg.Radio}, h.cfg.Device
	}
	now := time.Now()
	dev, there := devs.ByName(h.device)
	if d, ok := devs.ByIndex(r.index); r.index != 0 && ok && d.Name != h.device {
		m.d.log.Info("the radio's interface has another name", "iface", d.Name, "old", h.device)
		dev, there, h.device = d, true, d.Name
	}
	settled := r.err == nil && r.index != 0 && there && dev.Index == r.index && dev.Up
	if now.Before(r.next) && (settled || r.err != nil) {
		return r.err
	}
	before := r.index
	r.tried = now
	if r.err = m.joinRadio(h, *devs); r.err != nil {
		r.index = 0
		r.wait = min(max(2*r.wait, radioWaitMin), radioWaitMax)
		r.next = now.Add(r.wait)
		return r.err
	}
	r.wait, r.next = 0, now.Add(radioLook)
	if !settled || r.index != before {
		m.say(slog.LevelInfo, "radio is in the mesh", "iface", h.device, "id", r.want.MeshID, "as", r.text)
		if r.note != "" {
			m.say(slog.LevelWarn, r.note, "iface", h.device)
		}
		if fresh, err := kernel.Interfaces(); err == nil {
			*devs = fresh
		}
	}
	return nil
}

// joinRadio does the work of checkRadio.
func (m *meshRun) joinRadio(h *hardIf, devs kernel.Links) error {
	w, err := kernel.OpenWifi()
	if err != nil {
		return err
	}
	defer w.Close()
	ifs, err := w.Ifaces()
	if err != nil {
		return err
	}
	phys, err := w.Phys()
	if err != nil {
		return err
	}
	j := radioJoin{w, h, ifs, phys, devs}
	f, there := j.iface(h.device)
	if !there && h.device != h.cfg.Device {
		h.device, h.radio.index = h.cfg.Device, 0
		f, there = j.iface(h.device)
	}
	switch r := h.cfg.Radio; {
	case there:
		return j.use(f)
	case netifd():
		return j.adopt(m)
	case !r.Made && r.Phy == "":
		return fmt.Errorf("device %s does not exist, or is no Wi-Fi interface: with option phy the agent makes it", h.device)
	}
	return j.make()
}

// radioJoin is one attempt to bring h into its mesh.
type radioJoin struct {
	w    *kernel.Wifi
	h    *hardIf
	ifs  []kernel.WifiIface
	phys []kernel.Phy
	devs kernel.Links
}

func (j *radioJoin) iface(name string) (kernel.WifiIface, bool) {
	i := slices.IndexFunc(j.ifs, func(f kernel.WifiIface) bool { return f.Name == name })
	if i < 0 {
		return kernel.WifiIface{}, false
	}
	return j.ifs[i], true
}

// up are the interfaces that keep a radio busy.
func (j *radioJoin) up() (list []kernel.WifiIface) {
	for _, f := range j.ifs {
		if d, ok := j.devs.ByName(f.Name); ok && d.Up {
			list = append(list, f)
		}
	}
	return list
}

// inMesh reports whether the interface is in a mesh or a cell.
func inMesh(f kernel.WifiIface) bool {
	return f.Type == kernel.IfMesh && f.Active() || f.Type == kernel.IfAdhoc && (f.Active() || f.SSID != "")
}

// fits says why an interface that others brought into a mesh is not the one
// that is wanted. A mesh point does not tell the name of its mesh.
func (j *radioJoin) fits(f kernel.WifiIface) error {
	r := j.h.cfg.Radio
	switch {
	case r.Mode == config.RadioMesh && f.Type != kernel.IfMesh, r.Mode == config.RadioIBSS && f.Type != kernel.IfAdhoc:
		return fmt.Errorf("option mode: %s is of type %s, made by others: expected auto, or another device", f.Name, f.Type)
	case f.Type == kernel.IfAdhoc && f.SSID != r.MeshID:
		return fmt.Errorf("option mesh_id: %s is in the cell '%s', made by others: expected that name, or another device", f.Name, f.SSID)
	}
	return nil
}

// keep uses the interface as others have made it.
func (j *radioJoin) keep(f kernel.WifiIface) error {
	if err := j.fits(f); err != nil {
		return err
	}
	r := &j.h.radio
	j.h.device, r.index, r.typ, r.made, r.taken, r.note = f.Name, f.Index, f.Type, false, false, ""
	r.text = fmt.Sprintf("%s: joined by others, used as it is; channel %d", f.Type, kernel.MHzChannel(f.MHz))
	if f.Type == kernel.IfMesh {
		if p, err := j.w.MeshParams(f.Index); err == nil && p.Forwarding {
			r.note = "the driver forwards frames of the mesh too, which loads the air twice: set option mesh_fwding '0' in its wifi-iface"
		}
	}
	return nil
}

// adopt looks for an interface that netifd has brought into a mesh, and uses
// it.
func (j *radioJoin) adopt(m *meshRun) error {
	r := j.h.cfg.Radio
	var last error
	for _, f := range j.ifs {
		other := func(h *hardIf) bool { return h != j.h && h.device == f.Name }
		if !inMesh(f) || r.Phy != "" && r.Phy != j.phyName(f.Phy) || slices.ContainsFunc(m.ifs, other) {
			continue
		}
		if last = j.keep(f); last == nil {
			return nil
		}
	}
	if last != nil {
		return last
	}
	return errors.New("netifd owns the radios, and none of its interfaces is in a mesh: add to /etc/config/wireless a section wifi-iface with option mode 'mesh', option mesh_id '" +
		r.MeshID + "', option mesh_fwding '0', option encryption 'none', and call wifi")
}

func (j *radioJoin) phyName(index int) string {
	for _, p := range j.phys {
		if p.Index == index {
			return p.Name
		}
	}
	return ""
}

// use brings an interface that exists into the mesh, or leaves it to those who
// own it.
func (j *radioJoin) use(f kernel.WifiIface) error {
	r := &j.h.radio
	mine := r.made || r.want.Made && !netifd() // the name is ours: it was made in an earlier life
	switch {
	case r.index == f.Index && r.typ == f.Type && inMesh(f):
		return nil
	case !mine && !r.taken && inMesh(f):
		return j.keep(f)
	case mine:
	case netifd():
		return fmt.Errorf("netifd owns %s and has not brought it into a mesh yet: see logread, and option mode in its wifi-iface", f.Name)
	case kernel.WifiManager(f.Name) != "":
		return fmt.Errorf("%s is managed by %s, which has not brought it into a mesh yet", f.Name, kernel.WifiManager(f.Name))
	case f.Type == kernel.IfStation && f.Active():
		return fmt.Errorf("%s is a client of the network '%s': expected another device, or option phy", f.Name, f.SSID)
	case f.Type != kernel.IfStation && f.Type != kernel.IfMesh && f.Type != kernel.IfAdhoc:
		return fmt.Errorf("%s is of type %s: expected another device, or option phy", f.Name, f.Type)
	}
	want := r.want
	if !mine {
		want.Phy = j.phyName(f.Phy)
	}
	c, err := chooseRadio(want, j.phys, j.up(), f.Name)
	if err != nil {
		return err
	}
	if c.phy.Index != f.Phy { // only if it is ours
		if err := j.w.DelIface(f.Index); err != nil {
			return err
		}
		return j.makeOn(c)
	}
	if inMesh(f) {
		j.leave(f)
	}
	if f.Type != c.typ {
		if err := errors.Join(kernel.SetUp(f.Name, false), j.w.SetType(f.Index, c.typ)); err != nil {
			return err
		}
	}
	r.made, r.taken = mine, !mine
	return j.join(c, f)
}

func (j *radioJoin) leave(f kernel.WifiIface) {
	if f.Type == kernel.IfMesh {
		_ = j.w.LeaveMesh(f.Index)
	} else {
		_ = j.w.LeaveIBSS(f.Index)
	}
}

// make makes the interface.
func (j *radioJoin) make() error {
	c, err := chooseRadio(j.h.radio.want, j.phys, j.up(), j.h.device)
	if err != nil {
		return err
	}
	return j.makeOn(c)
}

func (j *radioJoin) makeOn(c radioChoice) error {
	taken := func(mac [6]byte) bool {
		return slices.ContainsFunc(j.ifs, func(f kernel.WifiIface) bool { return f.MAC == mac && f.Name != j.h.device })
	}
	f, err := j.w.AddIface(c.phy.Index, j.h.device, c.typ, [6]byte{})
	if err == nil && taken(f.MAC) {
		// The radio has one address only, and two interfaces cannot share it.
		mac := f.MAC
		for k := byte(1); k < 64 && taken(mac); k++ {
			mac[0] = f.MAC[0]&^1 ^ k<<2 | 2
		}
		if err = j.w.DelIface(f.Index); err == nil {
			f, err = j.w.AddIface(c.phy.Index, j.h.device, c.typ, mac)
		}
	}
	if err != nil {
		return err
	}
	j.h.radio.made, j.h.radio.taken = true, false
	return j.join(c, f)
}

// join brings the interface up and into the mesh.
func (j *radioJoin) join(c radioChoice, f kernel.WifiIface) error {
	r := &j.h.radio
	if err := kernel.SetUp(f.Name, true); err != nil {
		return err
	}
	cell := c.cell(r.want)
	join := j.w.JoinIBSS
	if c.typ == kernel.IfMesh {
		join = j.w.JoinMesh
	}
	if err := join(f.Index, cell); err != nil {
		return err
	}
	r.index, r.typ, r.note = f.Index, c.typ, ""
	r.text = fmt.Sprintf("%s; channel %d of %s", c.reason, kernel.MHzChannel(c.mhz), c.phy.Name)
	return nil
}

// releaseRadio gives back what we made or took.
func (h *hardIf) releaseRadio(log *slog.Logger) {
	r := &h.radio
	defer func() { *r = radioState{} }()
	if !r.ours() {
		return
	}
	w, err := kernel.OpenWifi()
	if err != nil {
		return // it went with the driver
	}
	defer w.Close()
	ifs, _ := w.Ifaces()
	j := radioJoin{w: w, h: h, ifs: ifs}
	f, ok := j.iface(h.device)
	if !ok {
		return
	}
	if r.made {
		err = w.DelIface(f.Index)
	} else {
		j.leave(f)
		err = errors.Join(kernel.SetUp(f.Name, false), w.SetType(f.Index, kernel.IfStation))
	}
	if err != nil {
		log.Warn("the radio is not as it was before", "iface", h.device, "err", err)
	}
}
