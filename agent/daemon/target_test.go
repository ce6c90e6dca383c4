package daemon

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/admin"
	"github.com/meshagent/meshagent/agent/cryptoauth"
)

// Commands take the name of a peer, its section if it has none, for whom they
// are about.
func TestNamesAsTargets(t *testing.T) {
	b := start(t, guest)
	key := cryptoauth.GenerateIdentity(random).Public // of nobody
	twin := cryptoauth.GenerateIdentity(random).Public
	peer := "config peer '%s'\n\toption address '127.0.0.1:%s'\n\toption public_key '%s'\n\toption password 'let me in'\n\toption login 'guest'\n%s"
	a := start(t, fmt.Sprintf(peer, "uplink", b.port, b.id.Public, "\toption name 'nyc'\n")+
		fmt.Sprintf(peer, "away", "9", key, "")+
		fmt.Sprintf(peer, "twin1", "29", key, "\toption name 'twin'\n")+fmt.Sprintf(peer, "twin2", "19", twin, "\toption name 'twin'\n"))
	b.wait(t, "up", established)
	opts := admin.PingOptions{Count: 1, Timeout: 5 * time.Second}
	if r, err := a.Ping(t.Context(), "nyc", opts); err != nil || r.IP != b.id.IP.String() || r.Replies[0].Error != "" {
		t.Errorf("ping nyc: %+v, %v", r, err)
	}
	if r, err := a.Trace(t.Context(), "nyc"); err != nil || len(r.Hops) != 1 || r.Hops[0].Name != "nyc" {
		t.Errorf("trace nyc: %+v, %v", r, err)
	}
	y, err := a.Why(t.Context(), "nyc")
	if err != nil || y.Target != "nyc" || y.IP != b.id.IP.String() || y.Name != "nyc" || len(y.Ways) != 1 || y.Ways[0].Source != "peer" || len(y.Hops) != 1 {
		t.Errorf("why nyc: %+v, %v", y, err)
	}
	if y, err = a.Why(t.Context(), "away"); err != nil || y.State != "none" || y.Ways[0].State != "down" {
		t.Errorf("why away: %+v, %v", y, err)
	}
	if y, err = a.Why(t.Context(), a.id.Public.String()); err != nil || y.State != "self" {
		t.Errorf("why ourselves: %+v, %v", y, err)
	}
	if y, err = a.Why(t.Context(), "v22.0000.0000.0000.0013."+b.id.Public.String()); err != nil || y.IP != b.id.IP.String() {
		t.Errorf("why node text: %+v, %v", y, err)
	}
	for target, code := range map[string]admin.Code{
		"uplink": admin.CodeNotFound, "": admin.CodeNotFound, "twin": admin.CodeAmbiguous,
		"2001:db8::1": admin.CodeBadArgument, "192.0.2.1": admin.CodeBadArgument, "0000.0000.0000.0013": admin.CodeBadArgument,
	} {
		_, err := a.Why(t.Context(), target)
		var e *admin.Error
		if !errors.As(err, &e) || e.Code != code {
			t.Errorf("why %q: %v, want %s", target, err, code)
		}
	}
	if _, err := a.Ping(t.Context(), "nobody", opts); err == nil {
		t.Error("ping nobody is taken")
	}
}
