// Package mesh is B.A.T.M.A.N. advanced, compatibility version 15, as a state
// machine without hands: frames, clients' frames and time go in, frames come
// out. It does no I/O, starts no goroutine and reads no clock.
//
// One Mesh is one mesh interface with its hard interfaces. The caller owns it
// and calls it from one goroutine.
//
// Files carry the names of the kernel module's files where they do the same:
// originator, ogm (bat_iv_ogm), elp and ogm2 (bat_v), routing, send,
// fragmentation, translationtable, tvlv, distributedarp, bridgeloop,
// gateway, multicast, icmp, throughput (tp_meter).
package mesh
