// Package adb reads and writes the container of apk-tools 3: a database of
// values, signatures and file contents in one file.
//
// A file is a schema word and a sequence of blocks, compressed as a whole
// (compress.go). The first block is the database, whose bytes begin with
//
//	compat u8 | version u8 | reserved u16 | root value u32
//
// and go on with a pool of values that refer to each other by offset from the
// start of the database (value.go). Numbers are little endian.
//
// Source: the format as apk-tools 3.0 writes it (its doc/apk-v3.5.scd and
// src/adb.h); the files in testdata of package apk come from that program.
package adb
