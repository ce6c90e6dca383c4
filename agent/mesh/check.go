package mesh

import "fmt"

// minMTU is the smallest link that can carry the mesh: the IPv4 minimum and
// the mesh's headers.
const minMTU = 68 + headerRoom

// checkIface says why an interface cannot carry the mesh.
func checkIface(index uint16, c IfaceConfig) error {
	switch {
	case index >= MaxIfaces:
		return fmt.Errorf("mesh: more than %d hard interfaces", MaxIfaces)
	case !c.MAC.IsStation():
		return fmt.Errorf("mesh: %s has no usable Ethernet address (%v)", c.Name, c.MAC)
	case c.MTU < minMTU:
		return fmt.Errorf("mesh: MTU %d of %s is below %d", c.MTU, c.Name, minMTU)
	}
	return nil
}
