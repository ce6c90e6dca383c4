package rig

import (
	"encoding/json"
	"testing"
)

func TestIperfReport(t *testing.T) {
	// Shape of iperf3 3.12 -J, without what we do not read.
	const text = `{"start":{},"end":{"sum":{"packets":1000,"lost_packets":50},"sum_received":{"bits_per_second":8e6,"bytes":5000000}}}`
	var rep Iperf
	if err := json.Unmarshal([]byte(text), &rep); err != nil {
		t.Fatal(err)
	}
	if rep.End.Sum.Packets != 1000 || rep.End.Sum.Lost != 50 || rep.End.Received.Bits != 8e6 || rep.End.Received.Bytes != 5e6 {
		t.Errorf("report %+v", rep)
	}
}
