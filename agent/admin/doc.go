// Package admin is how the outside looks at and changes a running agent: one
// registry of methods, a unix socket that serves it as JSON lines, the client
// of that socket, and the text that the command line prints.
//
// The registry knows nothing of its transport. Another thin adapter puts it on
// ubus; the cjdns admin protocol is meant to be one more. The package does not
// know how the agent works either: it calls a Backend, which the daemon
// implements.
//
// Terms:
//
//	Method    a name, its arguments, whether it changes anything, a function
//	Registry  the methods of one agent
//	Backend   what the methods need of the agent
//	Server    the unix socket
//	Bus       the same on ubus
//	Code      the kind of an error, a word that programs can compare
package admin
