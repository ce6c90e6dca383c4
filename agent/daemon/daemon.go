// Package daemon runs a node: it opens the links and the TUN device, carries
// batches between them and the node, applies the configuration, and serves
// the commands of the admin socket.
//
// Goroutines, and what each may touch:
//
//	engine      owns the node and the mesh, writes to every Conn (engine.go)
//	readers     one per socket, TUN and TAP: Conn -> engine
//	supervisor  opens and closes links, hard interfaces, TUN and TAP, follows
//	            the kernel's devices, resolves names, stores what must survive
//	            (daemon.go, meshrun.go)
//	admin       one per connection of the socket: asks the engine (backend.go)
//	ubus        one for the connection, one per call: like admin (bus.go)
//
// Run returns when all of them have ended.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meshagent/meshagent/agent/admin"
	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/cryptoauth"
	"github.com/meshagent/meshagent/agent/kernel"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/node"
)

// Options says how to run.
type Options struct {
	ConfigPath string
	Socket     string // overrides the configuration's; empty: do not
	Version    string // of the program
	Log        *slog.Logger
	// Level, if set, follows the configuration's log level.
	Level *slog.LevelVar
	// Serve runs the admin socket until ctx ends. It is called once, after
	// the node is up.
	Serve func(ctx context.Context, socket string, d *Daemon) error
}

// Daemon is a running agent.
type Daemon struct {
	opt    Options
	log    *slog.Logger
	store  *config.Store
	id     *cryptoauth.Identity
	sign   *cjdns.SigningKey
	boot   uint32 // count of starts
	engine *engine
	batch  int
	socket string // of the admin methods
	// These are safe for concurrent use; bus is nil if it is off.
	meshLog *meshLog
	events  *events
	bus     *admin.Bus

	// Supervisor only.
	cfg    config.Config
	text   string // of the configuration that is in force
	trial  *trial // nil: none
	links  links
	tun    tunState
	mesh   meshRun
	memory memory
	supers supernodes            // as the node knows them
	peers  map[string]*peerState // by peerID
	addrs  []netip.Prefix        // of this host, as of the last report
	devs   kernel.Links          // as of the last answer
	same   atomic.Int64          // instant until which a claim to have our key is shown

	// Engine only.
	users map[userID]config.Password
	waits waits
	said  map[string]time.Time // when a kind of log line was last written

	broken   chan brokenLink
	changes  <-chan kernel.Change
	jobs     chan func(ctx context.Context) // for the supervisor; its reader
	resolved chan resolution

	// Guarded by mu: what Status adds to the node's own.
	mu       sync.Mutex
	tunInfo  node.TUNStatus
	problems map[string]string
	meshView meshView
	wish     *wish // waits for root
}

// brokenLink is the end of a reader: of a link of the overlay, of the TUN if
// s is nil, or of something that the mesh handles itself.
type brokenLink struct {
	s    *socket
	err  error
	mesh func(ctx context.Context)
}

// report gives f, which handles the end of a reader of the mesh, to the
// supervisor.
func (d *Daemon) report(ctx context.Context, f func(ctx context.Context)) {
	if ctx.Err() != nil {
		return
	}
	select {
	case d.broken <- brokenLink{mesh: f}:
	case <-ctx.Done():
	}
}

// ErrDisabled says that the configuration switches the agent off.
var ErrDisabled = errors.New("option enabled is 0 in section meshagent: nothing to do")

// Run runs an agent until ctx ends. Errors that leave nothing useful to run
// end it at once: an unreadable configuration, a key that cannot be used, an
// admin socket that another agent serves. Everything else is logged, shown in
// Status and tried again.
func Run(ctx context.Context, opt Options) error {
	d := &Daemon{
		opt: opt, log: opt.Log, store: config.Open(opt.ConfigPath),
		broken: make(chan brokenLink, 4), jobs: make(chan func(context.Context), 4),
		resolved: make(chan resolution, 4), problems: make(map[string]string),
		peers: make(map[string]*peerState), users: make(map[userID]config.Password),
		said: make(map[string]time.Time), batch: batchSize(), events: &events{},
	}
	d.waits.m = make(map[uint64]chan node.Reply)
	d.links.d, d.mesh.d = d, d
	d.meshLog = newMeshLog(d.log)
	d.meshLog.events = d.events
	d.meshLog.copied = func(at batman.MAC) {
		const life = 11 * time.Minute // a little longer than a record: the next one tells again
		d.sameKey(life, fmt.Sprintf("the node %s of the mesh has the same key as we: neither of the two can be reached reliably; run meshagent keygen on one of them", at))
	}
	loaded, err := d.store.Load()
	if err != nil {
		return err
	}
	for _, w := range loaded.Warnings {
		d.log.Warn(w.Error())
	}
	loaded = d.resumeTrial(loaded)
	d.cfg, d.text = loaded.Config, loaded.Text
	if !d.cfg.Main.Enabled {
		return ErrDisabled
	}
	d.setLevel()
	key, err := d.store.Key(&d.cfg, func() cjdns.PrivateKey { return cryptoauth.GenerateIdentity(random).Private })
	if err != nil {
		return err
	}
	if (loaded.Config.PrivateKey != cjdns.PrivateKey{}) { // it was moved out of the file
		if d.text, err = d.store.Text(); err != nil {
			return err
		}
	}
	if d.id, err = cryptoauth.NewIdentity(key); err != nil {
		return fmt.Errorf("%s: %w", d.cfg.Main.KeyFile, err)
	}
	socket := d.cfg.Main.Socket
	if opt.Socket != "" {
		socket = opt.Socket
	}
	d.socket = socket
	return d.run(ctx, socket)
}

func (d *Daemon) run(ctx context.Context, socket string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	d.engine = newEngine(d.batch)
	d.engine.onOut = d.onOut
	d.engine.node = node.New(node.Config{
		Identity: d.id, Rand: random, Program: d.opt.Version, MTU: d.cfg.TUN.MTU,
	}, d.engine.now())
	d.sign, d.boot = cjdns.NewSigningKey(d.id.Private), d.nextBoot(time.Now())
	d.log.Info("starting", "version", d.opt.Version, "protocol", node.Protocol, "ip", d.id.IP, "key", d.id.Public)

	d.bus = d.openBus()
	d.events.bus = d.bus

	var wg sync.WaitGroup
	start := func(f func()) { wg.Add(1); go func() { defer wg.Done(); f() }() }
	ectx, stopEngine := context.WithCancel(context.WithoutCancel(ctx))
	defer stopEngine()
	community, err := newCommunity(ectx, d, d.engine.now())
	if err != nil {
		return err
	}
	d.engine.community = community
	ended := make(chan struct{})
	go func() { defer close(ended); d.engine.run(ectx) }()
	start(func() { d.slowWork(ctx) })
	if ch, err := kernel.Watch(ctx); err != nil {
		d.problem("watch", "changes of network devices are not noticed at once: "+err.Error())
	} else {
		d.changes = ch
	}
	start(func() {
		if err := d.opt.Serve(ctx, socket, d); err != nil && ctx.Err() == nil {
			cancel(err)
		}
	})
	start(func() { d.supervise(ctx, ectx) })
	if d.bus != nil {
		start(func() { d.bus.Run(ctx) })
	}
	<-ctx.Done()
	wg.Wait()
	stopEngine()
	<-ended
	d.engine.community.storeLast()
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// supervise keeps the outside as the configuration wants it. ectx lives as
// long as the engine, for what must still be said when ctx has ended.
func (d *Daemon) supervise(ctx, ectx context.Context) {
	tick := time.NewTicker(retryTime)
	defer tick.Stop()
	d.memory.load(ctx, d)
	d.apply(ctx)
	defer d.shutdown(ectx)
	for {
		select {
		case <-ctx.Done():
			return
		case b := <-d.broken:
			if b.mesh != nil {
				b.mesh(ctx)
			} else if b.s != nil {
				d.links.fail(ctx, b.s, b.err.Error())
			} else {
				d.tun.fail(ctx, d, b.err)
			}
		case f := <-d.jobs:
			f(ctx)
			continue
		case r := <-d.resolved:
			d.gotAddrs(ctx, r)
			continue
		case c, ok := <-d.changes:
			if !ok {
				d.changes = nil
				continue
			}
			d.check(ctx, d.moved(c.Links))
			continue
		case e, ok := <-d.mesh.watch.events:
			if !d.mesh.radioEvent(ctx, e, ok) {
				continue
			}
		case <-tick.C:
			d.memory.save(d, false)
			d.mesh.tick(ctx)
			d.joinSelf(ctx)
			d.communityTime(ctx)
			d.tickTrial(ctx)
			if t := d.same.Load(); t != 0 && int64(d.engine.now()) > t {
				d.problem("same-key", "")
			}
		}
		d.check(ctx, false)
	}
}

// apply brings everything to what d.cfg says.
func (d *Daemon) apply(ctx context.Context) {
	d.communityTime(ctx)
	d.applyUsers(ctx)
	d.applyAdmission(ctx)
	d.applySupernodes(ctx)
	devs := d.devices()
	d.links.want(ctx, &d.cfg, devs)
	d.links.check(ctx, devs)
	d.tun.check(ctx, d)
	d.mesh.check(ctx, devs)
	d.applyPeers(ctx)
}

// check opens what is closed and notices what has changed in the kernel.
func (d *Daemon) check(ctx context.Context, addresses bool) {
	devs := d.devices()
	d.links.want(ctx, &d.cfg, devs)
	d.links.check(ctx, devs)
	d.tun.check(ctx, d)
	d.mesh.check(ctx, devs)
	d.applyPeers(ctx)
	if addresses {
		d.engine.do(ctx, func(now mono.Time) { d.engine.node.AddressesChanged(now, &d.engine.out) })
	}
}

// moved reports whether the addresses of this host, without those of our own
// device and of devices without a carrier, are others than the last time.
func (d *Daemon) moved(devs kernel.Links) bool {
	var now []netip.Prefix
	for _, i := range devs {
		if i.Name == d.tunName() || i.Loopback || !i.Up || !i.Running {
			continue
		}
		for _, a := range i.Addrs {
			now = append(now, a.Prefix)
		}
	}
	first := d.addrs == nil
	same := slices.Equal(now, d.addrs)
	d.addrs = append(now, netip.Prefix{})[:len(now)] // never nil again
	return !first && !same
}

// devices asks the kernel for its network devices; those of the last time if
// it does not tell.
func (d *Daemon) devices() kernel.Links {
	devs, err := kernel.Interfaces()
	if err != nil {
		d.problem("devices", "cannot list network devices: "+err.Error())
		return d.devs
	}
	d.problem("devices", "")
	d.devs = devs
	return devs
}

func (d *Daemon) shutdown(ctx context.Context) {
	for _, s := range d.links.sockets {
		d.links.close(s)
	}
	d.tun.close(ctx, d, d.cfg.TUN.Persist)
	d.mesh.stop(ctx, false)
	d.memory.save(d, true)
	d.log.Info("stopped")
}

// problem records what does not work, for Status; an empty text ends it. It
// is logged when it changes.
func (d *Daemon) problem(what, text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.problems[what] == text {
		return
	}
	if text == "" {
		d.tellProblem("cleared", what, d.problems[what])
		delete(d.problems, what)
		return
	}
	d.problems[what] = text
	d.tellProblem("raised", what, text)
	d.log.Error(text)
}

// setLevel sets the log level of the configuration.
func (d *Daemon) setLevel() {
	if d.opt.Level == nil {
		return
	}
	switch d.cfg.Main.LogLevel {
	case config.LogError:
		d.opt.Level.Set(slog.LevelError)
	case config.LogWarn:
		d.opt.Level.Set(slog.LevelWarn)
	case config.LogDebug:
		d.opt.Level.Set(slog.LevelDebug)
	default:
		d.opt.Level.Set(slog.LevelInfo)
	}
}

// resolve looks up a host name for the family of IP addresses that the links
// have.
func resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}
