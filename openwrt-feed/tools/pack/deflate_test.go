package pack

import (
	"bytes"
	"compress/gzip"
	"io"
	"os/exec"
	"testing"
)

// TestDeflate reads back what both compressors write.
func TestDeflate(t *testing.T) {
	if _, err := exec.LookPath("libdeflate-gzip"); err != nil {
		t.Fatal("needs libdeflate-tools; make check-packages installs it")
	}
	text := bytes.Repeat([]byte("a packet, a package, "), 1000)
	for name, deflate := range map[string]func([]byte) ([]byte, error){"Deflate": Deflate, "Libdeflate": Libdeflate} {
		for _, in := range [][]byte{nil, text[:1], text} {
			z, err := Gzip(in, deflate)
			if err != nil {
				t.Errorf("%s of %d bytes: %v", name, len(in), err)
				continue
			}
			r, err := gzip.NewReader(bytes.NewReader(z))
			if err != nil {
				t.Errorf("%s of %d bytes: %v", name, len(in), err)
				continue
			}
			out, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(out, in) || len(in) > 1 && len(z) > len(in)/10 {
				t.Errorf("%s of %d bytes: %d bytes, read back as %d, %v", name, len(in), len(z), len(out), err)
			}
		}
	}
}
