'use strict';
'require baseclass';
'require dom';
'require ui';
'require view.meshagent.agent as agent';
'require view.meshagent.join as join';
'require view.meshagent.peertext as peertext';
'require view.meshagent.staged as staged';

/* The dialog that adds peers from text, from a text file, or from a picture of
   a QR code. */

/* A photo of a phone has a few MB. */
var MAX_FILE = 20 << 20;

/* canScan tells whether the browser reads QR codes: most do only on pages that
   came over https. */
function canScan() {
	return typeof(window.BarcodeDetector) == 'function' && typeof(window.createImageBitmap) == 'function';
}

/* scan reads the QR codes of a picture; the answer is their texts. */
function scan(file) {
	return window.createImageBitmap(file).then(function(image) {
		return new window.BarcodeDetector({ formats: [ 'qr_code' ] }).detect(image);
	}).then(function(codes) {
		if (!codes.length)
			throw new Error(_('There is no QR code in this picture, or it is not sharp enough.'));

		return codes.map(function(c) { return c.rawValue; }).join('\n');
	}, function() {
		throw new Error(_('This file cannot be read as a picture.'));
	});
}

/* textOf gives the text of a file that the user chose. */
function textOf(file) {
	if (file.size > MAX_FILE)
		return Promise.reject(new Error(_('This file is too large.')));

	if (/^image\//.test(file.type)) {
		if (!canScan())
			return Promise.reject(new Error(_('This browser cannot read QR codes on this page. Read the code with the camera app of a phone and paste its text.')));

		return scan(file);
	}

	return file.text().then(function(text) {
		if (text.indexOf('\0') > -1)
			throw new Error(_('This file is neither text nor a picture.'));

		return text;
	});
}

return baseclass.extend({
	/* open shows the dialog. running: the agent can be asked; otherwise the
	   peers go into the configuration. done is called when peers were added. */
	open: function(running, done) {
		var read = { peers: [], errors: [] }, self = this;

		var input = E('textarea', {
			'id': 'meshagent-peer-text', 'rows': 8, 'style': 'width:100%;box-sizing:border-box;font-family:monospace',
			'spellcheck': 'false', 'autocapitalize': 'off', 'aria-label': _('Text of the peer'),
			'placeholder': '"192.0.2.10:25381": {"login": "…", "password": "…", "publicKey": "….k"}'
		});
		var preview = E('div', { 'id': 'meshagent-peer-preview', 'aria-live': 'polite' });
		var add = E('button', { 'class': 'btn cbi-button-positive', 'id': 'meshagent-peer-add', 'disabled': '' }, [ _('Add') ]);

		var show = function() {
			read = peertext.read(input.value);
			add.disabled = read.peers.length == 0 && !(read.token && running);
			dom.content(preview, input.value.trim() == '' ? [] : self.preview(read, running));
		};

		var file = E('input', {
			'type': 'file', 'id': 'meshagent-peer-file', 'accept': 'image/*,text/plain,.conf,.json,.txt', 'style': 'max-width:100%',
			'aria-label': _('File'),
			'change': function(ev) {
				var chosen = ev.currentTarget.files[0];

				if (chosen != null)
					textOf(chosen).then(function(text) {
						input.value = text;
						show();
					}, function(err) {
						dom.content(preview, [ E('p', { 'class': 'alert-message warning' }, [ err.message ]) ]);
					});
			}
		});

		input.addEventListener('input', show);
		add.addEventListener('click', ui.createHandlerFn(this, function() {
			if (read.token)
				return join.run(read.token, preview).then(function() { done(); });

			return self.add(running, read.peers).then(function(r) {
				if (r.problems.length)
					dom.content(preview, r.problems.map(function(p) {
						return E('p', { 'class': 'alert-message danger' }, [ p ]);
					}));
				else if (r.waiting)
					staged.offer();
				else
					ui.hideModal();

				/* the page behind may take its time */
				done();
			});
		}));

		ui.showModal(_('Add peers'), [
			E('p', [ _('Paste what the operator of the other node sent you: an entry of "connectTo", a "meshagent peer add" command, a section "peer", or an invite.') ]),
			input,
			E('p', [ _('Or choose a text file, or a picture of a QR code:'), ' ', file ]),
			E('p', { 'id': 'meshagent-peer-qr' }, [ E('em', [ canScan()
				? _('QR codes are read in this browser; the picture stays here.')
				: _('This browser cannot read QR codes on this page. Read the code with the camera app of a phone and paste its text.') ]) ]),
			running ? E([]) : E('p', { 'class': 'alert-message warning' }, [ _('The agent is not running. The peers are put into the configuration and have to be applied there.') ]),
			preview,
			agent.closing([ add ])
		]);

		input.focus();
	},

	/* preview shows what was understood, without the passwords. */
	preview: function(read, running) {
		if (read.token)
			return [ E('p', [ _('This is an invite into a community.'), ' ', running ? _('Add joins it, which takes up to a minute.') : _('It can be used when the agent is running.') ]) ];

		return read.errors.map(function(text) {
			return E('p', { 'class': 'alert-message warning' }, [ text ]);
		}).concat(read.peers.map(function(p) {
			return E('p', { 'class': 'meshagent-peer' }, [
				E('strong', [ p.name || _('Peer') ]), ' ', agent.code(p.address), E('br'), agent.code(p.public_key), E('br'),
				p.login ? _('Login: %s').format(p.login) + ', ' : '', p.password ? _('with a password') : _('without a password')
			]);
		}));
	},

	/* addNow gives the peers to the agent one by one; one that is refused does
	   not keep the others away. The answer has what went wrong, and the peers
	   that the agent may not store. */
	addNow: function(peers) {
		var problems = [], unstored = [];

		return peers.reduce(function(before, p) {
			return before.then(function() {
				return agent.calls.peerAdd(p.address, p.public_key, p.password, p.login, p.name, p.interface, p.version);
			}).then(null, function(err) {
				if (err.code == 'denied')
					unstored.push(p);
				else
					problems.push(p.address + ': ' + agent.explain(err));
			});
		}, Promise.resolve()).then(function() {
			return { problems: problems, unstored: unstored };
		});
	},

	/* add gives the peers to the agent, or where that is not possible to the
	   configuration. The answer has what went wrong, and whether changes wait
	   to be applied. */
	add: function(running, peers) {
		return (running ? this.addNow(peers) : Promise.resolve({ problems: [], unstored: peers })).then(function(r) {
			return (r.unstored.length ? staged.add(r.unstored) : Promise.resolve()).then(function() {
				return { problems: r.problems, waiting: r.unstored.length > 0 };
			}, function(err) {
				return { problems: r.problems.concat([ err.message ]) };
			});
		});
	}
});
