// Package air is a rig with the real Wi-Fi of Linux and no radio: one
// user-mode kernel with mac80211, whose radios (mac80211_hwsim) lie in network
// namespaces of their own, a medium in user space that says who hears whom and
// how well, and agents of the program under test. Time in it is virtual: a
// minute passes in seconds, and a busy host makes no difference.
//
// The kernel is built from the distribution's source package (Kernel), once,
// into the user's cache folder. It boots in a second and sees the host's files
// (hostfs, read-only), so it runs the host's iw, ip and ping and the agent as
// it was built.
//
// Its first process is the very program that starts it, which therefore must
// be static and begin with Main, and which names the scenarios that it can
// play:
//
//	func main() { air.Main(scenarios); ... air.Play(ctx, air.Config{Scenario: "line"}) ... }
//
// A scenario runs inside: it makes radios, links them in the Medium, starts
// agents by package rig, and says what it found. Play hands that to the host.
//
// What this rig is honest about: who hears whom, loss, signal and retries,
// joining and leaving, what drivers and the regulatory rules refuse. What it is
// not: once a driver aggregates frames, its rate control hears of them no more,
// and the rate stays where it was, unless Medium.Single keeps radios from
// aggregating; there is no airtime and there are no collisions, so nothing that
// is measured in it is a throughput; and with virtual time programs need no time
// to compute.
package air
