'use strict';
'require baseclass';
'require form';

/* Short ways to make the options of the forms. Values at their default are
   shown as a placeholder and not written. */

/* plain shows the value of a table cell as text; LuCI would take it for
   markup, and names of peers come from strangers. */
function plain(o) {
	o.textvalue = function(sid) {
		var v = this.cfgvalue(sid);

		return E('span', { 'style': 'overflow-wrap:anywhere' }, [ v == null || v === '' ? '-' : (Array.isArray(v) ? v.join(', ') : String(v)) ]);
	};

	return o;
}

return baseclass.extend({
	flag: function(s, key, title, standard, description, tab) {
		var o = option(s, tab, form.Flag, key, title, description);

		o.default = standard;

		return o;
	},

	/* value makes an input. valid is a datatype of LuCI, or a function that
	   takes the text and answers true or what is expected. */
	value: function(s, key, title, standard, valid, description, tab) {
		var o = plain(option(s, tab, form.Value, key, title, description));

		o.placeholder = standard;

		if (typeof(valid) == 'function')
			o.validate = function(sid, v) { return v == null || v === '' ? true : valid(v); };
		else
			o.datatype = valid;

		return o;
	},

	/* list makes a choice; entries are words, or [word, meaning]. */
	list: function(s, key, title, standard, entries, description, tab) {
		var o = plain(option(s, tab, form.ListValue, key, title, description));

		o.value('', _('default (%s)').format(standard));
		entries.forEach(function(e) {
			if (Array.isArray(e))
				o.value(e[0], e[1]);
			else
				o.value(e);
		});

		return o;
	},

	/* devices makes an input, or a list of them, that proposes the devices of
	   the router and takes others: a device may be missing now. */
	devices: function(s, key, title, standard, names, many, tab) {
		var o = plain(option(s, tab, many ? form.DynamicList : form.Value, key, title));

		o.placeholder = standard;
		o.datatype = 'maxlength(15)';
		names.forEach(function(n) { o.value(n); });

		return o;
	},

	/* named shows the name of the section where the option "name" is missing,
	   as the agent does. */
	named: function(o) {
		var own = o.textvalue;

		o.textvalue = function(sid) {
			return this.cfgvalue(sid) ? own.call(this, sid) : E('span', [ /^(cfg|new)[0-9a-f]{6}$/.test(sid) ? '-' : sid ]);
		};

		return o;
	},

	required: function(o) {
		o.rmempty = false;
		o.optional = false;

		return o;
	},

	secret: function(o) {
		o.password = true;

		return o;
	},

	/* more moves an option into the dialog of a row, and explains it there. */
	more: function(o, description) {
		o.modalonly = true;

		if (description != null)
			o.description = description;

		return o;
	},

	/* keep makes an option depend on another, and leaves its value alone where
	   it is not shown. */
	keep: function(o, key, value) {
		o.depends(key, value);
		o.retain = true;

		return o;
	}
});

function option(s, tab, type, key, title, description) {
	return tab ? s.taboption(tab, type, key, title, description) : s.option(type, key, title, description);
}
