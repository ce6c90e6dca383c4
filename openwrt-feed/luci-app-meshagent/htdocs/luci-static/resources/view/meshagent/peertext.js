'use strict';
'require baseclass';

/* Reads what people send each other to become peers:

   - the arguments of "meshagent peer add";
   - an entry of connectTo of a cjdroute.conf, with or without braces around
     it, or the whole file;
   - sections "peer" of our own configuration.

   - the token of "meshagent invite", which is no peer: it leads into a
     community.

   read() answers { peers, errors, token }; nothing here touches the page. */

/* More than anybody pastes, less than hurts. */
var MAX_TEXT = 1 << 18, MAX_PEERS = 100, MAX_DEPTH = 32;

/* tokens of JSON as cjdroute accepts it: with comments, and with commas and
   colons that may be missing or too many, so they are not tokens at all. */
function tokens(text) {
	var re = /\s+|\/\/[^\n]*|\/\*[^]*?\*\/|[,:]|([{}\[\]])|"((?:[^"\\]|\\.)*)"|([A-Za-z0-9_.+-]+)/g;
	var list = [], end = 0, m;

	while ((m = re.exec(text)) !== null) {
		if (m.index != end)
			break;

		end = re.lastIndex;

		if (m[1])
			list.push({ mark: m[1] });
		else if (m[2] != null)
			list.push({ text: m[2].replace(/\\x([0-9a-fA-F]{2})|\\(.)/g, function(all, hex, c) {
				return hex ? String.fromCharCode(parseInt(hex, 16)) : c;
			}) });
		else if (m[3])
			list.push({ text: m[3] });
	}

	if (end < text.length)
		throw new Error(_('This cannot be read: %s').format(text.substr(end, 20).split('\n')[0]));

	return list;
}

/* value reads one value; objects become lists of [key, value], because a key
   may come twice. */
function value(list, depth) {
	var t = list.shift();

	if (t == null || t.mark == '}' || t.mark == ']' || depth > MAX_DEPTH)
		throw new Error(_('The text ends too early, or a brace is missing.'));

	if (t.mark == null)
		return t.text;

	return members(list, t.mark == '{' ? '}' : ']', depth + 1);
}

function members(list, close, depth) {
	var out = [];

	while (list.length && list[0].mark != close)
		out.push(close == '}' ? [ value(list, MAX_DEPTH), value(list, depth) ] : [ '', value(list, depth) ]);

	if (close != '' && list.shift() == null)
		throw new Error(_('The text ends too early, or a brace is missing.'));

	return out;
}

function stanza(text) {
	var list = tokens(text), found = [];

	if (!list.some(function(t) { return t.mark == '{'; }))
		return [];

	/* Without braces around, the text is what would be between them. */
	if (list.length && list[0].mark == null)
		list = [ { mark: '{' } ].concat(list, [ { mark: '}' } ]);

	var search = function(object, depth) {
		object.forEach(function(entry) {
			if (!Array.isArray(entry[1]) || depth > MAX_DEPTH)
				return;

			var fields = {};

			entry[1].forEach(function(f) {
				fields[f[0]] = f[1];
			});

			if (typeof(fields.publicKey) == 'string' && entry[0] != '')
				found.push({
					address: entry[0],
					public_key: fields.publicKey,
					password: string(fields.password),
					login: string(fields.login),
					name: string(fields.peerName) || string(fields.user)
				});
			else
				search(entry[1], depth + 1);
		});
	};

	search([ [ '', value(list, 0) ] ], 0);

	return found;
}

function string(v) {
	return typeof(v) == 'string' ? v : '';
}

/* words splits a line as a shell does, with both kinds of quotes. */
function words(line) {
	var out = [], re = /\s*((?:'[^']*'|"(?:[^"\\]|\\.)*"|\\.|[^\s'"\\])+)/g, m;

	while ((m = re.exec(line)) !== null)
		out.push(m[1].replace(/'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)/g, function(all, single, double, c) {
			return single != null ? single : (double != null ? double.replace(/\\(.)/g, '$1') : c);
		}));

	return out;
}

function command(line) {
	var list = words(line.replace(/^[#$]\s+/, '')), peer = {}, rest = [];

	list.splice(0, list.indexOf('add') + 1);

	while (list.length) {
		var m = /^--?(password|login|name|interface|version)(?:=(.*))?$/.exec(list[0]);

		if (!m && list[0].charAt(0) == '-')
			throw new Error(_('The option %s is not known.').format(list[0]));

		if (!m)
			rest.push(list.shift());
		else if (list.shift() && m[2] != null)
			peer[m[1]] = m[2];
		else if (list.length)
			peer[m[1]] = list.shift();
		else
			throw new Error(_('The option %s needs a value.').format('--' + m[1]));
	}

	if (rest.length != 2)
		throw new Error(_('Expected an address and a public key behind "peer add".'));

	peer.address = rest[0];
	peer.public_key = rest[1];

	return peer;
}

function uciSections(text) {
	var found = [], peer = null;

	text.split('\n').forEach(function(line) {
		var w = words(line);

		if (w[0] == 'config') {
			peer = null;

			if (w[1] == 'peer')
				found.push(peer = { name: w[2] || '' });
		}
		else if (w[0] == 'option' && peer && w[2] != null) {
			peer[w[1]] = w[2];
		}
	});

	return found.filter(function(p) { return p.enabled != '0'; });
}

var HOST = '[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?';
var ADDRESS = new RegExp('^(?:' + HOST + ':\\d{1,5}|\\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]+)?\\]:\\d{1,5}|[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5})$');
var KEY = /^[0-9b-df-hj-np-z]{52}\.k$/;

return baseclass.extend({
	/* isAddress tells whether text can be the address of a peer: ip:port,
	   [ip6]:port, hostname:port or a MAC. */
	isAddress: function(text) {
		var port = /\]?:(\d{1,5})$/.exec(text);

		return ADDRESS.test(text) && (/^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}$/.test(text) || (port && +port[1] > 0 && +port[1] < 65536)) ? true : false;
	},

	isKey: function(text) {
		return KEY.test(text);
	},

	/* read answers { peers, errors }: arguments of peer.add, and a sentence
	   for whatever could not be used; or the token of an invite. */
	read: function(text) {
		var found = [], errors = [], self = this;

		text = text.replace(/\r\n?/g, '\n').trim();

		try {
			if (text == '')
				throw new Error(_('There is no text yet.'));

			if (text.length > MAX_TEXT)
				throw new Error(_('This text is too long to be a peer.'));

			var token = /\bMESH1:[A-Za-z0-9]+/.exec(text);

			if (token)
				return { peers: [], errors: [], token: token[0] };

			if (/^(?:[#$]\s+)?(?:meshagent\s+)?peer\s+add\s/m.test(text))
				text.replace(/\\\n/g, ' ').split('\n').forEach(function(line) {
					if (/\bpeer\s+add\s/.test(line))
						found.push(command(line));
				});
			else if (/^\s*config\s+['"]?peer\b/m.test(text))
				found = uciSections(text);
			else
				found = stanza(text);

			if (found.length == 0)
				throw new Error(_('There is no peer in this text.'));

			if (found.length > MAX_PEERS)
				throw new Error(_('At most %d peers can be added at once.').format(MAX_PEERS));
		}
		catch (e) {
			return { peers: [], errors: [ e.message ] };
		}

		return {
			peers: found.filter(function(p) {
				if (!self.isAddress(string(p.address)))
					errors.push(_('"%s" is not an address: expected ip:port, [ip6]:port, hostname:port or a MAC.').format(p.address));
				else if (!self.isKey(string(p.public_key)))
					errors.push(_('%s: the public key has to have 52 characters and ".k" behind them.').format(p.address));
				else if (p.version != null && p.version !== '' && !/^\d{1,4}$/.test(p.version))
					errors.push(_('%s: the version has to be a number.').format(p.address));
				else
					return true;

				return false;
			}).map(function(p) {
				/* UCI writes "none" for no password */
				var out = { address: p.address, public_key: p.public_key };

				[ 'password', 'login', 'name', 'interface' ].forEach(function(k) {
					if (p[k] && !(k == 'password' && p[k] == 'none'))
						out[k] = p[k];
				});

				if (p.version)
					out.version = +p.version;

				return out;
			}),
			errors: errors
		};
	}
});
