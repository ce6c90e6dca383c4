package node

import (
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/cryptoauth"
)

// A newcomer whom the admission refuses gets in with the password of an
// invite, although it was calling without one already.
func TestMeshLogin(t *testing.T) {
	w, a, b := meshPair(t, 240)
	b.node.SetAdmission(AdmitListed)
	if err := b.node.SetUser(cryptoauth.User{Name: "invite", Password: []byte("secret")}); err != nil {
		t.Fatal(err)
	}
	if !a.node.InMesh(b.id.Public) || a.node.InMesh(a.id.Public) {
		t.Error("the mesh has told of somebody else")
	}
	a.tell(b, "hello")
	w.run(2 * time.Second)
	if b.up(a) {
		t.Fatal("came in without a password")
	}
	a.node.SetMeshLogin(w.now, b.id.Public, "invite", "secret", &a.out)
	a.drain()
	a.node.SendMessage(w.now, b.id.IP, []byte("let me in"), &a.out)
	a.drain()
	w.until(4*time.Second, "the message", func() bool { return len(b.letters) > 0 })
	if !b.up(a) {
		t.Error("no peering")
	}
	a.node.SetMeshLogin(w.now, b.id.Public, "", "", &a.out)
	w.run(5 * time.Second)
	if len(a.node.mesh.logins) != 0 || !a.up(b) {
		t.Error("the peering ended with the login, or the login is kept")
	}
	for i := range 20 {
		k := b.id.Public
		k[0] = byte(i)
		a.node.SetMeshLogin(w.now, k, "x", "y", &a.out)
	}
	if n := len(a.node.mesh.logins); n != maxMeshLogins {
		t.Errorf("%d logins", n)
	}
}

// Who is refused gets in by no password, over the mesh or by UDP, and is
// thrown out; who is dialled by the configuration is not.
func TestRefuse(t *testing.T) {
	w, a, b := meshPair(t, 241)
	c := w.host("c", 0)
	d := w.host("d", 0)
	d.user("secret")
	c.dial(d, "secret")
	a.tell(b, "hello")
	w.run(2 * time.Second)
	if !b.up(a) || !d.up(c) {
		t.Fatal("no peerings to end")
	}
	b.node.Refuse(w.now, []cjdns.IP{a.id.IP}, &b.out)
	d.node.Refuse(w.now, []cjdns.IP{c.id.IP, a.id.IP}, &d.out)
	b.drain()
	d.drain()
	w.run(10 * time.Second)
	a.tell(b, "again")
	w.run(3 * time.Second)
	if b.up(a) || d.up(c) || b.heard("again") {
		t.Errorf("refused, and in: %v, %v", b.up(a), d.up(c))
	}
	if b.node.Status(w.now).Drops["not-admitted"]+d.node.Status(w.now).Drops["not-admitted"] == 0 {
		t.Error("not counted")
	}
	c.node.Refuse(w.now, []cjdns.IP{d.id.IP}, &c.out)
	d.node.Refuse(w.now, nil, &d.out)
	w.until(10*time.Second, "in again", func() bool { return c.up(d) && d.up(c) })
}
