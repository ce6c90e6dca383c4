#!/bin/sh
# LUCI_ROOT=/path/to/luci install-into-luci.sh copies the app into a checkout of
# LuCI, where its build rules and its development tools find it. What was there
# of it before is replaced; nothing else is touched.
set -e

here="$(cd "$(dirname "$0")" && pwd)"
[ -n "$LUCI_ROOT" ] || {
	echo "usage: LUCI_ROOT=/path/to/luci $0" >&2
	exit 2
}
[ -f "$LUCI_ROOT/luci.mk" ] && [ -d "$LUCI_ROOT/modules/luci-base" ] || {
	echo "$LUCI_ROOT is no checkout of LuCI: luci.mk or modules/luci-base is missing" >&2
	exit 1
}
app="$LUCI_ROOT/applications/luci-app-meshagent"
rm -rf "$app"
mkdir -p "$app"
for part in Makefile htdocs root po; do
	cp -R "$here/$part" "$app/"
done
echo "installed into $app"
