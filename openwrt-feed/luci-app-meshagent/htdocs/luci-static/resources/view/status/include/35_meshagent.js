'use strict';
'require baseclass';
'require view.meshagent.agent as agent';

/* The box on the page Status, Overview. The page drops an include whose load
   fails once, so load never fails. */
return baseclass.extend({
	title: _('Mesh agent'),

	load: function() {
		return Promise.all([
			agent.settle(agent.calls.status()),
			agent.settle(agent.calls.peers(0, 100)),
			agent.settle(agent.calls.originators(0, 100)),
			agent.settle(agent.calls.neighbours(0, 1))
		]);
	},

	render: function(data) {
		var s = data[0].value, table = E('table', { 'class': 'table', 'id': 'meshagent-include' });

		if (!s)
			return E('p', [ agent.explain(data[0].error), ' ', E('a', { 'href': L.url('admin/status/meshagent') }, [ _('More') ]) ]);

		var peers = L.toArray((data[1].value || s).peers), up = peers.filter(function(p) { return p.state == 'ESTABLISHED'; }).length;
		var nodes = {};

		L.toArray(data[2].value && data[2].value.rows).forEach(function(o) { nodes[o.orig_address] = true; });

		return agent.facts(table, [
			_('Overlay address'), agent.code(s.ip),
			_('Peers'), agent.text(_('%d of %d established').format(up, (data[1].value && data[1].value.total) || peers.length)),
			_('Mesh'), agent.text(data[2].value ? _('nodes: %d, neighbours: %d').format(Object.keys(nodes).length, (data[3].value && data[3].value.total) || 0) : _('not configured')),
			_('Problems'), L.toArray(s.problems).length ? agent.note(s.problems.join(' ')) : null,
			'', E('a', { 'href': L.url('admin/status/meshagent') }, [ _('More') ])
		]);
	}
});
