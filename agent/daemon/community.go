package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/community"
	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/mesh"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/node"
)

// communityCore is the community with its hands. It belongs to the engine's
// goroutine.
type communityCore struct {
	d   *Daemon
	ctx context.Context // lives as long as the engine
	c   *community.Community
	out community.Out
	// slow carries the one signature that is wanted at a time, so it never
	// blocks. Writer: the engine. Reader: slowWork.
	slow chan *community.Job
	path string // of the state

	admit   bool        // members may peer without a password
	listed  []cjdns.Key // whom the configuration lets in
	logins  bool        // the passwords of invites must be told to the node
	saving  bool        // a state is being written
	unsaved uint64
	failed  uint64    // a state that could not be stored; 0: none
	again   mono.Time // when that is tried again
	next    mono.Time // when a state for which nobody waits may be written
	join    *joinRun
	unknown []unknownMember // in the mesh; at most maxUnknown
	work    sync.WaitGroup  // states being written, peers being stored
}

// communitySuffix is added to the name of the key file: both are what makes a
// node this one.
const communitySuffix = ".community"

// earliest is before every build, seconds since 1970, if the program does not
// know when it was built: 2026-11-01.
const earliest = 1_793_491_200

// built is when the sources were committed, seconds since 1970; the linker sets
// it in programs for routers.
var built string

// builtAt returns when the program was built, or a time before.
func builtAt() int64 {
	t, err := strconv.ParseInt(built, 10, 64)
	if err != nil {
		return earliest
	}
	return max(earliest, t)
}

// newCommunity reads the state. One that cannot be read is a problem that is
// shown, and is left alone: the node is then in no community.
func newCommunity(ctx context.Context, d *Daemon, now mono.Time) (*communityCore, error) {
	cc := &communityCore{d: d, ctx: ctx, slow: make(chan *community.Job, 1), path: d.cfg.Main.KeyFile + communitySuffix, admit: true}
	var err error
	cc.c, err = community.New(community.Config{Self: d.sign.Public(), Rand: random, Build: builtAt()}, now)
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(cc.path)
	if err == nil {
		err = cc.c.Load(raw, &cc.out)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.problem("community", fmt.Sprintf("the community is not known: %s: %v; restore the file, or move it away and join again", cc.path, err))
	}
	return cc, nil
}

// deadline is when expire wants to be called next.
func (cc *communityCore) deadline() mono.Time {
	if cc == nil {
		return mono.Never
	}
	return cc.c.Deadline()
}

// step does what is due, takes what the node has for the community, and
// carries out what the community wants.
func (cc *communityCore) step(now mono.Time, o *node.Out) {
	if cc == nil {
		return
	}
	if now >= cc.c.Deadline() {
		cc.c.Expire(now, &cc.out)
		cc.join.look(now, cc.d.engine.node)
		cc.askUnknown(now)
		if cc.failed != 0 && now >= cc.again {
			cc.unsaved, cc.failed = max(cc.unsaved, cc.failed), 0
		}
		cc.store()
	}
	for i := range o.Messages {
		m := &o.Messages[i]
		cc.c.Receive(now, m.From, m.Body, &cc.out)
	}
	for i := range o.Introductions {
		in := &o.Introductions[i]
		if certs, err := community.ParseCerts(in.Body); err == nil {
			cc.c.Present(now, sourceOfAddr(in), certs, &cc.out)
		}
	}
	clear(o.Messages)
	clear(o.Introductions)
	o.Messages, o.Introductions = o.Messages[:0], o.Introductions[:0]
	cc.settle(now)
}

// sourceOfAddr tells the senders of introductions apart.
func sourceOfAddr(in *node.Introduction) (s community.Source) {
	a := in.Addr.String()
	h := uint64(14695981039346656037) // FNV-1a
	for i := range len(a) {
		h = (h ^ uint64(a[i])) * 1099511628211
	}
	for i := range s {
		s[i] = byte(h >> (8 * i))
	}
	s[7] |= 1 // never ourselves
	return s
}

// settle carries out what the community wants.
func (cc *communityCore) settle(now mono.Time) {
	o := &cc.out
	e := cc.d.engine
	for len(o.Jobs)+len(o.Messages)+len(o.Verdicts)+len(o.Events) > 0 || o.Save != 0 || o.Certs || o.Logins || o.Revoked {
		do := *o
		*o = community.Out{}
		for _, j := range do.Jobs {
			cc.slow <- j // one at a time: there is room
		}
		for _, m := range do.Messages {
			cc.join.asked(now, m.To)
			e.node.SendMessage(now, m.To.IP(), m.Body, &e.out)
		}
		for _, v := range do.Verdicts {
			if v.Key != cc.c.Self() {
				e.node.Admit(now, v.Key, cc.admit && v.Member || slices.Contains(cc.listed, v.Key), &e.out)
			}
			if !v.Member {
				cc.d.log.Info("no member any more", "ip", v.Key.IP(), "why", v.Reason)
			}
		}
		for _, ev := range do.Events {
			if ev.Warn {
				cc.d.log.Warn(ev.Text)
			} else {
				cc.d.log.Info(ev.Text)
			}
		}
		if do.Certs {
			e.join.stale = true
			e.node.SetIntroduction(community.AppendCerts(nil, cc.c.OwnCerts()))
		}
		if do.Revoked {
			e.node.Refuse(now, cc.c.Revoked(), &e.out)
		}
		if do.Logins {
			cc.logins = true
		}
		if do.Save != 0 {
			cc.unsaved = do.Save
		}
		cc.store()
	}
	if cc.logins {
		cc.logins = !cc.d.tryPost(func(ctx context.Context) { cc.d.applyUsers(ctx) })
	}
}

// storePause is the time after which a state that could not be stored is tried
// again: there may be room then.
const storePause = time.Minute

// storeEvery is the time between two writings of what nobody waits for: when
// admins tell each other their members, each message is news.
const storeEvery = 10 * time.Second

// store writes the state, one after the other, and tells the outcome.
func (cc *communityCore) store() {
	now := cc.d.engine.now()
	if cc.saving || cc.unsaved == 0 || now < cc.next && !cc.c.Urgent() {
		return
	}
	cc.next = now.Add(storeEvery)
	seq, state := cc.unsaved, cc.c.Snapshot()
	cc.unsaved, cc.saving = 0, true
	cc.work.Go(func() {
		err := config.WriteAtomic(cc.path, state.Bytes(), 0o600)
		text := ""
		if err != nil {
			text = fmt.Sprintf("the state of the community cannot be stored: %v", err)
		}
		cc.d.problem("community-store", text)
		cc.d.engine.do(cc.ctx, func(now mono.Time) {
			cc.saving, cc.failed = false, 0
			if err != nil {
				cc.failed, cc.again = seq, now.Add(storePause)
			}
			cc.c.Saved(seq, err, &cc.out)
			cc.settle(now)
		})
	})
}

// storeLast writes what is not written yet. The engine has ended.
func (cc *communityCore) storeLast() {
	cc.work.Wait()
	if cc.unsaved == 0 && cc.failed == 0 {
		return
	}
	if err := config.WriteAtomic(cc.path, cc.c.Snapshot().Bytes(), 0o600); err != nil {
		cc.d.log.Error("the last state of the community is lost", "err", err)
	}
}

// jobDone takes a signature back. Engine goroutine.
func (cc *communityCore) jobDone(now mono.Time, j *community.Job) {
	cc.c.JobDone(now, j, &cc.out)
	cc.settle(now)
}

// peer follows the peerings: with each that comes up, news are exchanged.
func (cc *communityCore) peer(now mono.Time, p node.PeerInfo, up bool) {
	if cc == nil {
		return
	}
	if up {
		cc.c.Contact(now, p.Key, &cc.out)
		cc.join.up(now, p, cc.d.engine.join.on && p.Link == cc.d.engine.join.link)
	} else {
		cc.c.Gone(p.Key)
	}
}

// unknownMember is a node of the mesh that announces a membership whose
// certificate we do not have.
type unknownMember struct {
	key   cjdns.Key
	mac   [6]byte
	name  community.Hash
	tries int
	next  mono.Time // when to ask again
}

const (
	maxUnknown   = 256
	askTogether  = 4 // nodes asked in one second
	askPause     = 5 * time.Second
	askPauseMost = 10 * time.Minute
)

// meshNode looks at the membership that a node of the mesh announces.
func (cc *communityCore) meshNode(now mono.Time, ch *mesh.NodeChange) {
	if cc == nil {
		return
	}
	i := slices.IndexFunc(cc.unknown, func(u unknownMember) bool { return u.key == ch.Key })
	if len(ch.Certs) > 0 && ch.Reachable {
		cc.c.Present(now, community.SourceOf(ch.Key), ch.Certs, &cc.out)
	}
	u := unknownMember{key: ch.Key, mac: ch.MAC, name: ch.Member, next: now}
	gone := !ch.Reachable || u.name == (community.Hash{})
	switch {
	case i >= 0 && gone:
		cc.unknown = slices.Delete(cc.unknown, i, i+1)
	case i >= 0 && cc.unknown[i].name != u.name:
		cc.unknown[i] = u
	case i >= 0:
		cc.unknown[i].mac = u.mac
	case !gone && !cc.c.Knows(u.key, u.name) && len(cc.unknown) < maxUnknown:
		cc.unknown = append(cc.unknown, u)
	}
}

// askUnknown asks some nodes for their certificates. Those that are of
// another community, or whose certificates are no good, are asked less and
// less often.
func (cc *communityCore) askUnknown(now mono.Time) {
	m := cc.d.engine.mesh
	if m == nil || !cc.c.In() {
		return
	}
	left := askTogether
	cc.unknown = slices.DeleteFunc(cc.unknown, func(u unknownMember) bool { return cc.c.Knows(u.key, u.name) })
	for i := range cc.unknown {
		if u := &cc.unknown[i]; now >= u.next && left > 0 {
			left--
			u.next = now.Add(min(askPause<<min(u.tries, 10), askPauseMost))
			u.tries++
			m.mesh.AskRecord(now, u.mac, &m.out)
		}
	}
}

// self adds what the mesh announces of our membership.
func (cc *communityCore) self(s *mesh.Self) {
	if cc != nil {
		s.Member, s.Certs = cc.c.MemberHash(), cc.c.OwnCerts()
	}
}

// applyAdmission tells the node who may peer without a password: whom the
// configuration lists, or else members. Supervisor goroutine.
func (d *Daemon) applyAdmission(ctx context.Context) {
	admit, listed := true, []cjdns.Key(nil)
	if m := &d.cfg.Mesh; m.Name != "" && m.Enabled && m.Admit == config.AdmitList {
		admit, listed = false, m.Allow
	}
	d.engine.do(ctx, func(now mono.Time) { d.engine.community.setAdmission(now, admit, listed) })
}

// setAdmission is applyAdmission on the engine's goroutine.
func (cc *communityCore) setAdmission(now mono.Time, members bool, listed []cjdns.Key) {
	if cc.admit == members && slices.Equal(cc.listed, listed) {
		return
	}
	keys := slices.Concat(cc.listed, listed)
	if cc.admit != members {
		keys = append(keys, cc.c.Members()...)
	}
	cc.admit, cc.listed = members, listed
	for _, k := range keys {
		cc.admitAgain(now, k)
	}
}

// admitAgain tells the node whether the owner of key may peer without a
// password.
func (cc *communityCore) admitAgain(now mono.Time, key cjdns.Key) {
	if key == cc.c.Self() {
		return
	}
	ok := cc.admit && cc.c.Member(key) || slices.Contains(cc.listed, key)
	cc.d.engine.node.Admit(now, key, ok, &cc.d.engine.out)
}

// communityTime tells the community what time it is. Supervisor goroutine.
func (d *Daemon) communityTime(ctx context.Context) {
	now, trusted := time.Now(), clockTrusted()
	d.engine.do(ctx, func(mono.Time) { d.engine.community.c.SetWall(now.Unix(), trusted) })
}

// clockTrusted reports whether a time server keeps the clock right, as far as
// the kernel has been told.
func clockTrusted() bool {
	var t unix.Timex // modes 0: nothing is changed
	state, err := unix.Adjtimex(&t)
	return err == nil && state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0
}
