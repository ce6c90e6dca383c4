'use strict';

/* A small stand-in for LuCI's runtime, for tests only: classes and their
   loading, elements, views, polling. It has what the pages of this app use,
   with the same names and the same meaning; ../README.md lists it. */

/* The subset of LuCI's printf: padding, precision, and its own %t %m %h. */
String.prototype.format = function() {
	var args = arguments, n = 0;

	return this.replace(/%(0)?(\d+)?(?:\.(\d+))?([%dusfxthm])/g, function(all, zero, width, precision, type) {
		if (type == '%')
			return '%';

		var v = args[n++], s;

		switch (type) {
		case 'd': case 'u': s = Math.floor(+v || 0).toFixed(0); break;
		case 'f': s = precision != null ? (+v || 0).toFixed(+precision) : String(+v || 0); break;
		case 'x': s = Math.floor(+v || 0).toString(16); break;
		case 'h': s = String(v == null ? '' : v).replace(/[&"'<>]/g, function(c) { return '&#' + c.charCodeAt(0) + ';'; }); break;
		case 't':
			var d = Math.floor(v / 86400), h = Math.floor(v / 3600) % 24, m = Math.floor(v / 60) % 60;

			return (d ? d + 'd ' : '') + h + 'h ' + m + 'm ' + (v % 60) + 's';
		case 'm':
			var base = width ? +width : 1000, unit = 0;

			for (v = +v || 0; v > base && unit < 6; unit++)
				v /= base;

			return unit ? v.toFixed(precision ? +precision : 2) + ' ' + 'KMGTPE'.charAt(unit - 1) + (base == 1024 ? 'i' : '') : v + ' ';
		default: s = String(v);
		}

		return width ? s.padStart(+width, zero || ' ') : s;
	});
};

function _(text) {
	return window.TR && window.TR[text] || text;
}

function Class() {}

Class.extend = function(props) {
	var base = this;
	var made = function() {
		if (this.__init__)
			this.__init__.apply(this, arguments);
	};

	made.prototype = Object.assign(Object.create(base.prototype), props);
	made.prototype.constructor = made;
	made.prototype.super = function(name, args) { return base.prototype[name].apply(this, args || []); };
	made.extend = base.extend;
	made.isSubclass = function(c) { return typeof(c) == 'function' && c.prototype instanceof made; };

	return made;
};

var dom = {
	registry: new WeakMap(),

	elem: function(e) { return e instanceof Node; },

	/* As in LuCI: a list gives text nodes, a bare string is markup. */
	append: function(node, children) {
		if (Array.isArray(children))
			children.forEach(function(c) {
				if (c != null)
					node.appendChild(c instanceof Node ? c : document.createTextNode(String(c)));
			});
		else if (children instanceof Node)
			node.appendChild(children);
		else if (children != null)
			node.innerHTML = String(children);
	},

	content: function(node, children) {
		while (node.firstChild)
			node.removeChild(node.firstChild);

		dom.append(node, children);
	},

	attr: function(node, attrs) {
		Object.keys(attrs).forEach(function(k) {
			if (typeof(attrs[k]) == 'function')
				node.addEventListener(k, attrs[k]);
			else if (attrs[k] != null)
				node.setAttribute(k, attrs[k]);
		});
	},

	bindClassInstance: function(node, inst) { dom.registry.set(node, inst); },

	findClassInstance: function(node) {
		for (; node; node = node.parentNode)
			if (dom.registry.has(node))
				return dom.registry.get(node);

		return null;
	}
};

function E(tag, attrs, children) {
	if (Array.isArray(tag)) {
		var f = document.createDocumentFragment();

		dom.append(f, tag);
		dom.append(f, Array.isArray(attrs) ? attrs : children);

		return f;
	}

	var node = document.createElement(tag);

	if (attrs == null || Array.isArray(attrs) || typeof(attrs) != 'object' || attrs instanceof Node)
		children = attrs;
	else
		dom.attr(node, attrs);

	dom.append(node, children);

	return node;
}

var poll = {
	queue: [], ticks: 0, on: true,

	add: function(fn, seconds) { poll.queue.push({ fn: fn, seconds: seconds || 5 }); },
	start: function() { poll.on = true; },
	stop: function() { poll.on = false; },
	active: function() { return poll.on; }
};

window.setInterval(function() {
	poll.ticks++;

	if (poll.on && !document.hidden)
		poll.queue.forEach(function(e) {
			if (poll.ticks % e.seconds == 0 && !e.busy) {
				e.busy = true;
				Promise.resolve(e.fn()).finally(function() { e.busy = false; });
			}
		});
}, 1000);

var View = Class.extend({
	__init__: function() {
		var self = this, vp = document.getElementById('view');

		Promise.resolve(this.load()).then(function(data) {
			return self.render(data);
		}).then(function(nodes) {
			dom.content(vp, nodes);
			dom.append(vp, self.addFooter());
		}).catch(L.error);
	},

	load: function() {},
	render: function() {},

	maps: function() {
		return Array.prototype.map.call(document.querySelectorAll('#maincontent .cbi-map'), function(m) { return dom.findClassInstance(m); });
	},

	handleSave: function() { return Promise.all(this.maps().map(function(m) { return m.save(); })); },
	handleReset: function() { return Promise.all(this.maps().map(function(m) { return m.reset(); })); },

	handleSaveApply: function(ev, mode) {
		return this.handleSave().then(function() { LUCI.classes.ui.changes.apply(mode != '1'); });
	},

	addFooter: function() {
		var readonly = this.maps().some(function(m) { return m.readonly; }), ui = LUCI.classes.ui, self = this;
		var button = function(handler, style, title) {
			return self[handler] ? E('button', { 'class': 'cbi-button ' + style, 'disabled': readonly || null, 'click': ui.createHandlerFn(self, handler) }, [ title ]) : '';
		};

		return this.handleSave || this.handleReset || this.handleSaveApply ? E('div', { 'class': 'cbi-page-actions' }, [
			button('handleSaveApply', 'cbi-button-apply', 'Save & Apply'), ' ', button('handleSave', 'cbi-button-save', 'Save'), ' ', button('handleReset', 'cbi-button-reset', 'Reset')
		]) : E([]);
	}
});

/* LUCI loads class files; the host wraps each into a call of define. */
var LUCI = {
	classes: { baseclass: Class, dom: dom, poll: poll, view: View },
	pending: {}, waiting: {},

	require: function(name) {
		if (LUCI.classes[name])
			return Promise.resolve(LUCI.classes[name]);

		if (!LUCI.pending[name])
			LUCI.pending[name] = new Promise(function(resolve, reject) {
				LUCI.waiting[name] = resolve;
				document.head.appendChild(E('script', { 'src': '/module/' + name + '.js', 'error': function() { reject(new Error('no class ' + name)); } }));
			});

		return LUCI.pending[name];
	},

	define: function(name, needs, factory) {
		Promise.all(needs.map(LUCI.require)).then(function(classes) {
			var made = factory.apply(window, classes);

			if (typeof(made) != 'function' || !(made.prototype instanceof Class))
				throw new TypeError(name + ' gives no class');

			LUCI.waiting[name](LUCI.classes[name] = new made());
		}).catch(L.error);
	}
};

var L = {
	env: {},

	bind: function(fn, self) { return Function.prototype.bind.apply(fn, Array.prototype.slice.call(arguments, 1)); },
	isObject: function(v) { return v != null && typeof(v) == 'object'; },
	toArray: function(v) { return v == null ? [] : (Array.isArray(v) ? v : [ v ]); },
	resolveDefault: function(p, standard) { return Promise.resolve(p).catch(function() { return standard; }); },
	url: function() { return '/cgi-bin/luci/' + Array.prototype.join.call(arguments, '/'); },
	hasViewPermission: function() { return !L.env.nodespec.readonly; },
	require: LUCI.require,

	/* What fails is shown, and kept for the test to find. */
	error: function(err) {
		window.failures = (window.failures || []).concat(String(err && err.stack || err));
		dom.append(document.getElementById('maincontent'), [ E('pre', { 'class': 'alert-message danger' }, [ String(err && err.stack || err) ]) ]);
	}
};
