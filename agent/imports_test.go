package agent_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/meshagent/meshagent/"

// room is one line of the import table.
type room struct {
	pure  bool     // deterministic: no system, no clock, no goroutines
	float bool     // may compute with floating point
	own   []string // packages below agent/ that it may import; "*" is any
	other []string // module paths outside the standard library; "*" is any
}

var words = []string{"mono", "pkt", "cjdns"}

// rooms is the import table. A package may import only what its line names, so
// the packages form layers: vocabulary, cores, edges, programs. A package
// without a line fails the test: decide first where it belongs.
var rooms = map[string]room{
	// vocabulary: types and bytes
	"mono":   {pure: true},
	"pkt":    {pure: true},
	"cjdns":  {pure: true, other: []string{"filippo.io/edwards25519"}}, // cjdns signs with the bare scalar
	"batman": {pure: true},
	// cores: state machines without hands
	"cryptoauth": {pure: true, own: words, other: []string{"golang.org/x/crypto", "filippo.io/edwards25519/field"}}, // the field of X25519
	"switchcore": {pure: true, own: words},
	"pathfinder": {pure: true, own: words},
	"identity":   {pure: true, own: append([]string{"batman"}, words...)},
	"mesh":       {pure: true, own: append([]string{"batman", "identity"}, words...)}, // cjdns: the keys in records
	"session":    {pure: true, own: append([]string{"cryptoauth"}, words...)},
	"node":       {pure: true, own: append([]string{"cryptoauth", "switchcore", "pathfinder", "session"}, words...)},
	"ubus/wire":  {pure: true, float: true},                    // ubus has doubles
	"community":  {pure: true, own: []string{"mono", "cjdns"}}, // memberships; knows neither node nor mesh
	// edges: thin, Linux
	"netio":  {float: true, own: []string{"mono", "pkt"}, other: []string{"github.com/songgao/water", "github.com/mdlayher/packet", "golang.org/x/sys"}},
	"kernel": {float: true, own: []string{"mono"}, other: []string{"github.com/mdlayher/genetlink", "github.com/mdlayher/netlink", "golang.org/x/sys"}},
	"config": {float: true, own: []string{"cjdns", "batman", "mesh"}, other: []string{"github.com/tailscale/hujson"}},
	"ubus":   {float: true, own: []string{"ubus/wire"}}, // no dependency: the protocol is all there is to it, and pure Go has to speak it
	"admin":  {float: true, own: []string{"mono", "cjdns", "batman", "community", "config", "node", "mesh", "ubus", "ubus/wire"}},
	// programs
	"daemon":        {float: true, own: []string{"*"}, other: []string{"*"}},
	"cmd/meshagent": {float: true, own: []string{"*"}, other: []string{"*"}},
}

// impure are the packages that a pure one may not import. net/netip,
// math/rand/v2 and sync/atomic are not among them.
var impure = []string{"os", "net", "syscall", "log", "log/slog", "context", "sync", "crypto/rand", "math/rand", "golang.org/x/sys/unix"}

// clocky are the functions of package time that read the clock or wait.
var clocky = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"}

// TestImportTable holds the table above against the sources.
func TestImportTable(t *testing.T) {
	seen := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		pkg := filepath.ToSlash(filepath.Dir(path))
		if strings.Contains(path, "testdata") || strings.HasSuffix(pkg, "test") { // fakes, such as ubustest
			return nil
		}
		r, ok := rooms[pkg]
		if !ok {
			t.Errorf("%s: package %s has no line in the import table", path, pkg)
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		seen++
		for _, fault := range checkFile(path, src, pkg, r) {
			t.Error(fault)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen == 0 {
		t.Fatal("no source file seen")
	}
}

// checkFile returns what a file of package pkg does against its line.
func checkFile(path string, src []byte, pkg string, r room) (faults []string) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, path, src, 0)
	if err != nil {
		return []string{err.Error()}
	}
	fault := func(n ast.Node, text string) {
		faults = append(faults, fset.Position(n.Pos()).String()+": package "+pkg+" "+text)
	}
	for _, i := range f.Imports {
		imp, _ := strconv.Unquote(i.Path.Value)
		own, isOwn := strings.CutPrefix(imp, module+"agent/")
		switch {
		case isOwn && !slices.Contains(r.own, own) && !slices.Contains(r.own, "*"):
			fault(i, "may not import "+imp)
		case !isOwn && !standard(imp) && !slices.ContainsFunc(r.other, func(m string) bool { return m == "*" || imp == m || strings.HasPrefix(imp, m+"/") }):
			fault(i, "may not import "+imp)
		case r.pure && slices.Contains(impure, imp):
			fault(i, "is pure and may not import "+imp)
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt, *ast.ChanType, *ast.SelectStmt:
			if r.pure {
				fault(n, "is pure and may not use goroutines or channels")
			}
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && r.pure && x.Name == "time" && slices.Contains(clocky, n.Sel.Name) {
				fault(n, "is pure and may not call time."+n.Sel.Name)
			}
		case *ast.Ident:
			if !r.float && (n.Name == "float64" || n.Name == "float32") {
				fault(n, "may not use floating point")
			}
		case *ast.BasicLit:
			if !r.float && n.Kind == token.FLOAT {
				fault(n, "may not use floating point")
			}
		}
		return true
	})
	return faults
}

// standard reports whether path is of the standard library: its first element
// has no dot.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

// TestImportTableFindsFaults spoils files on purpose.
func TestImportTableFindsFaults(t *testing.T) {
	for _, tc := range []struct{ name, pkg, body, want string }{
		{"clean", "session", `import "` + module + `agent/mono"`, ""},
		{"core imports edge", "session", `import "` + module + `agent/netio"`, "may not import"},
		{"core imports bench", "session", `import "` + module + `bench/x"`, "may not import"},
		{"foreign module", "session", `import "golang.org/x/crypto/nacl/box"`, "may not import"},
		{"allowed module", "cryptoauth", `import "golang.org/x/crypto/nacl/box"`, ""},
		{"module with the same beginning", "cryptoauth", `import "golang.org/x/cryptography"`, "may not import"},
		{"system", "node", `import "os"`, "is pure and may not import os"},
		{"system in an edge", "netio", `import "os"`, ""},
		{"addresses", "node", `import "net/netip"`, ""},
		{"goroutine", "node", "func f() { go f() }", "goroutines"},
		{"channel", "node", "var c chan int", "goroutines"},
		{"clock", "node", "import \"time\"\nvar x = time.Now()", "time.Now"},
		{"duration", "node", "import \"time\"\nvar x = time.Second", ""},
		{"float", "node", "var x = 0.5", "floating point"},
		{"float type", "node", "func f(float64)", "floating point"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := strings.Join(checkFile("x.go", []byte("package x\n"+tc.body), tc.pkg, rooms[tc.pkg]), "\n")
			if tc.want == "" && got != "" || !strings.Contains(got, tc.want) {
				t.Errorf("faults %q, want %q", got, tc.want)
			}
		})
	}
}

// forbidden must never come into the program for routers; the reason beside.
var forbidden = map[string]string{
	"net/http":                       "0.8 to 1.0 MB more in the compressed package on MIPS",
	"crypto/tls":                     "size, and no part of the agent speaks TLS",
	"crypto/ecdh":                    "0.1 MB: brings all NIST curves; cryptoauth has X25519",
	"crypto/x509":                    "size: comes with crypto/tls",
	"runtime/cgo":                    "the program is one static file",
	"os/user":                        "pulls cgo or parses /etc/passwd; we need neither",
	"crypto/internal/fips140/nistec": "the NIST curves, by whatever way",
	"html/template":                  "size: keeps all methods of all types alive, and no page is served here",
	"text/template":                  "size: keeps all methods of all types alive",
}

// TestDependencies compares what the program for routers is made of with
// docs/deps.txt. A new line there is a decision about size and trust; write the
// file anew with `make deps`.
func TestDependencies(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "./cmd/meshagent")
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=mips", "GOMIPS=softfloat", "CGO_ENABLED=0")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, errs.String())
	}
	var got []string
	for _, p := range strings.Fields(string(out)) {
		if reason, bad := forbidden[p]; bad {
			t.Errorf("the program imports %s, which is forbidden: %s", p, reason)
		}
		if strings.HasPrefix(p, module) || standard(p) && (strings.Contains(p, "internal") || strings.HasPrefix(p, "vendor/")) {
			continue // our own, and what changes with each Go release
		}
		got = append(got, p)
	}
	slices.Sort(got)
	text := strings.Join(got, "\n") + "\n"
	const file = "../docs/deps.txt"
	if os.Getenv("UPDATE_DEPS") != "" {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Fields(string(b))
	for _, p := range got {
		if !slices.Contains(want, p) {
			t.Errorf("new dependency %s is not in docs/deps.txt", p)
		}
	}
	for _, p := range want {
		if !slices.Contains(got, p) {
			t.Errorf("%s in docs/deps.txt is no dependency any more", p)
		}
	}
}
