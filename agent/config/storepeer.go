package config

import (
	"slices"
	"strconv"
	"strings"

	"github.com/meshagent/meshagent/agent/cjdns"
)

// AddPeer stores p, or changes the stored peer with the same key, address and
// interface. An empty Interface in p finds the peer whatever its interface is.
// p.Section is a wish; the answer has the section that it got. The error is
// Problems (without a line) if p is malformed, and *UnwrittenError, beside the
// whole answer, if only the right to write is missing.
func (s *Store) AddPeer(p Peer) (PeerChange, error) {
	if err := checkPeer(&p); err != nil {
		return PeerChange{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.begin()
	if err != nil {
		return PeerChange{}, err
	}
	revived := s.cjdroute && e.removeTombstones(p.ID())
	if revived {
		if e.before, err = s.parse(e.text, e.doc, e.doc); err != nil {
			return PeerChange{}, err
		}
	}
	old := findSame(e.before.Config.Peers, p)
	if old == nil {
		return s.addNew(e, p)
	}
	p.Interface, p.Section = old.Interface, old.Section
	if p.Name == "" {
		p.Name = old.Name
	}
	if p.Version == 0 {
		p.Version = old.Version
	}
	if *old == p {
		if !revived {
			return s.change(Unchanged, p, e), nil
		}
		return s.store(e, Added, p)
	}
	sec := e.doc.Section(p.Section)
	if sec == nil || sec.Type != "peer" {
		if sec, err = e.doc.AddSection("peer", e.freeSection(p, old)); err != nil {
			return PeerChange{}, err
		}
	}
	if err := writePeer(e.doc, sec, p); err != nil {
		return PeerChange{}, err
	}
	if revived {
		return s.store(e, Added, p)
	}
	return s.store(e, Changed, p)
}

func (s *Store) addNew(e *edit, p Peer) (PeerChange, error) {
	sec, err := e.doc.AddSection("peer", e.freeSection(p, nil))
	if err != nil {
		return PeerChange{}, err
	}
	if err := writePeer(e.doc, sec, p); err != nil {
		return PeerChange{}, err
	}
	return s.store(e, Added, p)
}

// store writes the change and reports the peer as it reads now.
func (s *Store) store(e *edit, action string, p Peer) (PeerChange, error) {
	after, err := s.commit(e)
	if after == nil {
		return PeerChange{}, err
	}
	stored := findSame(after.Config.Peers, p)
	if stored == nil {
		return PeerChange{}, Problems{{File: e.doc.File(), Text: "the peer was written but is not read back"}}
	}
	return s.change(action, *stored, e), err
}

// DelPeer removes the one peer that selector names: by section, name, public
// key, overlay address or link address. Errors: *NotFoundError,
// *AmbiguousError, and *UnwrittenError as AddPeer has it. A peer out of a cjdroute.conf gets a tombstone in the
// overlay.
func (s *Store) DelPeer(selector string) (PeerChange, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.begin()
	if err != nil {
		return PeerChange{}, err
	}
	found, err := FindPeer(e.before.Config.Peers, selector)
	if err != nil {
		return PeerChange{}, err
	}
	p := *found
	if sec := e.doc.Section(p.Section); sec != nil && sec.Type == "peer" {
		e.doc.DeleteSection(sec)
	}
	if after, err := s.parse(e.text, e.doc, e.doc); err == nil && findID(after.Config.Peers, p.ID()) {
		// it is in the cjdroute.conf
		sec, err := e.doc.AddSection("peer", "")
		if err != nil {
			return PeerChange{}, err
		}
		for _, o := range []Entry{{Key: "deleted", Value: "1"}, {Key: "address", Value: p.Address},
			{Key: "public_key", Value: p.PublicKey.String()}, {Key: "interface", Value: p.Interface}} {
			if o.Value == "" {
				continue
			}
			if err := e.doc.Set(sec, o.Key, o.Value); err != nil {
				return PeerChange{}, err
			}
		}
	}
	_, err = s.commit(e)
	return s.change(Removed, p, e), err
}

func (s *Store) change(action string, p Peer, e *edit) PeerChange {
	return PeerChange{
		Action:    action,
		Section:   p.Section,
		Name:      p.Name,
		Address:   p.Address,
		PublicKey: p.PublicKey.String(),
		IP:        p.PublicKey.IP().String(),
		File:      e.doc.File(),
		Peer:      p,
	}
}

// FindPeer returns the peer that selector names: section, name, public key,
// overlay address or link address. It points into peers. Errors:
// *NotFoundError, *AmbiguousError.
func FindPeer(peers []Peer, selector string) (*Peer, error) {
	for i := range peers {
		if peers[i].Section == selector {
			return &peers[i], nil
		}
	}
	address := selector
	if e, err := ParseEndpoint(selector); err == nil {
		address = e.String()
	}
	ip, ipErr := cjdns.ParseIP(selector)
	key, keyErr := parseNodeKey(selector)
	var fits []*Peer
	for i := range peers {
		p := &peers[i]
		if p.Name == selector || p.Address == address ||
			keyErr == nil && p.PublicKey == key || ipErr == nil && p.PublicKey.IP() == ip {
			fits = append(fits, p)
		}
	}
	switch len(fits) {
	case 0:
		return nil, &NotFoundError{selector}
	case 1:
		return fits[0], nil
	}
	sections := make([]string, len(fits))
	for i, p := range fits {
		sections[i] = p.Section
	}
	return nil, &AmbiguousError{selector, sections}
}

// findSame returns the peer that adding p would change.
func findSame(peers []Peer, p Peer) *Peer {
	for i := range peers {
		if peers[i].ID().matches(p.ID()) {
			return &peers[i]
		}
	}
	return nil
}

func findID(peers []Peer, id PeerID) bool {
	return slices.ContainsFunc(peers, func(o Peer) bool { return o.ID() == id })
}

// checkPeer applies the rules of the text to a peer that did not come from
// one, and brings its address into our form.
func checkPeer(p *Peer) error {
	var ps Problems
	check := func(key string, err error) {
		if err != nil {
			ps = append(ps, Problem{Key: key, Text: err.Error()})
		}
	}
	var err error
	p.Address, err = parseAddress(p.Address)
	check("address", err)
	if p.PublicKey.IsZero() {
		check("public_key", &missing{"public_key"})
	} else {
		_, err = parseKey(p.PublicKey.String())
		check("public_key", err)
	}
	if p.Password == NoPassword {
		p.Password = ""
	}
	if p.Password != "" {
		_, err = parseSecret(p.Password)
		check("password", err)
	}
	for _, o := range []Entry{{Key: "name", Value: p.Name}, {Key: "login", Value: p.Login}, {Key: "interface", Value: p.Interface}} {
		if o.Value != "" {
			_, err = parseName(o.Value)
			check(o.Key, err)
		}
	}
	return ps.err()
}

type missing struct{ key string }

func (m *missing) Error() string { return "missing; expected " + expected[m.key] }

// writePeer makes the options of sec say what p is. Options at their default
// are not written, unless they are there.
func writePeer(doc *Document, sec *Section, p Peer) error {
	password := p.Password
	if password == "" {
		password = NoPassword
	}
	name := p.Name
	if name == sec.Name {
		name = ""
	}
	enabled, version := "", ""
	if !p.Enabled {
		enabled = "0"
	}
	if p.Version != 0 {
		version = strconv.FormatUint(uint64(p.Version), 10)
	}
	for _, o := range []Entry{{Key: "enabled", Value: enabled}, {Key: "name", Value: name},
		{Key: "address", Value: p.Address}, {Key: "interface", Value: p.Interface},
		{Key: "public_key", Value: p.PublicKey.String()}, {Key: "password", Value: password},
		{Key: "login", Value: p.Login}, {Key: "version", Value: version}} {
		if o.Value == "" {
			doc.Delete(sec, o.Key)
			continue
		}
		if err := doc.Set(sec, o.Key, o.Value); err != nil {
			return err
		}
	}
	return nil
}

// removeTombstones deletes what keeps a peer of the cjdroute.conf away. It
// reports whether there was something.
func (e *edit) removeTombstones(id PeerID) (found bool) {
	for _, sec := range slices.Clone(e.doc.Sections()) {
		deleted, _ := sec.Get("deleted")
		if on, err := parseBool(deleted); sec.Type != "peer" || err != nil || !on {
			continue
		}
		var t PeerID
		address, _ := sec.Get("address")
		key, _ := sec.Get("public_key")
		t.Address, _ = parseAddress(address)
		t.Key, _ = parseKey(key)
		t.Interface, _ = sec.Get("interface")
		if t.matches(id) || id.matches(t) {
			e.doc.DeleteSection(sec)
			found = true
		}
	}
	return found
}

// freeSection makes a name for the section of p: the wish, the name of the
// peer, or part of its key. A peer of a cjdroute.conf that is changed keeps
// its section in the overlay.
func (e *edit) freeSection(p Peer, old *Peer) string {
	if old != nil && validSectionName(old.Section) {
		return old.Section
	}
	base := "peer_" + p.PublicKey.String()[:8]
	for _, wish := range []string{p.Section, p.Name} {
		if wish = strings.ToLower(strings.NewReplacer("-", "_", " ", "_", ".", "_").Replace(wish)); validSectionName(wish) {
			base = wish
			break
		}
	}
	taken := func(name string) bool {
		return e.doc.Section(name) != nil ||
			slices.ContainsFunc(e.before.Config.Peers, func(o Peer) bool { return o.Section == name })
	}
	name := base
	for n := 2; taken(name); n++ {
		name = base + "_" + strconv.Itoa(n)
	}
	return name
}

func validSectionName(s string) bool {
	return validName(s) && !strings.Contains(s, "-") && len(s) <= 48
}
