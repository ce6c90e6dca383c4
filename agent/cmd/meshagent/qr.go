package main

import (
	"fmt"
	"io"
	"strings"

	"rsc.io/qr/coding"
)

// quiet is the white border of a QR code, in modules. The standard has 4; 2 is
// what readers need on a screen that is dark around it.
const quiet = 2

// writeQR draws text as a QR code out of half blocks, dark on light, two rows
// of modules in a line. It colours the code itself, so that it can be read on a
// dark and on a light terminal.
func writeQR(w io.Writer, text string) error {
	code, err := encodeQR(text)
	if err != nil {
		return err
	}
	black := func(x, y int) bool {
		x, y = x-quiet, y-quiet
		return x >= 0 && y >= 0 && x < code.Size && y < code.Size && code.Black(x, y)
	}
	size := code.Size + 2*quiet
	for y := 0; y < size; y += 2 {
		var b strings.Builder
		b.WriteString("\x1b[30;107m") // black on bright white
		for x := range size {
			switch up, down := black(x, y), y+1 < size && black(x, y+1); {
			case up && down:
				b.WriteString("█")
			case up:
				b.WriteString("▀")
			case down:
				b.WriteString("▄")
			default:
				b.WriteByte(' ')
			}
		}
		b.WriteString("\x1b[0m")
		if _, err := fmt.Fprintln(w, b.String()); err != nil {
			return err
		}
	}
	return nil
}

// encodeQR makes the smallest code that holds text, with the least redundancy:
// a screen is not scratched.
func encodeQR(text string) (*coding.Code, error) {
	var e coding.Encoding = coding.String(text)
	if a := coding.Alpha(text); a.Check() == nil {
		e = a // capitals and digits need less room
	}
	for v := coding.Version(coding.MinVersion); v <= coding.MaxVersion; v++ {
		if e.Bits(v) <= v.DataBytes(coding.L)*8 {
			p, err := coding.NewPlan(v, coding.L, 0)
			if err != nil {
				return nil, err
			}
			return p.Encode(e)
		}
	}
	return nil, fmt.Errorf("%d characters do not fit into a QR code", len(text))
}
