package lucihost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/meshagent/meshagent/agent/ubus"
	"github.com/meshagent/meshagent/agent/ubus/wire"
)

// Codes of ubus that occur here.
const (
	ubusInvalidArgument = 2
	ubusMethodNotFound  = 3
	ubusNotFound        = 4
	ubusDenied          = 6
	ubusUnknown         = 9
	rpcNoObject         = -32000 // of the web server
	rpcDenied           = -32002
	rpcTimeout          = -32003
)

// Bus answers calls to the agent's objects. A negative code is one of the web
// server's JSON-RPC errors, a positive one a status of ubus.
type Bus interface {
	Call(object, method string, args map[string]any) (reply any, code int)
}

// Recorded is a Bus that gives what was recorded of a running agent. Calls has
// what it was asked, without the calls that only read.
type Recorded struct {
	Replies map[string]any // by "object.method"
	Codes   map[string]int // instead of an answer, by "object.method" or "object"
	Calls   []string       // "object.method {arguments}"
}

// LoadRecorded reads a folder of OBJECT.METHOD.json.
func LoadRecorded(dir string) (*Recorded, error) {
	r := &Recorded{Replies: map[string]any{}, Codes: map[string]int{}}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no recorded answers in %s", dir)
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		r.Replies[strings.TrimSuffix(filepath.Base(f), ".json")] = v
	}
	return r, nil
}

// Call implements Bus.
func (r *Recorded) Call(object, method string, args map[string]any) (any, int) {
	name := object + "." + method
	for _, key := range []string{name, object, "*"} {
		if c, ok := r.Codes[key]; ok {
			return r.Replies["error."+name], c
		}
	}
	if method == "join" {
		r.Calls = append(r.Calls, name+" "+fmt.Sprint(args["token"]))
		return map[string]any{}, 0
	}
	if method == "add" || method == "del" || strings.HasSuffix(method, "ping") || method == "trace" || method == "why" {
		raw, _ := json.Marshal(args)
		r.Calls = append(r.Calls, name+" "+string(raw))
	}
	if method == "add" || method == "del" {
		return map[string]any{"action": map[string]string{"add": "added", "del": "removed"}[method]}, 0
	}
	v, ok := r.Replies[name]
	if !ok {
		return nil, ubusMethodNotFound
	}
	return paged(v, args), 0
}

// paged cuts the list of an answer as offset and limit say.
func paged(v any, args map[string]any) any {
	reply, ok := v.(map[string]any)
	if !ok || args["limit"] == nil {
		return v
	}
	offset, _ := args["offset"].(float64)
	limit, _ := args["limit"].(float64)
	out := map[string]any{}
	for k, x := range reply {
		if list, ok := x.([]any); ok {
			from := min(int(offset), len(list))
			to := len(list)
			if limit > 0 {
				to = min(to, from+int(limit))
			}
			out["total"], x = len(list), list[from:to]
		}
		if _, done := out[k]; !done {
			out[k] = x
		}
	}
	return out
}

// Live is a Bus in front of running agents: it calls them over ubus, as the web
// server does.
type Live struct{ Path string } // socket of ubusd

// Call implements Bus.
func (l *Live) Call(object, method string, args map[string]any) (any, int) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	conn, err := ubus.Dial(ctx, l.Path, nil)
	if err != nil {
		return nil, rpcNoObject
	}
	defer conn.Close()
	found, err := conn.Lookup(ctx, object)
	if err != nil || len(found) != 1 {
		return nil, rpcNoObject
	}
	given := map[string]any{"ubus_rpc_session": session} // the web server adds it to every call
	maps.Copy(given, args)
	raw, _ := json.Marshal(given)
	table, err := wire.TableFromJSON(raw)
	if err != nil {
		return nil, ubusInvalidArgument
	}
	answer, err := conn.CallID(ctx, found[0].ID, method, table)
	var status wire.Status
	if err != nil && !errors.As(err, &status) {
		return nil, rpcTimeout
	}
	if len(answer) == 0 {
		return nil, int(status)
	}
	return answer.Native(), int(status)
}
