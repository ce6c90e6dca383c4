package kernel

import (
	"bytes"
	"encoding/binary"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Messages to nf_tables, as few as the firewall needs. Their form is that of
// linux/netfilter/nf_tables.h; numbers in attributes are big-endian, the
// headers of attributes and the state of conntrack in the CPU's order.

// Verdicts (linux/netfilter.h).
const (
	nfDrop   = 0
	nfAccept = 1
)

// reg is the register that expressions hand values on in.
const reg = unix.NFT_REG_1

// nftCommit applies the messages in one transaction: all of them or none. The
// first error that the kernel reports is returned; more may not come.
func nftCommit(list []netlink.Message) error {
	c, err := dial(unix.NETLINK_NETFILTER, 0)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.send(nftBatch(list)...); err != nil {
		return err
	}
	for range list {
		if _, err := c.Receive(); err != nil {
			return err
		}
	}
	return nil
}

// nftBatch puts messages between the marks of a transaction.
func nftBatch(list []netlink.Message) []netlink.Message {
	mark := func(typ netlink.HeaderType) netlink.Message {
		// struct nfgenmsg: no family, version 0, and the subsystem in network order
		return netlink.Message{
			Header: netlink.Header{Type: typ, Flags: netlink.Request},
			Data:   []byte{0, unix.NFNETLINK_V0, 0, unix.NFNL_SUBSYS_NFTABLES},
		}
	}
	out := append([]netlink.Message{mark(unix.NFNL_MSG_BATCH_BEGIN)}, list...)
	return append(out, mark(unix.NFNL_MSG_BATCH_END))
}

// nftMessage is a message about tables of family inet, to be answered.
func nftMessage(typ netlink.HeaderType, flags netlink.HeaderFlags, attrs ...[]byte) netlink.Message {
	return netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | typ, Flags: netlink.Request | netlink.Acknowledge | flags},
		Data:   join([]byte{unix.NFPROTO_INET, unix.NFNETLINK_V0, 0, 0}, attrs...),
	}
}

func nftAddTable(name string) netlink.Message {
	return nftMessage(unix.NFT_MSG_NEWTABLE, netlink.Create, field(unix.NFTA_TABLE_NAME, text(name)), field(unix.NFTA_TABLE_FLAGS, be32(0)))
}

func nftDelTable(name string) netlink.Message {
	return nftMessage(unix.NFT_MSG_DELTABLE, 0, field(unix.NFTA_TABLE_NAME, text(name)), field(unix.NFTA_TABLE_FLAGS, be32(0)))
}

// nftAddChain makes a base chain of type filter at a hook, with priority 0 and
// policy accept.
func nftAddChain(table, name string, hook uint32) netlink.Message {
	return nftMessage(unix.NFT_MSG_NEWCHAIN, netlink.Create,
		field(unix.NFTA_CHAIN_TABLE, text(table)),
		field(unix.NFTA_CHAIN_NAME, text(name)),
		nest(unix.NFTA_CHAIN_HOOK, field(unix.NFTA_HOOK_HOOKNUM, be32(hook)), field(unix.NFTA_HOOK_PRIORITY, be32(0))),
		field(unix.NFTA_CHAIN_POLICY, be32(nfAccept)),
		field(unix.NFTA_CHAIN_TYPE, text("filter")))
}

// nftAddRule puts a rule of these expressions at the end of a chain.
func nftAddRule(table, chain string, exprs ...[]byte) netlink.Message {
	return nftMessage(unix.NFT_MSG_NEWRULE, netlink.Create|netlink.Append,
		field(unix.NFTA_RULE_TABLE, text(table)),
		field(unix.NFTA_RULE_CHAIN, text(chain)),
		nest(unix.NFTA_RULE_EXPRESSIONS, exprs...))
}

// expression is one step of a rule.
func expression(name string, attrs ...[]byte) []byte {
	return nest(unix.NFTA_LIST_ELEM, field(unix.NFTA_EXPR_NAME, text(name)), nest(unix.NFTA_EXPR_DATA, attrs...))
}

// meta loads a property of the packet.
func meta(key uint32) []byte {
	return expression("meta", field(unix.NFTA_META_KEY, be32(key)), field(unix.NFTA_META_DREG, be32(reg)))
}

// transport loads n bytes at offset of the transport header.
func transport(offset, n uint32) []byte {
	return expression("payload",
		field(unix.NFTA_PAYLOAD_DREG, be32(reg)),
		field(unix.NFTA_PAYLOAD_BASE, be32(unix.NFT_PAYLOAD_TRANSPORT_HEADER)),
		field(unix.NFTA_PAYLOAD_OFFSET, be32(offset)),
		field(unix.NFTA_PAYLOAD_LEN, be32(n)))
}

// ctState matches packets whose connection is in one of the states in mask.
func ctState(mask uint32) []byte {
	return join(
		expression("ct", field(unix.NFTA_CT_KEY, be32(unix.NFT_CT_STATE)), field(unix.NFTA_CT_DREG, be32(reg))),
		expression("bitwise",
			field(unix.NFTA_BITWISE_SREG, be32(reg)),
			field(unix.NFTA_BITWISE_DREG, be32(reg)),
			field(unix.NFTA_BITWISE_LEN, be32(4)),
			nest(unix.NFTA_BITWISE_MASK, field(unix.NFTA_DATA_VALUE, binary.NativeEndian.AppendUint32(nil, mask))),
			nest(unix.NFTA_BITWISE_XOR, field(unix.NFTA_DATA_VALUE, be32(0)))),
		compare(unix.NFT_CMP_NEQ, be32(0)))
}

// equals goes on if what was loaded is b.
func equals(b ...byte) []byte { return compare(unix.NFT_CMP_EQ, b) }

func compare(op uint32, b []byte) []byte {
	return expression("cmp",
		field(unix.NFTA_CMP_SREG, be32(reg)),
		field(unix.NFTA_CMP_OP, be32(op)),
		nest(unix.NFTA_CMP_DATA, field(unix.NFTA_DATA_VALUE, b)))
}

// limit goes on while its rule is not used too often.
func limit() []byte {
	be64 := func(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }
	return expression("limit",
		field(unix.NFTA_LIMIT_RATE, be64(pingsPerSecond)),
		field(unix.NFTA_LIMIT_UNIT, be64(1)), // seconds
		field(unix.NFTA_LIMIT_BURST, be32(pingBurst)),
		field(unix.NFTA_LIMIT_TYPE, be32(unix.NFT_LIMIT_PKTS)),
		field(unix.NFTA_LIMIT_FLAGS, be32(0)))
}

// verdict ends a rule.
func verdict(code uint32) []byte {
	return expression("immediate",
		field(unix.NFTA_IMMEDIATE_DREG, be32(unix.NFT_REG_VERDICT)),
		nest(unix.NFTA_IMMEDIATE_DATA, nest(unix.NFTA_DATA_VERDICT, field(unix.NFTA_VERDICT_CODE, be32(code)))))
}

// field is one attribute.
func field(typ uint16, value []byte) []byte { return putAttr(nil, typ, value) }

func nest(typ uint16, attrs ...[]byte) []byte {
	return field(unix.NLA_F_NESTED|typ, bytes.Join(attrs, nil))
}

func join(first []byte, rest ...[]byte) []byte {
	return append(first, bytes.Join(rest, nil)...)
}

func be32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

func text(s string) []byte { return []byte(s + "\x00") }
