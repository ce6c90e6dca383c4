'use strict';
'require view';
'require dom';
'require form';
'require uci';
'require ui';
'require view.meshagent.agent as agent';
'require view.meshagent.check as check';
'require view.meshagent.meshform as meshform';
'require view.meshagent.fields as fields';
'require view.meshagent.pending as pending';

var CONFIG = 'meshagent';

/* single makes a tab for a section of which there is one; a button adds it
   where it is missing. name is what a new one is called. */
function single(map, type, name, title, description) {
	var s = map.section(form.TypedSection, type, title, description);

	s.anonymous = true;
	s.addremove = uci.sections(CONFIG, type).length == 0;
	s.addbtntitle = _('Add the section');
	s.handleAdd = function() {
		uci.add(CONFIG, type, name);
		s.addremove = false;

		return map.save(null, true);
	};

	return s;
}

/* grid makes a tab with a table; each row has a dialog of its own. */
function grid(map, type, title, description, named) {
	var s = map.section(form.GridSection, type, title, description);

	s.anonymous = !named;
	s.addremove = true;
	s.nodescriptions = true;
	s.modaltitle = title;
	s.renderSectionPlaceholder = function() {
		return E('em', [ _('None. Add one with the button below.') ]);
	};

	return s;
}

function general(map) {
	var s = single(map, 'meshagent', 'main', _('General'), null);

	fields.flag(s, 'enabled', _('Enabled'), '1', _('Off: the agent ends as soon as it is started.'));
	fields.list(s, 'inbound', _('From the overlay'), 'closed', [
		[ 'closed', _('closed: answers and pings only') ], [ 'open', _('open: everything that the firewall lets through') ]
	], _('What other nodes of the overlay may start towards this router.'));
	fields.flag(s, 'supernode_find', _('Find distant supernodes'), '0', _('Use one that only nodes farther away name, if no peer names one.'));
	fields.flag(s, 'supernode', _('Supernode'), '0', _('Others tell it of their links and ask it for paths.'));
	fields.list(s, 'log_level', _('Log level'), 'info', [ 'error', 'warn', 'info', 'debug' ]);
	fields.value(s, 'key_file', _('File of the private key'), '/etc/meshagent/key', check.path, _('Made at the first start, never overwritten. Needs a restart.'));
	fields.value(s, 'state_dir', _('Directory for what is remembered'), '/var/lib/meshagent', check.path, _('Needs a restart.'));
	fields.value(s, 'socket', _('Socket of the commands'), '/var/run/meshagent/meshagent.sock', check.path, _('Needs a restart.'));

	fields.value(s, 'ubus', _('Socket of ubus'), 'auto', check.ubus, _('auto, off, or a path. These pages need it. Needs a restart.'));

	var key = fields.value(s, 'private_key', _('Private key to import'), '', check.privateKey, _('64 hexadecimal digits. It is moved into the file of the private key at the next start and deleted here.'));

	key.password = true;
}

function device(map) {
	var s = single(map, 'tun', 'tun', _('Overlay device'), _('The device towards the programs of this router. It gets the address of the node and the route to fc00::/8.'));

	fields.flag(s, 'enabled', _('Enabled'), '1', _('Off: the node forwards for others only.'));
	fields.value(s, 'name', _('Name'), 'tunmesh0', check.device, _('Needs a restart.'));
	fields.value(s, 'mtu', _('MTU'), '1304', 'range(1280,2000)', _('Other nodes use 1304. Needs a restart.'));
	fields.flag(s, 'persist', _('Stays over a restart'), '1', _('Connections survive a restart of the agent.'));
}

function beacon(s) {
	fields.list(s, 'beacon', _('Beacon'), 'off', [
		[ 'off', _('off') ], [ 'accept', _('accept: peer with neighbours that send') ], [ 'send', _('send: let them find us too') ]
	], _('Finds neighbours on the same network without configuration.'));
}

function links(map, devices) {
	var s = grid(map, 'udp', _('UDP links'), _('Sockets on which peers are met. A changed one is opened anew, which ends its peerings for a moment.'), true);

	fields.flag(s, 'enabled', _('Enabled'), '1').editable = true;
	fields.required(fields.value(s, 'bind', _('Address and port'), '0.0.0.0:25381', check.bind, _('ip:port or [ip6]:port; port 0 lets the system choose.')));
	beacon(s);

	var list = fields.devices(s, 'beacon_device', _('Beacons go to'), 'all', devices, true);

	fields.more(list, _('Devices, broadcast addresses, or all.'));
	fields.more(fields.value(s, 'beacon_port', _('Port for beacons'), '64512', 'port'), _('The same on all nodes of a network; not the port above.'));
	fields.more(fields.value(s, 'dscp', _('DSCP'), '0', 'range(0,63)'), _('Mark on outgoing packets.'));
	fields.more(fields.devices(s, 'device', _('Only by the device'), _('any'), devices, false));

	s = grid(map, 'eth', _('Ethernet links'), _('Devices on which peers are met without IP. One that is missing is waited for.'), true);
	fields.flag(s, 'enabled', _('Enabled'), '1').editable = true;
	fields.required(fields.devices(s, 'device', _('Device'), 'br-lan', [ 'all' ].concat(devices), false));
	beacon(s);
}

function peers(map) {
	var s = grid(map, 'peer', _('Peers'), _('Nodes that we dial. Adding them by text or QR code is easier on the page Status.'), false);

	fields.flag(s, 'enabled', _('Enabled'), '1').editable = true;
	fields.named(fields.value(s, 'name', _('Name'), '', 'maxlength(128)'));
	fields.required(fields.value(s, 'address', _('Address'), '192.0.2.10:25381', check.peerAddress, _('ip:port, [ip6]:port, hostname:port, or a MAC for a neighbour on Ethernet.')));
	fields.more(fields.required(fields.value(s, 'public_key', _('Public key'), '….k', check.publicKey)), _('52 characters and ".k".'));
	fields.more(fields.secret(fields.required(fields.value(s, 'password', _('Password'), '', 'maxlength(256)'))), _('What the peer gave you; "none" sends none.'));
	fields.more(fields.value(s, 'login', _('Login'), '', 'maxlength(128)'), _('The login that goes with the password.'));
	fields.more(fields.value(s, 'interface', _('Link'), _('any'), 'maxlength(128)'), _('A UDP link, or an Ethernet device.'));
	fields.more(fields.value(s, 'version', _('Protocol version'), _('unknown'), 'range(1,9999)'));

	s = grid(map, 'password', _('Passwords'), _('Let others in. Taking one away disconnects the peers that came in with it.'), false);
	fields.flag(s, 'enabled', _('Enabled'), '1').editable = true;
	fields.named(fields.value(s, 'name', _('Login'), '', 'maxlength(128)', _('What peers are called that use it.')));
	fields.more(fields.secret(fields.required(fields.value(s, 'password', _('Password'), '', 'maxlength(256)'))), _('Give every neighbour one of its own.'));
	fields.value(s, 'ip', _('Only for'), _('any'), 'ip6addr("nomask")', _('The overlay address of the only node that may use it.'));

	s = grid(map, 'supernode', _('Supernodes'), _('Supernodes that may be used: they are told of our links and asked for paths. With none here, those that our peers use are used.'), false);
	fields.flag(s, 'enabled', _('Enabled'), '1').editable = true;
	fields.required(fields.value(s, 'public_key', _('Public key'), '….k', check.nodeKey));
}

/* known is every section type that has a form; others are kept as they are. */
var known = [ 'meshagent', 'tun', 'udp', 'eth', 'peer', 'password', 'supernode', 'mesh', 'hardif', 'wifi' ];

return view.extend({
	load: function() {
		return Promise.all([
			L.resolveDefault(uci.load(CONFIG), null),
			agent.settle(agent.calls.devices()),
			agent.settle(agent.calls.status()),
			agent.settle(agent.calls.configDiff())
		]);
	},

	render: function(data) {
		if (uci.sections(CONFIG).length == 0 && data[0] == null)
			return E('div', { 'class': 'alert-message warning' }, [ _('The configuration cannot be read. After the package was installed, log out and in again.') ]);

		var devices = Object.keys(data[1].value || {}).filter(function(name) { return name != 'lo'; }).sort();
		var status = data[2], others = uci.sections(CONFIG).filter(function(s) { return known.indexOf(s['.type']) < 0; });
		var map = new form.Map(CONFIG, _('Mesh agent'), _('Changes are saved first. "Save & Apply" gives them to the agent, and takes them back if this page cannot reach the router any more.'));

		/* what the agent has made of the file, or has not */
		var differs = E('div', { 'id': 'meshagent-pending' }), show = function(diff) {
			dom.content(differs, pending.render(diff, function() { return agent.settle(agent.calls.configDiff()).then(show); }));
		};

		show(data[3]);
		map.tabbed = true;
		general(map);
		device(map);
		links(map, devices);
		peers(map);
		meshform.add(map, single, grid, devices);

		return map.render().then(function(node) {
			return E('div', { 'id': 'meshagent-config' }, [
				differs, status.error ? E('div', { 'class': 'alert-message warning' }, [ agent.explain(status.error), ' ', _('What you save takes effect when it is started.') ]) : '',
				others.length ? E('div', { 'class': 'alert-message' }, [ _('These sections have no form and are kept: %s').format(others.map(function(s) { return s['.type'] + ' ' + s['.name']; }).join(', ')) ]) : '',
				node
			]);
		});
	}
});
