// Package pathfinder answers one question: by which label does a packet reach
// an address? It keeps the nodes it has heard of, asks and answers the
// routing messages that cjdns nodes of version 20 exchange (pn, gp, fn), and
// searches for addresses step by step among the nodes nearest to them.
//
// It sends nothing by itself: queries leave through Out, and package node
// carries them in sessions, so that they are encrypted and their authors
// known. What arrives is untrusted: a label is only a claim until an
// authenticated answer came back along it.
//
// Beside the Finder there are two more. Client finds supernodes, tells one of
// our links, and asks it for ways before the Finder asks nodes. Server is a
// supernode. See docs/protocol/dht.md and supernode.md.
//
//	here      cjdns
//	store     dht/dhtcore/NodeStore.c (nodes and buckets, no links)
//	search    dht/dhtcore/SearchRunner.c
//	upkeep    dht/dhtcore/Janitor.c, RumorMill.c
//	messages  dht/dhtcore/RouterModule.c
//	Distance  dht/Address.c, Address_xorcmp
//	Client    subnode/SupernodeHunter.c, SubnodePathfinder.c, ReachabilityAnnouncer.c
//	sampler   subnode/ReachabilityCollector.c, LinkState.h
//	Server    the route server, a program of its own
package pathfinder
