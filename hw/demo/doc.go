// Command demo starts five agents on this host, each in a network namespace of
// its own, and lets you watch them find each other and ping:
//
//	n1 ──udp── n2 ──udp── n3 ──┬── n4
//	                           └── n5     n3, n4, n5: one Ethernet segment
//
// n1 dials n2, and n2 dials n3, over UDP; n3, n4 and n5 find each other by
// Ethernet beacons. Nothing else is configured.
//
//	demo [-agent meshagent] [--check]
//
// Without --check it runs until it is interrupted, shows a table of peers and
// pings, and says what to try. With --check it pings every ordered pair over
// the overlay, prints one line for each, and ends with "demo: ok" and status 0,
// or says what failed and ends with status 1. Either way it takes at most a
// minute to know, and leaves nothing behind.
//
// With MESH=1 in the environment it shows a mesh instead: nine agents on one
// air (see rig.Air), whose links lose frames, each direction its own share, and
// two phones behind bridges at opposite corners that ping each other while
// links are cut and restored and one of them moves. With --check it proves that
// every node reaches every other, that another way is found after a cut, and
// that a phone is found again after it moved; in 180 seconds at most.
//
// The environment variables WIFI, CHAIN, SUPERNODE and BOX choose demos of
// later versions; SPINE, or nothing, chooses the first one.
package main
