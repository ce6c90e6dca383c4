// Package ubus speaks with ubusd, OpenWrt's local bus: it looks up and calls
// objects, publishes objects of its own, listens to events and sends them.
// Package wire has the bytes.
//
// A Conn is one connection and ends with it. A Client keeps a connection:
// whatever ubusd does, objects, listeners and subscriptions are there again
// after a while.
//
// Goroutines of a Conn: one reads, one per running method, one per listener or
// subscription. Whoever has something to say writes it himself, one at a time.
// All of them have ended when Close returns. The reader never waits for a
// method, and every queue is bounded: what does not fit is dropped and counted.
//
// What ubusd does, and what follows from it:
//
//   - It says nothing when the owner of an object goes away during a call:
//     every call ends by its context, after CallTimeout at the latest.
//   - It closes the connection of whom sends more than 1 MiB in a message, and
//     with it all objects go: such a message is not sent.
//   - It drops messages to a client that does not read, without notice.
//   - It refuses a path that is taken, and one that the user of this process
//     may not publish, with the same InvalidArgument.
//   - A file descriptor may ride on a message. Nobody here wants one: the
//     kernel closes it, since it is read without asking for it.
//   - uhttpd adds an argument ubus_rpc_session to every call; it is dropped
//     before a method sees it.
//
// Sources: ubus ubusd_proto.c, ubusd_event.c, libubus; the conversations in
// testdata, which the tests replay in both roles. With UBUSD=/path/to/ubusd
// the tests that need a bus use the real one.
package ubus
