// Package session keeps the end-to-end sessions of a node: who they are with,
// by which handle they are recognised, which path they use, and the packets
// that wait until one of them stands.
//
// It does not decide when to search, ping or shake hands; package node does.
//
//	here          cjdns
//	Table         net/SessionManager.c
//	Session       net/SessionManager.c, struct SessionManager_Session_pvt
//	Recv, Send    receiveHandle, sendHandle
//	Waiting       net/SessionManager.c, bufferedMessages
package session
