package adb

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
)

// Deflater compresses to a raw deflate stream. Package pack has two.
type Deflater func([]byte) ([]byte, error)

// Compress puts an encoded file into the wrapper that OpenWrt's tools make:
// "ADBd" and a raw deflate stream.
func Compress(raw []byte, deflate Deflater) ([]byte, error) {
	z, err := deflate(raw)
	return append([]byte("ADBd"), z...), err
}

// Open takes the wrapper off a file, whose contents may have at most limit
// bytes. Only deflate is known: OpenWrt builds the tools without zstd.
func Open(b []byte, limit int64) ([]byte, error) {
	switch {
	case bytes.HasPrefix(b, []byte(magic)):
		if int64(len(b)) > limit {
			return nil, fmt.Errorf("adb: file beyond %d bytes", limit)
		}
		return b, nil
	case bytes.HasPrefix(b, []byte("ADBd")):
		b = b[4:]
	case bytes.HasPrefix(b, []byte("ADBc")) && len(b) >= 6:
		if b[4] != 1 {
			return nil, fmt.Errorf("adb: compression %d; expected 1, deflate", b[4])
		}
		b = b[6:]
	default:
		return nil, errors.New("adb: no file of apk-tools 3")
	}
	in := bytes.NewReader(b)
	raw, err := io.ReadAll(io.LimitReader(flate.NewReader(in), limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("adb: %w", err)
	case int64(len(raw)) > limit:
		return nil, fmt.Errorf("adb: file beyond %d bytes", limit)
	case in.Len() > 0:
		return nil, fmt.Errorf("adb: %d bytes behind the compressed ones", in.Len())
	}
	return raw, nil
}
