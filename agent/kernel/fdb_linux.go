package kernel

import (
	"github.com/jsimonetti/rtnetlink/v2"
	"golang.org/x/sys/unix"
)

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
	ask := &rtnetlink.NeighMessage{Family: unix.AF_BRIDGE}
	err = c.dump(unix.RTM_GETNEIGH, unix.RTM_NEWNEIGH, ask, func(data []byte) error {
		var m rtnetlink.NeighMessage
		if err := m.UnmarshalBinary(data); err != nil {
			return err
		}
		if m.Attributes == nil || len(m.Attributes.LLAddress) != 6 || m.State&unix.NUD_PERMANENT != 0 {
			return nil
		}
		if s := (Station{[6]byte(m.Attributes.LLAddress), int(m.Index)}); s.MAC[0]&1 == 0 && len(list) < limit {
			list = append(list, s)
		}
		return nil
	})
	if err != nil {
		return nil, explain("list stations of bridges", err)
	}
	return list, nil
}
