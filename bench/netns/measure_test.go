package main

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestReportReadsIperf(t *testing.T) {
	// Shape of iperf3 3.12 -J, without what we do not read.
	const text = `{"start":{},"end":{"sum":{"packets":1000,"lost_packets":50},"sum_received":{"bits_per_second":8e6,"bytes":5000000}}}`
	var rep report
	if err := json.Unmarshal([]byte(text), &rep); err != nil {
		t.Fatal(err)
	}
	if rep.End.Sum.Packets != 1000 || rep.End.Sum.Lost != 50 || rep.End.Received.Bits != 8e6 || rep.End.Received.Bytes != 5e6 {
		t.Errorf("report %+v", rep)
	}
}

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
