'use strict';
'require baseclass';
'require view.meshagent.agent as agent';

/* Turns what the agent answers into the rows of the tables. Every row ends
   with a note that says why it is as it is. */

var t = agent.text, code = agent.code, note = agent.note;

/* join gives the parts that say something as one sentence list. */
function join(parts) {
	return parts.filter(function(p) { return p != null && p !== ''; }).join('; ');
}

function stateLabel(state) {
	var s = String(state || '-').toLowerCase();

	switch (s) {
	case 'established': case 'up': case 'active':
		return agent.label('success', s);
	case 'unresponsive': case 'incompatible': case 'down':
		return agent.label('important warning', s);
	default:
		return agent.label('', s);
	}
}

/* loss in percent of what should have come. */
function loss(lost, received) {
	return lost + received > 0 ? '%.1f %%'.format(100 * lost / (lost + received)) : '-';
}

function peerNote(p) {
	if (p.lastProblem)
		return p.lastProblem;

	switch (p.state) {
	case 'ESTABLISHED':
		return join([ { incoming: _('came in with a password of ours'), beacon: _('found by beacon'), mesh: _('found in the mesh, by its identity') }[p.source] || _('dialled by us'),
			p.carriedBy ? _('its packets go by %s for now').format(p.carriedBy) : null ]);
	case 'UNRESPONSIVE':
		return join([ _('was up and does not answer any more'), p.carriedBy ? _('its packets go by %s for now').format(p.carriedBy) : null ]);
	case 'INCOMPATIBLE':
		return _('speaks protocol version %d, which is too old').format(p.version);
	case 'INIT':
		return _('waits for its address to be looked up, or for the link');
	case 'SENT_HELLO':
		return _('no answer yet: is it running, is the address right, does a firewall stand between?');
	default:
		return _('the handshake is under way');
	}
}

/* quality is a TQ, or with BATMAN_V a throughput. */
function quality(row) {
	if (row.throughput != null)
		return agent.sorted(row.throughput, agent.kbit(row.throughput));

	return agent.sorted(row.tq, row.tq == null ? '-' : '%d/255'.format(row.tq));
}

/* identityNote explains the states of docs/protocol/identity.md. */
function identityNote(state) {
	switch (state) {
	case 'pending': return _('its identity is being checked');
	case 'forged': return _('somebody sends announcements in its name that do not fit; they are refused');
	case 'stripped': return _('announcements in its name come without the signature; they are refused');
	case 'conflict': return _('two keys claim this address');
	}
}

/* identityOf gives what stands in the column "Identity": an address, a state,
   or "-". Agents that do not check identities leave the field out. */
function identityOf(o) {
	var id = o.identity;

	if (L.isObject(id))
		id = id.ip || id.state;

	return typeof(id) == 'string' && id != '' ? id : '-';
}

function signalNote(dbm) {
	if (dbm < -85)
		return _('the signal is very weak');

	if (dbm < -75)
		return _('the signal is weak');
}

return baseclass.extend({
	identityOf: identityOf,

	links: function(list) {
		return list.map(function(l) {
			return [ t(l.name), t(l.kind), code(l.bind), stateLabel(l.state), t(l.beacon),
				agent.sorted(l.rxPackets, '%d / %d'.format(l.rxPackets, l.txPackets)),
				note(l.error || (l.state == 'up' ? (l.rxPackets > 0 ? _('packets come in') : _('nothing has come in yet')) : _('the device is missing or down; it is waited for'))) ];
		});
	},

	/* actions(p) gives the buttons of a row. */
	peers: function(list, actions) {
		return list.map(function(p) {
			return [
				[ p.name || p.ip, E('span', p.name ? [ t(p.name), E('br'), code(p.ip) ] : [ code(p.ip) ]) ],
				[ p.state, stateLabel(p.state) ],
				E('span', [ t(p.link), ' ', code(p.lladdr) ]),
				agent.sorted(p.recvKbps + p.sendKbps, '%d / %d'.format(p.recvKbps, p.sendKbps)),
				agent.sorted(p.lostPackets, loss(p.lostPackets, p.receivedPackets)),
				agent.sorted(p.rttMicros, agent.rtt(p.rttMicros)),
				agent.sorted(p.lastInMs, agent.ago(p.lastInMs)),
				note(peerNote(p)),
				actions(p)
			];
		});
	},

	sessions: function(list, actions) {
		return list.map(function(s) {
			return [
				[ s.ip, code(s.ip) ], [ s.state, stateLabel(s.state) ], code(s.label),
				agent.sorted(s.rttMicros, agent.rtt(s.rttMicros)),
				agent.sorted(s.lastInMs, agent.ago(s.lastInMs)),
				note(join([
					/^[0.]*$/.test(s.label) ? _('no path is known yet') : null,
					L.toArray(s.paths).length > 1 ? _('other paths known: %d').format(s.paths.length - 1) : null,
					s.pathChanges ? _('path changed %d times, last %s ago').format(s.pathChanges, agent.ago(s.pathChangedMs)) : null,
					s.lostPackets ? _('%d lost').format(s.lostPackets) : null,
					s.duplicates ? _('%d twice').format(s.duplicates) : null,
					s.receivedOutOfRange ? _('%d too late').format(s.receivedOutOfRange) : null
				]) || _('nothing was lost')),
				actions(s)
			];
		});
	},

	/* radios: hard interfaces; wifi has what iwinfo says, by device. */
	radios: function(list, wifi) {
		return list.map(function(i) {
			var w = wifi[i.hard_ifname], info = w && w.info;

			return [
				t(i.hard_ifname), stateLabel(i.active ? 'active' : 'down'), code(i.hard_address == '00:00:00:00:00:00' ? null : i.hard_address),
				t(info ? join([ info.mode, info.ssid ? '"' + info.ssid + '"' : null, info.channel ? _('channel %d').format(info.channel) : null ]) : _('no Wi-Fi')),
				t(i.mtu || null), t(i.neighbours),
				agent.sorted(i.rx_bytes, agent.bytes(i.rx_bytes) + ' / ' + agent.bytes(i.tx_bytes)),
				note(join([
					i.problem,
					i.active && !i.neighbours ? (i.rx_frames ? _('frames come in, but from no node of this mesh') : _('nothing is heard: same channel, name and BSSID?')) : null,
					i.active && i.neighbours ? _('works') : null,
					i.active && i.mtu < 1532 ? _('large frames are cut in two (MTU below 1532)') : null,
					agent.counts(i.drops) ? _('not taken: %s').format(agent.counts(i.drops)) : null
				]))
			];
		});
	},

	neighbours: function(list, wifi) {
		return list.map(function(n) {
			var w = wifi[n.hard_ifname], station = w && w.stations[n.neigh_address];

			return [
				code(n.neigh_address), t(n.hard_ifname),
				agent.sorted(n.last_seen_msecs, agent.ago(n.last_seen_msecs)),
				agent.sorted(station ? station.signal : null, station && station.signal ? '%d dBm'.format(station.signal) : '-'),
				agent.sorted(n.throughput, agent.kbit(n.throughput)),
				note(join([
					n.last_seen_msecs > 10000 ? _('silent for a while; it is given up after some minutes') : _('heard'),
					!w ? _('by wire') : (!station ? _('the driver does not list it') : signalNote(station.signal))
				]))
			];
		});
	},

	originators: function(list, actions) {
		return list.map(function(o) {
			var id = identityOf(o);

			return [
				code(o.orig_address), code(id), code(o.neigh_address == o.orig_address ? _('direct') : o.neigh_address), t(o.hard_ifname),
				quality(o),
				agent.sorted(o.last_seen_msecs, agent.ago(o.last_seen_msecs)),
				note(join([
					o.best ? _('the way that is used') : _('another way is better'),
					o.last_seen_msecs > 10000 ? _('silent for a while') : null,
					identityNote(id),
					o.best && o.identity_uplink ? _('has a way to the internet') : null
				])),
				o.best ? actions(o) : E([])
			];
		});
	},

	/* gateways: mode is what this node does with them. */
	gateways: function(list, mode) {
		return list.map(function(g) {
			return [
				code(g.orig_address), agent.label(g.best ? 'success' : '', g.best ? _('chosen') : _('not chosen')),
				agent.sorted(g.bandwidth_down, agent.kbit(g.bandwidth_down * 100) + ' / ' + agent.kbit(g.bandwidth_up * 100)),
				g.tq != null ? agent.sorted(g.tq, '%d/255'.format(g.tq)) : agent.sorted(g.throughput, g.throughput == null ? '-' : agent.kbit(g.throughput * 100)),
				code(g.router), t(g.hard_ifname),
				note(g.best ? _('DHCP requests go to it') : (mode == 'client' ? _('another one is better, or near enough to stay with') : _('this node does not choose gateways (gw_mode %s)').format(mode || 'off')))
			];
		});
	},

	/* ways to a node; costs are by which they are compared. */
	ways: function(list) {
		var sources = { peer: _('direct peer'), mesh: _('the mesh'), theirs: _('its packets'), dht: _('other nodes'), supernode: _('supernode') },
		    states = { used: _('in use'), standby: _('works'), untried: _('not tried'), resting: _('rests'), failed: _('did not answer'), down: _('down') };

		return list.map(function(w) {
			var state = agent.label({ used: 'success', down: 'important warning', failed: 'important warning' }[w.state] || '', states[w.state] || w.state);

			return [
				code(w.label), t(sources[w.source] || w.source), state,
				agent.sorted(w.costMicros, agent.rtt(w.costMicros)), agent.sorted(w.rttMicros, agent.rtt(w.rttMicros)),
				agent.sorted(w.lossPermille, w.answers > 0 ? '%.1f %%'.format(w.lossPermille / 10) : '-'), t(w.hops),
				note(join([
					w.link, w.metric ? _('metric %d').format(w.metric) : null, w.problem,
					w.nextMs > 0 ? _('tried again in %s').format(agent.ago(w.nextMs)) : null,
					w.answeredMs >= 0 ? _('answered %s ago').format(agent.ago(w.answeredMs)) : _('never answered')
				]))
			];
		});
	},

	wayHops: function(list) {
		return list.map(function(h) {
			return [ t(h.hop), t(h.name), h.ip ? code(h.ip) : t(_('unknown')), code(h.label), note(join([ h.link, h.lladdr, h.knownBy ])) ];
		});
	},

	hops: function(list) {
		return list.map(function(h) {
			return [ t(h.hop), t(h.name), code(h.ip), agent.sorted(h.rttMicros, agent.rtt(h.rttMicros)), code(h.label), note(h.error || _('answered')) ];
		});
	}
});
