package cjdns

import (
	"encoding/hex"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
)

// vectors returns the fields of the lines of testdata/name, except comments.
func vectors(t testing.TB, name string) [][]string {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var out [][]string
	for line := range strings.Lines(string(raw)) {
		if line[0] != '#' {
			out = append(out, strings.Fields(line))
		}
	}
	if len(out) == 0 {
		t.Fatalf("%s: no vectors", name)
	}
	return out
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func hexLabel(t testing.TB, s string) Label {
	t.Helper()
	v, err := strconv.ParseUint(s, 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return Label(v)
}

func atoi(t testing.TB, s string) int {
	t.Helper()
	v, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// testRand is a reproducible source for what takes a func([]byte).
func testRand(seed uint64) func([]byte) {
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	return func(b []byte) { r.Read(b) }
}

// eachPrefix calls f with every proper prefix of b, in memory of its own, so
// that reading past the end cannot go unnoticed.
func eachPrefix(b []byte, f func(p []byte)) {
	for n := range b {
		p := make([]byte, n)
		copy(p, b)
		f(p)
	}
}
