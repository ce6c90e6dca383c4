'use strict';

/* ui of the stand-in: dialogs, notes, tables, tabs, changes. */

LUCI.classes.ui = {
	showModal: function(title, children) {
		var overlay = document.getElementById('modal_overlay') || document.body.appendChild(E('div', { 'id': 'modal_overlay' }, [ E('div', { 'class': 'modal', 'role': 'dialog', 'aria-modal': 'true' }) ]));

		dom.content(overlay.firstElementChild, [ E('h4', [ title ]) ]);
		dom.append(overlay.firstElementChild, children);
		document.body.classList.add('modal-overlay-active');

		return overlay.firstElementChild;
	},

	hideModal: function() {
		document.body.classList.remove('modal-overlay-active');
	},

	addNotification: function(title, children, style) {
		var mc = document.getElementById('maincontent'), note = E('div', { 'class': 'alert-message ' + (style || '') });

		dom.append(note, children);
		mc.insertBefore(note, mc.firstChild);
	},

	createHandlerFn: function(self, fn) {
		var args = Array.prototype.slice.call(arguments, 2);

		if (typeof(fn) == 'string')
			fn = self[fn];

		return function(ev) {
			var t = ev.currentTarget;

			t.classList.add('spinning');
			t.disabled = true;
			Promise.resolve(fn.apply(self, args.concat([ ev ]))).catch(L.error).finally(function() {
				t.classList.remove('spinning');
				t.disabled = false;
			});
		};
	},

	tabs: {
		initTabGroup: function(panes) {
			panes = Array.prototype.slice.call(panes);

			var group = panes[0].parentNode, menu = E('ul', { 'class': 'cbi-tabmenu' });
			var show = function(name) {
				panes.forEach(function(p, n) {
					var on = p.getAttribute('data-tab') == name;

					p.setAttribute('data-tab-active', on);
					menu.childNodes[n].className = on ? 'cbi-tab' : 'cbi-tab-disabled';
				});
			};

			panes.forEach(function(p) {
				menu.appendChild(E('li', { 'data-tab': p.getAttribute('data-tab') }, [ E('a', { 'href': '#', 'click': function(ev) {
					ev.preventDefault();
					show(p.getAttribute('data-tab'));
				} }, [ p.getAttribute('data-tab-title') ]) ]));
			});
			group.parentNode.insertBefore(menu, group);
			show(panes[0].getAttribute('data-tab'));
		}
	},

	Table: Class.extend({
		__init__: function(captions, options, placeholder) {
			this.captions = captions;
			this.node = E('table', { 'class': 'table', 'id': options.id }, [ E('tr', { 'class': 'tr table-titles' }, captions.map(function(c) { return E('th', { 'class': 'th' }, [ c ]); })) ]);
			this.update([], placeholder);
		},

		/* A cell is a node, or [sort key, node]; a bare string is markup. */
		update: function(rows, placeholder) {
			while (this.node.childNodes.length > 1)
				this.node.removeChild(this.node.lastChild);

			var captions = this.captions, table = this.node;

			rows.forEach(function(row) {
				table.appendChild(E('tr', { 'class': 'tr' }, captions.map(function(c, i) {
					return E('td', { 'class': 'td', 'data-title': c.trim() || null }, Array.isArray(row[i]) ? row[i][1] : row[i]);
				})));
			});

			if (!rows.length)
				table.appendChild(E('tr', { 'class': 'tr placeholder' }, [ E('td', { 'class': 'td', 'colspan': captions.length }, placeholder) ]));
		},

		render: function() { return this.node; }
	}),

	changes: {
		init: function() {
			return LUCI.classes.uci.changes().then(function(changes) {
				var n = 0, box = document.getElementById('indicators');

				for (var c in changes)
					n += changes[c].length;

				dom.content(box, n ? [ E('span', { 'data-indicator': 'uci-changes', 'click': LUCI.classes.ui.changes.displayChanges }, [ 'Unsaved Changes: ' + n ]) ] : []);
			});
		},

		displayChanges: function() {
			return LUCI.classes.uci.changes().then(function(changes) {
				LUCI.classes.ui.showModal('Configuration / Changes', [ E('pre', { 'class': 'uci-change-list' }, [ JSON.stringify(changes, null, 1) ]) ]);
			});
		},

		/* apply asks the router to apply with the promise to take it back, and
		   confirms when the router still answers. The dialog counts down. */
		apply: function(checked) {
			var ui = LUCI.classes.ui, deadline = Date.now() + 1000 * L.env.apply_rollback, timer;
			var tick = function() {
				ui.showModal('', [ E('p', { 'class': 'spinning' }, [ 'Applying configuration changes… %ds'.format(Math.floor((deadline - Date.now()) / 1000)) ]) ]);
			};
			var post = function(verb) { return fetch(L.url('admin/uci', verb), { method: 'POST' }); };

			tick();
			timer = window.setInterval(tick, 1000);

			return post(checked ? 'apply_rollback' : 'apply_unchecked').then(function(r) {
				return new Promise(function(resolve) { window.setTimeout(function() { resolve(r); }, 1000 * L.env.apply_holdoff); });
			}).then(function() {
				return post('confirm');
			}).then(function() {
				window.clearInterval(timer);
				ui.showModal('', [ E('p', { 'id': 'applied' }, [ 'Configuration changes applied.' ]) ]);

				return ui.changes.init();
			});
		}
	}
};
