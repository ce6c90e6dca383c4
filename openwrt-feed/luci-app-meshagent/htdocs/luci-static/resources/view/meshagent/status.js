'use strict';
'require view';
'require dom';
'require poll';
'require uci';
'require ui';
'require view.meshagent.addpeer as addpeer';
'require view.meshagent.agent as agent';
'require view.meshagent.community as community';
'require view.meshagent.rows as rows';
'require view.meshagent.service as service';
'require view.meshagent.staged as staged';
'require view.meshagent.tools as tools';

var calls = agent.calls;

/* wifiOf asks the driver about the radios among the hard interfaces: the
   answer has { info, stations } by device, stations by MAC. */
function wifiOf(ifaces) {
	return L.resolveDefault(calls.radios(), {}).then(function(reply) {
		var known = L.toArray(reply.devices), out = {};

		return Promise.all(ifaces.map(function(i) { return i.hard_ifname; }).filter(function(name, n, names) {
			return known.indexOf(name) > -1 && names.indexOf(name) == n;
		}).map(function(name) {
			return Promise.all([ L.resolveDefault(calls.radio(name), null), L.resolveDefault(calls.stations(name), {}) ]).then(function(r) {
				out[name] = { info: r[0], stations: {} };

				L.toArray(r[1].results).forEach(function(s) {
					out[name].stations[String(s.mac).toLowerCase()] = s;
				});
			});
		})).then(function() { return out; });
	});
}

/* trustOf takes out of the configuration what the agent's answers do not have. */
function trustOf() {
	var mesh = uci.sections('meshagent', 'mesh')[0];

	return {
		passwords: uci.sections('meshagent', 'password').filter(function(p) { return p.enabled != '0'; }).length,
		identity: mesh ? mesh.identity != '0' : null,
		signed: mesh ? mesh.require_signed || 'overlay' : null,
		admit: mesh ? mesh.admit || 'any' : null
	};
}

/* How many members are shown; a community may have thousands. */
var MEMBERS = 100;

function section(title, children) {
	return E('div', { 'class': 'cbi-section' }, [ E('h3', [ title ]) ].concat(children));
}

return view.extend({
	handleSaveApply: null,
	handleSave: null,
	handleReset: null,

	load: function() {
		return L.resolveDefault(uci.load('meshagent'), null).then(L.bind(this.fetch, this));
	},

	/* fetch asks for everything. Each part has { value } or { error }: one that
	   fails does not keep the others away. */
	fetch: function() {
		var s = agent.settle, d = {};

		return Promise.all([
			s(calls.status()), s(agent.all(calls.peers, 'peers')), s(agent.all(calls.sessions, 'sessions')),
			s(agent.all(calls.interfaces, 'rows')), s(agent.all(calls.neighbours, 'rows')), s(agent.all(calls.originators, 'rows')),
			s(agent.all(calls.gateways, 'rows')), s(calls.networks()), s(calls.community(0, MEMBERS)), s(agent.all(calls.invites, 'invites'))
		]).then(function(r) {
			d = { status: r[0], peers: r[1], sessions: r[2], interfaces: r[3], neighbours: r[4], originators: r[5], gateways: r[6], networks: r[7], community: r[8].value || {}, communityError: r[8].error, invites: r[9] };

			/* asking the start script is dear, and of use only then */
			return Promise.all([ d.interfaces.value ? wifiOf(d.interfaces.value.rows) : {}, d.status.error ? service.state() : {} ]);
		}).then(function(r) {
			d.wifi = r[0];
			d.service = r[1];

			return d;
		});
	},

	render: function(data) {
		var n = this.nodes = {
			banner: E('div', { 'id': 'meshagent-banner' }), problems: E('div', { 'id': 'meshagent-problems' }),
			node: E('table', { 'class': 'table', 'id': 'meshagent-node' }),
			uplink: E('table', { 'class': 'table', 'id': 'meshagent-uplink' }),
			trust: E('table', { 'class': 'table', 'id': 'meshagent-trust' }),
			radios: agent.table('meshagent-radios', [ _('Interface'), _('State'), _('Address'), _('Radio'), _('MTU'), _('Neighbours'), _('In / out'), _('Note') ]),
			neighbours: agent.table('meshagent-neighbours', [ _('Neighbour'), _('Interface'), _('Last heard'), _('Signal'), _('Throughput'), _('Note') ]),
			originators: agent.table('meshagent-originators', [ _('Node'), _('Identity'), _('By way of'), _('Interface'), _('Quality'), _('Last heard'), _('Note'), ' ' ]),
			gateways: agent.table('meshagent-gateways', [ _('Node'), _('State'), _('Announces, down / up'), _('Quality'), _('By way of'), _('Interface'), _('Note') ]),
			links: agent.table('meshagent-links', [ _('Link'), _('Kind'), _('On'), _('State'), _('Beacon'), _('Packets in / out'), _('Note') ]),
			members: agent.table('meshagent-members', [ _('Node'), _('State'), _('Since'), _('Until'), _('Signed by'), _('Note'), ' ' ]),
			invites: agent.table('meshagent-invites', [ _('Invite'), _('As'), _('Used'), _('Made'), _('Until'), _('State'), _('Note'), ' ' ]),
			inviteButton: E('div', { 'class': 'cbi-section-create', 'id': 'meshagent-invite' }),
			peers: agent.table('meshagent-peers', [ _('Peer'), _('State'), _('Via'), _('kbit/s in / out'), _('Loss'), _('Round trip'), _('Last heard'), _('Note'), ' ' ]),
			sessions: agent.table('meshagent-sessions', [ _('Address'), _('State'), _('Path'), _('Round trip'), _('Last heard'), _('Note'), ' ' ])
		};

		var pane = function(name, title, children) {
			return E('div', { 'data-tab': name, 'data-tab-title': title }, children);
		};

		var tabs = E('div', { 'id': 'meshagent-tabs' }, [
			pane('overview', _('Overview'), [ section(_('Node'), [ n.node ]), section(_('Radios'), [ n.radios.render() ]), section(_('Uplink'), [ n.uplink ]), section(_('Trust'), [ n.trust ]) ]),
			pane('mesh', _('Mesh'), [ section(_('Neighbours'), [ n.neighbours.render() ]), section(_('Nodes of the mesh'), [ n.originators.render() ]), section(_('Gateways'), [ n.gateways.render() ]) ]),
			pane('peers', _('Peers'), [ section(_('Peers'), [ n.peers.render(), this.addButton() ]), section(_('Links'), [ n.links.render() ]) ]),
			pane('community', _('Community'), [ section(_('Invites'), [ n.invites.render(), n.inviteButton ]), section(_('Members'), [ n.members.render() ]) ]),
			pane('paths', _('Paths'), [ section(_('Ping and trace'), tools.form()), section(_('Sessions'), [ n.sessions.render() ]) ])
		]);

		var page = E('div', { 'id': 'meshagent-status' }, [ E('h2', [ _('Mesh agent') ]), n.banner, n.problems, tabs ]);

		ui.tabs.initTabGroup(tabs.childNodes);
		this.update(data);
		poll.add(L.bind(this.refresh, this), 5);

		return page;
	},

	refresh: function() {
		return this.fetch().then(L.bind(this.update, this));
	},

	addButton: function() {
		var self = this;

		return E('div', { 'class': 'cbi-section-create' }, [ agent.canWrite() ? E('button', {
			'class': 'btn cbi-button cbi-button-add', 'id': 'meshagent-add',
			'click': function() { addpeer.open(self.running, L.bind(self.refresh, self)); }
		}, [ _('Add peers…') ]) : E('em', [ _('You have no right to change anything here.') ]) ]);
	},

	/* update shows new data in the nodes that are there. */
	update: function(d) {
		var n = this.nodes, s = d.status.value;

		this.running = s != null;
		this.updateBanner(d);
		dom.content(n.problems, L.toArray(s && s.problems).map(function(p) {
			return E('div', { 'class': 'alert-message warning' }, [ p ]);
		}));

		/* every answer about the mesh brings its settings along */
		var info = [ d.originators, d.interfaces, d.gateways ].map(function(p) { return p.value && p.value.mesh; }).filter(function(m) { return m != null; })[0];

		this.updateFacts(d, s, info);

		var gone = s ? null : agent.explain(d.status.error);
		var fill = function(table, part, key, make, empty) {
			var list = part.value ? L.toArray(part.value[key]) : [];

			agent.fill(table, make(list), gone || (part.error ? agent.explain(part.error) : empty));
		};
		/* without a mesh the agent says so, or has no such object */
		var mesh = function(table, part, make, empty) {
			if (!gone && part.error && (part.error.kind == 'not_found' || part.error.kind == 'stopped'))
				agent.fill(table, [], _('No mesh is configured: see Configuration, Mesh.'));
			else
				fill(table, part, 'rows', make, empty);
		};

		mesh(n.radios, d.interfaces, function(l) { return rows.radios(l, d.wifi); }, _('The mesh has no interface: add one in Configuration, Mesh interfaces.'));
		mesh(n.neighbours, d.neighbours, function(l) { return rows.neighbours(l, d.wifi); }, _('No node is heard. The note of each radio says more.'));
		mesh(n.originators, d.originators, function(l) { return rows.originators(l, L.bind(tools.nodeActions, tools)); }, _('No other node is known yet.'));
		mesh(n.gateways, d.gateways, function(l) { return rows.gateways(l, info && info.gw_mode); }, _('No node announces a way to the internet.'));
		this.updateCommunity(d, gone);
		fill(n.links, { value: s, error: d.status.error }, 'links', rows.links, _('No link is configured, so no peer can be met: add one in Configuration.'));
		fill(n.peers, d.peers.value ? d.peers : { value: s, error: d.peers.error }, 'peers', L.bind(function(l) { return rows.peers(l, L.bind(this.peerActions, this)); }, this), _('No peers. Add one, or let beacons find them.'));
		fill(n.sessions, d.sessions.value ? d.sessions : { value: s, error: d.sessions.error }, 'sessions', function(l) { return rows.sessions(l, L.bind(tools.sessionActions, tools)); }, _('No sessions. They are made when a program sends to an address in fc00::/8.'));
	},

	updateCommunity: function(d, gone) {
		var n = this.nodes, c = d.community, again = L.bind(this.refresh, this), total = L.toArray(c.members).length;
		var why = gone || (d.communityError ? agent.explain(d.communityError) : community.empty(c));
		var members = community.members(c, again), may = community.isAdmin(c);

		if (c.total > total)
			members.push([ _('and %d more').format(c.total - total), '', '', '', '', '', '' ]);

		agent.fill(n.members, members, why);
		agent.fill(n.invites, community.invites(L.toArray(d.invites.value && d.invites.value.invites), c, again), gone || (c['in'] ? _('No invites.') : why));

		if (this.mayInvite !== may)
			dom.content(n.inviteButton, may ? [ agent.button('cbi-button-add', _('Invite…'), function() { return community.invite(again); }) ] : []);

		this.mayInvite = may;
	},

	/* updateBanner leaves the banner alone, with its buttons and the lines of
	   the log, while nothing has changed. */
	updateBanner: function(d) {
		var state = d.status.error ? JSON.stringify([ d.status.error.kind, d.status.error.message, d.service ]) : '';

		if (this.bannerState !== state)
			dom.content(this.nodes.banner, d.status.error ? service.banner(d.status.error, d.service, L.bind(this.refresh, this)) : []);

		this.bannerState = state;
	},

	updateFacts: function(d, s, info) {
		var routes = L.toArray(d.networks.value && d.networks.value['interface']).filter(function(i) {
			return i.up && L.toArray(i.route).some(function(r) { return r.mask === 0; });
		});
		var chosen = L.toArray(d.gateways.value && d.gateways.value.rows).filter(function(g) { return g.best; })[0];
		var trust = trustOf(), unknown = function() { return E('em', [ s ? '-' : agent.explain(d.status.error) ]); };
		var full = L.toArray(s && s.tables).filter(function(t) { return t.limit > 0 && t.used >= 0.9 * t.limit; });

		agent.facts(this.nodes.node, s ? [
			_('Overlay address'), agent.code(s.ip), _('Public key'), agent.code(s.publicKey),
			_('Version'), agent.text(_('%s, protocol %d').format(s.version, s.protocol)), _('Running for'), agent.text('%t'.format(Math.floor(s.uptimeMs / 1000))),
			_('Overlay device'), agent.text(s.tun && s.tun.state && s.tun.state != 'off' ? _('%s is %s, MTU %d').format(s.tun.name, s.tun.state, s.tun.mtu) : _('off')),
			_('Mesh device'), agent.text(info ? '%s, %s, %s'.format(info.mesh_ifname, info.algo_name, info.mesh_address) : '-'),
			_('Dropped packets'), agent.text(agent.counts(s.drops) || _('none')),
			_('Tables nearly full'), full.length ? agent.text(full.map(function(t) { return '%s %d/%d'.format(t.name, t.used, t.limit); }).join(', ')) : null
		] : [ _('State'), unknown() ]);

		agent.facts(this.nodes.uplink, [
			_('Default route of this router'), agent.text(routes.length ? routes.map(function(i) { return '%s (%s)'.format(i['interface'], i.l3_device || i.device || '-'); }).join(', ') : _('none')),
			_('Role in the mesh'), agent.text(!info ? null : { server: _('offers its way to the internet'), client: _('uses the best gateway') }[info.gw_mode] || _('does not take part in gateways')),
			_('Announces'), info && info.gw_mode == 'server' ? agent.text(_('%s down, %s up').format(agent.kbit(info.gw_bandwidth_down * 100), agent.kbit(info.gw_bandwidth_up * 100))) : null,
			_('Chosen gateway'), info && info.gw_mode == 'client' ? agent.text(chosen ? chosen.orig_address : _('none announces itself')) : null
		]);

		var verified = L.toArray(d.originators.value && d.originators.value.rows).filter(function(o) { return o.best && /^fc[0-9a-f]{2}:/.test(rows.identityOf(o)); });

		agent.facts(this.nodes.trust, [
			_('From the overlay to this router'), s ? agent.text(s.tun && s.tun.inbound == 'open' ? _('open: everything that the firewall lets through') : _('closed: answers and pings only')) : unknown(),
			_('Community'), agent.text(d.community['in'] ? _('%s, this node is: %s').format(d.community.name, d.community.standing || '-') : (d.community['in'] === false ? _('none') : null)),
			_('Passwords that let peers in'), agent.text(trust.passwords),
			_('Signed announcements'), agent.text(trust.identity == null ? null : (trust.identity ? _('yes') : _('no'))),
			_('A verified identity is needed for'), agent.text(trust.signed == null ? null : { off: _('nothing'), overlay: _('peering over the mesh'), all: _('everything but relaying') }[trust.signed] || trust.signed),
			_('Without a password over the mesh'), agent.text(trust.admit == null ? null : { any: _('every verified node'), community: _('members of the community'), list: _('the keys on the list') }[trust.admit] || trust.admit),
			_('Nodes with a verified identity'), agent.text(d.originators.value ? verified.length : null)
		]);
	},

	/* peerActions: only peers that we dial can be deleted here. */
	peerActions: function(p) {
		var self = this;

		return E('div', { 'class': 'nowrap' }, [
			agent.button('', _('Ping'), function() { return tools.ping(p.addr || p.ip); }), ' ',
			p.source == 'config' && agent.canWrite() ? agent.button('cbi-button-remove', _('Delete'), function() { return self.confirmDelete(p); }) : ''
		]);
	},

	confirmDelete: function(p) {
		var self = this, which = p.name || p.publicKey;

		ui.showModal(_('Delete the peer?'), [
			E('p', [ E('strong', [ which ]), ' ', agent.code(p.lladdr) ]),
			E('p', [ _('It is disconnected now and taken out of the configuration.') ]),
			agent.closing([ agent.button('cbi-button-negative', _('Delete'), function() {
				return calls.peerDel(which).then(ui.hideModal, function(err) {
					/* an agent that may not write its file says "denied" */
					return (err.code == 'denied' ? staged.remove(p) : Promise.reject(err)).then(staged.offer, function(err) {
						ui.hideModal();
						agent.complain(err);
					});
				}).then(L.bind(self.refresh, self));
			}) ])
		]);
	}
});
