'use strict';
'require baseclass';
'require view.meshagent.agent as agent';

/* What stands between the configuration file and the running agent: a file
   that it refuses, and changes that have no effect yet. */

/* line is one change, such as "udp udp4 changed: bind". */
function line(c) {
	var what = { added: _('added'), removed: _('removed'), changed: _('changed') }[c.action] || c.action;

	return E('li', [ [ c.kind, c.section || c.name, what ].filter(function(w) { return w; }).join(' ') + (L.toArray(c.options).length ? ': ' + c.options.join(', ') : '') ]);
}

function list(items) {
	return E('ul', { 'style': 'padding-left:1.5em' }, items);
}

function box(style, children) {
	return E('div', { 'class': 'alert-message ' + style }, children);
}

return baseclass.extend({
	/* render takes the settled answer of config.diff; done is called when the
	   agent was told to apply or to restart. */
	render: function(diff, done) {
		var out = [], report = diff.value;

		if (diff.error && diff.error.kind == 'refused')
			return [ box('danger', [ E('h4', [ _('The agent refuses the configuration and goes on with the one before.') ]), E('pre', { 'style': 'white-space:pre-wrap;overflow-wrap:anywhere' }, [ diff.error.message ]) ]) ];

		if (!report)
			return out;

		if (report.confirmSeconds)
			out.push(box('warning', [ E('h4', [ _('This configuration is on trial. It is taken back in %d s unless it is confirmed.').format(report.confirmSeconds) ]),
				agent.canWrite() ? E('p', [ agent.button('cbi-button-apply', _('Confirm'), function() {
					return agent.calls.configConfirm().then(null, agent.complain.bind(agent)).then(done);
				}), ' ', agent.button('cbi-button-reset', _('Take back'), function() {
					return agent.calls.configRevert().then(null, agent.complain.bind(agent)).then(done);
				}) ]) : '' ]));

		var changes = L.toArray(report.changes), later = changes.filter(function(c) { return c.restart; }), now = changes.filter(function(c) { return !c.restart; });
		var button = function(text, call) {
			return agent.canWrite() ? E('p', [ agent.button('cbi-button-apply', text, function() {
				return call().then(null, agent.complain.bind(agent)).then(done);
			}) ]) : '';
		};

		if (now.length)
			out.push(box('warning', [ E('h4', [ _('These changes are in the file and not in effect:') ]), list(now.map(line)), button(_('Apply now'), agent.calls.configApply) ]));

		if (later.length)
			out.push(box('warning', [ E('h4', [ _('These changes take effect when the agent is restarted:') ]), list(later.map(line)), button(_('Restart'), function() { return agent.calls.exec('/etc/init.d/meshagent', [ 'restart' ]); }) ]));

		if (L.toArray(report.warnings).length)
			out.push(box('', [ E('h4', [ _('Remarks of the agent about the configuration:') ]), list(report.warnings.map(function(w) { return E('li', [ w ]); })) ]));

		return out;
	}
});
