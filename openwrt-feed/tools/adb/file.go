package adb

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Schemas of files.
const (
	SchemaPackage = 0x676b6370 // "pckg"
	SchemaIndex   = 0x78646e69 // "indx"
)

// Types of blocks.
const (
	blockADB  = 0
	blockSig  = 1
	blockData = 2
	blockExt  = 3
)

const (
	magic       = "ADB."
	blockAlign  = 8
	dataHeader  = 8
	maxBlockLen = 1<<30 - 1
)

// File is what one file holds.
type File struct {
	Schema uint32
	DB     []byte      // the database
	Sigs   []Signature // over it
	Data   []Data      // contents of files of a package, in order
}

// Data is the content of one file: the index of its directory in the database,
// its own in the directory, both from 1.
type Data struct {
	Dir, File uint32
	Content   []byte
}

// Encode returns the bytes of the file, not compressed.
func (f *File) Encode() ([]byte, error) {
	b := binary.LittleEndian.AppendUint32([]byte(magic), f.Schema)
	b, err := appendBlock(b, blockADB, f.DB)
	for _, s := range f.Sigs {
		if err == nil {
			b, err = appendBlock(b, blockSig, s.encode())
		}
	}
	for _, d := range f.Data {
		if err == nil {
			head := binary.LittleEndian.AppendUint32(nil, d.Dir)
			head = binary.LittleEndian.AppendUint32(head, d.File)
			b, err = appendBlock(b, blockData, head, d.Content)
		}
	}
	return b, err
}

func appendBlock(b []byte, kind uint32, parts ...[]byte) ([]byte, error) {
	n := 4
	for _, p := range parts {
		n += len(p)
	}
	if n > maxBlockLen {
		return nil, fmt.Errorf("adb: a block of %d bytes; expected at most %d", n, maxBlockLen)
	}
	b = binary.LittleEndian.AppendUint32(b, kind<<30|uint32(n)) //nolint:gosec // checked
	for _, p := range parts {
		b = append(b, p...)
	}
	for len(b)%blockAlign != 0 {
		b = append(b, 0)
	}
	return b, nil
}

// Parse reads a file that is not compressed. Blocks must come in order:
// database, signatures, data. The result refers to raw.
func Parse(raw []byte) (*File, error) {
	if len(raw) < len(magic)+4 || string(raw[:4]) != magic {
		return nil, errors.New("adb: no file of apk-tools 3")
	}
	f := &File{Schema: binary.LittleEndian.Uint32(raw[4:])}
	last := uint32(0)
	for at := 8; at < len(raw); {
		if len(raw)-at < 4 {
			return nil, errors.New("adb: block header cut off")
		}
		head := binary.LittleEndian.Uint32(raw[at:])
		kind, n := head>>30, int(head&maxBlockLen)
		if n < 4 || n > len(raw)-at {
			return nil, fmt.Errorf("adb: a block of %d bytes where %d are left", n, len(raw)-at)
		}
		body := raw[at+4 : at+n]
		if kind < last || (kind == blockADB) != (f.DB == nil) {
			return nil, fmt.Errorf("adb: block of type %d in the wrong place", kind)
		}
		last = kind
		if err := f.take(kind, body); err != nil {
			return nil, err
		}
		// The last block of a file need not be padded.
		at += (n + blockAlign - 1) / blockAlign * blockAlign
	}
	if f.DB == nil {
		return nil, errors.New("adb: no database in the file")
	}
	return f, nil
}

func (f *File) take(kind uint32, body []byte) error {
	switch kind {
	case blockADB:
		if _, err := NewReader(body); err != nil {
			return err
		}
		f.DB = body
	case blockSig:
		s, err := parseSignature(body)
		if err != nil {
			return err
		}
		f.Sigs = append(f.Sigs, s)
	case blockData:
		if len(body) < dataHeader {
			return errors.New("adb: data block shorter than its header")
		}
		f.Data = append(f.Data, Data{
			Dir: binary.LittleEndian.Uint32(body), File: binary.LittleEndian.Uint32(body[4:]), Content: body[dataHeader:],
		})
	case blockExt:
		return errors.New("adb: a block beyond 1 GiB")
	}
	return nil
}
