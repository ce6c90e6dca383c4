'use strict';
'require baseclass';
'require dom';
'require ui';
'require view.meshagent.agent as agent';

/* The community: who is in it, and the invites into it. Revoking an admin
   takes the root's line, which stays with the command line. */

var t = agent.text, code = agent.code;

/* day prints seconds since 1970; nothing, or 0: never. */
function day(seconds) {
	return agent.sorted(seconds || 0, seconds ? new Date(seconds * 1000).toISOString().slice(0, 10) : _('never'));
}

function standing(word) {
	var good = { admin: true, member: true, open: true };

	return agent.label(good[word] ? 'success' : (word == 'revoked' ? 'important warning' : ''), word || '-');
}

/* isAdmin tells whether this node may invite and revoke. */
function isAdmin(c) {
	return c && c['in'] && c.standing == 'admin' && agent.canWrite();
}

function field(caption, input, note) {
	return E('div', { 'class': 'cbi-value' }, [
		E('label', { 'class': 'cbi-value-title', 'for': input.id }, [ caption ]),
		E('div', { 'class': 'cbi-value-field' }, [ input, note ? E('div', { 'class': 'cbi-value-description' }, [ note ]) : '' ])
	]);
}

function number(id, value, max) {
	return E('input', { 'type': 'number', 'class': 'cbi-input-text', 'id': id, 'min': 0, 'max': max, 'value': value });
}

return baseclass.extend({
	isAdmin: isAdmin,

	/* confirmRevoke asks, revokes and calls done. */
	confirmRevoke: function(title, what, selector, done) {
		ui.showModal(title, [
			E('p', [ code(what) ]),
			E('p', [ _('This spreads through the network, and can be taken back by command: meshagent community revoke --lift.') ]),
			agent.closing([ agent.button('cbi-button-negative', _('Revoke'), function() {
				return agent.calls.revoke(selector).then(null, agent.complain.bind(agent)).then(function() {
					ui.hideModal();

					return done();
				});
			}) ])
		]);
	},

	members: function(c, done) {
		var self = this, admin = isAdmin(c);

		return L.toArray(c && c.admins).map(function(m) { return [ m, true ]; }).concat(L.toArray(c && c.members).map(function(m) { return [ m, false ]; })).map(function(e) {
			var m = e[0];

			return [
				E('span', [ code(m.ip), m.self ? ' ' + _('(this node)') : '' ]), standing(m.standing), day(m.joined), day(m.notAfter), code(m.signedBy),
				agent.note(m.note || (m.role == 'admin' && !e[1] ? _('has asked to become an admin: meshagent community admin add') : (m.invite ? _('came in by invite %s').format(m.invite) : null))),
				admin && !e[1] && !m.self && m.standing == 'member' ? agent.button('cbi-button-remove', _('Revoke'), function() {
					return self.confirmRevoke(_('Revoke the member?'), m.ip, m.publicKey, done);
				}) : E([])
			];
		});
	},

	invites: function(list, c, done) {
		var self = this, admin = isAdmin(c);

		return list.map(function(i) {
			return [
				code(i.id), t(i.kind == 'stock' ? _('password') : i.role), agent.sorted(i.used, '%d / %d'.format(i.used, i.uses)), day(i.made), day(i.notAfter), standing(i.state), agent.note(i.note || i.by),
				admin && i.state == 'open' ? agent.button('cbi-button-remove', _('Revoke'), function() {
					return self.confirmRevoke(_('Revoke the invite?'), i.id, i.id, done);
				}) : E([])
			];
		});
	},

	/* empty says why the list of members or invites has no rows. */
	empty: function(c) {
		if (!c || !c['in'])
			return _('This node is in no community. Add the token of an invite under Peers, or found one by command: meshagent community create NAME.');

		return _('None are known.');
	},

	/* invite shows the dialog that makes an invite, and then its token. */
	invite: function(done) {
		var role = E('select', { 'class': 'cbi-input-select', 'id': 'meshagent-invite-role' }, [
			E('option', { 'value': 'member' }, [ _('member') ]), E('option', { 'value': 'admin' }, [ _('admin') ])
		]);
		var uses = number('meshagent-invite-uses', 1, 255), days = number('meshagent-invite-days', 7, 3650);
		var address = E('input', { 'type': 'text', 'class': 'cbi-input-text', 'id': 'meshagent-invite-address', 'spellcheck': 'false', 'placeholder': 'node.example.org:25381' });
		var error = E('div', { 'aria-live': 'polite' });

		ui.showModal(_('Invite into the community'), [
			field(_('As'), role), field(_('For how many nodes'), uses), field(_('Valid for days'), days, _('0: for ever.')),
			field(_('Address of this node'), address, _('host:port at which it is dialled from outside. Empty: the invite works over the mesh and the overlay only.')),
			error,
			agent.closing([ agent.button('cbi-button-positive', _('Make'), function() {
				return agent.calls.invite(role.value, +uses.value, +days.value * 86400, address.value.trim()).then(function(r) {
					ui.showModal(_('Invite into the community'), [
						E('p', [ _('Whoever has this line can join. It is shown only now; send it by a way that others do not read.') ]),
						E('textarea', { 'id': 'meshagent-token', 'readonly': '', 'rows': 6, 'style': 'width:100%;box-sizing:border-box;font-family:monospace', 'aria-label': _('Token') }, [ r.token || '' ]),
						agent.closing()
					]);

					return done();
				}, function(err) {
					dom.content(error, [ E('p', { 'class': 'alert-message warning' }, [ agent.explain(err) ]) ]);
				});
			}) ])
		]);
	}
});
