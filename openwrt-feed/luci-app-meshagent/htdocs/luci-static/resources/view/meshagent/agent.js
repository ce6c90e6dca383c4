'use strict';
'require baseclass';
'require dom';
'require rpc';
'require ui';

/* What the pages have in common: the calls to the agent, and how values are
   shown. Whatever comes from the mesh is untrusted: it is put into text nodes
   only, never into markup. */

/* Calls are declared without "reject", because then an answer that carries
   both a code and the agent's own words arrives whole. */
function declare(object, method, params) {
	var raw = rpc.declare({ object: object, method: method, params: params });

	return function() {
		return raw.apply(null, arguments).then(function(reply) {
			if (typeof(reply) == 'number' && reply != 0)
				throw failure(codeKind(reply), rpc.getStatusText(reply));

			if (L.isObject(reply) && L.isObject(reply.error) && reply.error.text != null)
				throw failure(reply.error.code == 'not_found' ? 'not_found' : 'refused', reply.error.text, reply.error.code);

			return reply;
		}, function(err) {
			/* LuCI appends a stack trace to its messages */
			var text = String(err && err.message || err).split('\n')[0];
			var code = /error (-\d+)/.exec(text);

			throw failure(code ? codeKind(+code[1]) : 'timeout', text);
		});
	};
}

/* uhttpd answers -32000 when the object does not exist, -32002 when the
   session may not call it, -32003 when nobody answered. */
function codeKind(code) {
	switch (code) {
	case -32000: return 'stopped';
	case -32002: case 6: return 'denied';
	case 4: return 'not_found';
	case -32003: case 7: return 'timeout';
	default: return 'refused';
	}
}

/* code is the agent's own word for an error, if it gave one. */
function failure(kind, text, code) {
	var e = new Error(text);

	e.kind = kind;
	e.code = code;

	return e;
}

var calls = {
	status: declare('meshagent', 'status'),
	ping: declare('meshagent', 'ping', [ 'target', 'count' ]),
	trace: declare('meshagent', 'trace', [ 'target' ]),
	why: declare('meshagent', 'why', [ 'target' ]),
	community: declare('meshagent', 'community', [ 'offset', 'limit' ]),
	invite: declare('meshagent', 'invite', [ 'role', 'uses', 'life_s', 'address' ]),
	invites: declare('meshagent.invite', 'list', [ 'offset', 'limit' ]),
	revoke: declare('meshagent.community', 'revoke', [ 'selector' ]),
	join: declare('meshagent', 'join', [ 'token' ]),
	joinProgress: declare('meshagent.join', 'progress', [ 'after' ]),
	sessions: declare('meshagent', 'sessions', [ 'offset', 'limit' ]),
	peers: declare('meshagent.peer', 'list', [ 'offset', 'limit' ]),
	peerAdd: declare('meshagent.peer', 'add', [ 'address', 'public_key', 'password', 'login', 'name', 'interface', 'version' ]),
	peerDel: declare('meshagent.peer', 'del', [ 'peer' ]),
	interfaces: declare('meshagent.bat', 'interfaces', [ 'offset', 'limit' ]),
	neighbours: declare('meshagent.bat', 'neighbors', [ 'offset', 'limit' ]),
	originators: declare('meshagent.bat', 'originators', [ 'offset', 'limit' ]),
	gateways: declare('meshagent.gw', 'list', [ 'offset', 'limit' ]),
	meshPing: declare('meshagent.bat', 'ping', [ 'target' ]),
	configDiff: declare('meshagent.config', 'diff'),
	configApply: declare('meshagent.config', 'apply'),
	configConfirm: declare('meshagent.config', 'confirm'),
	configRevert: declare('meshagent.config', 'revert'),
	/* of the router */
	radios: declare('iwinfo', 'devices'),
	radio: declare('iwinfo', 'info', [ 'device' ]),
	stations: declare('iwinfo', 'assoclist', [ 'device' ]),
	networks: declare('network.interface', 'dump'),
	devices: declare('luci-rpc', 'getNetworkDevices'),
	service: declare('rc', 'list', [ 'name' ]),
	exec: declare('file', 'exec', [ 'command', 'params' ])
};

/* How many rows are asked for at once. */
var PAGE = 100;

return baseclass.extend({
	calls: calls,

	/* settle waits for a call and never rejects: { value } or { error }. */
	settle: function(promise) {
		return promise.then(function(value) {
			return { value: value };
		}, function(error) {
			return { error: error };
		});
	},

	/* all collects a list that comes in parts. fn takes offset and limit; key
	   names the list in the answer. The result is the last answer with the
	   whole list in it. */
	all: function(fn, key) {
		var rows = [];

		var next = function() {
			return fn(rows.length, PAGE).then(function(part) {
				var list = L.toArray(part[key]);

				rows = rows.concat(list);

				if (list.length > 0 && rows.length < (part.total || 0))
					return next();

				part[key] = rows;

				return part;
			});
		};

		return next();
	},

	/* text makes a text node in an element; "-" for what is not there. */
	text: function(value) {
		return E('span', [ value == null || value === '' ? '-' : String(value) ]);
	},

	/* code is for keys and addresses; long ones may be broken anywhere. */
	code: function(value) {
		var s = value == null || value === '' ? '-' : String(value);

		return E('code', { 'style': s.length > 21 ? 'overflow-wrap:anywhere;white-space:normal' : 'white-space:nowrap' }, [ s ]);
	},

	/* note says why a row is as it is. */
	note: function(value) {
		return E('span', { 'style': 'overflow-wrap:anywhere' }, [ value == null || value === '' ? '-' : String(value) ]);
	},

	label: function(style, text) {
		return E('span', { 'class': 'label ' + style }, [ text ]);
	},

	/* sorted gives a table cell and the number that it is sorted by. */
	sorted: function(number, text) {
		return [ number == null ? -1 : number, this.text(text) ];
	},

	/* ago prints milliseconds since something; negative: never. */
	ago: function(ms) {
		if (ms == null)
			return '-';

		if (ms < 0)
			return _('never');

		if (ms < 10000)
			return _('%.1f s').format(ms / 1000);

		if (ms < 120000)
			return _('%d s').format(ms / 1000);

		if (ms < 7200000)
			return _('%d min').format(ms / 60000);

		return _('%d h').format(ms / 3600000);
	},

	/* rtt prints microseconds; 0: not known. */
	rtt: function(micros) {
		return micros > 0 ? '%.2f ms'.format(micros / 1000) : '-';
	},

	bytes: function(n) {
		return n == null ? '-' : '%1024.2mB'.format(n);
	},

	/* kbit prints a throughput in kbit/s. */
	kbit: function(n) {
		return n == null ? '-' : (n < 1000 ? '%d kbit/s'.format(n) : '%.1f Mbit/s'.format(n / 1000));
	},

	/* counts prints counters by name: "runt 2, no-route 1". */
	counts: function(map) {
		return Object.keys(map || {}).sort().filter(function(k) {
			return map[k] > 0;
		}).map(function(k) {
			return k + ' ' + map[k];
		}).join(', ');
	},

	/* explain says what a failed call means to the reader. */
	explain: function(error) {
		switch (error.kind) {
		case 'stopped': return _('The agent is not running.');
		case 'denied': return _('You have no right to see this. After the package was installed, log out and in again.');
		case 'timeout': return _('The agent does not answer.');
		default: return error.message;
		}
	},

	/* table makes a table; fill gives it rows, or says why there are none. */
	table: function(id, captions) {
		return new ui.Table(captions, { id: id }, E('em', [ _('Collecting data…') ]));
	},

	fill: function(table, rows, empty) {
		table.update(rows, E('em', [ empty ]));
	},

	/* facts fills a two-column table; entries without a value are left out. */
	facts: function(node, items) {
		var rows = [];

		for (var i = 0; i < items.length; i += 2)
			if (items[i + 1] != null)
				rows.push(E('tr', { 'class': 'tr' }, [
					E('td', { 'class': 'td left', 'width': '33%' }, [ items[i] ]),
					E('td', { 'class': 'td left', 'style': 'overflow-wrap:anywhere' }, [ items[i + 1] ])
				]));

		dom.content(node, rows);

		return node;
	},

	/* canWrite tells whether buttons that change something may be offered. */
	canWrite: function() {
		return L.hasViewPermission() !== false;
	},

	button: function(style, text, handler) {
		return E('button', {
			'class': 'btn cbi-button ' + (style || ''),
			'click': ui.createHandlerFn(this, handler)
		}, [ text ]);
	},

	/* closing gives the last line of a dialog. */
	closing: function(buttons) {
		return E('div', { 'class': 'right' }, [
			E('button', { 'class': 'btn cbi-button', 'click': ui.hideModal }, [ _('Close') ])
		].concat(buttons ? [ ' ' ].concat(buttons) : []));
	},

	/* complain shows why something could not be done. */
	complain: function(error) {
		ui.addNotification(null, E('p', [ this.explain(error) ]), 'danger');
	}
});
