// Package slim takes out of a Go program what only serves to print file names,
// line numbers and arguments in tracebacks, and little else. On a router that
// is a fifth of the download, and nobody reads it there: Lines gives files and
// lines of the program's own functions back, on the developer's machine, from
// the program as the linker wrote it.
//
// The tables lie in the section .gopclntab. Source of all layouts: Go 1.26,
// runtime/symtab.go, runtime/runtime2.go (type _func), runtime/symtabinl.go and
// cmd/link/internal/ld/pcln.go. They change between releases without notice,
// so a program of any other release is refused.
//
// What is taken out, and why the runtime does not miss it:
//
//   - the tables from addresses to files and lines, and the names of files. The
//     runtime reads them for tracebacks, runtime.Caller and profiles alone. An
//     offset of 0 means "no table" to it, and it then prints "?:0".
//
//   - where arguments lie, for the numbers in brackets behind a function's name.
//
//   - the trees of inlined calls, except of functions into which something of
//     the runtime was inlined: asynchronous preemption asks them whether it
//     stopped inside of the runtime. Without its tree, an inlined call shows as
//     the function that contains it.
//
//   - where a function may be interrupted by a signal, to let another goroutine
//     run: nowhere. Goroutines then give way where they call a function or
//     wait, as they did before Go 1.14 and do with GODEBUG=asyncpreemptoff=1.
//     Only a long loop without a call makes others wait, and the garbage
//     collector; cryptography works on one packet, and all else calls.
//
//   - the finer half of the index from addresses to functions. The runtime
//     then steps through the functions of 4 KiB of code, ten on average.
//
//   - names of functions outside of the program's own module, but for their
//     package: net.(*Resolver).exchange becomes net.?. The runtime compares
//     names by their package alone, but for a few, which stay.
//
// Names of the program's own functions, offsets in them, stack maps, frame
// sizes and all else that unwinding, the garbage collector, panics and defer
// need stay.
//
// What is left is written anew, in the order in which it compresses best, and
// so that functions share as much as they can: the last value of a table of
// addresses holds for ever, and not to the end of one function. Code and all
// that it refers to stay where they are, and so does the length of the program:
// what is taken out becomes zeros, which cost nothing in a package or in
// squashfs, and no memory, as pages that nobody reads are not loaded.
package slim
