package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/kernel"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/netio"
	"github.com/meshagent/meshagent/agent/node"
	"github.com/meshagent/meshagent/agent/pkt"
)

const (
	etherTypeCJDNS = 0xfc00
	retryTime      = time.Second // between attempts to open a link that cannot be opened
	ipUDPHeader    = 28          // IPv4 and UDP
	ip6UDPHeader   = 48          // IPv6 and UDP
)

// socket is one link that the configuration wants: the data socket and, for
// UDP beacons, the beacon socket beside it.
type socket struct {
	id      string // configuration section and device: what a reload compares
	kind    node.LinkKind
	udp     config.UDP
	eth     config.Eth
	index   uint16
	beacon  uint16 // link index of the beacon socket
	conn    netio.Conn
	bconn   netio.Conn
	stop    context.CancelFunc
	wg      *sync.WaitGroup
	problem string // why it is not open
	ifindex int
	mac     [6]byte
	last    node.LinkConfig
}

// links opens the sockets and keeps them open. Its methods run on the
// supervisor's goroutine.
type links struct {
	d       *Daemon
	sockets []*socket
	next    uint16
}

// index draws a link index. None is used twice: frames of the old link may
// still be under way.
func (l *links) index() uint16 {
	l.next++
	return l.next - 1
}

// want makes the set of links what cfg says. Sockets whose section did not
// change stay as they are.
func (l *links) want(ctx context.Context, cfg *config.Config, devs kernel.Links) {
	var want []*socket
	for _, u := range cfg.UDP {
		if u.Enabled {
			want = append(want, &socket{id: fmt.Sprintf("udp %+v", u), kind: node.LinkUDP, udp: u})
		}
	}
	for _, e := range cfg.Eth {
		if !e.Enabled {
			continue
		}
		for _, dev := range l.ethDevices(e, devs) {
			ee := e
			ee.Device = dev
			want = append(want, &socket{id: fmt.Sprintf("eth %+v", ee), kind: node.LinkEth, eth: ee})
		}
	}
	for _, s := range l.sockets {
		if !slices.ContainsFunc(want, func(w *socket) bool { return w.id == s.id }) {
			l.remove(ctx, s)
		}
	}
	l.sockets = slices.DeleteFunc(l.sockets, func(s *socket) bool { return s.stop == nil && s.wg == nil && s.problem == "removed" })
	for _, w := range want {
		if !slices.ContainsFunc(l.sockets, func(s *socket) bool { return w.id == s.id }) {
			w.index, w.beacon = l.index(), l.index()
			l.sockets = append(l.sockets, w)
		}
	}
}

// ownDevices names the devices that are the agent's own. No link lies on them:
// it would run through the overlay or the mesh that it is to carry.
func (d *Daemon) ownDevices() []string {
	return []string{d.tunName(), d.mesh.cfg.Name, d.cfg.Mesh.Name}
}

// ethDevices lists the devices that an eth section means.
func (l *links) ethDevices(e config.Eth, devs kernel.Links) []string {
	if e.Device != config.DeviceAll {
		return []string{e.Device}
	}
	var all []string
	for _, i := range devs {
		if i.Ethernet && !i.Loopback && i.Master == 0 && !devs.IsOwn(i.Name, l.d.ownDevices()...) {
			all = append(all, i.Name)
		}
	}
	return all
}

// remove closes s for good.
func (l *links) remove(ctx context.Context, s *socket) {
	l.close(s)
	l.d.engine.do(ctx, func(now mono.Time) {
		e := l.d.engine
		e.setConn(s.index, nil)
		e.setConn(s.beacon, nil)
		e.node.RemoveLink(now, s.index, &e.out)
	})
	// Peers on it must be told where they are now.
	for _, st := range l.d.peers {
		if st.link == s.index {
			st.placed = false
		}
	}
	s.problem = "removed"
	s.wg = nil
}

func (l *links) close(s *socket) {
	if s.stop != nil {
		s.stop()
		for _, c := range []netio.Conn{s.conn, s.bconn} {
			if c != nil {
				_ = c.Close()
			}
		}
		s.wg.Wait()
		s.stop, s.conn, s.bconn = nil, nil, nil
	}
}

// check opens what is closed, and closes what lies on a device that is gone
// or was replaced by another of the same name.
func (l *links) check(ctx context.Context, devs kernel.Links) {
	for _, s := range l.sockets {
		if s.stop != nil && devs != nil {
			if why := s.lost(devs); why != "" {
				l.fail(ctx, s, why)
			}
		}
		if s.stop == nil {
			if err := l.open(ctx, s, devs); err != nil {
				if err.Error() != s.problem {
					l.d.log.Error("link does not work", "link", s.name(), "err", err)
				}
				s.problem = err.Error()
				l.tellDown(ctx, s)
			}
			continue
		}
		l.update(ctx, s, devs)
	}
}

// lost says why the device under an open socket is of no use any more; "" if
// it is, or if any device will do.
func (s *socket) lost(devs kernel.Links) string {
	name := s.device()
	if name == "" {
		return ""
	}
	dev, ok := devs.ByName(name)
	switch {
	case !ok, !dev.Up, s.kind == node.LinkEth && (dev.Index != s.ifindex || dev.MAC != s.mac):
		return "device " + name + " is down or gone"
	case !dev.Running:
		return "device " + name + noCarrier
	}
	return ""
}

// device is the one that the socket is bound to, "" if it is bound to none.
func (s *socket) device() string {
	if s.kind == node.LinkUDP {
		return s.udp.Device
	}
	return s.eth.Device
}

func (l *links) tellDown(ctx context.Context, s *socket) {
	why := s.problem
	lc := node.LinkConfig{Kind: s.kind, Name: s.name(), Bind: s.bind()}
	l.d.engine.do(ctx, func(now mono.Time) {
		e := l.d.engine
		e.setConn(s.index, nil)
		e.setConn(s.beacon, nil)
		e.node.AddDownLink(now, s.index, lc, why, &e.out)
	})
}

// fail closes s after trouble; check will try again.
func (l *links) fail(ctx context.Context, s *socket, why string) {
	l.d.log.Warn("link is down", "link", s.name(), "err", why)
	s.problem = why
	l.tellDown(ctx, s)
	l.close(s)
}

func (s *socket) name() string {
	if s.kind == node.LinkUDP {
		return s.udp.Section
	}
	if s.eth.Section == "" {
		return s.eth.Device
	}
	return s.eth.Section
}

func (s *socket) bind() string {
	if s.kind == node.LinkUDP {
		return s.udp.Bind.String()
	}
	return s.eth.Device
}

// open opens the socket and starts its readers.
func (l *links) open(ctx context.Context, s *socket, devs kernel.Links) error {
	var err error
	switch s.kind {
	case node.LinkUDP:
		err = l.openUDP(s, devs)
	case node.LinkEth:
		err = l.openEth(s, devs)
	}
	if err != nil {
		return err
	}
	rctx, stop := context.WithCancel(ctx)
	s.stop, s.wg, s.problem = stop, new(sync.WaitGroup), ""
	l.start(rctx, s, s.conn, s.index)
	if s.bconn != nil {
		l.start(rctx, s, s.bconn, s.beacon)
	}
	s.last = l.linkConfig(s, devs)
	lc, conn, bconn := s.last, s.conn, s.bconn
	l.d.engine.do(ctx, func(now mono.Time) {
		e := l.d.engine
		e.setConn(s.index, conn)
		e.setConn(s.beacon, bconn)
		e.node.SetLink(now, s.index, lc, &e.out)
	})
	l.d.memory.recall(ctx, l.d, s)
	l.d.log.Info("link is up", "link", s.name(), "bind", s.bind(), "io", s.conn.Caps().Text)
	return nil
}

// start reads c on a goroutine of its own.
func (l *links) start(ctx context.Context, s *socket, c netio.Conn, index uint16) {
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		err := l.d.engine.read(ctx, c, index, fromLink)
		if ctx.Err() == nil {
			select {
			case l.d.broken <- brokenLink{s: s, err: err}:
			case <-ctx.Done():
			}
		}
	}()
}

func (l *links) openUDP(s *socket, devs kernel.Links) error {
	u := s.udp
	if devs != nil {
		if why := s.lost(devs); why != "" {
			return errors.New(why)
		}
	}
	conn, err := netio.OpenUDP(u.Bind, netio.UDPOptions{DSCP: int(u.DSCP), Device: u.Device, Batch: l.d.batch})
	if err != nil {
		return err
	}
	if u.Beacon != config.BeaconOff && u.Bind.Addr().Is4() {
		any4 := netip.AddrPortFrom(netip.IPv4Unspecified(), u.BeaconPort)
		s.bconn, err = netio.OpenUDP(any4, netio.UDPOptions{
			ReuseAddr: true, Broadcast: true, Device: u.Device, Batch: 4, NoOffload: true,
		})
		if err != nil {
			// Peers can still be dialled: tell, and go on.
			s.bconn = nil
			l.d.log.Error("no beacons on this link", "link", s.name(), "err", err)
		}
	}
	s.conn = conn
	return nil
}

// noCarrier ends what is said of a device that hears nothing: its cable is out,
// or its radio is alone. Both ends of a cable know that at once.
const noCarrier = " has no carrier"

func (l *links) openEth(s *socket, devs kernel.Links) error {
	dev, ok := devs.ByName(s.eth.Device)
	switch {
	case !ok:
		return fmt.Errorf("device %s does not exist", s.eth.Device)
	case devs.IsOwn(s.eth.Device, l.d.ownDevices()...):
		return fmt.Errorf("device %s is our own TUN or mesh device, or a bridge or VLAN that contains it: it cannot be a link; take that out of it, or switch this section off", s.eth.Device)
	case !dev.Ethernet:
		return fmt.Errorf("device %s is not an Ethernet device", s.eth.Device)
	case !dev.Up:
		return fmt.Errorf("device %s is down", s.eth.Device)
	case !dev.Running:
		return errors.New("device " + s.eth.Device + noCarrier)
	}
	conn, err := netio.OpenPacket(s.eth.Device, etherTypeCJDNS, netio.PacketOptions{Batch: l.d.batch})
	if err != nil {
		return err
	}
	s.conn, s.ifindex, s.mac = conn, dev.Index, dev.MAC
	return nil
}

// linkConfig is what the node must know of s now.
func (l *links) linkConfig(s *socket, devs kernel.Links) node.LinkConfig {
	c := node.LinkConfig{Kind: s.kind, Name: s.name(), Bind: s.bind(), Offload: s.conn.Caps().Text}
	if s.kind == node.LinkEth {
		c.Beacon = node.BeaconState(s.eth.Beacon)
		if dev, ok := devs.ByName(s.eth.Device); ok {
			c.MTU = min(dev.MTU-6, pkt.MaxMTU)
		}
		return c
	}
	c.Port = s.udp.Bind.Port()
	if u, ok := s.conn.(*netio.UDP); ok {
		c.Port = u.LocalPort()
	}
	c.MTU = udpMTU(s.udp.Bind.Addr(), devs)
	if s.bconn != nil {
		c.Beacon = node.BeaconState(s.udp.Beacon)
		c.BeaconLink = s.beacon
		c.BeaconTo = beaconTargets(s.udp, devs, l.d.ownDevices())
	}
	return c
}

// udpMTU is the largest datagram that any device can carry without fragments.
func udpMTU(bind netip.Addr, devs kernel.Links) int {
	most := 0
	for _, i := range devs {
		if i.Up && !i.Loopback {
			most = max(most, i.MTU)
		}
	}
	if most == 0 {
		most = 1500
	}
	if bind.Is4() {
		return min(most-ipUDPHeader, pkt.MaxMTU)
	}
	return min(most-ip6UDPHeader, pkt.MaxMTU)
}

// beaconTargets lists the broadcast addresses to which beacons go. All devices
// are those through which no own device is reached: nodes of one mesh have a
// link to each other, and need no peering of each with each beside it.
func beaconTargets(u config.UDP, devs kernel.Links, own []string) []pkt.Addr {
	var to []pkt.Addr
	add := func(a netip.Addr) {
		t := pkt.UDPAddr(netip.AddrPortFrom(a, u.BeaconPort), 0)
		if a.Is4() && !slices.Contains(to, t) {
			to = append(to, t)
		}
	}
	for _, d := range u.BeaconDevices {
		if a, err := netip.ParseAddr(d); err == nil {
			add(a)
			continue
		}
		for _, i := range devs {
			if !i.Up || i.Loopback || u.Device != "" && u.Device != i.Name {
				continue
			}
			if d != i.Name && (d != config.DeviceAll || devs.IsOwn(i.Name, own...)) {
				continue
			}
			for _, a := range i.Addrs {
				if a.Broadcast.IsValid() {
					add(a.Broadcast)
				}
			}
		}
	}
	return to
}

// update tells the node when something about an open link has changed.
func (l *links) update(ctx context.Context, s *socket, devs kernel.Links) {
	if devs == nil {
		return
	}
	c := l.linkConfig(s, devs)
	if c.MTU == s.last.MTU && slices.Equal(c.BeaconTo, s.last.BeaconTo) {
		return
	}
	s.last = c
	l.d.engine.do(ctx, func(now mono.Time) {
		l.d.engine.node.SetLink(now, s.index, c, &l.d.engine.out)
	})
}

// find returns the index of the link on which a peer can be reached.
func (l *links) find(p config.Peer, e config.Endpoint, addr netip.Addr) (uint16, error) {
	for _, s := range l.sockets {
		if p.Interface != "" && p.Interface != s.name() && p.Interface != s.eth.Device {
			continue
		}
		switch {
		case e.IsMAC():
			if s.kind == node.LinkEth {
				return s.index, nil
			}
		case s.kind == node.LinkUDP && s.udp.Bind.Addr().Is4() == addr.Unmap().Is4():
			return s.index, nil
		}
	}
	kind := "IPv6 udp section"
	if e.IsMAC() {
		kind = "eth section"
	} else if addr.Unmap().Is4() {
		kind = "IPv4 udp section"
	}
	if p.Interface != "" {
		return 0, fmt.Errorf("no %s named %q for this peer", kind, p.Interface)
	}
	return 0, errors.New("no " + kind + " for this peer: add one")
}
