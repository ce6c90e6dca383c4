package rig

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Iperf is what we read of iperf3 -J.
type Iperf struct {
	Error string
	End   struct {
		Received struct {
			Bits  float64 `json:"bits_per_second"`
			Bytes float64
		} `json:"sum_received"`
		Sum struct {
			Packets float64
			Lost    float64 `json:"lost_packets"`
		}
	}
}

// Iperf runs one test of iperf3 from the node to a server.
func (n *Node) Iperf(ctx context.Context, to string, secs int, args ...string) (rep Iperf, err error) {
	out, err := n.Run(ctx, append([]string{"iperf3", "-J", "-c", to, "-t", strconv.Itoa(secs)}, args...)...)
	if jerr := json.Unmarshal([]byte(out), &rep); jerr == nil && rep.Error != "" {
		return rep, fmt.Errorf("iperf3: %s", rep.Error)
	}
	if err != nil {
		return rep, fmt.Errorf("%w: %s", err, strings.TrimSpace(out))
	}
	return rep, nil
}
