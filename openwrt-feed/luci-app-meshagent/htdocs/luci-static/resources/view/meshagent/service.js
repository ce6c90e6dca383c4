'use strict';
'require baseclass';
'require uci';
'require view.meshagent.agent as agent';

/* The agent as a service of the router: is it running, and if not, why. */

/* lastWords picks the last lines that the agent itself wrote. */
function lastWords(reply) {
	return String(reply && reply.stdout || '').split('\n').filter(function(l) {
		return (/ meshagent(?:\[\d+\])?: /).test(l);
	}).slice(-3);
}

return baseclass.extend({
	/* state answers { running, enabled } as far as it may be seen. */
	state: function() {
		return agent.settle(agent.calls.service('meshagent')).then(function(r) {
			var s = r.value && r.value.meshagent || {};

			return { running: s.running, enabled: s.enabled };
		});
	},

	/* banner says that the agent does not answer, why, and offers what helps.
	   done is called when something has changed. */
	banner: function(error, state, done) {
		var main = uci.sections('meshagent', 'meshagent')[0];
		var off = main != null && [ '0', 'off', 'false', 'no' ].indexOf(main.enabled) > -1;
		var why = E('div', { 'id': 'meshagent-why' }), lines = [];

		if (error.kind == 'stopped' && state.running)
			lines.push(_('It is being started, or has no place on the bus. Wait a moment; if this stays, restart it.'));
		else if (error.kind == 'stopped' && off)
			lines.push(_('It is switched off in the configuration: see Configuration, General.'));
		else if (error.kind == 'stopped' && state.enabled === false)
			lines.push(_('It is not started when the router boots.'));

		if (error.kind != 'denied')
			agent.settle(agent.calls.exec('/sbin/logread', [ '-e', 'meshagent' ])).then(function(r) {
				var words = lastWords(r.value);

				if (words.length)
					why.appendChild(E('pre', { 'style': 'white-space:pre-wrap;overflow-wrap:anywhere' }, [ words.join('\n') ]));
			});

		var act = function(action) {
			return function() {
				return agent.calls.exec('/etc/init.d/meshagent', [ action ]).then(function(r) {
					if (r.code)
						agent.complain(new Error(r.stderr || _('The start script failed with code %d.').format(r.code)));

					/* procd needs a moment, the agent one more */
					return new Promise(function(resolve) { window.setTimeout(resolve, 2000); });
				}, agent.complain.bind(agent)).then(done);
			};
		};

		return E('div', { 'class': 'alert-message warning' }, [
			E('h4', [ agent.explain(error) ]), E('p', [ lines.join(' ') ]), why,
			error.kind != 'denied' && agent.canWrite() ? E('p', [
				agent.button('cbi-button-apply', state.running ? _('Restart') : _('Start'), act(state.running ? 'restart' : 'start')), ' ',
				state.enabled === false ? agent.button('', _('Start at boot'), act('enable')) : ''
			]) : ''
		]);
	}
});
