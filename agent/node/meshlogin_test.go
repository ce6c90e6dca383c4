package node

import (
	"testing"
	"time"

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
