package lucihost

import (
	"strings"
	"testing"
)

const statusPage = "admin/status/meshagent/status"

// contains fails unless the element holds all the texts.
func (p *page) contains(selector string, texts ...string) {
	p.t.Helper()
	all := p.text(selector)
	for _, want := range texts {
		if !strings.Contains(all, want) {
			p.t.Errorf("%s lacks %q: %s", selector, want, all)
		}
	}
}

// The recorded agent, on both screens: every table has its rows, every row a
// note that says why.
func TestStatus(t *testing.T) {
	for name, width := range map[string]int64{"desktop": desktop, "phone": phone} {
		t.Run(name, func(t *testing.T) {
			h, _ := newHost(t)
			p := open(t, h, statusPage, width)
			p.waitText("#meshagent-node", "fc50:077e:a4b1:7476:ba31:22b5:cced:dfab")
			p.contains("#meshagent-node", "ysqfmvlwyu90yj9hwr7hyck17n2cd6yj7p38wtu0dcl1zwp0hkr0.k", "0.1.0, protocol 22", "tunmesh0 is up, MTU 1304", "BATMAN_IV")
			p.contains("#meshagent-radios", "phy0-mesh0", "active", `Ad-Hoc; "mesh.demo"; channel 6`, "works", "phy1-mesh0", "device phy1-mesh0 does not exist")
			p.contains("#meshagent-uplink", "wan (pppoe-wan)", "uses the best gateway", "02:ba:00:00:02:00")
			p.contains("#meshagent-trust", "closed", "peering over the mesh", "every verified node", "Nodes with a verified identity2")
			p.contains("#meshagent-neighbours", "02:ba:00:00:02:00", "-61 dBm", "heard")
			p.contains("#meshagent-originators", "02:ba:00:00:03:00", "fc49:3a0b:7bfe:3967:0135:8eaa:092b:a817", "/255", "the way that is used; has a way to the internet")
			p.contains("#meshagent-gateways", "chosen", "20.0 Mbit/s / 5.0 Mbit/s", "DHCP requests go to it")
			p.contains("#meshagent-links", "udp4", "packets come in", "br-lan", "device br-lan does not exist")
			p.contains("#meshagent-peers", "bob_tower", "established", "dialled by us", "nyc", "sent_hello", "no answer yet", "found in the mesh, by its identity")
			p.contains("#meshagent-sessions", "0000.0000.0000.0013", "other paths known: 1")
			p.sound()
			for _, tab := range []string{"overview", "mesh", "peers", "paths"} {
				p.tab(tab)
				p.sound()
				p.shoot("status-" + tab + "-" + name)
			}
			if len(h.Denied) > 0 {
				t.Errorf("calls that the ACL file does not grant: %v", h.Denied)
			}
		})
	}
}

// A node that has nothing yet: every table says so in words.
func TestStatusEmpty(t *testing.T) {
	h, bus := newHost(t)
	for name, key := range map[string]string{"meshagent.peer.list": "peers", "meshagent.sessions": "sessions", "meshagent.bat.neighbors": "rows", "meshagent.bat.originators": "rows", "meshagent.bat.interfaces": "rows", "meshagent.gw.list": "rows"} {
		reply := bus.Replies[name].(map[string]any)
		reply[key], reply["total"] = []any{}, 0
	}
	bus.Replies["meshagent.status"].(map[string]any)["links"] = []any{}
	p := open(t, h, statusPage, phone)
	for table, words := range map[string]string{
		"peers": "No peers.", "sessions": "No sessions.", "neighbours": "No node is heard.", "originators": "No other node is known yet.",
		"radios": "The mesh has no interface", "gateways": "No node announces a way to the internet.", "links": "No link is configured",
	} {
		p.waitText("#meshagent-"+table, words)
	}
	p.tab("mesh")
	p.sound()
	p.shoot("status-empty-phone")
}

// An agent without a mesh, whether it says so or has no such objects.
func TestStatusNoMesh(t *testing.T) {
	for name, code := range map[string]int{"said": ubusNotFound, "absent": rpcNoObject} {
		t.Run(name, func(t *testing.T) {
			h, bus := newHost(t)
			bus.Codes["meshagent.bat"], bus.Codes["meshagent.gw"] = code, code
			p := open(t, h, statusPage, desktop)
			p.waitText("#meshagent-originators", "No mesh is configured")
			p.contains("#meshagent-peers", "bob_tower")
			p.contains("#meshagent-trust", "Nodes with a verified identity-")
			p.sound()
		})
	}
}

// A stopped agent: the page says so and why, and starts it.
func TestStatusStopped(t *testing.T) {
	h, bus := newHost(t)
	bus.Codes["*"], h.Running = rpcNoObject, false
	started := 0
	h.Exec = func(command string) (string, int) {
		switch command {
		case "/sbin/logread -e meshagent":
			return "Wed Nov 25 22:00:00 2026 daemon.err meshagent[812]: meshagent:4: option 'bind': expected ip:port\nWed Nov 25 22:00:01 2026 daemon.info procd: instance meshagent::main exited\n", 0
		case "/etc/init.d/meshagent start":
			started++
			delete(bus.Codes, "*")
		}
		return "", 0
	}
	p := open(t, h, statusPage, phone)
	p.waitText("#meshagent-banner", "The agent is not running.")
	p.waitText("#meshagent-why", "option 'bind': expected ip:port")
	if strings.Contains(p.text("#meshagent-why"), "procd") {
		t.Error("the banner shows lines of others")
	}
	for _, table := range []string{"peers", "sessions", "originators", "neighbours", "radios", "links", "gateways"} {
		p.contains("#meshagent-"+table, "The agent is not running.")
	}
	p.sound()
	p.shoot("status-stopped-phone")
	p.click("#meshagent-banner button", "Start")
	p.waitText("#meshagent-node", "fc50:077e:a4b1:7476:ba31:22b5:cced:dfab")
	p.wait("document.querySelector('#meshagent-banner').textContent == ''")
	if started != 1 {
		t.Errorf("started %d times", started)
	}
	p.sound()
}

// Somebody who may only read sees everything and is offered nothing that
// changes; a session without any right gets a reason.
func TestStatusRights(t *testing.T) {
	h, _ := newHost(t)
	h.Reader = true
	p := open(t, h, statusPage, desktop)
	p.waitText("#meshagent-peers", "bob_tower")
	p.wait("document.body.textContent.includes('You have no right to change anything here.')")
	if n := js[int](p, "Array.from(document.querySelectorAll('button')).filter(function(b){return /Delete|Add|Start/.test(b.textContent)}).length"); n != 0 {
		t.Errorf("a reader is offered %d buttons that change something", n)
	}
	p.sound()
	if len(h.Denied) > 0 {
		t.Errorf("a reader's page makes calls that are refused: %v", h.Denied)
	}

	h, bus := newHost(t)
	bus.Codes["*"] = rpcDenied
	p = open(t, h, statusPage, desktop)
	p.waitText("#meshagent-banner", "log out and in again")
	p.sound()
}

// What comes from the mesh is text, whatever it looks like.
func TestStatusHostile(t *testing.T) {
	const evil = `<img src=x onerror="window.hacked=1"><b>x</b>`
	h, bus := newHost(t)
	for _, p := range bus.Replies["meshagent.peer.list"].(map[string]any)["peers"].([]any) {
		for k, v := range p.(map[string]any) {
			if _, ok := v.(string); ok && k != "state" && k != "source" {
				p.(map[string]any)[k] = evil
			}
		}
	}
	for name, reply := range bus.Replies {
		rows, _ := reply.(map[string]any)["rows"].([]any)
		for _, row := range rows {
			for k, v := range row.(map[string]any) {
				if _, ok := v.(string); ok {
					row.(map[string]any)[k] = evil
				}
			}
			if name == "meshagent.bat.originators" {
				row.(map[string]any)["identity"] = evil
			}
		}
	}
	status := bus.Replies["meshagent.status"].(map[string]any)
	status["problems"], status["version"] = []any{evil}, evil
	h.Router["iwinfo.devices"] = map[string]any{"devices": []any{evil}}
	h.Router["iwinfo.info."+evil] = map[string]any{"mode": evil, "ssid": evil, "channel": 1}
	p := open(t, h, statusPage, phone)
	p.waitText("#meshagent-peers", evil)
	for _, table := range []string{"originators", "neighbours", "radios", "gateways"} {
		p.contains("#meshagent-"+table, evil)
	}
	if n := js[int](p, "document.querySelectorAll('#meshagent-status img, #meshagent-status b').length + (window.hacked || 0)"); n != 0 {
		t.Errorf("%d elements were made of what peers sent", n)
	}
	p.sound()
}

// Identities that are no address: what the state means; and an agent that does
// not tell any.
func TestStatusIdentity(t *testing.T) {
	h, bus := newHost(t)
	rows := bus.Replies["meshagent.bat.originators"].(map[string]any)["rows"].([]any)
	delete(rows[0].(map[string]any), "identity")
	rows[1].(map[string]any)["identity"] = "forged"
	p := open(t, h, statusPage, phone)
	p.waitText("#meshagent-originators", "forged")
	p.contains("#meshagent-originators", "somebody sends announcements in its name")
	p.contains("#meshagent-trust", "Nodes with a verified identity0")
	p.tab("mesh")
	p.sound()
	p.shoot("status-identity-phone")
}

// Ping and trace, from the buttons of the rows and from the form.
func TestTools(t *testing.T) {
	h, bus := newHost(t)
	p := open(t, h, statusPage, phone)
	p.waitText("#meshagent-sessions", "fc49:3a0b:7bfe:3967:0135:8eaa:092b:a817")
	p.tab("paths")
	p.click("#meshagent-sessions button", "Ping")
	p.waitText("#meshagent-result", "3 sent, 3 answered")
	p.shoot("ping-phone")
	p.click(".modal button", "Close")
	p.click("#meshagent-sessions button", "Trace")
	p.waitText("#meshagent-hops", "0000.0000.0000.00a2")
	p.sound()
	p.shoot("trace-phone")
	p.click(".modal button", "Close")
	p.click("#meshagent-sessions button", "Why")
	p.waitText("#meshagent-reason", "it was the first that was known")
	p.contains("#meshagent-ways", "0000.0000.0000.0ce3", "other nodes", "in use", "the mesh", "works", "metric 173", "not tried")
	p.contains("#meshagent-hops", "fc49:")
	p.sound()
	p.shoot("why-phone")
	p.click(".modal button", "Close")
	bus.Replies["meshagent.why"] = map[string]any{
		"ip": "fc00::7", "state": "none", "reason": "no way is known", "ways": nil, "hops": nil, "tried": []any{"8 nodes were asked, the nearest <b>fc01::1</b>"},
	}
	p.fill("#meshagent-target", "fc00::7")
	p.click(`[data-tab="paths"] button.cbi-button-action`, "Why")
	p.waitText("#meshagent-ways", "No way is known.")
	p.contains("#meshagent-result", "the nearest <b>fc01::1</b>")
	p.sound()
	p.click(".modal button", "Close")
	p.fill("#meshagent-target", "02:ba:00:00:02:00")
	p.click(`[data-tab="paths"] button.cbi-button-action`, "Ping")
	p.waitText("#meshagent-result", "Answered after")
	bus.Codes["meshagent.ping"], bus.Replies["error.meshagent.ping"] = ubusUnknown, map[string]any{"error": map[string]any{"code": "failed", "text": `"x" is not a target`}}
	p.fill("#meshagent-target", "x")
	p.click(`[data-tab="paths"] button.cbi-button-action`, "Ping")
	p.waitText("#meshagent-result", `"x" is not a target`)
	p.sound()
	if all := strings.Join(bus.Calls, "\n"); !strings.Contains(all, `meshagent.ping {"count":3,"target":"fc`) || !strings.Contains(all, `meshagent.bat.ping {"target":"02:ba:00:00:02:00"}`) {
		t.Errorf("asked the agent:\n%s", all)
	}
}

// The box on the overview page, with the agent running and stopped.
func TestInclude(t *testing.T) {
	h, bus := newHost(t)
	p := open(t, h, "admin/status/overview", phone)
	p.waitText("#meshagent-include", "3 of 4 established")
	p.contains("#meshagent-include", "fc50:", "nodes: 2, neighbours: 1")
	p.sound()
	p.shoot("overview-phone")
	bus.Codes["*"] = rpcNoObject
	p.wait("document.querySelector('#view').textContent.includes('The agent is not running.')")
	delete(bus.Codes, "*")
	p.waitText("#meshagent-include", "3 of 4 established")
	p.sound()
}
