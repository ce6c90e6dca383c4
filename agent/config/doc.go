// Package config turns text into a checked Config, and changes the text
// without disturbing what it does not know.
//
// Two forms are read. The native one is UCI text, on OpenWrt and elsewhere:
//
//	config peer 'nyc'
//		option address '192.0.2.10:25381'
//		option public_key 'p1k4…kx0.k'
//		option password 'secret'
//
// The other is an unchanged cjdroute.conf. It is never rewritten: what changes
// while the agent runs is kept beside it, as UCI text, in FILE.meshagent.
//
// Terms:
//
//	Document   UCI text, kept byte for byte, with an index of its sections
//	section    "config TYPE 'NAME'" and the options below it
//	Config     the checked result; the daemon works with it alone
//	Problem    one complaint: file, line, key, what was expected
//	Store      a file (and its overlay), loaded, changed, written atomically
//	overlay    FILE.meshagent, what was changed beside a cjdroute.conf
//	tombstone  a peer section with "option deleted '1'" in the overlay
//
// Sources: the UCI text format as libuci reads it (file.c); cjdroute.conf as
// cjdroute reads it (client/Configurator, benc/serialization/json).
package config
