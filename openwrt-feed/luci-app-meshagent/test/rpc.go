package lucihost

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// session is the one session there is.
const session = "0123456789abcdef0123456789abcdef"

// grants are what a session may do: the app's own ACL file, and what LuCI's
// base grants to everybody who is logged in.
type grants struct {
	ubus map[string][]string // methods by object
	file []string            // "command arguments" that may be executed
	uci  bool                // write the configuration
}

// base is what luci-base.json grants, as far as it is used here.
// Source: luci modules/luci-base/root/usr/share/rpcd/acl.d.
var base = map[string][]string{"luci": {"getFeatures"}, "uci": {"get", "changes"}, "file": {"list"}, "session": {"access"}}
var baseWrite = map[string][]string{"uci": {"add", "apply", "confirm", "delete", "order", "rename", "set"}}

// loadGrants reads the app's ACL file as rpcd does when a session is made.
func loadGrants(app string, reader bool) (*grants, error) {
	raw, err := os.ReadFile(filepath.Join(app, "root/usr/share/rpcd/acl.d/luci-app-meshagent.json"))
	if err != nil {
		return nil, err
	}
	type side struct {
		Ubus map[string][]string
		File map[string][]string
		UCI  []string
	}
	var acl map[string]struct{ Read, Write side }
	if err := json.Unmarshal(raw, &acl); err != nil {
		return nil, err
	}
	g := &grants{ubus: map[string][]string{}}
	add := func(s side) {
		for object, methods := range s.Ubus {
			g.ubus[object] = append(g.ubus[object], methods...)
		}
		for command := range s.File {
			g.file = append(g.file, command)
		}
	}
	add(side{Ubus: base})
	add(acl["luci-app-meshagent"].Read)
	if !reader {
		add(side{Ubus: baseWrite})
		add(acl["luci-app-meshagent"].Write)
		g.uci = slices.Contains(acl["luci-app-meshagent"].Write.UCI, "meshagent")
	}
	return g, nil
}

func (g *grants) allows(object, method string) bool {
	return slices.Contains(g.ubus[object], method) || slices.Contains(g.ubus[object], "*")
}

type rpcRequest struct {
	ID     any    `json:"id"`
	Method string `json:"method"`
	Params []any  `json:"params"`
}

// serveRPC is the web server's /ubus: one request or a list of them.
func (h *Host) serveRPC(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	w.Header().Set("Content-Type", "application/json")
	var many []rpcRequest
	if json.Unmarshal(body, &many) == nil {
		out := []any{}
		for _, q := range many {
			out = append(out, h.answer(q))
		}
		_ = json.NewEncoder(w).Encode(out)
		return
	}
	var one rpcRequest
	if json.Unmarshal(body, &one) != nil {
		_ = json.NewEncoder(w).Encode(failure(nil, -32700, "Parse error"))
		return
	}
	_ = json.NewEncoder(w).Encode(h.answer(one))
}

func failure(id any, code int, text string) map[string]any {
	return map[string]any{"jsonrpc": "2.0", "id": id, "error": map[string]any{"code": code, "message": text}}
}

// answer serves one request with the codes of the web server.
func (h *Host) answer(q rpcRequest) map[string]any {
	if q.Method == "list" {
		return map[string]any{"jsonrpc": "2.0", "id": q.ID, "result": map[string]any{}}
	}
	if q.Method != "call" || len(q.Params) != 4 {
		return failure(q.ID, -32700, "Parse error")
	}
	sid, _ := q.Params[0].(string)
	object, _ := q.Params[1].(string)
	method, _ := q.Params[2].(string)
	args, _ := q.Params[3].(map[string]any)
	h.mu.Lock()
	if h.grants == nil {
		var err error
		if h.grants, err = loadGrants(h.App, h.Reader); err != nil {
			h.grants = &grants{}
		}
	}
	allowed := sid == session && h.grants.allows(object, method)
	if !allowed {
		h.Denied = append(h.Denied, object+"."+method)
	}
	h.mu.Unlock()
	if !allowed {
		return failure(q.ID, rpcDenied, "Access denied")
	}
	reply, code := h.call(object, method, args)
	if code < 0 {
		return failure(q.ID, code, map[int]string{rpcNoObject: "Object not found", rpcDenied: "Access denied", rpcTimeout: "ubus request timed out"}[code])
	}
	result := []any{code}
	if reply != nil {
		result = append(result, reply)
	}
	return map[string]any{"jsonrpc": "2.0", "id": q.ID, "result": result}
}

// call goes to the object: the agent's to the Bus, the others are here.
func (h *Host) call(object, method string, args map[string]any) (any, int) {
	if object == "meshagent" || strings.HasPrefix(object, "meshagent.") {
		return h.Bus.Call(object, method, args)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	text := func(key string) string { s, _ := args[key].(string); return s }
	switch object + "." + method {
	case "session.access":
		return map[string]any{"access": text("function") == "read" || h.grants.uci}, 0
	case "luci.getFeatures":
		return map[string]any{}, 0
	case "file.list":
		return h.list(text("path"))
	case "file.exec":
		return h.exec(text("command"), args["params"])
	case "rc.list":
		return map[string]any{"meshagent": map[string]any{"start": 90, "enabled": true, "running": h.Running}}, 0
	}
	if object == "uci" {
		return h.UCI.call(method, args)
	}
	if v, ok := h.Router[object+"."+method+"."+text("device")]; ok {
		return v, 0
	}
	if v, ok := h.Router[object+"."+method]; ok {
		return v, 0
	}
	return nil, ubusNotFound
}

// exec runs what the ACL names with exactly these arguments.
func (h *Host) exec(command string, params any) (any, int) {
	list, _ := params.([]any)
	for _, p := range list {
		s, _ := p.(string)
		command += " " + s
	}
	if !slices.Contains(h.grants.file, command) {
		h.Denied = append(h.Denied, "exec "+command)
		return nil, ubusDenied
	}
	stdout, rc := "", 0
	if h.Exec != nil {
		stdout, rc = h.Exec(command)
	}
	return map[string]any{"code": rc, "stdout": stdout}, 0
}

// list answers for the folder of the overview's includes.
func (h *Host) list(dir string) (any, int) {
	entries := []any{}
	if strings.HasSuffix(dir, "view/status/include") {
		files, _ := filepath.Glob(filepath.Join(h.App, "htdocs/luci-static/resources/view/status/include/*.js"))
		for _, f := range files {
			entries = append(entries, map[string]any{"name": path.Base(filepath.ToSlash(f)), "type": "file"})
		}
	}
	return map[string]any{"entries": entries}, 0
}
