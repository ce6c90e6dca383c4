package rig

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// stockAdmin is where a stock node answers, inside its namespace.
const stockAdmin = "127.0.0.1:11234"

// startStock starts a cjdroute and waits until it has its configuration. Its
// two processes, the core and the client that configures it, race at the start
// (seen with v22.3): the client then hangs or ends and the core stays without
// links, or ends a moment later. So it is started again until all is there and
// stays.
func (h *Host) startStock() {
	for range 15 {
		h.Proc = h.Node.Start(h.name, "sh", "-c", `exec "$0" --nobg < "$1"`, h.Bin, h.Conf)
		if Until(4*time.Second, 20*time.Millisecond, h.stockReady) {
			if time.Sleep(200 * time.Millisecond); h.Proc.Alive() && h.stockReady() {
				return
			}
		}
		h.Proc.Kill()
	}
	h.Node.rig.fail("%s in %s does not take its configuration\n%s", h.Bin, h.Node.NS, h.Proc.Tail(20))
}

// stockReady reports whether all links and the TUN device, which comes last,
// are there.
func (h *Host) stockReady() bool {
	rep, err := h.Admin("InterfaceController_interfaces", map[string]any{"page": 0})
	if err != nil {
		return false
	}
	links, _ := rep["ifaces"].([]any)
	_, err = h.Node.Counters("mesh0")
	return err == nil && len(links) >= len(h.Spec.UDP)+len(h.Spec.Eth)
}

// Admin calls a function of a stock node's admin interface: one bencoded
// dictionary each way over UDP. Values are string, int64, []any and
// map[string]any. Source: cjdns admin/README.md.
func (h *Host) Admin(function string, args map[string]any) (map[string]any, error) {
	c, err := h.Node.DialUDP(stockAdmin)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	req := map[string]any{"q": function, "txid": "rig"}
	if args != nil {
		req["args"] = args
	}
	if _, err := c.Write(bencode(nil, req)); err != nil {
		return nil, err
	}
	_ = c.SetReadDeadline(time.Now().Add(time.Second))
	buf := make([]byte, 1<<16)
	n, err := c.Read(buf)
	if err != nil {
		return nil, err
	}
	v, _, err := bdecode(buf[:n])
	if err != nil {
		return nil, err
	}
	rep, ok := v.(map[string]any)
	if !ok {
		return nil, errBencode
	}
	if e, _ := rep["error"].(string); e != "" && e != "none" {
		return rep, fmt.Errorf("%s: %s", function, e)
	}
	return rep, nil
}

// stockPeers reads all pages of InterfaceController_peerStats.
func (h *Host) stockPeers() (peers []Peer, err error) {
	for page := 0; page < 100; page++ {
		rep, err := h.Admin("InterfaceController_peerStats", map[string]any{"page": page})
		if err != nil {
			return nil, err
		}
		list, _ := rep["peers"].([]any)
		for _, v := range list {
			d, _ := v.(map[string]any)
			text := func(k string) string { s, _ := d[k].(string); return s }
			count := func(k string) uint64 { n, _ := d[k].(int64); return uint64(n) }
			addr := strings.Split(text("addr"), ".") // v20.0000.0000.0000.0013.KEY.k
			if len(addr) < 2 {
				continue
			}
			peers = append(peers, Peer{
				Key: strings.Join(addr[len(addr)-2:], "."), LLAddr: text("lladdr"), State: text("state"), User: text("user"),
				Lost: count("lostPackets"), OutOfRange: count("receivedOutOfRange"), Duplicates: count("duplicates"),
			})
		}
		if more, _ := rep["more"].(int64); more == 0 {
			break
		}
	}
	return peers, nil
}

var errBencode = errors.New("not bencode")

// bencode appends v: string, int, int64, []any or map[string]any.
func bencode(b []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		b = append(strconv.AppendInt(b, int64(len(v)), 10), ':')
		return append(b, v...)
	case int:
		return bencode(b, int64(v))
	case int64:
		return append(strconv.AppendInt(append(b, 'i'), v, 10), 'e')
	case []any:
		b = append(b, 'l')
		for _, x := range v {
			b = bencode(b, x)
		}
		return append(b, 'e')
	case map[string]any:
		b = append(b, 'd')
		for _, k := range slices.Sorted(maps.Keys(v)) {
			b = bencode(bencode(b, k), v[k])
		}
		return append(b, 'e')
	}
	panic(fmt.Sprintf("bencode: %T", v))
}

// bdecode reads one value and returns what follows it.
func bdecode(b []byte) (v any, rest []byte, err error) {
	if len(b) == 0 {
		return nil, nil, errBencode
	}
	switch b[0] {
	case 'i':
		digits, rest, ok := strings.Cut(string(b[1:]), "e")
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || !ok {
			return nil, nil, errBencode
		}
		return n, []byte(rest), nil
	case 'l':
		list := []any{}
		for b = b[1:]; len(b) > 0 && b[0] != 'e'; list = append(list, v) {
			if v, b, err = bdecode(b); err != nil {
				return nil, nil, err
			}
		}
		if len(b) == 0 {
			return nil, nil, errBencode
		}
		return list, b[1:], nil
	case 'd':
		d := map[string]any{}
		for b = b[1:]; len(b) > 0 && b[0] != 'e'; {
			var k any
			if k, b, err = bdecode(b); err != nil {
				return nil, nil, err
			}
			key, ok := k.(string)
			if !ok {
				return nil, nil, errBencode
			}
			if d[key], b, err = bdecode(b); err != nil {
				return nil, nil, err
			}
		}
		if len(b) == 0 {
			return nil, nil, errBencode
		}
		return d, b[1:], nil
	}
	digits, tail, ok := strings.Cut(string(b), ":")
	n, err := strconv.Atoi(digits)
	if err != nil || !ok || n < 0 || n > len(tail) {
		return nil, nil, errBencode
	}
	return tail[:n], []byte(tail[n:]), nil
}
