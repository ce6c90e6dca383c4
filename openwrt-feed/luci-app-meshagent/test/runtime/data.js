'use strict';

/* rpc and uci of the stand-in. */

LUCI.classes.rpc = {
	queue: [], id: 1,

	/* post sends all calls of one turn in one request, as LuCI does. */
	post: function(msg) {
		var rpc = LUCI.classes.rpc;

		return new Promise(function(resolve, reject) {
			rpc.queue.push({ msg: msg, resolve: resolve, reject: reject });

			if (rpc.queue.length == 1)
				window.setTimeout(function() {
					var list = rpc.queue;

					rpc.queue = [];
					fetch('/ubus/', { method: 'POST', body: JSON.stringify(list.map(function(q) { return q.msg; })) }).then(function(r) {
						return r.json();
					}).then(function(answers) {
						list.forEach(function(q, n) { q.resolve(answers[n]); });
					}, function() {
						list.forEach(function(q) { q.reject(new Error('XHR request failed')); });
					});
				}, 0);
		});
	},

	declare: function(o) {
		var rpc = LUCI.classes.rpc;

		return function() {
			var params = {};

			for (var i = 0; i < L.toArray(o.params).length; i++)
				params[o.params[i]] = arguments[i];

			return rpc.post({ jsonrpc: '2.0', id: rpc.id++, method: 'call', params: [ L.env.sessionid, o.object, o.method, params ] }).then(function(msg) {
				if (msg.error)
					throw new Error('RPC call to %s/%s failed with error %d: %s'.format(o.object, o.method, msg.error.code, msg.error.message));

				if (o.reject && msg.result[0] !== 0)
					throw new Error('RPC call to %s/%s failed with ubus code %d: %s'.format(o.object, o.method, msg.result[0], rpc.getStatusText(msg.result[0])));

				var ret = msg.result.length > 1 ? msg.result[1] : msg.result[0];

				for (var key in o.expect || {}) {
					if (ret != null && key != '')
						ret = ret[key];

					if (Object.prototype.toString.call(ret) != Object.prototype.toString.call(o.expect[key]))
						ret = o.expect[key];
				}

				return ret;
			});
		};
	},

	getStatusText: function(code) {
		return [ 'Command OK', 'Invalid command', 'Invalid argument', 'Method not found', 'Resource not found', 'No data received', 'Permission denied', 'Request timeout' ][code] || 'Unspecified error';
	}
};

LUCI.classes.uci = (function(rpc) {
	var call = function(method, params, expect) { return rpc.declare({ object: 'uci', method: method, params: params, expect: expect, reject: true }); };
	var get = call('get', [ 'config' ], { values: {} }), add = call('add', [ 'config', 'type', 'name', 'values' ], { section: '' });
	var set = call('set', [ 'config', 'section', 'values' ]), del = call('delete', [ 'config', 'section', 'options' ]);
	var values = {}, creates = {}, changes = {}, deletes = {};

	var uci = {
		changes: call('changes', [], { changes: {} }),

		load: function(conf) {
			return values[conf] ? Promise.resolve([ conf ]) : get(conf).then(function(v) {
				values[conf] = v;

				return [ conf ];
			});
		},

		unload: function(conf) { delete values[conf]; },

		/* one section as it is now, with what has not been saved */
		merged: function(conf, sid) {
			var gone = deletes[sid], base = creates[sid] || (values[conf] || {})[sid];

			if (!base || gone === true)
				return null;

			var s = Object.assign({}, base, changes[sid]);

			for (var k in gone || {})
				delete s[k];

			return s;
		},

		sections: function(conf, type) {
			return Object.keys(values[conf] || {}).concat(Object.keys(creates)).map(function(sid) {
				return uci.merged(conf, sid);
			}).filter(function(s) {
				return s && (!type || s['.type'] == type);
			}).sort(function(a, b) { return a['.index'] - b['.index']; });
		},

		get: function(conf, sid, opt) {
			var s = uci.merged(conf, sid);

			return s ? (opt ? s[opt] : s) : null;
		},

		set: function(conf, sid, opt, v) {
			if (creates[sid])
				return void (creates[sid][opt] = v);

			changes[sid] = Object.assign(changes[sid] || {}, { [opt]: v });

			if (deletes[sid])
				delete deletes[sid][opt];
		},

		unset: function(conf, sid, opt) {
			if (creates[sid])
				return void delete creates[sid][opt];

			if (changes[sid])
				delete changes[sid][opt];

			if (values[conf][sid] && values[conf][sid][opt] != null)
				deletes[sid] = Object.assign(deletes[sid] || {}, { [opt]: true });
		},

		add: function(conf, type, name) {
			var sid = name || 'new%06x'.format(Math.random() * 0xffffff);

			creates[sid] = { '.type': type, '.name': sid, '.create': name, '.index': 1000 + Object.keys(creates).length };

			return sid;
		},

		remove: function(conf, sid) {
			if (creates[sid])
				delete creates[sid];
			else
				deletes[sid] = true;
		},

		save: function() {
			var conf = 'meshagent', tasks = [];

			Object.keys(deletes).forEach(function(sid) {
				if (deletes[sid] === true || Object.keys(deletes[sid]).length)
					tasks.push(del(conf, sid, deletes[sid] === true ? null : Object.keys(deletes[sid])));
			});
			Object.keys(creates).forEach(function(sid) {
				var v = {};

				Object.keys(creates[sid]).forEach(function(k) {
					if (k.charAt(0) != '.')
						v[k] = creates[sid][k];
				});
				tasks.push(add(conf, creates[sid]['.type'], creates[sid]['.create'], v));
			});
			Object.keys(changes).forEach(function(sid) {
				if (deletes[sid] !== true && Object.keys(changes[sid]).length)
					tasks.push(set(conf, sid, changes[sid]));
			});

			return Promise.all(tasks).then(function() {
				creates = {};
				changes = {};
				deletes = {};
				uci.unload(conf);

				return uci.load(conf);
			});
		}
	};

	return uci;
})(LUCI.classes.rpc);
