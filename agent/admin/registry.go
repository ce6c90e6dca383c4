package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"sort"
	"strings"
)

// Type is the type of an argument.
type Type string

// The types. They are those that JSON, ubus and bencode have in common.
const (
	String Type = "string"
	Int    Type = "int" // 53 bits, as JSON numbers hold them
	Bool   Type = "bool"
)

// Arg describes an argument.
type Arg struct {
	Name     string `json:"name"`
	Type     Type   `json:"type"`
	Required bool   `json:"required,omitempty"`
	Default  any    `json:"default,omitempty"` // string, int64 or bool
	Min      int64  `json:"min,omitempty"`     // of an Int; checked if Max is not 0
	Max      int64  `json:"max,omitempty"`     // of an Int, or the length of a String in bytes
	Help     string `json:"help"`
}

// Method is something the agent can be asked to do.
type Method struct {
	Name     string `json:"name"` // lower case, a dot between noun and verb: "peer.add"
	Summary  string `json:"summary"`
	Args     []Arg  `json:"args,omitempty"`
	ReadOnly bool   `json:"readOnly"`        // changes nothing; may be offered to readers
	Local    bool   `json:"local,omitempty"` // on the socket only, which is root's and the agent's own
	// Handle does it. args has passed the checks. The result is plain data
	// that encoding/json can write.
	Handle func(ctx context.Context, args Args) (any, error) `json:"-"`
}

// Args are checked arguments. Asking for one that the Method does not declare
// gives the zero value.
type Args struct{ values map[string]any }

// String returns a String argument, its default, or "".
func (a Args) String(name string) string { s, _ := a.values[name].(string); return s }

// Int returns an Int argument, its default, or 0.
func (a Args) Int(name string) int64 { n, _ := a.values[name].(int64); return n }

// Bool returns a Bool argument, its default, or false.
func (a Args) Bool(name string) bool { b, _ := a.values[name].(bool); return b }

// Has reports whether the caller gave the argument.
func (a Args) Has(name string) bool { _, ok := a.values[" "+name]; return ok }

// Registry holds the methods of one agent. It is filled before it is served
// and not changed afterwards; Call is safe for concurrent use.
type Registry struct{ methods map[string]*Method }

// NewRegistry returns an empty Registry.
func NewRegistry() *Registry { return &Registry{methods: map[string]*Method{}} }

// Add adds a method. Two of one name are a fault of the program.
func (r *Registry) Add(m Method) {
	if _, ok := r.methods[m.Name]; ok || m.Handle == nil {
		panic("admin: method " + m.Name + " is there already or does nothing")
	}
	r.methods[m.Name] = &m
}

// Methods returns all methods, sorted by name.
func (r *Registry) Methods() []Method {
	out := make([]Method, 0, len(r.methods))
	for _, m := range r.methods {
		out = append(out, *m)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// Call checks the arguments and calls the method. args holds JSON values as
// encoding/json decodes them into any (json.Number or float64 for numbers), or
// Go strings, integers and booleans. The error is an *Error.
func (r *Registry) Call(ctx context.Context, method string, args map[string]any) (any, error) {
	m := r.methods[method]
	if m == nil {
		return nil, r.unknown(method)
	}
	checked, err := m.check(args)
	if err != nil {
		return nil, err
	}
	result, callErr := m.Handle(ctx, checked)
	if callErr != nil {
		return nil, asError(callErr)
	}
	return result, nil
}

func (r *Registry) unknown(method string) *Error {
	names := make([]string, 0, len(r.methods))
	for _, m := range r.Methods() {
		names = append(names, m.Name)
	}
	return Errorf(CodeUnknownMethod, "no method '%s'; expected one of: %s", clip(method), strings.Join(names, ", "))
}

// check compares args with what m declares.
func (m *Method) check(args map[string]any) (Args, *Error) {
	values := make(map[string]any, 2*len(args))
	for _, a := range m.Args {
		v, given := args[a.Name]
		if v == nil { // JSON null is as good as absent
			given = false
		}
		if !given {
			if a.Required {
				return Args{}, Errorf(CodeBadArgument, "%s: argument '%s' is missing; expected %s (%s)", m.Name, a.Name, a.Help, a.Type)
			}
			if a.Default != nil {
				values[a.Name] = a.Default
			}
			continue
		}
		x, err := a.convert(v)
		if err != nil {
			return Args{}, Errorf(CodeBadArgument, "%s: argument '%s': %s", m.Name, a.Name, err)
		}
		values[a.Name] = x
		values[" "+a.Name] = true
	}
	unknown := make([]string, 0)
	for name := range args {
		if !m.declares(name) {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		sort.Strings(unknown)
		return Args{}, Errorf(CodeBadArgument, "%s: argument '%s' is not known; expected %s", m.Name, clip(unknown[0]), m.argNames())
	}
	return Args{values}, nil
}

func (m *Method) declares(name string) bool {
	for _, a := range m.Args {
		if a.Name == name {
			return true
		}
	}
	return false
}

func (m *Method) argNames() string {
	if len(m.Args) == 0 {
		return "none"
	}
	names := make([]string, len(m.Args))
	for i, a := range m.Args {
		names[i] = a.Name
	}
	return strings.Join(names, ", ")
}

func (a Arg) convert(v any) (any, error) {
	switch a.Type {
	case String:
		s, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("expected a string, found %s", kindOf(v))
		}
		if a.Max > 0 && int64(len(s)) > a.Max {
			return nil, fmt.Errorf("expected at most %d bytes, found %d", a.Max, len(s))
		}
		return s, nil
	case Bool:
		b, ok := v.(bool)
		if !ok {
			return nil, fmt.Errorf("expected true or false, found %s", kindOf(v))
		}
		return b, nil
	default:
		n, ok := integer(v)
		if !ok {
			return nil, fmt.Errorf("expected a whole number, found %s", kindOf(v))
		}
		if a.Max != 0 && (n < a.Min || n > a.Max) {
			return nil, fmt.Errorf("expected a number from %d to %d, found %d", a.Min, a.Max, n)
		}
		return n, nil
	}
}

func integer(v any) (int64, bool) {
	const limit = 1 << 53
	switch x := v.(type) {
	case json.Number:
		n, err := x.Int64()
		return n, err == nil
	case float64:
		if x != math.Trunc(x) || x > limit || x < -limit {
			return 0, false
		}
		return int64(x), true
	case int:
		return int64(x), true
	case int64:
		return x, true
	}
	return 0, false
}

func kindOf(v any) string {
	switch v.(type) {
	case string:
		return "a string"
	case bool:
		return "true or false"
	case json.Number, float64, int, int64:
		return "a number"
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	default:
		return "something else"
	}
}

// clip keeps what a stranger wrote from filling the screen.
func clip(s string) string {
	const limit = 64
	if len(s) > limit {
		s = s[:limit] + "…"
	}
	return strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s), "?")
}
