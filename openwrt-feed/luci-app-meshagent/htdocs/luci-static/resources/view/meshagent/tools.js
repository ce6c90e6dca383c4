'use strict';
'require baseclass';
'require dom';
'require ui';
'require view.meshagent.agent as agent';
'require view.meshagent.rows as rows';

/* Ping, trace and why, for nodes of the overlay and of the mesh. */

var PINGS = 3;

function dialog(title, target) {
	var body = E('div', { 'id': 'meshagent-result', 'aria-live': 'polite' }, [ E('em', { 'class': 'spinning' }, [ _('Waiting for the answer…') ]) ]);

	ui.showModal(title, [ E('p', [ agent.code(target) ]), body, agent.closing() ]);

	return body;
}

function failed(body) {
	return function(err) {
		dom.content(body, [ E('p', { 'class': 'alert-message warning' }, [ agent.explain(err) ]) ]);
	};
}

/* line is one answer of a ping. */
function line(reply) {
	return E('div', [ reply.error ? _('%d: no answer (%s)').format(reply.seq, reply.error) : '%d: %s'.format(reply.seq, agent.rtt(reply.rttMicros)) + (reply.via ? ' ' + _('by path %s').format(reply.via) : '') ]);
}

return baseclass.extend({
	ping: function(target) {
		var body = dialog(_('Ping'), target);

		return agent.calls.ping(target, PINGS).then(function(r) {
			var list = L.toArray(r.replies), good = list.filter(function(x) { return !x.error; }).length;

			dom.content(body, list.map(line).concat([ E('p', [ E('strong', [ _('%d sent, %d answered').format(list.length, good) ]) ]) ]));
		}, failed(body));
	},

	trace: function(target) {
		var body = dialog(_('Trace'), target);

		return agent.calls.trace(target).then(function(r) {
			var table = agent.table('meshagent-hops', [ _('Hop'), _('Name'), _('Address'), _('Round trip'), _('Path'), _('Note') ]);

			agent.fill(table, rows.hops(L.toArray(r.hops)), r.error || _('No way is known.'));
			dom.content(body, [ table.render(), r.error ? E('p', { 'class': 'alert-message warning' }, [ r.error ]) : '' ]);
		}, failed(body));
	},

	/* why shows all ways to a node, and why it is the one in use. */
	why: function(target) {
		var body = dialog(_('Why this way'), target);

		return agent.calls.why(target).then(function(r) {
			var ways = agent.table('meshagent-ways', [ _('Path'), _('Known from'), _('State'), _('Cost'), _('Round trip'), _('Loss'), _('Hops'), _('Note') ]),
			    hops = agent.table('meshagent-hops', [ _('Hop'), _('Name'), _('Address'), _('Path'), _('Note') ]),
			    tried = L.toArray(r.tried);

			agent.fill(ways, rows.ways(L.toArray(r.ways)), _('No way is known.'));
			agent.fill(hops, rows.wayHops(L.toArray(r.hops)), _('No way is in use.'));
			dom.content(body, [
				E('p', { 'id': 'meshagent-reason' }, [ E('strong', [ r.name ? r.name + ': ' : '', r.reason ]) ]),
				tried.length ? E('ul', tried.map(function(x) { return E('li', [ x ]); })) : '',
				ways.render(),
				E('h4', [ _('The way in use, hop by hop') ]),
				hops.render()
			]);
		}, failed(body));
	},

	/* meshPing asks a node of the mesh, one ping. */
	meshPing: function(mac) {
		var body = dialog(_('Ping in the mesh'), mac);

		return agent.calls.meshPing(mac).then(function(r) {
			dom.content(body, [ E('p', [ r.error ? _('No answer: %s').format(r.error) : _('Answered after %s').format(agent.rtt(r.rttMicros)) ]) ]);
		}, failed(body));
	},

	nodeActions: function(o) {
		var id = rows.identityOf(o), self = this;

		return E('div', { 'class': 'nowrap' }, [
			agent.button('', _('Ping'), function() { return self.meshPing(o.orig_address); }), ' ',
			/^fc[0-9a-f]{2}:/.test(id) ? agent.button('', _('Trace'), function() { return self.trace(id); }) : '', ' ',
			/^fc[0-9a-f]{2}:/.test(id) ? agent.button('', _('Why'), function() { return self.why(id); }) : ''
		]);
	},

	sessionActions: function(s) {
		var self = this;

		return E('div', { 'class': 'nowrap' }, [
			agent.button('', _('Ping'), function() { return self.ping(s.ip); }), ' ',
			agent.button('', _('Trace'), function() { return self.trace(s.ip); }), ' ',
			agent.button('', _('Why'), function() { return self.why(s.ip); })
		]);
	},

	/* form gives the input for any target. */
	form: function() {
		var input = E('input', {
			'type': 'text', 'class': 'cbi-input-text', 'id': 'meshagent-target', 'style': 'width:100%;max-width:32em', 'spellcheck': 'false', 'autocapitalize': 'off',
			'placeholder': 'fc00:…', 'aria-label': _('Target')
		}), self = this;

		var run = function(mesh, overlay) {
			return function() {
				var target = input.value.trim();

				if (target == '')
					return input.focus();

				/* a MAC or an IPv4 address can only be a node or client of the mesh */
				return (/^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$|^\d+\.\d+\.\d+\.\d+$/).test(target) ? mesh.call(self, target) : overlay.call(self, target);
			};
		};

		return [
			E('p', [ _('An address in fc00::/8, a public key, the name of a peer, or a path; for a ping also the MAC of a node of the mesh.') ]),
			E('p', [ input ]),
			E('p', [ agent.button('cbi-button-action', _('Ping'), run(self.meshPing, self.ping)), ' ', agent.button('cbi-button-action', _('Trace'), run(self.trace, self.trace)), ' ', agent.button('cbi-button-action', _('Why'), run(self.why, self.why)) ])
		];
	}
});
