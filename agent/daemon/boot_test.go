package daemon

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestNextBoot(t *testing.T) {
	set := time.Unix(1_900_000_000, 0)
	for _, c := range []struct {
		name, file string
		wall       time.Time
		want       uint32
	}{
		{"first, no clock", "", time.Unix(30, 0), 1},
		{"count, no clock", "41\n", time.Unix(30, 0), 42},
		{"first, clock", "", set, 1_900_000_000},
		{"clock is ahead", "7\n", set, 1_900_000_000},
		{"clock went back", "1900000005\n", set, 1_900_000_006},
		{"clock was lost", "1900000005\n", time.Unix(0, 0), 1_900_000_006},
		{"nonsense", "-3 x\n", time.Unix(0, 0), 1},
		{"too large", "4294967296\n", time.Unix(0, 0), 1},
	} {
		path := filepath.Join(t.TempDir(), "boot")
		if c.file != "" {
			if err := os.WriteFile(path, []byte(c.file), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := nextBoot(path, c.wall); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}
