package guest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

var errBzImage = errors.New("guest: not a compressed Linux kernel")

// unpackKernel takes the ELF kernel out of a bzImage. The emulator starts it
// through its PVH entry, without a BIOS and without decompression inside the
// emulation, which saves half of the time that a boot takes.
func unpackKernel(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	payload, err := bzPayload(b)
	if err != nil {
		return err
	}
	var argv []string
	switch {
	case bytes.HasPrefix(payload, []byte("\xfd7zXZ\x00")): // Debian 12
		argv = []string{"xz", "-dc"}
	case bytes.HasPrefix(payload, []byte{0x28, 0xb5, 0x2f, 0xfd}): // Debian 13
		argv = []string{"zstd", "-dc"}
	default:
		return fmt.Errorf("%w: payload begins with % x", errBzImage, payload[:6])
	}
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer f.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout = bytes.NewReader(payload), f
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", argv[0], err)
	}
	return f.Close()
}

// bzPayload returns the compressed kernel inside a bzImage, without the length
// that the build appends to it. All fields are little endian.
// Source: Linux Documentation/arch/x86/boot.rst, the setup header.
func bzPayload(b []byte) ([]byte, error) {
	if len(b) < 0x250 || string(b[0x202:0x206]) != "HdrS" {
		return nil, errBzImage
	}
	setup := int64(b[0x1f1])
	if setup == 0 {
		setup = 4
	}
	begin := (setup+1)*512 + int64(binary.LittleEndian.Uint32(b[0x248:]))
	end := begin + int64(binary.LittleEndian.Uint32(b[0x24c:])) - 4
	if begin+6 > end || end > int64(len(b)) {
		return nil, errBzImage
	}
	return b[begin:end], nil
}
