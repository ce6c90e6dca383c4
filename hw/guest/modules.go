package guest

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/meshagent/meshagent/hw/cache"
)

// copyModules copies the wanted modules out of an unpacked module tree, and
// those they depend on, decompressed, and returns their file names in an order
// in which they can be loaded. A module that is built into the kernel is left
// out; one that does not exist is an error.
func copyModules(tree, to string, want []string) (order []string, err error) {
	files := map[string]string{}
	err = filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
		if base, ok := moduleName(path); ok && !d.IsDir() {
			files[base] = path
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	builtin, err := os.ReadFile(filepath.Join(tree, "modules.builtin"))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(builtin)) {
		if base, ok := moduleName(strings.TrimSpace(line)); ok {
			files[base] = ""
		}
	}
	done := map[string]bool{}
	var add func(name string) error
	add = func(name string) error {
		if done[name] {
			return nil
		}
		done[name] = true
		path, ok := files[name]
		if !ok {
			return fmt.Errorf("no module %s", name)
		}
		if path == "" {
			return nil
		}
		out := filepath.Join(to, name+".ko")
		if err := copyModule(path, out); err != nil {
			return err
		}
		needs, err := moduleDepends(out)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for _, n := range needs {
			if err := add(n); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		order = append(order, name+".ko")
		return nil
	}
	for _, name := range want {
		if err := add(name); err != nil {
			return nil, err
		}
	}
	return order, nil
}

// moduleName returns the name of the module in a file, with underscores for
// dashes as the kernel has it.
func moduleName(path string) (string, bool) {
	base, ok := strings.CutSuffix(strings.TrimSuffix(filepath.Base(path), ".xz"), ".ko")
	return strings.ReplaceAll(base, "-", "_"), ok
}

// copyModule copies a module and decompresses it if it is compressed.
func copyModule(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if strings.HasSuffix(from, ".xz") {
		if err := cache.Run("/", "sh", "-c", `xz -dc "$0" > "$1"`, from, to); err != nil {
			return err
		}
		return nil
	}
	return os.WriteFile(to, b, 0o644)
}

// moduleDepends returns the modules that one needs, from its section .modinfo:
// zero-terminated strings, one of them "depends=a,b".
func moduleDepends(file string) ([]string, error) {
	f, err := elf.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := f.Section(".modinfo")
	if s == nil {
		return nil, fmt.Errorf("no section .modinfo")
	}
	b, err := s.Data()
	if err != nil {
		return nil, err
	}
	return parseDepends(b), nil
}

func parseDepends(modinfo []byte) (needs []string) {
	for _, s := range bytes.Split(modinfo, []byte{0}) {
		list, ok := strings.CutPrefix(string(s), "depends=")
		if !ok || list == "" {
			continue
		}
		for _, n := range strings.Split(list, ",") {
			needs = append(needs, strings.ReplaceAll(n, "-", "_"))
		}
	}
	return needs
}
