package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
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
type Firewall struct{ table *nftables.Table }

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
	c, err := nftables.New()
	if err != nil {
		return nil, noFirewall(err)
	}
	f := &Firewall{table: &nftables.Table{Family: nftables.TableFamilyINet, Name: "meshagent_" + o.TUN}}
	c.AddTable(f.table) // so that deleting cannot fail
	c.DelTable(f.table)
	c.AddTable(f.table)
	f.chain(c, "input", nftables.ChainHookInput, o.TUN, inputRules(o))
	f.chain(c, "forward", nftables.ChainHookForward, o.TUN, [][]expr.Any{answers(), {drop()}})
	if err := c.Flush(); err != nil {
		return nil, noFirewall(err)
	}
	return f, nil
}

// Close removes the firewall. A table that is gone already is no error.
func (f *Firewall) Close() error {
	c, err := nftables.New()
	if err != nil {
		return noFirewall(err)
	}
	c.DelTable(f.table)
	if err := c.Flush(); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove firewall table %s: %w", f.table.Name, err)
	}
	return nil
}

// chain adds a base chain. Its policy is accept because other devices pass it
// too; each of the rules is for packets from the TUN device only.
func (f *Firewall) chain(c *nftables.Conn, name string, hook *nftables.ChainHook, tun string, rules [][]expr.Any) {
	policy := nftables.ChainPolicyAccept
	ch := c.AddChain(&nftables.Chain{
		Name: name, Table: f.table, Type: nftables.ChainTypeFilter, Hooknum: hook,
		Priority: nftables.ChainPriorityFilter, Policy: &policy,
	})
	for _, r := range rules {
		c.AddRule(&nftables.Rule{Table: f.table, Chain: ch, Exprs: append(fromDevice(tun), r...)})
	}
}

func inputRules(o FirewallOptions) [][]expr.Any {
	// Before the answers: to conntrack, the second echo request of a series is
	// part of an established exchange and would never meet the limit.
	const echoRequest = 128
	r := [][]expr.Any{
		append(icmp6(echoRequest),
			limit(), accept()),
		append(icmp6(echoRequest), drop()),
		answers(),
	}
	// RFC 4890, 4.3.1: destination unreachable, packet too big, time exceeded,
	// parameter problem.
	for _, t := range []byte{1, 2, 3, 4} {
		r = append(r, append(icmp6(t), limit(), accept()))
	}
	for _, p := range o.TCP {
		r = append(r, append(port(unix.IPPROTO_TCP, p), accept()))
	}
	for _, p := range o.UDP {
		r = append(r, append(port(unix.IPPROTO_UDP, p), accept()))
	}
	return append(r, []expr.Any{drop()})
}

// limit matches while its rule is not used too often.
func limit() expr.Any {
	return &expr.Limit{Type: expr.LimitTypePkts, Rate: pingsPerSecond, Unit: expr.LimitTimeSecond, Burst: pingBurst}
}

func accept() expr.Any { return &expr.Verdict{Kind: expr.VerdictAccept} }
func drop() expr.Any   { return &expr.Verdict{Kind: expr.VerdictDrop} }

// equals compares register 1.
func equals(b ...byte) expr.Any { return &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: b} }

// fromDevice matches packets that came in through the device name. Matching
// by name, not by index, keeps the rules true when the device is made anew.
func fromDevice(name string) []expr.Any {
	var n [unix.IFNAMSIZ]byte
	copy(n[:], name)
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1}, equals(n[:]...)}
}

// answers accepts what belongs to a connection that this side began.
func answers() []expr.Any {
	mask := binary.NativeEndian.AppendUint32(nil, expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED)
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mask, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
		accept(),
	}
}

// icmp6 matches ICMPv6 messages of type t.
func icmp6(t byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, equals(unix.IPPROTO_ICMPV6),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 1}, equals(t),
	}
}

// port matches the destination port p of proto.
func port(proto byte, p uint16) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, equals(proto),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		equals(byte(p>>8), byte(p)),
	}
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
// The library's own query would bring the readers of its answers along.
func FirewallThere(tun string) bool {
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return false
	}
	defer c.Close()
	// struct nfgenmsg, then the name as an attribute
	b := []byte{byte(nftables.TableFamilyINet), 0, 0, 0}
	name := "meshagent_" + tun + "\x00"
	b = binary.NativeEndian.AppendUint16(b, uint16(4+len(name))) //nolint:gosec // the name of a device is short
	b = binary.NativeEndian.AppendUint16(b, unix.NFTA_TABLE_NAME)
	b = append(b, name...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	const get = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETTABLE
	_, err = c.Execute(netlink.Message{Header: netlink.Header{Type: get, Flags: netlink.Request | netlink.Acknowledge}, Data: b})
	return err == nil
}
