package ubustest

import (
	"bufio"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/meshagent/meshagent/agent/ubus/wire"
)

// Frame is one line of a recorded conversation.
type Frame struct {
	Conn   string
	ToBus  bool   // from a client to ubusd
	Closed bool   // the direction ends; no bytes
	Bad    bool   // no frame: ubusd closes the connection
	Bytes  []byte // header and attributes
	wire.Header
	Attrs wire.Attrs
	Line  int
}

// Load reads a recorded conversation.
func Load(t testing.TB, path string) (frames []Frame) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for line := 1; s.Scan(); line++ {
		if strings.HasPrefix(s.Text(), "#") {
			continue
		}
		w := strings.Fields(s.Text())
		if len(w) != 3 {
			t.Fatalf("%s:%d: expected 3 words", path, line)
		}
		x := Frame{Conn: w[0], ToBus: w[1] == ">", Closed: w[2] == "closed", Line: line}
		if !x.Closed {
			if x.Bytes, err = hex.DecodeString(w[2]); err != nil {
				t.Fatalf("%s:%d: %v", path, line, err)
			}
			if x.Header, err = wire.ParseHeader(x.Bytes); err != nil {
				x.Bad = true
				frames = append(frames, x)
				continue
			}
			x.Attrs = wire.ParseAttrs(x.Bytes[wire.HeaderLen:])
		}
		frames = append(frames, x)
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	return frames
}
