package admin

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// table prints cells below each other, two blanks between columns and none at
// the end of a line.
type table struct {
	w    io.Writer
	rows [][]string
}

func newTable(w io.Writer) *table { return &table{w: w} }

func (t *table) row(cells ...string) {
	for i := range cells {
		cells[i] = clean(cells[i])
	}
	t.rows = append(t.rows, cells)
}

func (t *table) flush() error {
	var widths []int
	for _, row := range t.rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	for _, row := range t.rows {
		var b strings.Builder
		for i, c := range row {
			b.WriteString(c)
			b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c)+2))
		}
		if _, err := fmt.Fprintln(t.w, strings.TrimRight(b.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}

func rtt(micros int64) string {
	if micros <= 0 {
		return "-"
	}
	return millis(micros) + " ms"
}

// millis prints microseconds as milliseconds with two or no decimals.
func millis(micros int64) string {
	if micros >= 100_000 {
		return fmt.Sprint((micros + 500) / 1000)
	}
	c := (micros + 5) / 10
	return fmt.Sprintf("%d.%02d", c/100, c%100)
}

func last(ms int64) string {
	if ms < 0 {
		return "never"
	}
	return Age(time.Duration(ms) * time.Millisecond)
}

// Age prints a duration with its two largest units: "3d 4h", "1m 3s", "0s".
func Age(d time.Duration) string {
	s := int64(d / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm %ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh %dm", s/3600, s%3600/60)
	default:
		return fmt.Sprintf("%dd %dh", s/86400, s%86400/3600)
	}
}

// clean keeps terminal escapes and tabs out of what is printed.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}
