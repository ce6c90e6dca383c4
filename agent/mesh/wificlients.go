package mesh

import "github.com/meshagent/meshagent/agent/batman"

// SetWifiClients tells which clients of this node are on Wi-Fi: others may
// have to keep them apart from their own (AP isolation). The list takes the
// place of the last one; entries beyond MaxLocalClients are left out. A client
// carries the mark from its next frame on.
//
// Source: batman-adv translation-table.c, batadv_tt_local_add, where the
// device that a frame came in on is looked at. Out of the kernel that cannot
// be seen, but the bridge knows it.
func (m *Mesh) SetWifiClients(list []batman.MAC) {
	list = list[:min(len(list), MaxLocalClients)]
	m.wifiClients = make(map[batman.MAC]struct{}, len(list))
	for _, mac := range list {
		m.wifiClients[mac] = struct{}{}
	}
}

// clientFlags are the flags for the translation table of a client that sends.
func (m *Mesh) clientFlags(client batman.MAC) uint8 {
	if len(m.wifiClients) > 0 {
		if _, ok := m.wifiClients[client]; ok {
			return batman.TTWifi
		}
	}
	return 0
}
