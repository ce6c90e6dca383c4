// Package kernel asks Linux for things that are not packets: addresses and
// routes of the TUN device, the list of network devices and its changes,
// radios, and the firewall in front of the overlay. Calls may take milliseconds and
// allocate; none of them belongs on the data path.
//
// It speaks netlink (route, netfilter and nl80211) and writes a few sysctls;
// it starts no other program.
package kernel
