package mesh

import (
	"math/rand/v2"
	"testing"

	"github.com/meshagent/meshagent/agent/batman"
)

// fuzzSeeds are programs for FuzzMesh: what real kernels said, from nodes with
// their addresses, and what chance says.
func fuzzSeeds(t testing.TB) (seeds [][]byte) {
	for flags, names := range map[byte][]string{
		0: {"tt-startup-la-6.1.pcap", "frag-la-6.12.pcap", "ping-la-6.1.pcap", "icmp-la-6.1.pcap", "tt-roam-la-6.1.pcap", "dat-la-6.12.pcap"},
		2: {"v-startup-la-6.1.pcap", "v-mcast-la-6.12.pcap"},
	} {
		for _, name := range names {
			p := []byte{flags, 7}
			for _, c := range readPcap(t, name) {
				if len(c.frame) < batman.EthLen+2 || len(p)+len(c.frame) > 6000 {
					continue
				}
				from, to := byte(0), byte(24) // everybody
				if c.frame[10] == 2 {
					from = 1
				}
				if c.frame[0] != 0xff {
					to = 1 - from
				}
				b := c.frame[batman.EthLen:]
				p = append(p, 2, 1-from, c.frame[5]&1, from, to, byte(len(b)>>8), byte(len(b)))
				p = append(p, b...)
				p = append(p, 0, 25)
			}
			seeds = append(seeds, p)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 24 {
		p := []byte{byte(i), byte(rng.Uint32())}
		for range 150 {
			p = append(p, byte(rng.Uint32()))
		}
		if i&1 == 0 { // more OGMs that make sense than chance alone gives
			for range 40 {
				p = append(p, 4, byte(rng.Uint32()), byte(rng.Uint32()), byte(rng.IntN(3)), byte(rng.Uint32()))
				for range 12 {
					p = append(p, byte(rng.Uint32()))
				}
			}
		}
		seeds = append(seeds, p)
	}
	return append(seeds, identitySeeds()...)
}
