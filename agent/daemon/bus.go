package daemon

import (
	"context"
	"time"

	"github.com/meshagent/meshagent/agent/admin"
	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/mesh"
	"github.com/meshagent/meshagent/agent/node"
	"github.com/meshagent/meshagent/agent/ubus"
)

// openBus makes what serves ubus; nil if the configuration wants none.
func (d *Daemon) openBus() *admin.Bus {
	path := d.cfg.Main.Ubus
	auto := path == config.UbusAuto
	switch {
	case path == config.UbusOff:
		return nil
	case auto:
		path = ubus.DefaultPath
	}
	return admin.NewBus(admin.NewMethods(d), path, auto, d.log)
}

// busStatus is what Status says of ubus.
func (d *Daemon) busStatus() node.BusStatus {
	if d.bus == nil {
		return node.BusStatus{State: "off"}
	}
	return d.bus.Status()
}

// peerNotice is what an event says of a peer, with the keys that status has.
type peerNotice struct {
	Name      string `json:"name"`
	PublicKey string `json:"publicKey"`
	IP        string `json:"ip"`
	LLAddr    string `json:"lladdr"`
	Version   uint32 `json:"version"`
	Label     string `json:"label"`
	Incoming  bool   `json:"incoming"`
}

// tellPeer sends an event about a peer.
func (d *Daemon) tellPeer(kind string, p node.PeerInfo) {
	d.emit("peer."+kind, peerNotice{p.Name, p.Key.String(), p.Key.IP().String(), p.Addr.String(), p.Version, p.Label.String(), p.Incoming})
}

// refusedNotice is what an event says of a handshake that was refused.
type refusedNotice struct {
	LLAddr string `json:"lladdr"`
	Text   string `json:"text"` // the reason, as in the log
}

// meshNotice is what an event says of the mesh.
type meshNotice struct {
	Originator string `json:"originator,omitempty"`
	Text       string `json:"text"` // as in the log
}

// tellMesh sends an event about the mesh: another gateway, and what should
// not happen. Ways and clients change all the time, and bat has them.
func tellMesh(to *events, e mesh.Event, text string) {
	kind := ""
	switch e.Kind {
	case mesh.EventGateway:
		kind = "gw.changed"
	case mesh.EventLoop:
		kind = "bat.loop"
	case mesh.EventClash:
		kind = "bat.clash"
	case mesh.EventLimit:
		kind = "bat.full"
	default:
		return
	}
	n := meshNotice{Text: text}
	if !e.Orig.IsZero() {
		n.Originator = e.Orig.String()
	}
	to.emit(kind, n)
}

// ConfigDiff implements admin.Backend.
func (d *Daemon) ConfigDiff(ctx context.Context) (r admin.ReloadReport, err error) {
	err = d.supervised(ctx, func(context.Context) error {
		var err error
		_, r, err = d.compare()
		return err
	})
	return r, err
}

// compare reads the configuration and says what differs from the one that is
// in force.
func (d *Daemon) compare() (*config.Loaded, admin.ReloadReport, error) {
	r := admin.ReloadReport{Changes: []config.Change{}, Warnings: []string{}, ConfirmSeconds: int((d.trial.left() + time.Second - 1) / time.Second)}
	loaded, err := d.store.Load()
	if err != nil {
		return nil, r, err
	}
	for _, w := range loaded.Warnings {
		r.Warnings = append(r.Warnings, w.Error())
	}
	r.Changes = append(r.Changes, config.Diff(d.cfg, loaded.Config)...)
	return loaded, r, nil
}
