package lucihost

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

const (
	keyA = "5qkrlhxwq3ysuq32r2blczxjtv7yp3hnsj6uv1l1ttn9f93f8y60.k"
	keyB = "p1k4y0xpkq5r12br69r6f832jk7h7s9n0ld8fwc8kvgpb70g7kx0.k"
)

// What people send each other, and what has to come out of it: the arguments
// of peer.add, or words of the complaint.
var pastes = []struct{ name, text, want string }{
	{"stanza", `"192.0.2.10:25381": {"login": "alice", "password": "pa ss", "publicKey": "` + keyA + `", "peerName": "nyc"}`,
		`{"address":"192.0.2.10:25381","public_key":"` + keyA + `","password":"pa ss","login":"alice","name":"nyc"}`},
	{"braces, comments, commas", "// from nyc\n{ \"[2001:db8::1]:25381\": { \"password\":\"x\" \"publicKey\":\"" + keyA + "\", /* old */ \"contact\":\"a@b\", }, }",
		`{"address":"[2001:db8::1]:25381","public_key":"` + keyA + `","password":"x"}`},
	{"two", `"192.0.2.1:1":{"password":"a","publicKey":"` + keyA + `"},"192.0.2.2:2":{"password":"b","publicKey":"` + keyB + `"}`,
		`{"address":"192.0.2.1:1","public_key":"` + keyA + `","password":"a"} {"address":"192.0.2.2:2","public_key":"` + keyB + `","password":"b"}`},
	{"cjdroute.conf", `{"privateKey":"00","interfaces":{"UDPInterface":[{"bind":"0.0.0.0:1","connectTo":{"192.0.2.1:1":{"password":"a","publicKey":"` + keyA + `"}}}],"ETHInterface":[{"connectTo":{"02:ba:7a:10:20:30":{"password":"b","publicKey":"` + keyB + `"}}}]}}`,
		`{"address":"192.0.2.1:1","public_key":"` + keyA + `","password":"a"} {"address":"02:ba:7a:10:20:30","public_key":"` + keyB + `","password":"b"}`},
	{"escapes", `"192.0.2.1:1":{"password":"\x41\"b\\","publicKey":"` + keyA + `"}`, `{"address":"192.0.2.1:1","public_key":"` + keyA + `","password":"A\"b\\"}`},
	{"command", "# meshagent peer add node.example.org:25381 " + keyA + " --login alice --password 'it''s' --name \"New York\" --version=22",
		`{"address":"node.example.org:25381","public_key":"` + keyA + `","password":"its","login":"alice","name":"New York","version":22}`},
	{"command over two lines", "peer add 192.0.2.1:1 \\\n  " + keyA + " -interface udp4", `{"address":"192.0.2.1:1","public_key":"` + keyA + `","interface":"udp4"}`},
	{"sections", "config peer 'nyc'\r\n\toption address '192.0.2.1:1'\r\n\toption public_key '" + keyA + "'\r\n\toption password 'none'\nconfig udp 'x'\n\toption bind '0.0.0.0:1'\n",
		`{"address":"192.0.2.1:1","public_key":"` + keyA + `","name":"nyc"}`},
	{"own name of a host", `"-x.example:1":{"password":"a","publicKey":"` + keyA + `"}`, "is not an address"},
	{"no port", `"192.0.2.1":{"password":"a","publicKey":"` + keyA + `"}`, "is not an address"},
	{"port 0", `"192.0.2.1:0":{"password":"a","publicKey":"` + keyA + `"}`, "is not an address"},
	{"port too large", `"192.0.2.1:65536":{"password":"a","publicKey":"` + keyA + `"}`, "is not an address"},
	{"short key", `"192.0.2.1:1":{"password":"a","publicKey":"` + keyA[1:] + `"}`, "52 characters"},
	{"vowel in the key", `"192.0.2.1:1":{"password":"a","publicKey":"a` + keyA[1:] + `"}`, "52 characters"},
	{"empty", " \n", "no text yet"},
	{"prose", "hello, can we peer?", "cannot be read"},
	{"words", "hello", "no peer in this text"},
	{"brace missing", `{"192.0.2.1:1":{"password":"a"`, "ends too early"},
	{"deep", strings.Repeat(`{"a":`, 5000), "ends too early"},
	{"unknown option", "peer add 192.0.2.1:1 " + keyA + " --passwd x", "--passwd is not known"},
	{"option without value", "peer add 192.0.2.1:1 " + keyA + " --password", "--password needs a value"},
	{"no key", "peer add 192.0.2.1:1", "Expected an address and a public key"},
	{"markup", `"<img src=x onerror=alert(1)>":{"publicKey":"` + keyA + `"}`, "is not an address"},
}

func TestPeerText(t *testing.T) {
	h, _ := newHost(t)
	p := open(t, h, statusPage, desktop)
	p.waitText("#meshagent-peers", "bob_tower")
	js[bool](p, "(L.require('view.meshagent.peertext').then(function(m) { window.peertext = m; }), true)")
	p.wait("window.peertext")
	for _, c := range pastes {
		got := js[string](p, "(function(){var m = window.peertext; var a = m.read("+quote(c.text)+"); return a.errors.concat(a.peers.map(function(x){return JSON.stringify({address:x.address,public_key:x.public_key,password:x.password,login:x.login,name:x.name,interface:x.interface,version:x.version})})).join(' ')})()")
		if got != c.want && (strings.HasPrefix(c.want, "{") || !strings.Contains(got, c.want)) {
			t.Errorf("%s: got %s\nwant %s", c.name, got, c.want)
		}
	}
	// cut off anywhere, nothing but an answer may come of it
	for _, c := range pastes[:8] {
		bad := js[string](p, "(function(){var m = window.peertext, t="+quote(c.text)+"; for (var n=0; n<t.length; n++) { try { var a = m.read(t.substr(0,n)); if (!a.peers.length && !a.errors.length) return 'nothing at '+n; } catch (e) { return n+': '+e; } } return ''; })()")
		if bad != "" {
			t.Errorf("%s, cut off: %s", c.name, bad)
		}
	}
}

// The dialog: paste, look, add; the agent is asked with what was pasted.
func TestAddPeer(t *testing.T) {
	h, bus := newHost(t)
	p := open(t, h, statusPage, phone)
	p.waitText("#meshagent-peers", "bob_tower")
	p.tab("peers")
	p.click("#meshagent-add", "Add peers")
	p.waitText("#meshagent-peer-qr", "This browser cannot read QR codes on this page")
	if !js[bool](p, "document.querySelector('#meshagent-peer-add').disabled") {
		t.Error("nothing was pasted, and it can be added")
	}
	p.fill("#meshagent-peer-text", "no peer at all")
	p.waitText("#meshagent-peer-preview", "There is no peer in this text")
	p.fill("#meshagent-peer-text", pastes[0].text)
	p.waitText("#meshagent-peer-preview", keyA)
	p.contains("#meshagent-peer-preview", "nyc", "Login: alice", "with a password")
	if strings.Contains(p.text("#meshagent-peer-preview"), "pa ss") {
		t.Error("the preview shows the password")
	}
	p.sound()
	p.shoot("add-peer-phone")
	bus.Codes["meshagent.peer.add"], bus.Replies["error.meshagent.peer.add"] = ubusInvalidArgument, map[string]any{"error": map[string]any{"code": "failed", "text": "publicKey: this is our own key"}}
	p.click("#meshagent-peer-add", "Add")
	p.waitText("#meshagent-peer-preview", "192.0.2.10:25381: publicKey: this is our own key")
	delete(bus.Codes, "meshagent.peer.add")
	p.wait("!document.querySelector('#meshagent-peer-add').disabled")
	p.click("#meshagent-peer-add", "Add")
	p.wait("!document.body.classList.contains('modal-overlay-active')")
	if want := `meshagent.peer.add {"address":"192.0.2.10:25381","login":"alice","name":"nyc","password":"pa ss","public_key":"` + keyA + `"}`; !strings.Contains(strings.Join(bus.Calls, "\n"), want) {
		t.Errorf("asked %v\nwant %s", bus.Calls, want)
	}
	p.sound()
}

// A text file is read in the browser; a picture says what is missing.
func TestAddPeerFile(t *testing.T) {
	dir := t.TempDir()
	text, picture, binary := filepath.Join(dir, "nyc.txt"), filepath.Join(dir, "qr.png"), filepath.Join(dir, "x.conf")
	for name, content := range map[string]string{text: pastes[5].text, picture: "\x89PNG\r\n", binary: "a\x00b"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h, _ := newHost(t)
	p := open(t, h, statusPage, phone)
	p.waitText("#meshagent-peers", "bob_tower")
	p.click("#meshagent-add", "Add peers")
	p.wait("document.querySelector('#meshagent-peer-file')")
	choose := func(file string) {
		p.run(chromedp.SetUploadFiles(chromedp.CSS("#meshagent-peer-file"), []string{file}, chromedp.NodeReady))
	}
	choose(text)
	p.waitText("#meshagent-peer-preview", "node.example.org:25381")
	choose(picture)
	p.waitText("#meshagent-peer-preview", "cannot read QR codes")
	choose(binary)
	p.waitText("#meshagent-peer-preview", "neither text nor a picture")
	p.sound()
}

// A browser that reads QR codes (here a stand-in for it) fills in the text.
func TestAddPeerQR(t *testing.T) {
	dir := t.TempDir()
	blurred, sharp := filepath.Join(dir, "blurred.png"), filepath.Join(dir, "sharp.png")
	for _, name := range []string{blurred, sharp} {
		if err := os.WriteFile(name, []byte("\x89PNG\r\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h, _ := newHost(t)
	p := open(t, h, statusPage, phone)
	p.waitText("#meshagent-peers", "bob_tower")
	js[bool](p, "(function(){ window.createImageBitmap = function(f) { return Promise.resolve(f); }; window.codes = []; window.BarcodeDetector = function(o) { this.detect = function() { return Promise.resolve(window.codes); }; }; return true; })()")
	p.click("#meshagent-add", "Add peers")
	p.waitText("#meshagent-peer-qr", "QR codes are read in this browser")
	p.run(chromedp.SetUploadFiles(chromedp.CSS("#meshagent-peer-file"), []string{blurred}, chromedp.NodeReady))
	p.waitText("#meshagent-peer-preview", "There is no QR code in this picture")
	js[bool](p, "(window.codes = [{rawValue: "+quote(pastes[0].text)+"}], true)")
	p.run(chromedp.SetUploadFiles(chromedp.CSS("#meshagent-peer-file"), []string{sharp}, chromedp.NodeReady))
	p.waitText("#meshagent-peer-preview", "nyc")
	p.sound()
}

// With the agent stopped, and with one that may not write its file, a peer goes
// into the configuration, as a change that waits to be applied.
func TestAddPeerStaged(t *testing.T) {
	for name, prepare := range map[string]func(*Recorded){
		"stopped": func(bus *Recorded) { bus.Codes["*"] = rpcNoObject },
		"denied":  func(bus *Recorded) { deny(bus, "add") },
	} {
		t.Run(name, func(t *testing.T) {
			h, bus := newHost(t)
			prepare(bus)
			p := open(t, h, statusPage, phone)
			p.wait("document.querySelector('#meshagent-add')")
			p.click("#meshagent-add", "Add peers")
			p.fill("#meshagent-peer-text", pastes[7].text)
			p.waitText("#meshagent-peer-preview", "without a password")
			p.click("#meshagent-peer-add", "Add")
			p.waitText("#meshagent-staged", "has to be applied")
			p.waitText("#indicators", "Unsaved Changes")
			p.sound()
			p.shoot("staged-" + name + "-phone")
			p.click(".modal .cbi-button-apply", "Apply")
			p.waitText("#modal_overlay", "Configuration changes applied.")
			if text := h.UCI.Text(); !strings.Contains(text, "option address '192.0.2.1:1'") || !strings.Contains(text, "option password 'none'") {
				t.Errorf("applied:\n%s", text)
			}
			readable(t, h.UCI.Text())
		})
	}
}

// deny makes the agent one that may only read its configuration.
func deny(bus *Recorded, method string) {
	name := "meshagent.peer." + method
	bus.Codes[name], bus.Replies["error."+name] = ubusDenied, map[string]any{"error": map[string]any{"code": "denied", "text": "this agent may only read its configuration"}}
}

func TestDeletePeerStaged(t *testing.T) {
	h, bus := newHost(t)
	deny(bus, "del")
	p := open(t, h, statusPage, phone)
	p.waitText("#meshagent-peers", "bob_tower")
	p.click("#meshagent-peers button", "Delete")
	p.click(".modal button", "Delete")
	p.waitText("#meshagent-staged", "has to be applied")
	p.click(".modal .cbi-button-apply", "Apply")
	p.waitText("#modal_overlay", "Configuration changes applied.")
	if text := h.UCI.Text(); strings.Contains(text, "bob_tower") || !strings.Contains(text, "config peer 'nyc'") {
		t.Errorf("applied:\n%s", text)
	}
}

// An invite is no peer: the agent joins, and the dialog shows how that goes.
func TestJoin(t *testing.T) {
	h, bus := newHost(t)
	bus.Replies["meshagent.join.progress"] = map[string]any{"steps": []any{map[string]any{"atMs": 1, "text": "asking <b>alice</b>"}}, "done": false, "error": "the invite is used up"}
	p := open(t, h, statusPage, phone)
	p.waitText("#meshagent-trust", "Communitynone")
	p.click("#meshagent-add", "Add peers")
	p.fill("#meshagent-peer-text", "meshagent join MESH1:ABC234XYZ\n")
	p.waitText("#meshagent-peer-preview", "This is an invite into a community.")
	p.click("#meshagent-peer-add", "Add")
	p.waitText("#meshagent-peer-preview", "asking <b>alice</b>the invite is used up")
	bus.Replies["meshagent.join.progress"] = map[string]any{"steps": []any{map[string]any{"atMs": 1, "text": "welcome"}}, "done": true, "community": "demo"}
	bus.Replies["meshagent.community"] = map[string]any{"in": true, "name": "demo", "standing": "member"}
	p.wait("!document.querySelector('#meshagent-peer-add').disabled")
	p.click("#meshagent-peer-add", "Add")
	p.waitText("#meshagent-peer-preview", "This node is now in the community demo.")
	p.waitText("#meshagent-trust", "demo, this node is: member")
	if len(bus.Calls) != 2 || bus.Calls[0] != "meshagent.join MESH1:ABC234XYZ" {
		t.Errorf("asked %q", bus.Calls)
	}
	p.sound()
}

// Deleting asks first, and only peers that we dial can be deleted.
func TestDeletePeer(t *testing.T) {
	h, bus := newHost(t)
	bus.Replies["meshagent.peer.list"].(map[string]any)["peers"].([]any)[0].(map[string]any)["source"] = "incoming"
	p := open(t, h, statusPage, desktop)
	p.waitText("#meshagent-peers", "bob_tower")
	if n := js[int](p, "document.querySelectorAll('#meshagent-peers .cbi-button-remove').length"); n != 1 { // the other two came by themselves
		t.Fatalf("%d peers can be deleted", n)
	}
	p.click("#meshagent-peers button", "Delete")
	p.waitText(".modal", "nyc")
	if len(bus.Calls) > 0 {
		t.Error("deleted without asking")
	}
	p.click(".modal button", "Delete")
	p.wait("!document.body.classList.contains('modal-overlay-active')")
	if all := strings.Join(bus.Calls, "\n"); all != `meshagent.peer.del {"peer":"nyc"}` {
		t.Errorf("asked %s", all)
	}
	p.sound()
}
