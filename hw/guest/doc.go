// Package guest boots the Linux kernels of Debian 12 and 13 in an emulator
// and makes batman-adv nodes of them, on Ethernet segments that they share
// with agents under test. The tests with the build tag guest (make
// check-guest) are the proof that the agent's mesh and the kernel's are one.
//
// The kernels come from the distribution's packages. They are downloaded once
// into the user's cache folder (Prepare) and are never installed. A guest is
// such a kernel, a few of its modules and an initramfs that is packed at each
// start; its first process is the very program that starts it, which therefore
// must be static and begin with Main:
//
//	func main() { guest.Main(); ... }
//
// A Guest boots in about four seconds without KVM, so a few guests are started
// once and each scenario makes its nodes in network namespaces inside them
// (Guest.Mesh). Segments are bridges in one namespace of the host (Lab.LAN).
package guest
