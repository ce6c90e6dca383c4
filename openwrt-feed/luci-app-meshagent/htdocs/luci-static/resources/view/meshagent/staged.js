'use strict';
'require baseclass';
'require uci';
'require ui';
'require view.meshagent.agent as agent';

/* Changes of peers by way of the configuration: for an agent that does not
   run, or that runs as a user who may not write its own file. */

function save() {
	return uci.save().then(function() {
		return ui.changes.init();
	});
}

return baseclass.extend({
	/* add puts peers into the configuration, as unsaved changes. */
	add: function(peers) {
		return uci.load('meshagent').then(function() {
			peers.forEach(function(p) {
				var sid = uci.add('meshagent', 'peer');

				Object.keys(p).forEach(function(k) {
					uci.set('meshagent', sid, k, String(p[k]));
				});

				if (p.password == null)
					uci.set('meshagent', sid, 'password', 'none');
			});

			return save();
		});
	},

	/* remove takes the sections of a peer, as the agent lists it, out of the
	   configuration. */
	remove: function(p) {
		uci.unload('meshagent');

		return uci.load('meshagent').then(function() {
			var found = uci.sections('meshagent', 'peer').filter(function(s) {
				return s.public_key == p.publicKey && (s.name || s['.name']) == p.name;
			});

			if (found.length == 0)
				throw new Error(_('The configuration has no section for this peer.'));

			found.forEach(function(s) {
				uci.remove('meshagent', s['.name']);
			});

			return save();
		});
	},

	/* offer says that something waits to be applied, and offers to do it. */
	offer: function() {
		ui.showModal(_('Unsaved changes'), [
			E('p', { 'id': 'meshagent-staged' }, [ _('The change is in the configuration, and has to be applied to take effect. All other unsaved changes are applied with it.') ]),
			agent.closing([ agent.button('cbi-button-apply important', _('Apply'), function() {
				return ui.changes.apply(true);
			}) ])
		]);
	}
});
