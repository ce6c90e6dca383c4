'use strict';
'require baseclass';
'require view.meshagent.check as check';
'require view.meshagent.fields as fields';

/* The tabs of the mesh: section "mesh", and sections "hardif" and "wifi". */

return baseclass.extend({
	add: function(map, single, grid, devices) {
		this.mesh(single(map, 'mesh', 'bat0', _('Mesh'), _('A mesh of the B.A.T.M.A.N. kind, compatible with the batman-adv of the kernel. The name of the section, mostly bat0, is that of the device: put it into a bridge, or give it an address.')));
		this.hardif(grid(map, 'hardif', _('Mesh interfaces'), _('Devices that the mesh runs on. They need no IP address and must not be in a bridge.'), false), devices);
		this.wifi(grid(map, 'wifi', _('Mesh radios'), _('Radios that the mesh runs on. Where OpenWrt manages the radio, add a Wi-Fi interface of mode 802.11s or Ad-Hoc in its own settings: it is used then.'), false), devices);
	},

	mesh: function(s) {
		s.tab('general', _('General'));
		s.tab('payload', _('Clients'));
		s.tab('gateway', _('Gateway'));
		s.tab('identity', _('Identity'));
		s.tab('device', _('Device'));

		fields.flag(s, 'enabled', _('Enabled'), '1', null, 'general');
		fields.list(s, 'routing_algo', _('Algorithm'), 'BATMAN_IV', [ 'BATMAN_IV', 'BATMAN_V' ], _('The same on all nodes. A change starts the mesh anew.'), 'general');
		fields.value(s, 'orig_interval', _('Announcement interval'), '1000', 'range(40,60000)', _('Milliseconds.'), 'general');
		fields.value(s, 'hop_penalty', _('Hop penalty'), '30', 'range(0,255)', _('What a way loses by going through this node, in 255ths.'), 'general');
		fields.flag(s, 'aggregated_ogms', _('Aggregation'), '1', _('Several announcements in one frame.'), 'general');
		fields.flag(s, 'bonding', _('Bonding'), '0', _('Spread the traffic of this node over several interfaces.'), 'general');
		fields.flag(s, 'fragmentation', _('Fragmentation'), '1', _('Cut frames that do not fit into a link.'), 'general');
		fields.value(s, 'log_level', _('Messages of the mesh'), 'none', check.meshLog, _('What "meshagent bat log" shows: all, or some of batman routes tt bla dat mcast tp.'), 'general');

		fields.flag(s, 'bridge_loop_avoidance', _('Bridge loop avoidance'), '1', _('For nodes that share a LAN.'), 'payload');
		fields.flag(s, 'distributed_arp_table', _('Distributed ARP table'), '1', _('Answer ARP requests out of what the mesh knows.'), 'payload');
		fields.flag(s, 'multicast_mode', _('Multicast to receivers only'), '1', _('Off: flood it.'), 'payload');
		fields.value(s, 'multicast_fanout', _('Multicast fanout'), '16', 'uinteger', _('Receivers up to which copies are sent.'), 'payload');
		fields.flag(s, 'ap_isolation', _('Isolate Wi-Fi clients'), '0', _('Keep Wi-Fi clients from each other.'), 'payload');

		fields.list(s, 'gw_mode', _('Role'), 'off', [
			[ 'off', _('off') ], [ 'client', _('client: DHCP requests go to the best server only') ], [ 'server', _('server: announce one') ]
		], null, 'gateway');
		fields.keep(fields.value(s, 'gw_bandwidth', _('Announced bandwidth'), '10mbit/2mbit', check.bandwidth, _('Down and up. Nothing is limited by it.'), 'gateway'), 'gw_mode', 'server');
		fields.keep(fields.value(s, 'gw_sel_class', _('When to change the server'), _('20; with BATMAN_V 5000'), 'uinteger', _('BATMAN_IV: 1 bandwidth counts too, 2 never, 3 for any better one, from 4 on for one that is better by so much. BATMAN_V: by so many kbit/s.'), 'gateway'), 'gw_mode', 'client');

		fields.flag(s, 'identity', _('Sign our announcements'), '1', _('And check those of others. Nodes of other kinds ignore it.'), 'identity');
		fields.keep(fields.list(s, 'require_signed', _('A verified identity is needed for'), 'overlay', [
			[ 'off', _('nothing') ], [ 'overlay', _('peering over the mesh') ], [ 'all', _('everything but relaying') ]
		], null, 'identity'), 'identity', '1');
		fields.keep(fields.list(s, 'admit', _('Without a password over the mesh'), 'any', [
			[ 'any', _('every verified node') ], [ 'community', _('members of the community') ], [ 'list', _('the keys on the list') ]
		], null, 'identity'), 'identity', '1');

		var allow = fields.devices(s, 'allow', _('Keys on the list'), '….k', [], true, 'identity');

		allow.datatype = null;
		allow.validate = function(sid, v) { return v == null || v === '' ? true : check.publicKey(v); };
		fields.keep(allow, 'admit', 'list');
		fields.keep(fields.value(s, 'identity_type', _('TVLV type of the identity'), '198', 'range(128,255)', _('The same on all nodes.'), 'identity'), 'identity', '1');
		fields.keep(fields.value(s, 'overlay_type', _('Packet type of the overlay'), '109', 'range(69,127)', _('The same on all nodes.'), 'identity'), 'identity', '1');

		fields.value(s, 'mac', _('MAC address'), _('made from our key'), 'macaddr', null, 'device');
		fields.value(s, 'mtu', _('MTU'), '1500', 'range(576,1500)', null, 'device');
	},

	hardif: function(s, devices) {
		fields.flag(s, 'enabled', _('Enabled'), '1').editable = true;
		fields.required(fields.devices(s, 'device', _('Devices'), '', devices, true));
		fields.value(s, 'hop_penalty', _('Hop penalty'), '0', 'range(0,255)', _('What a way loses besides by going over this interface, in 255ths.'));
		fields.value(s, 'mtu', _('MTU'), _('as it is'), 'range(576,2304)', _('Given to the device. 1532 saves cutting frames.'));
		fields.more(fields.value(s, 'mesh', _('Mesh'), _('the mesh there is'), check.device));
		fields.more(fields.value(s, 'elp_interval', _('Hello interval (BATMAN_V)'), '500', 'range(40,60000)'), _('Milliseconds.'));
		fields.more(fields.value(s, 'throughput_override', _('Throughput (BATMAN_V)'), '0', check.rate), _('The throughput to believe in; 0 asks the driver.'));
	},

	wifi: function(s, devices) {
		fields.flag(s, 'enabled', _('Enabled'), '1').editable = true;
		fields.required(fields.value(s, 'mesh_id', _('Mesh ID'), '', 'and(minlength(1),maxlength(32))', _('The same on all nodes.')));
		fields.list(s, 'mode', _('Mode'), 'auto', [ [ 'auto', _('auto') ], 'mesh', 'ibss' ]);
		fields.value(s, 'channel', _('Channel'), 'auto', 'or("auto",uinteger)');
		fields.more(fields.list(s, 'width', _('Width'), '20', [ '20', '40', '80' ]), _('MHz.'));
		fields.more(fields.value(s, 'phy', _('Radio'), 'auto', 'maxlength(32)'));
		fields.more(fields.devices(s, 'device', _('Device'), '', devices, false));
		fields.more(fields.value(s, 'bssid', _('BSSID'), '', 'macaddr'));
		fields.more(fields.value(s, 'mcast_rate', _('Rate of broadcasts'), '', check.rate), _('The same on all nodes.'));
		fields.more(fields.value(s, 'min_signal', _('Weakest signal'), '0', 'range(-100,0)'), _('dBm; 0 takes every station.'));
	}
});
