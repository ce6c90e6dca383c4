package daemon

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/node"
	"github.com/meshagent/meshagent/agent/ubus"
	"github.com/meshagent/meshagent/agent/ubus/ubustest"
	ubuswire "github.com/meshagent/meshagent/agent/ubus/wire"
)

// startOn runs an agent whose configuration says where ubus is.
func startOn(t *testing.T, bus string) *agent {
	t.Helper()
	return start(t, guest, "\toption ubus '"+bus+"'\n")
}

func TestUbus(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ubus.sock")
	a := startOn(t, path)
	s := a.wait(t, "ubus is absent", func(s node.Status) bool { return s.Bus.Error != "" })
	if s.Bus.State != "waiting" || s.Bus.Path != path {
		t.Errorf("%+v", s.Bus)
	}
	ubustest.Start(t, path)
	connected := func(s node.Status) bool { return s.Bus.State == "connected" && s.Bus.Error == "" }
	a.wait(t, "ubus has come", connected)
	c, err := ubus.Dial(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got, err := c.Call(t.Context(), "meshagent", "status", nil)
	if err != nil || got.String("publicKey") != a.id.Public.String() {
		t.Fatalf("%v, %v", got, err)
	}
	events := make(chan ubus.Event, 16)
	if err := c.Listen(t.Context(), "meshagent.*", func(e ubus.Event) { events <- e }); err != nil {
		t.Fatal(err)
	}

	// A peer added over ubus comes up, and both sides say so.
	b := startOn(t, config.UbusOff)
	b.wait(t, "link", func(s node.Status) bool { return len(s.Links) == 1 && s.Links[0].State == "up" && s.Bus.State == "off" })
	add := ubuswire.Table{{Name: "address", Value: "127.0.0.1:" + b.port}, {Name: "public_key", Value: b.id.Public.String()},
		{Name: "password", Value: "let me in"}, {Name: "login", Value: "guest"}, {Name: "name", Value: "b"}, {Name: "ubus_rpc_session", Value: "0"}}
	if got, err = c.Call(t.Context(), "meshagent.peer", "add", add); err != nil || got.String("action") != config.Added {
		t.Fatalf("%v, %v", got, err)
	}
	up := false
	for applied := false; !applied || !up; {
		switch e := <-events; e.Name {
		case "meshagent.config.applied":
			applied = true
		case "meshagent.peer.up":
			up = e.Data.String("publicKey") == b.id.Public.String() && e.Data.String("name") == "b"
			if !up {
				t.Errorf("%v", e)
			}
		}
	}

	// What a reload would change, and then did.
	a.write(t, guest+"config peer 'far'\n\toption address '192.0.2.1:1'\n\toption public_key '"+b.id.Public.String()+"'\n\toption password 'none'\n",
		"\toption ubus '"+path+"'\n")
	for _, method := range []string{"diff", "apply"} {
		got, err = c.Call(t.Context(), "meshagent.config", method, nil)
		changes, _ := got.Get("changes")
		if list, _ := changes.(ubuswire.Array); err != nil || len(list) != 2 {
			t.Errorf("%s: %v, %v", method, got, err)
		}
	}
	a.write(t, "config peer\n")
	got, err = c.Call(t.Context(), "meshagent.config", "apply", nil)
	if v, _ := got.Get("error"); !errors.Is(err, ubuswire.ParseError) || v == nil {
		t.Errorf("%v, %v", got, err)
	}
	if err := a.stop(); err != nil {
		t.Error(err)
	}
	for err = nil; err == nil; { // until ubusd has noticed
		_, err = c.Lookup(t.Context(), "meshagent*")
	}
	if !errors.Is(err, ubuswire.NotFound) {
		t.Error(err)
	}
	if err := b.stop(); err != nil {
		t.Error(err)
	}
}
