#!/bin/sh
# stage.sh DIRECTORY lays out what the packages luci-app-meshagent and
# luci-i18n-meshagent-LANGUAGE hold, as LuCI's build rules do but without
# minifying: DIRECTORY/PACKAGE/ is the root of the router. Needs go.
set -e

here="$(cd "$(dirname "$0")" && pwd)"
[ -n "$1" ] || {
	echo "usage: $0 DIRECTORY" >&2
	exit 2
}
mkdir -p "$1"
out="$(cd "$1" && pwd)"

app="$out/luci-app-meshagent"
rm -rf "$app"
mkdir -p "$app/www"
cp -R "$here/htdocs/." "$app/www/"
cp -R "$here/root/." "$app/"

# translation LANGUAGE NAME
translation() {
	i18n="$out/luci-i18n-meshagent-$1"
	rm -rf "$i18n"
	mkdir -p "$i18n/etc/uci-defaults" "$i18n/usr/lib/lua/luci/i18n"
	echo "uci set luci.languages.$1='$2'; uci commit luci" >"$i18n/etc/uci-defaults/luci-i18n-meshagent-$1"
	(cd "$here/test" && go run ./cmd/po2lmo "$here/po/$1/meshagent.po" "$i18n/usr/lib/lua/luci/i18n/meshagent.$1.lmo")
}
translation de 'Deutsch (German)'
translation es 'Español (Spanish)'
