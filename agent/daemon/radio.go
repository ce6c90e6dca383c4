package daemon

import (
	"errors"
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
	want  *config.Radio // nil: nothing yet
	index int           // of the device that is in the mesh; 0: none
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

// netifdPath exists on OpenWrt, where netifd owns the radios. Its program is not
// looked for: the agent's jail does not show that.
var netifdPath = "/etc/config/wireless"

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
	if h.cfg.Radio == nil {
		return nil
	}
	r := &h.radio
	if r.want == nil || *r.want != *h.cfg.Radio {
		h.releaseRadio(m.d.log)
		h.device = h.cfg.Device
	}
	r.want = h.cfg.Radio
	now := time.Now()
	settled := false
	for i := range *devs { // by index: it may have another name now
		if d := &(*devs)[i]; d.Index == r.index && r.err == nil {
			settled, h.device = d.Up, d.Name
		}
	}
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
		m.say(slog.LevelInfo, "radio is in the mesh", "iface", h.device, "as", r.text+r.note)
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
	j := &radioJoin{w, h, ifs, phys, devs}
	f := j.iface(h.device)
	if f == nil && h.device != h.cfg.Device {
		h.device, h.radio.index = h.cfg.Device, 0
		f = j.iface(h.device)
	}
	switch r := h.cfg.Radio; {
	case f != nil:
		return j.use(f)
	case netifd():
		return j.adopt(m)
	case !r.Made && r.Phy == "":
		return errors.New("device " + h.device + " does not exist, or is no Wi-Fi interface: with option phy the agent makes it")
	}
	return j.make()
}

// radioJoin is one attempt to bring h into its mesh.
type radioJoin struct {
	w    *kernel.Wifi
	h    *hardIf
	ifs  []*kernel.WifiIface
	phys []*kernel.Phy
	devs kernel.Links
}

// iface finds an interface; nil if there is none.
func (j *radioJoin) iface(name string) *kernel.WifiIface {
	for _, f := range j.ifs {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// up are the interfaces that keep a radio busy. One that another section has
// just made is in use before the list of devices shows it.
func (j *radioJoin) up() (list []*kernel.WifiIface) {
	for _, f := range j.ifs {
		up := func(d kernel.Interface) bool { return d.Index == f.Index && d.Up }
		if f.Active() || slices.ContainsFunc(j.devs, up) {
			list = append(list, f)
		}
	}
	return list
}

// inMesh reports whether the interface is in a mesh or a cell.
func inMesh(f *kernel.WifiIface) bool {
	return f.Type == kernel.IfMesh && f.Active() || f.Type == kernel.IfAdhoc && (f.Active() || f.SSID != "")
}

// fits says why an interface that others brought into a mesh is not the one
// that is wanted. A mesh point does not tell the name of its mesh.
func (j *radioJoin) fits(f *kernel.WifiIface) error {
	r := j.h.cfg.Radio
	switch {
	case r.Mode == config.RadioMesh && f.Type != kernel.IfMesh, r.Mode == config.RadioIBSS && f.Type != kernel.IfAdhoc:
		return errors.New("option mode: " + f.Name + " is of type " + f.Type.String() + ", made by others: expected auto, or another device")
	case f.Type == kernel.IfAdhoc && f.SSID != r.MeshID:
		return errors.New("option mesh_id: " + f.Name + " is in the cell '" + f.SSID + "', made by others: expected that name, or another device")
	}
	return nil
}

// keep uses the interface as others have made it.
func (j *radioJoin) keep(f *kernel.WifiIface) error {
	if err := j.fits(f); err != nil {
		return err
	}
	r := &j.h.radio
	j.h.device, r.index, r.typ, r.made, r.taken, r.note = f.Name, f.Index, f.Type, false, false, ""
	r.text = f.Type.String() + "; joined by others, used as it is"
	if f.Type == kernel.IfMesh {
		if p, err := j.w.MeshParams(f.Index); err == nil && p.Forwarding {
			r.note = "; but the driver forwards frames of the mesh too, which loads the air twice: set option mesh_fwding '0' in its wifi-iface"
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
	switch {
	case last != nil:
		return last
	case r.Phy != "" && !slices.ContainsFunc(j.phys, func(p *kernel.Phy) bool { return p.Name == r.Phy }):
		return noSuchRadio(r.Phy)
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
func (j *radioJoin) use(f *kernel.WifiIface) error {
	r := &j.h.radio
	mine := r.made || r.want.Made && !netifd() // the name is ours: it was made in an earlier life
	if r.taken && kernel.WifiManager(f.Name) != "" {
		r.taken, r.index = false, 0 // somebody manages it since: it is theirs
	}
	switch {
	case r.ours() && r.index == f.Index && r.typ == f.Type && inMesh(f):
		return nil
	case !mine && !r.taken && inMesh(f):
		return j.keep(f)
	case mine:
	case netifd():
		return errors.New("netifd owns " + f.Name + " and has not brought it into a mesh yet: see logread, and option mode in its wifi-iface")
	case kernel.WifiManager(f.Name) != "":
		return errors.New(f.Name + " is managed by " + kernel.WifiManager(f.Name) + ", which has not brought it into a mesh yet")
	case f.Type == kernel.IfStation && f.Active():
		return errors.New(f.Name + " is a client of the network '" + f.SSID + "': expected another device, or option phy")
	case f.Type != kernel.IfStation && f.Type != kernel.IfMesh && f.Type != kernel.IfAdhoc:
		return errors.New(f.Name + " is of type " + f.Type.String() + ": expected another device, or option phy")
	}
	want := *r.want
	if !mine {
		want.Phy = j.phyName(f.Phy)
	}
	c, err := chooseRadio(&want, j.phys, j.up(), f.Name)
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
		if err := errors.Join(kernel.SetUp(f.Index, false), j.w.SetType(f.Index, c.typ)); err != nil {
			return err
		}
	}
	r.made, r.taken = mine, !mine
	return j.join(c, f)
}

func (j *radioJoin) leave(f *kernel.WifiIface) {
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

func (j *radioJoin) makeOn(c *radioChoice) error {
	taken := func(mac [6]byte) bool {
		return slices.ContainsFunc(j.ifs, func(f *kernel.WifiIface) bool { return f.MAC == mac && f.Name != j.h.device })
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
func (j *radioJoin) join(c *radioChoice, f *kernel.WifiIface) error {
	r := &j.h.radio
	if err := kernel.SetUp(f.Index, true); err != nil {
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
	r.text = c.reason
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
	j := &radioJoin{w: w, h: h, ifs: ifs}
	f := j.iface(h.device)
	if f == nil {
		return
	}
	if r.made {
		err = w.DelIface(f.Index)
	} else {
		j.leave(f)
		err = errors.Join(kernel.SetUp(f.Index, false), w.SetType(f.Index, kernel.IfStation))
	}
	if err != nil {
		log.Warn("the radio is not as it was before", "iface", h.device, "err", err)
	}
}
