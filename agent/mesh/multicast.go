package mesh

import (
	"slices"
	"sort"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// Multicast: each node says in its OGMs which multicast frames it wants, and
// frames go to those who want them instead of to all. A listener is a client
// with a multicast address in the translation table.
//
// This node does not know who listens behind it, so it says that it wants all
// of IPv4 and IPv6. That is what the kernel's module says of a bridge in which
// nobody asks for listeners, and it is always right.
//
// Files: multicast.go (what the others want, and to whom a frame goes),
// multicastgroup.go (kinds of groups), multicastpacket.go (one packet for many).

// mcastNothing are the flags of an originator whose OGMs carried no container
// so far: nothing is sent to it. Source: batman-adv originator.c,
// batadv_orig_node_new.
const mcastNothing = batman.McastNoRouter4 | batman.McastNoRouter6 | batman.McastPacketCapable

// mcast is what the other nodes want. Each list has an originator once, and
// all of them are in the order in which they began to want it.
type mcast struct {
	unsnoopables   int // nodes that want every frame to unsnoopable groups
	incapable      int // nodes that take no packets of type 5
	all4, all6     []*Originator
	router4        []*Originator // want routable groups
	router6        []*Originator
	round          uint32        // of the last frame
	dests          []*Originator // of that frame
	trackerScratch []trackerDest
}

// mcastOrig is what one originator wants.
type mcastOrig struct {
	heard bool // its OGMs carry containers
	told  bool // there is one about multicast
	// undo is flags with all bits in the other sense of mcastNothing, so that
	// the zero value means mcastNothing.
	undo  uint8
	round uint32 // of the last frame that goes there
}

func (o *mcastOrig) flags() uint8 { return o.undo ^ mcastNothing }

func (m *Mesh) mcastInit(mono.Time)      {}
func (m *Mesh) mcastTick(mono.Time)      {}
func (m *Mesh) mcastMeshIface(mono.Time) {} // mcastFlags looks at it

// mcastFlags is what this node announces. Source: batman-adv multicast.c,
// batadv_mcast_mla_flags_get.
func (m *Mesh) mcastFlags() uint8 {
	flags := uint8(batman.McastWantIPv4 | batman.McastWantIPv6)
	if m.meshIf.Bridged {
		flags |= batman.McastWantUnsnoopables
	}
	if m.mcastCapable() {
		flags |= batman.McastPacketCapable
	}
	return flags
}

// mcastAppend appends the container for the next OGM.
func (m *Mesh) mcastAppend(dst []byte) []byte {
	return batman.AppendMulticastFlags(dst, m.mcastFlags())
}

// mcastOGM notes what o wants; present says that its OGM had a container about
// that. A node that speaks of other things but not of multicast knows nothing
// about it, so it gets all. Source: batman-adv multicast.c,
// batadv_mcast_tvlv_ogm_handler.
func (m *Mesh) mcastOGM(o *Originator, present bool, flags uint8) {
	o.mcast.heard, o.mcast.told = true, present
	if !present {
		flags = batman.McastWantIPv4 | batman.McastWantIPv6
	}
	if flags&batman.McastWantIPv4 != 0 { // not twice
		flags |= batman.McastNoRouter4
	}
	if flags&batman.McastWantIPv6 != 0 {
		flags |= batman.McastNoRouter6
	}
	m.mcastSet(o, flags)
}

func (m *Mesh) mcastOriginatorGone(o *Originator) {
	m.mcastSet(o, mcastNothing)
	o.mcast = mcastOrig{}
}

// mcastSet keeps counts and lists.
func (m *Mesh) mcastSet(o *Originator, flags uint8) {
	changed := o.mcast.flags() ^ flags
	if changed == 0 {
		return
	}
	s := &m.mcast
	o.mcast.undo = flags ^ mcastNothing
	for bit := uint8(1); bit != 0; bit <<= 1 {
		if changed&bit == 0 {
			continue
		}
		set := flags&bit != 0
		switch bit {
		case batman.McastWantUnsnoopables:
			count(&s.unsnoopables, set)
		case batman.McastPacketCapable:
			count(&s.incapable, !set)
		case batman.McastWantIPv4:
			enlist(&s.all4, o, set)
		case batman.McastWantIPv6:
			enlist(&s.all6, o, set)
		case batman.McastNoRouter4:
			enlist(&s.router4, o, !set)
		case batman.McastNoRouter6:
			enlist(&s.router6, o, !set)
		}
	}
}

func count(n *int, more bool) {
	if more {
		*n++
	} else {
		*n--
	}
}

func enlist(list *[]*Originator, o *Originator, in bool) {
	if in {
		*list = append(*list, o)
	} else if i := slices.Index(*list, o); i >= 0 {
		*list = slices.Delete(*list, i, i+1)
	}
}

// mcastForward looks at a client's multicast (not broadcast) frame f, which b
// holds. true: it was sent to the nodes that listen, or to nobody, and b was
// taken. false: flood it; b stays the caller's.
//
// Listeners are announced without VLAN, so tagged frames are flooded. Source:
// batman-adv multicast.c, batadv_mcast_forw_mode.
func (m *Mesh) mcastForward(now mono.Time, f inner, b *pkt.Buf, out *Out) bool {
	if !m.cfg.Multicast || f.off != batman.EthLen {
		return false
	}
	g := groupOf(f)
	switch {
	case g == groupBroken:
		m.drop(b, dropMulticast, out)
		return true
	case g == groupFlood, g == groupUnsnoopable && m.mcast.unsnoopables > 0:
		return false
	}
	most := 0
	if m.mcast.incapable == 0 && m.mcastCapable() {
		most = trackerRoom(len(f.b))
	}
	dests, ok := m.mcastDests(f, g, max(most, m.cfg.MulticastFanout))
	defer clear(m.mcast.dests) // keep none that is forgotten
	switch {
	case !ok:
		return false
	case len(dests) == 0:
		m.drop(b, dropMulticast, out) // nobody listens
	case len(dests) <= most:
		m.mcastOwn(dests, b, out)
	case len(dests) <= m.cfg.MulticastFanout:
		for _, o := range dests {
			c := out.Pool.Get()
			c.CopyFrom(b)
			m.sendUnicast(now, o, c, out)
		}
		out.Pool.Put(b)
	default:
		return false
	}
	return true
}

// mcastDests returns the originators that want frame f, each once; false if
// they are more than most. The list is good until the next call. Gateways to
// our own LAN have the frame already.
func (m *Mesh) mcastDests(f inner, g mcastGroup, most int) (list []*Originator, ok bool) {
	s := &m.mcast
	s.round++
	s.dests = s.dests[:0]
	ok = true
	add := func(o *Originator) {
		if o.mcast.round == s.round || m.blaBackbone(o.MAC, 0) {
			return
		}
		o.mcast.round = s.round
		if len(s.dests) < most {
			s.dests = append(s.dests, o)
		} else {
			ok = false
		}
	}
	all, router := s.all4, s.router4
	if f.eth.Type == batman.EthIPv6 {
		all, router = s.all6, s.router6
	}
	for _, o := range all {
		if add(o); !ok {
			return nil, false
		}
	}
	if g == groupRoutable {
		for _, o := range router {
			if add(o); !ok {
				return nil, false
			}
		}
	}
	m.ttEach(f.eth.Dst, 0, add)
	return s.dests, ok
}

// mcastStatus fills the table as batctl mf prints it.
func (m *Mesh) mcastStatus(_ mono.Time, s *Status) {
	s.McastFlags = m.mcastFlags()
	for _, o := range m.origList {
		if !o.mcast.heard {
			continue
		}
		r := McastStatus{Orig: o.MAC, Flags: -1}
		if o.mcast.told {
			r.Flags = int(o.mcast.flags())
		}
		s.Mcast = append(s.Mcast, r)
	}
	sort.Slice(s.Mcast, func(i, j int) bool { return s.Mcast[i].Orig.Compare(s.Mcast[j].Orig) < 0 })
}
