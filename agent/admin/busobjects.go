package admin

import (
	"context"
	"errors"
	"math"
	"sort"
	"strings"

	"github.com/meshagent/meshagent/agent/ubus"
	"github.com/meshagent/meshagent/agent/ubus/wire"
)

// BusObject is the name of our object on ubus, and the beginning of the names
// of the others and of all events.
const BusObject = "meshagent"

// busNouns are the nouns of methods that have another name on ubus. All others
// keep theirs: "peer.add" is method "add" of object "meshagent.peer".
var busNouns = map[string]string{"mesh": "bat"}

// busAliases are second names of methods on ubus, for those who look where
// the other methods of a kind are.
var busAliases = map[string]string{
	"peers":         "peer.list",
	"mesh.gateways": "gw.list",
}

// busPath returns object and method of a method of the registry.
func busPath(name string) (object, method string) {
	noun, verb, ok := strings.Cut(name, ".")
	if !ok {
		return BusObject, name
	}
	if other, ok := busNouns[noun]; ok {
		noun = other
	}
	return BusObject + "." + noun, verb
}

// busMethod is one method of an object on ubus.
type busMethod struct {
	object, name string
	m            Method
}

// busMethods lists what the registry has on ubus, sorted by object and name.
func busMethods(r *Registry) []busMethod {
	var out []busMethod
	for _, m := range r.Methods() {
		if m.Local {
			continue
		}
		names := []string{m.Name}
		if alias, ok := busAliases[m.Name]; ok {
			names = append(names, alias)
		}
		for _, name := range names {
			object, method := busPath(name)
			out = append(out, busMethod{object, method, m})
		}
	}
	sort.Slice(out, func(i, j int) bool {
		return out[i].object+" "+out[i].name < out[j].object+" "+out[j].name
	})
	return out
}

// objects makes the objects of the methods.
func (b *Bus) objects() (list []*ubus.Object) {
	for _, x := range busMethods(b.Registry) {
		if len(list) == 0 || list[len(list)-1].Path != x.object {
			list = append(list, &ubus.Object{Path: x.object})
		}
		o := list[len(list)-1]
		m := ubus.Method{Name: x.name, Handle: func(ctx context.Context, r *ubus.Request) error { return b.call(ctx, r, &x.m) }}
		for _, a := range x.m.Args {
			m.Args = append(m.Args, ubus.Arg{Name: a.Name, Type: busType(a)})
		}
		o.Methods = append(o.Methods, m)
	}
	return list
}

func busType(a Arg) wire.Type {
	switch {
	case a.Type == String:
		return wire.TypeString
	case a.Type == Bool:
		return wire.TypeBool
	case a.Max > math.MaxInt32:
		return wire.TypeInt64
	}
	return wire.TypeInt32
}

// busStatus gives an error of a method the closest that ubus has.
func busStatus(c Code) wire.Status {
	switch c {
	case CodeBadRequest, CodeBadArgument, CodeAmbiguous:
		return wire.InvalidArgument
	case CodeUnknownMethod:
		return wire.MethodNotFound
	case CodeNotFound:
		return wire.NotFound
	case CodeDenied:
		return wire.PermissionDenied
	case CodeTimeout:
		return wire.Timeout
	case CodeUnsupported:
		return wire.NotSupported
	case CodeBadConfig:
		return wire.ParseError
	case CodeTooLarge, CodeBusy:
		return wire.NoMemory
	case CodeFailed:
		return wire.SystemError
	}
	return wire.UnknownError
}

// maxReply is how large an answer on ubus may be, in bytes. ubus itself stops
// at 1 MiB, but uhttpd and browsers like it smaller.
const maxReply = 64 << 10

// busPage is how many rows a call gets that does not say how many it wants, or
// wants all.
const busPage = 256

// call calls a method of the registry and answers.
func (b *Bus) call(ctx context.Context, r *ubus.Request, m *Method) error {
	ctx, stop := context.WithTimeout(ctx, busCallTimeout)
	defer stop()
	args := r.Args.Native()
	if m.declares(limitArg.Name) {
		if n, ok := integer(args[limitArg.Name]); args[limitArg.Name] == nil || ok && (n <= 0 || n > busPage) {
			args[limitArg.Name] = int64(busPage)
		}
	}
	result, err := b.Registry.Call(ctx, m.Name, args)
	var t wire.Table
	if err == nil {
		t, err = busTable(result)
	}
	if err == nil {
		t, err = fit(t, maxReply)
	}
	if err == nil {
		return r.Reply(t)
	}
	e := asError(err)
	status := busStatus(e.Code)
	if errors.Is(r.Reply(wire.Table{{Name: "error", Value: wire.Table{{Name: "code", Value: string(e.Code)}, {Name: "text", Value: e.Text}}}}), wire.NoMemory) {
		return wire.NoMemory
	}
	return status
}
