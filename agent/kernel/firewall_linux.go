package kernel

import (
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// ErrNoFirewall means that the kernel cannot close the overlay's inbound side.
// The caller must not open the TUN device to the overlay unless the operator
// has asked for that.
var ErrNoFirewall = errors.New("kernel: the firewall cannot be set up")

// FirewallOptions says what the firewall lets in, beside answers and pings.
type FirewallOptions struct {
	TUN      string   // name of the TUN device
	TCP, UDP []uint16 // ports on this host that are open to the overlay
}

// Firewall is the set of rules that closes the overlay's inbound side: a table
// "meshagent_<tun>" of our own, family inet, which touches nothing but packets
// that come in through the TUN device:
//
//	chain input    echo requests, ten a second; established and related;
//	               ICMPv6 errors, ten a second of each type; the open ports;
//	               nothing else
//	chain forward  established and related; nothing else
//
// It can only forbid. A packet that it accepts still has to pass the tables of
// the system's own firewall.
type Firewall struct{ table string }

// Limit of ICMPv6 messages that nobody asked for, for each type.
const (
	pingsPerSecond = 10
	pingBurst      = 20
)

// OpenFirewall installs the firewall in one transaction, in place of one left
// over from a run that crashed. Every error matches ErrNoFirewall and leaves
// things as they were. The rules stay when the process dies.
func OpenFirewall(o FirewallOptions) (*Firewall, error) {
	if o.TUN == "" || len(o.TUN) >= unix.IFNAMSIZ {
		return nil, fmt.Errorf("%w: %q is not the name of a device", ErrNoFirewall, o.TUN)
	}
	f := &Firewall{table: "meshagent_" + o.TUN}
	if err := nftCommit(openMessages(f.table, o)); err != nil {
		return nil, noFirewall(err)
	}
	return f, nil
}

// openMessages are the messages of OpenFirewall's transaction.
func openMessages(table string, o FirewallOptions) []netlink.Message {
	m := []netlink.Message{
		nftAddTable(table), // so that deleting cannot fail
		nftDelTable(table),
		nftAddTable(table),
	}
	add := func(chain string, hook uint32, rules [][]byte) {
		m = append(m, nftAddChain(table, chain, hook))
		for _, r := range rules {
			m = append(m, nftAddRule(table, chain, fromDevice(o.TUN), r))
		}
	}
	// Their policy is accept because other devices pass them too; each of the
	// rules is for packets from the TUN device only.
	add("input", unix.NF_INET_LOCAL_IN, inputRules(o))
	add("forward", unix.NF_INET_FORWARD, [][]byte{answers(), verdict(nfDrop)})
	return m
}

// Close removes the firewall. A table that is gone already is no error.
func (f *Firewall) Close() error {
	err := nftCommit([]netlink.Message{nftDelTable(f.table)})
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove firewall table %s: %w", f.table, err)
	}
	return nil
}

// inputRules are the expressions of each rule, behind fromDevice.
func inputRules(o FirewallOptions) [][]byte {
	// Before the answers: to conntrack, the second echo request of a series is
	// part of an established exchange and would never meet the limit.
	const echoRequest = 128
	r := [][]byte{
		join(icmp6(echoRequest), limit(), verdict(nfAccept)),
		join(icmp6(echoRequest), verdict(nfDrop)),
		answers(),
	}
	// RFC 4890, 4.3.1: destination unreachable, packet too big, time exceeded,
	// parameter problem.
	for _, t := range []byte{1, 2, 3, 4} {
		r = append(r, join(icmp6(t), limit(), verdict(nfAccept)))
	}
	for _, p := range o.TCP {
		r = append(r, join(port(unix.IPPROTO_TCP, p), verdict(nfAccept)))
	}
	for _, p := range o.UDP {
		r = append(r, join(port(unix.IPPROTO_UDP, p), verdict(nfAccept)))
	}
	return append(r, verdict(nfDrop))
}

// fromDevice matches packets that came in through the device name. Matching
// by name, not by index, keeps the rules true when the device is made anew.
func fromDevice(name string) []byte {
	var n [unix.IFNAMSIZ]byte
	copy(n[:], name)
	return join(meta(unix.NFT_META_IIFNAME), equals(n[:]...))
}

// answers accepts what belongs to a connection that this side began.
func answers() []byte {
	// Bits of the state (linux/netfilter/nf_conntrack_common.h, NF_CT_STATE_BIT).
	const established, related = 1 << 1, 1 << 2
	return join(ctState(established|related), verdict(nfAccept))
}

// icmp6 matches ICMPv6 messages of type t.
func icmp6(t byte) []byte {
	return join(meta(unix.NFT_META_L4PROTO), equals(unix.IPPROTO_ICMPV6), transport(0, 1), equals(t))
}

// port matches the destination port p of proto.
func port(proto byte, p uint16) []byte {
	return join(meta(unix.NFT_META_L4PROTO), equals(proto), transport(2, 2), equals(byte(p>>8), byte(p)))
}

// noFirewall says what is missing.
func noFirewall(err error) error {
	hint := ""
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		hint = ": need root or CAP_NET_ADMIN"
	case errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.ENOENT),
		errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL):
		hint = ": install kmod-nft-core and kmod-nf-conntrack (modules nf_tables, nft_ct, nft_limit, nf_conntrack)"
	}
	return fmt.Errorf("%w: nftables: %w%s", ErrNoFirewall, err, hint)
}

// FirewallThere reports whether the table for the device tun is in the kernel.
func FirewallThere(tun string) bool {
	c, err := dial(unix.NETLINK_NETFILTER, 0)
	if err != nil {
		return false
	}
	defer c.Close()
	_, err = c.Execute(nftMessage(unix.NFT_MSG_GETTABLE, 0, field(unix.NFTA_TABLE_NAME, text("meshagent_"+tun))))
	return err == nil
}
