package rig

import (
	"strings"
	"testing"
	"time"
)

func TestMeshSpecAsUCI(t *testing.T) {
	m := MeshSpec{OrigInterval: 200 * time.Millisecond, HardIfs: []string{"wlan0", "eth1"}, Options: []string{"bridge_loop_avoidance", "0"}}
	var b strings.Builder
	m.uci(&b)
	const want = `config mesh 'bat0'
	option orig_interval '200'
	option bridge_loop_avoidance '0'
config hardif 'hardif0'
	option device 'wlan0'
	option mesh 'bat0'
config hardif 'hardif1'
	option device 'eth1'
	option mesh 'bat0'
`
	if b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
	}
}
