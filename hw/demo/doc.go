// Command demo starts agents on this host, each in a network namespace of its
// own, and lets you watch them find each other and ping:
//
//	n1 ──── n2 ──── s1 ──── n3             n10 ─── n11
//	│       │               │              │       │
//	n4 ──── n5              n6 ════udp════ n12 ─── n13
//	│       │               │
//	n7 ──── n8 ──── s2 ──── n9
//
// Two islands of agents, each with one radio; the links lose frames. Nobody on
// them has configured a peer. s1 and s2 relay the mesh and know nothing of
// identities and of the overlay, as stock nodes do; they hold the only way
// between two halves of the first island. n6 dials n12 over UDP: the only
// peering that is configured.
//
//	demo [-agent meshagent] [--check]
//
// Without --check it runs until it is interrupted, shows a table of addresses,
// identities, peers and pings, and says what to try. With --check it pings
// every ordered pair of agents over the overlay, prints one line for each, and
// ends with "demo: ok" and status 0, or says what failed and ends with status
// 1; in 240 seconds at most. Either way it leaves nothing behind.
//
// With SPINE=1 in the environment it shows the overlay without a mesh, five
// agents; with --check in a minute at most:
//
//	n1 ──udp── n2 ──udp── n3 ──┬── n4
//	                           └── n5     n3, n4, n5: one Ethernet segment
//
// n1 dials n2, and n2 dials n3, over UDP; n3, n4 and n5 find each other by
// Ethernet beacons. Nothing else is configured.
//
// With MESH=1 it shows the mesh without the overlay: nine agents on one
// air (see rig.Air), whose links lose frames, each direction its own share, and
// two phones behind bridges at opposite corners that ping each other while
// links are cut and restored and one of them moves. With --check it proves that
// every node reaches every other, that another way is found after a cut, and
// that a phone is found again after it moved; in 180 seconds at most.
//
// With CHAIN=8, or another number from 2 to 15, it shows how paths are found:
// so many agents in a row that dial their neighbours over UDP, a table of pings
// and one of the paths of the first, and the link in the middle, which is cut
// and restored. With SUPERNODE=1 as well, the one in the middle is a supernode.
// With --check every ordered pair pings, also after the cut; in two minutes at
// most.
//
// With WIFI=1 it boots a kernel with four simulated radios (see package air),
// in a line in which only neighbours hear each other, with an agent on each,
// and shows the stations that each radio hears while the link in the middle
// gets worse and better; with --check in 170 seconds at most, once the kernel
// has been built.
//
// The environment variable BOX chooses a demo of a later version.
package main
