package pathfinder

import (
	"slices"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// links lists our own links, ourselves included: the eight with the smallest
// label not below tar, the largest first.
func (f *Finder) links(asker Node, tar cjdns.Label) []cjdns.NodeRef {
	if tar > cjdns.SelfLabel {
		// Only the first director counts.
		bits := cjdns.DirectorBits(tar)
		tar = tar&(1<<bits-1) | 1<<bits
	}
	var list []cjdns.NodeRef
	if tar <= cjdns.SelfLabel {
		list = append(list, cjdns.NodeRef{Key: f.cfg.Self, Label: cjdns.SelfLabel, Version: f.cfg.Protocol})
	}
	for _, p := range f.peers {
		if p.Label >= tar && len(list) < maxListed {
			list = append(list, cjdns.NodeRef{Key: p.Key, Label: forAsker(p.Label, asker.Label), Version: p.Version})
		}
	}
	slices.Reverse(list)
	return list
}

// forAsker returns label in the form in which the asker's packets, arriving
// on its slot, can leave through it.
func forAsker(label, asker cjdns.Label) cjdns.Label {
	if l := cjdns.LabelFor(label, asker); l != cjdns.LabelInvalid {
		return l
	}
	return label
}

// near lists up to eight nodes near to target, the farthest first, never the
// asker. Those that have answered us come before those that were only named,
// which may be inventions: of these only the target itself is worth a place.
// Half of the places go to the nearest, the others fairly to all directions,
// see fairest: the nearest may all be somebody's inventions, too.
func (f *Finder) near(now mono.Time, asker Node, target cjdns.IP) []cjdns.NodeRef {
	all := f.nearest(now, target, len(f.nodes), func(e *entry) bool {
		return e.ip == asker.IP || cjdns.RoutesThrough(e.best(now).Label, asker.Label)
	})
	near := make([]*entry, 0, maxListed)
	if len(all) > 0 && all[0].ip == target {
		near, all = append(near, all[0]), all[1:]
	}
	share(now, all, maxListed-len(near), func(e *entry) { near = append(near, e) })
	sortNearest(near, target)
	list := make([]cjdns.NodeRef, 0, len(near))
	for i := len(near) - 1; i >= 0; i-- {
		e := near[i]
		list = append(list, cjdns.NodeRef{Key: e.key, Label: forAsker(e.best(now).Label, asker.Label), Version: e.version})
	}
	return list
}

// nextHop lists the direct peer through which our best route to target goes.
func (f *Finder) nextHop(now mono.Time, asker Node, target cjdns.IP) []cjdns.NodeRef {
	n, ok := f.Path(now, target)
	if !ok {
		return nil
	}
	for _, p := range f.peers {
		if cjdns.RoutesThrough(n.Label, p.Label) {
			return []cjdns.NodeRef{{Key: p.Key, Label: forAsker(p.Label, asker.Label), Version: p.Version}}
		}
	}
	return nil
}
