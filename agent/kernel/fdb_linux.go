package kernel

import "golang.org/x/sys/unix"

// Station is a station that a bridge has learned.
type Station struct {
	MAC  [6]byte
	Port int // index of the device behind which it is
}

// Stations lists the stations that the bridges of this host have learned, at
// most limit. The addresses of the host itself are not among them.
func Stations(limit int) ([]Station, error) {
	c, err := dialRoute()
	if err != nil {
		return nil, explain("route netlink", err)
	}
	defer c.Close()
	// Source: rtnetlink(7), RTM_GETNEIGH of family AF_BRIDGE: the forwarding
	// tables of all bridges.
	var list []Station
	ask := make([]byte, unix.SizeofNdMsg)
	ask[0] = unix.AF_BRIDGE
	err = c.dump(unix.RTM_GETNEIGH, unix.RTM_NEWNEIGH, ask, func(data []byte) error {
		s, ok, err := parseForwarding(data)
		if ok && len(list) < limit {
			list = append(list, s)
		}
		return err
	})
	if err != nil {
		return nil, explain("list stations of bridges", err)
	}
	return list, nil
}

// parseForwarding reads struct ndmsg and the attributes behind it. It is not ok for
// the host's own addresses, groups, and what is no Ethernet address.
func parseForwarding(b []byte) (s Station, ok bool, err error) {
	fixed, rest, err := head(b, unix.SizeofNdMsg)
	if err != nil {
		return s, false, err
	}
	s.Port = int(fixed[4:].u32())
	err = attrs(rest, func(typ uint16, v attr) error {
		if typ == unix.NDA_LLADDR {
			s.MAC, ok = v.mac(), len(v) == 6
		}
		return nil
	})
	return s, ok && err == nil && s.MAC[0]&1 == 0 && fixed[8:].u16()&unix.NUD_PERMANENT == 0, err
}
