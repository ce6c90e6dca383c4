# An imitation of OpenWrt's /lib/functions.sh, as far as the packages of this
# project use it: users, uci-defaults, enabling and starting of services, and
# reading of configurations that are flat. Written from the behaviour.

user_exists() { grep -qs "^$1:" /etc/passwd; }

config_load() { CONFIG_FILE=/etc/config/$1; }

config_get_bool() {
	local v
	v="$(uci -q get "${CONFIG_FILE##*/}.$2.$3")"
	case "$v" in
	1 | on | true | yes | enabled) v=1 ;;
	0 | off | false | no | disabled) v=0 ;;
	*) v="$4" ;;
	esac
	eval "$1=$v"
}

package_list() {
	local l=/usr/lib/opkg/info/$1.list
	[ -f "/lib/apk/packages/$1.list" ] && l=/lib/apk/packages/$1.list
	echo "$l"
}

add_group_and_user() {
	local users u
	[ -n "$pkgname" ] || local pkgname="$1"
	users="$(sed -n 's/^Require-User: *//p' "/usr/lib/opkg/info/$pkgname.control" 2>/dev/null)"
	[ -f "/lib/apk/packages/$pkgname.rusers" ] && users="$(cat "/lib/apk/packages/$pkgname.rusers")"
	for u in $users; do
		local user="${u%%=*}" id="${u##*=}"
		user_exists "$user" && continue
		echo "$user:x:$id:" >>/etc/group
		echo "$user:x:$id:$id:$user:/var/run/$user:/bin/false" >>/etc/passwd
	done
}

default_postinst() {
	local list i
	[ -n "$pkgname" ] || local pkgname="$(basename "${1%.*}")"
	list="$(package_list "$pkgname")"
	[ -e "/usr/lib/opkg/info/$pkgname.list" ] && add_group_and_user "$pkgname"
	for i in $(grep "^/etc/uci-defaults/" "$list"); do
		([ -f "$i" ] && cd "$(dirname "$i")" && . "$i") && rm -f "$i"
	done
	for i in $(grep "^/etc/init.d/" "$list"); do
		[ "$PKG_UPGRADE" = 1 ] || "$i" enable
		"$i" start
	done
}

default_prerm() {
	local i
	[ -n "$pkgname" ] || local pkgname="$(basename "${1%.*}")"
	for i in $(grep "^/etc/init.d/" "$(package_list "$pkgname")"); do
		[ "$PKG_UPGRADE" = 1 ] || "$i" disable
		"$i" stop
	done
}
