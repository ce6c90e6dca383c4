// Package wire is the bytes of ubus, OpenWrt's local bus: frames, their
// attributes, and the typed values inside. It remembers nothing and decides
// nothing; package ubus speaks with it.
//
// A frame, all numbers big endian:
//
//	0   1 byte    version, 0
//	1   1 byte    message type
//	2   2 bytes   sequence number
//	4   4 bytes   peer: an object or a client
//	8   4 bytes   blob header: 1 bit 0, 7 bits 0, 24 bits length with these 4
//	12            attributes
//
// An attribute is such a blob again: 1 bit extended, 7 bits id, 24 bits length
// with the header and without padding, then data, zeros up to a multiple of 4.
// Inside of some attributes there are values with names (blobmsg): extended
// attributes whose id is the type of the value, and whose data begins with the
// length of the name (2 bytes, without the zero behind it), the name, a zero,
// and zeros up to a multiple of 4.
//
// Terms:
//
//	Attr    one attribute of a message
//	Attrs   those that ubus knows, read
//	Body    the attributes of a message, written one after the other
//	Table   values with names, in order
//	Array   values without names
//	Status  the outcome of a request
//
// Sources: libubox blob.h and blobmsg.h, ubus ubusmsg.h; and recorded
// conversations with the real ubusd, in ../testdata.
package wire
