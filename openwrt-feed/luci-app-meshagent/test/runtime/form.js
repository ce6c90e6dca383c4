'use strict';

/* form of the stand-in: maps, sections and options over uci, with LuCI's rules
   for what is written: a value at its default (flags) or empty (others) removes
   the option; an option that does not show is removed unless it says retain. */

LUCI.classes.form = (function(ui, uci) {
	/* The datatypes that this app uses. */
	function datatype(type, v) {
		var m = /^(\w+)(?:\((.*)\))?$/.exec(type), args = (m[2] || '').split(',');

		switch (m[1]) {
		case 'maxlength': return v.length <= +args[0] || 'at most ' + args[0] + ' characters';
		case 'range': return /^-?\d+$/.test(v) && +v >= +args[0] && +v <= +args[1] || 'value between ' + args[0] + ' and ' + args[1];
		case 'port': return /^\d+$/.test(v) && +v < 65536 || 'valid port value';
		case 'uinteger': return /^\d+$/.test(v) || 'positive integer value';
		case 'macaddr': return /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(v) || 'valid MAC address';
		case 'ip6addr': return /^[0-9a-f:]+$/i.test(v) && v.indexOf(':') > -1 || 'valid IPv6 address';
		}

		throw new TypeError('the stand-in does not know the datatype ' + type);
	}

	var Value = Class.extend({
		rmempty: true,

		__init__: function(map, section, option, title, description) {
			Object.assign(this, { map: map, section: section, option: option, title: title, description: description, keys: [], names: [], deps: [], nodes: {} });
		},

		value: function(key, name) {
			this.keys.push(String(key));
			this.names.push(name == null ? String(key) : name);
		},

		depends: function(key, v) { this.deps.push([ key, v ]); },
		cfgvalue: function(sid) { return uci.get(this.map.config, sid, this.option); },
		textvalue: function(sid) { return this.cfgvalue(sid); },

		isActive: function(sid) {
			var self = this;

			return !this.deps.length || this.deps.some(function(d) {
				var o = self.section.options.filter(function(x) { return x.option == d[0]; })[0];

				return o && o.isActive(sid) && o.formvalue(sid) == d[1];
			});
		},

		widget: function(sid, v) {
			var list = this.keys.length ? 'list-' + sid + this.option : null;

			return E('span', [
				E('input', { 'type': this.password ? 'password' : 'text', 'class': 'cbi-input-text', 'value': v, 'placeholder': this.placeholder, 'list': list, 'disabled': this.map.readonly || null }),
				list ? E('datalist', { 'id': list }, this.keys.map(function(k) { return E('option', { 'value': k }); })) : ''
			]);
		},

		formvalue: function(sid) {
			var i = this.nodes[sid] && this.nodes[sid].querySelector('input, select');

			return i ? i.value : this.cfgvalue(sid);
		},

		error: function(sid) {
			var v = this.formvalue(sid), r = true;

			if ((v == null || v === '') && this.rmempty === false)
				return 'non-empty value';

			if (v != null && v !== '' && this.datatype)
				r = datatype(this.datatype, v);

			if (r === true && this.validate)
				r = this.validate(sid, v);

			return r === true ? null : r;
		},

		check: function(sid) {
			var err = this.isActive(sid) ? this.error(sid) : null, node = this.nodes[sid];

			node.classList.toggle('cbi-value-error', err != null);
			node.querySelector('.cbi-value-problem').textContent = err || '';

			return err;
		},

		render: function(sid) {
			var self = this, node = this.nodes[sid] = E('div', { 'class': 'cbi-value', 'data-name': this.option }, [
				E('label', { 'class': 'cbi-value-title' }, [ this.title ]),
				E('div', { 'class': 'cbi-value-field' }, [ this.widget(sid, this.cfgvalue(sid)), E('div', { 'class': 'cbi-value-problem' }), this.description ? E('div', { 'class': 'cbi-value-description' }, [ this.description ]) : '' ])
			]);
			var changed = function() {
				self.check(sid);
				self.section.showActive(sid);
			};

			node.addEventListener('change', changed);
			node.addEventListener('input', changed);

			return node;
		},

		parse: function(sid) {
			if (!this.isActive(sid))
				return this.retain ? null : uci.unset(this.map.config, sid, this.option);

			var v = this.formvalue(sid), err = this.error(sid);

			if (err)
				throw new TypeError('Option "%s" contains an invalid input value. %s'.format(this.title, err));

			if (v == null || v == '')
				uci.unset(this.map.config, sid, this.option);
			else if (JSON.stringify(v) != JSON.stringify(this.cfgvalue(sid)))
				uci.set(this.map.config, sid, this.option, v);
		}
	});

	var ListValue = Value.extend({
		widget: function(sid, v) {
			var names = this.names;

			return E('select', { 'class': 'cbi-input-select', 'disabled': this.map.readonly || null }, this.keys.map(function(k, n) {
				return E('option', { 'value': k, 'selected': (v || '') == k ? '' : null }, [ names[n] ]);
			}));
		}
	});

	var Flag = Value.extend({
		default: '0',

		widget: function(sid, v) {
			return E('input', { 'type': 'checkbox', 'checked': (v == null ? this.default : v) == '1' ? '' : null, 'disabled': this.map.readonly || null });
		},

		formvalue: function(sid) {
			return this.nodes[sid] ? (this.nodes[sid].querySelector('input').checked ? '1' : '0') : this.cfgvalue(sid) || this.default;
		},

		textvalue: function(sid) { return (this.cfgvalue(sid) || this.default) == '1' ? 'Yes' : 'No'; },

		parse: function(sid) {
			if (!this.isActive(sid))
				return this.retain ? null : uci.unset(this.map.config, sid, this.option);

			if (this.formvalue(sid) == this.default && this.rmempty)
				uci.unset(this.map.config, sid, this.option);
			else if (this.formvalue(sid) != this.cfgvalue(sid))
				uci.set(this.map.config, sid, this.option, this.formvalue(sid));
		}
	});

	/* One element on a line of a text area. */
	var DynamicList = Value.extend({
		widget: function(sid, v) {
			return E('textarea', { 'rows': 3, 'class': 'cbi-dynlist', 'placeholder': this.placeholder, 'disabled': this.map.readonly || null }, [ L.toArray(v).join('\n') ]);
		},

		formvalue: function(sid) {
			var t = this.nodes[sid] && this.nodes[sid].querySelector('textarea');

			return t ? t.value.split('\n').filter(function(x) { return x.trim() != ''; }) : this.cfgvalue(sid);
		},

		error: function(sid) {
			var self = this, v = L.toArray(this.formvalue(sid));

			if (!v.length && this.rmempty === false)
				return 'non-empty value';

			return v.map(function(x) {
				var r = self.datatype ? datatype(self.datatype, x) : true;

				return r === true && self.validate ? self.validate(sid, x) : r;
			}).filter(function(r) { return r !== true; })[0] || null;
		}
	});

	var TypedSection = Class.extend({
		__init__: function(map, type, title, description) {
			Object.assign(this, { map: map, sectiontype: type, title: title, description: description, options: [], tabs: [] });
		},

		tab: function(name, title) { this.tabs.push([ name, title ]); },

		option: function(type) {
			var o = new (Function.prototype.bind.apply(type, [ null, this.map, this ].concat(Array.prototype.slice.call(arguments, 1))))();

			this.options.push(o);

			return o;
		},

		taboption: function(tab) {
			var o = this.option.apply(this, Array.prototype.slice.call(arguments, 1));

			o.tab = tab;

			return o;
		},

		ids: function() { return uci.sections(this.map.config, this.sectiontype).map(function(s) { return s['.name']; }); },

		showActive: function(sid) {
			this.options.forEach(function(o) {
				if (o.nodes[sid])
					o.nodes[sid].style.display = o.isActive(sid) ? '' : 'none';
			});
		},

		handleAdd: function(ev, name) {
			uci.add(this.map.config, this.sectiontype, name);

			return this.map.save();
		},

		handleRemove: function(sid) {
			uci.remove(this.map.config, sid);

			return this.map.save();
		},

		renderSectionPlaceholder: function() { return E('em', [ 'This section contains no values yet' ]); },

		renderOptions: function(sid, options) {
			var self = this, node = E('div', { 'class': 'cbi-section-node', 'data-section-id': sid });

			if (this.tabs.length) {
				dom.append(node, [ E('div', this.tabs.map(function(t) {
					return E('div', { 'data-tab': t[0], 'data-tab-title': t[1] }, options.filter(function(o) { return o.tab == t[0]; }).map(function(o) { return o.render(sid); }));
				})) ]);
				ui.tabs.initTabGroup(node.firstChild.childNodes);
			}
			else {
				dom.append(node, options.map(function(o) { return o.render(sid); }));
			}

			this.showActive(sid);
			window.setTimeout(function() { self.showActive(sid); }, 0);

			return node;
		},

		addButton: function() {
			if (!this.addremove)
				return '';

			var name = this.anonymous ? null : E('input', { 'type': 'text', 'class': 'cbi-section-create-name' }), self = this;

			return E('div', { 'class': 'cbi-section-create' }, [ name || '', E('button', {
				'class': 'cbi-button cbi-button-add', 'disabled': this.map.readonly || null,
				'click': ui.createHandlerFn(this, function(ev) { return self.handleAdd(ev, name ? name.value : null); })
			}, [ this.addbtntitle || 'Add' ]) ]);
		},

		body: function() {
			var self = this;

			return this.ids().map(function(sid) { return self.renderOptions(sid, self.options); });
		},

		render: function() {
			var body = this.body();

			return E('div', { 'class': 'cbi-section', 'data-tab': this.sectiontype, 'data-tab-title': this.title }, [
				E('h3', [ this.title ]), this.description ? E('div', { 'class': 'cbi-section-descr' }, [ this.description ]) : ''
			].concat(body.length ? body : [ this.renderSectionPlaceholder() ], [ this.addButton() ]));
		},

		parse: function(ids, editable) {
			var self = this;

			(ids || this.ids()).forEach(function(sid) {
				self.options.forEach(function(o) {
					if (!editable || o.editable)
						o.parse(sid);
				});
			});
		}
	});

	var GridSection = TypedSection.extend({
		handleAdd: function(ev, name) { this.edit(uci.add(this.map.config, this.sectiontype, name), true); },

		/* edit shows the options of one row in a dialog. */
		edit: function(sid, fresh) {
			var self = this;

			ui.showModal(this.modaltitle, [ this.renderOptions(sid, this.options), E('div', { 'class': 'right' }, [
				E('button', { 'class': 'btn', 'click': function() {
					if (fresh)
						uci.remove(self.map.config, sid);

					ui.hideModal();
				} }, [ 'Dismiss' ]), ' ',
				E('button', { 'class': 'btn cbi-button-positive important', 'click': ui.createHandlerFn(this, function() {
					if (self.options.map(function(o) { return o.check(sid); }).some(function(e) { return e != null; }))
						return;

					self.parse([ sid ]);
					ui.hideModal();

					return self.map.save();
				}) }, [ 'Save' ])
			]) ]);
		},

		body: function() {
			var self = this, columns = this.options.filter(function(o) { return !o.modalonly; }), ids = this.ids();

			return !ids.length ? [] : [ E('table', { 'class': 'table cbi-section-table' }, [ E('tr', { 'class': 'tr table-titles' }, (this.anonymous ? [] : [ E('th', { 'class': 'th' }, [ 'Name' ]) ]).concat(columns.map(function(o) {
				return E('th', { 'class': 'th' }, [ o.title ]);
			}), [ E('th', { 'class': 'th' }) ])) ].concat(ids.map(function(sid) {
				return E('tr', { 'class': 'tr cbi-section-table-row', 'data-section-id': sid }, (self.anonymous ? [] : [ E('td', { 'class': 'td', 'data-title': 'Name' }, [ sid ]) ]).concat(columns.map(function(o) {
					if (!o.editable)
						return E('td', { 'class': 'td', 'data-title': o.title }, o.textvalue(sid));

					o.nodes[sid] = E('span', [ o.widget(sid, o.cfgvalue(sid)), E('span', { 'class': 'cbi-value-problem' }) ]);

					return E('td', { 'class': 'td', 'data-title': o.title }, [ o.nodes[sid] ]);
				}), [ E('td', { 'class': 'td cbi-section-actions' }, [
					E('button', { 'class': 'btn cbi-button-edit', 'click': function() { self.edit(sid); } }, [ 'Edit' ]), ' ',
					E('button', { 'class': 'btn cbi-button-remove', 'disabled': self.map.readonly || null, 'click': ui.createHandlerFn(self, 'handleRemove', sid) }, [ 'Delete' ])
				]) ]));
			}))) ];
		}
	});

	var Map = Class.extend({
		__init__: function(config, title, description) {
			Object.assign(this, { config: config, title: title, description: description, sections: [] });
		},

		section: function(type) {
			var s = new (Function.prototype.bind.apply(type, [ null, this ].concat(Array.prototype.slice.call(arguments, 1))))();

			this.sections.push(s);

			return s;
		},

		load: function() {
			var self = this;

			return Promise.all([ uci.load(this.config), LUCI.classes.rpc.declare({ object: 'session', method: 'access', params: [ 'scope', 'object', 'function' ], expect: { access: false } })('uci', this.config, 'write') ]).then(function(r) {
				self.readonly = !r[1];
			});
		},

		render: function() { return this.load().then(L.bind(this.reset, this)); },

		reset: function() {
			var root = this.root = this.root || E('div', { 'class': 'cbi-map', 'id': 'cbi-' + this.config }), active = root.querySelector('.cbi-tabmenu > .cbi-tab');
			var group = E('div', { 'class': 'cbi-map-tabbed' }, this.sections.map(function(s) { return s.render(); }));

			dom.content(root, [ E('h2', [ this.title ]), E('div', { 'class': 'cbi-map-descr' }, [ this.description ]), group ]);
			dom.bindClassInstance(root, this);
			ui.tabs.initTabGroup(group.childNodes);

			if (active)
				root.querySelector('.cbi-tabmenu > [data-tab="' + active.getAttribute('data-tab') + '"] a').click();

			return root;
		},

		save: function() {
			var self = this;

			try {
				this.sections.forEach(function(s) { s.parse(null, s instanceof GridSection); });
			}
			catch (e) {
				ui.showModal('Save error', [ E('p', { 'id': 'save-error' }, [ e.message ]), E('button', { 'class': 'btn', 'click': ui.hideModal }, [ 'Dismiss' ]) ]);

				return Promise.resolve();
			}

			return uci.save().then(L.bind(this.load, this)).then(function() {
				return ui.changes.init();
			}).then(function() {
				return self.reset();
			});
		}
	});

	return { Map: Map, TypedSection: TypedSection, GridSection: GridSection, Value: Value, ListValue: ListValue, Flag: Flag, DynamicList: DynamicList };
})(LUCI.classes.ui, LUCI.classes.uci);
