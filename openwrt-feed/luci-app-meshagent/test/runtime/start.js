'use strict';

/* Starts the view that the page names. Errors anywhere are kept for the test. */

window.addEventListener('error', function(ev) { L.error(ev.error || ev.message); });
window.addEventListener('unhandledrejection', function(ev) { L.error(ev.reason); });
document.addEventListener('securitypolicyviolation', function(ev) { L.error('forbidden by the content policy: ' + ev.violatedDirective + ' ' + ev.blockedURI + ' ' + ev.sample); });

document.addEventListener('DOMContentLoaded', function() {
	var view = document.getElementById('view');

	L.env = JSON.parse(view.getAttribute('data-env'));

	if (view.getAttribute('data-view') != 'status/index')
		return LUCI.require('view.' + view.getAttribute('data-view').replace(/\//g, '.')).catch(L.error);

	/* The overview: a box for the include, filled again and again. */
	LUCI.require('view.status.include.35_meshagent').then(function(include) {
		var box = E('div'), fill = function() {
			return include.load().then(function(data) { dom.content(box, include.render(data)); });
		};

		dom.content(view, [ E('div', { 'class': 'cbi-section' }, [ E('h3', [ include.title ]), box ]) ]);
		poll.add(fill, 5);

		return fill();
	}).catch(L.error);
});
