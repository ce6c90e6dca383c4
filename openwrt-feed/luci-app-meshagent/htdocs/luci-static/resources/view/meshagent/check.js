'use strict';
'require baseclass';
'require view.meshagent.peertext as peertext';

/* Checks of values: each takes a text and answers true, or what is expected.
   They let nothing pass that the agent would refuse for its form; the agent
   itself has the last word. */

function expect(ok, what) {
	return ok ? true : _('Expecting: %s').format(what);
}

/* RATE is what gw_bandwidth and throughput_override hold. */
var RATE = '\\d{1,10}(?:[km]bit)?';

var LOG_WORDS = [ 'none', 'all', 'batman', 'routes', 'tt', 'bla', 'dat', 'mcast', 'tp' ];

return baseclass.extend({
	path: function(v) {
		return expect(/^\/[^\0]{1,106}$/.test(v), _('a path that begins with /, at most 107 bytes'));
	},

	ubus: function(v) {
		return expect(/^(?:auto|off|\/[^\0]{1,106})$/.test(v), _('auto, off, or a path that begins with /'));
	},

	privateKey: function(v) {
		return expect(/^[0-9A-Fa-f]{64}$/.test(v), _('64 hexadecimal digits'));
	},

	device: function(v) {
		return expect(/^[^\s\/]{1,15}$/.test(v), _('the name of a device, at most 15 characters'));
	},

	bind: function(v) {
		var m = /^(\d+\.\d+\.\d+\.\d+|\[[0-9A-Fa-f:.]+(?:%[^\]]+)?\]):(\d{1,5})$/.exec(v);

		return expect(m != null && +m[2] < 65536 && !/^\[fc/i.test(v) && m[1].split('.').every(function(n) { return !/^\d+$/.test(n) || +n < 256; }),
			_('ip:port or [ip6]:port, not in fc00::/8'));
	},

	peerAddress: function(v) {
		return expect(peertext.isAddress(v), _('ip:port, [ip6]:port, hostname:port or a MAC'));
	},

	publicKey: function(v) {
		return expect(peertext.isKey(v), _('a public key, 52 characters and .k'));
	},

	nodeKey: function(v) {
		return expect(peertext.isKey(v.replace(/^v\d+\.(?:[0-9a-f]{4}\.){4}/, '')), _('a public key, 52 characters and .k'));
	},

	bandwidth: function(v) {
		return expect(new RegExp('^' + RATE + '(?:/' + RATE + ')?$', 'i').test(v), _('down/up, such as 10mbit/2mbit'));
	},

	rate: function(v) {
		return expect(new RegExp('^' + RATE + '$', 'i').test(v), _('a throughput, such as 54mbit'));
	},

	meshLog: function(v) {
		return expect(/^\d+$/.test(v) || v.split(/\s+/).every(function(w) { return LOG_WORDS.indexOf(w) > -1; }), LOG_WORDS.join(' '));
	}
});
