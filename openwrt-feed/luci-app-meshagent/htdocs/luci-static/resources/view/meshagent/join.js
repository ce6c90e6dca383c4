'use strict';
'require baseclass';
'require dom';
'require view.meshagent.agent as agent';

/* Joining a community by an invite, in the dialog that adds peers. */

/* How long to wait for the end; the agent gives up earlier. */
var PATIENCE = 180000;

return baseclass.extend({
	/* run begins, and shows the steps in node until the agent is in, or says
	   why not. It never rejects. */
	run: function(token, node) {
		var shown = [], deadline = Date.now() + PATIENCE;

		var show = function(last) {
			dom.content(node, shown.map(function(s) { return E('div', [ s.text ]); }).concat([ last ]));
		};

		var again = function(ms) {
			if (Date.now() > deadline)
				throw new Error(_('The agent does not answer.'));

			return new Promise(function(resolve) { window.setTimeout(resolve, ms); }).then(next);
		};

		var next = function() {
			return agent.calls.joinProgress(shown.length).then(function(p) {
				shown = shown.concat(L.toArray(p.steps));

				if (p.error)
					throw new Error(p.error);

				if (p.done)
					return show(E('p', { 'class': 'alert-message success' }, [ _('This node is now in the community %s.').format(p.community || '') ]));

				show(E('em', { 'class': 'spinning' }, [ _('Waiting for the answer…') ]));

				return again(L.toArray(p.steps).length ? 0 : 1000);
			}, function(err) {
				/* The agent answers when there is news; that may take longer than
				   the web server waits. */
				if (err.kind != 'timeout')
					throw err;

				return again(1000);
			});
		};

		return agent.calls.join(token).then(next).then(null, function(err) {
			show(E('p', { 'class': 'alert-message danger' }, [ agent.explain(err) ]));
		});
	}
});
