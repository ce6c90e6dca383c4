// Package rig builds small networks out of Linux network namespaces, runs
// programs in them and takes everything away again. The demo, the tests with
// the build tag netns and the programs in bench/ stand on it.
//
// A Rig owns namespaces (Node), cables (Veth), Ethernet segments (Segment),
// cables with faults (Medium) and processes (Proc). All names carry the
// process id, so that several rigs run beside each other on one host; what a
// rig that was killed left behind is removed by the next one.
//
// A step that builds the network and fails calls Config.Fail, which does not
// return (testing.T.Fatalf fits); so callers read like a drawing of the
// network. Steps whose failure is a result (a ping, a command) return it.
//
// The kernel needs no netem, VLAN or dummy devices: loss, duplication,
// reordering and delay are made in user space between two TAP devices.
package rig
