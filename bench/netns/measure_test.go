package main

import (
	"strings"
	"testing"
)

func TestTableShowsMedians(t *testing.T) {
	var all []result
	for _, v := range []float64{300, 100, 200} {
		r := result{kind: "x"}
		r.v[tcpRate] = v
		all = append(all, r)
	}
	got := table(all, []kind{{name: "x"}})
	if lines := strings.Split(got, "\n"); strings.Join(strings.Fields(lines[2]), " ") != "x 200 - - - - - - - - -" {
		t.Errorf("table:\n%s", got)
	}
	if want := "x,300,0,0,0,0,0,0,0,0,0"; !strings.Contains(csv(all), want) {
		t.Errorf("csv lacks %q:\n%s", want, csv(all))
	}
}
