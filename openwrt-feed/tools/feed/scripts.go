package feed

import "github.com/meshagent/meshagent/openwrt-feed/tools/pack"

// Scripts for OpenWrt's tools. Both call the functions of the base system that
// make users, run uci-defaults, and enable and start services. They begin with
// guards, because image builders run them as well: with IPKG_INSTROOT set, or
// in a root without those functions.
const (
	noScript  = "[ \"$IPKG_NO_SCRIPT\" = 1 ] && exit 0\n"
	functions = "[ -s \"$IPKG_INSTROOT/lib/functions.sh\" ] || exit 0\n. \"$IPKG_INSTROOT/lib/functions.sh\"\n"
	onDevice  = "[ -n \"$IPKG_INSTROOT\" ] && exit 0\n"
	shell     = "#!/bin/sh\n"
)

// ipkScripts differ from those of the SDK in what happens at an upgrade: the
// old package's prerm does nothing, so the agent runs until the new one's
// postinst starts it again. opkg says "upgrade VERSION" to prerm.
func ipkScripts(installed, removed string) pack.Scripts {
	return pack.Scripts{
		PostInst: shell + noScript + functions + "default_postinst \"$0\" \"$@\"\n" + onDevice + installed + "exit 0\n",
		PreRm:    shell + functions + "[ \"$1\" = upgrade ] || [ \"$PKG_UPGRADE\" = 1 ] && exit 0\n" + "if [ -z \"$IPKG_INSTROOT\" ]; then\n:\n" + removed + "fi\ndefault_prerm \"$0\" \"$@\"\n",
	}
}

// apkScripts: apk has a script of its own for upgrades, and runs pre-deinstall
// for removals only.
func apkScripts(name, installed, removed string) pack.Scripts {
	env := functions + "export root=\"$IPKG_INSTROOT\"\nexport pkgname=\"" + name + "\"\n"
	post := noScript + env + "add_group_and_user\ndefault_postinst\n" + onDevice + installed + "exit 0\n"
	return pack.Scripts{
		PostInst:    shell + post,
		PostUpgrade: shell + "export PKG_UPGRADE=1\n" + post,
		PreRm:       shell + env + "if [ -z \"$IPKG_INSTROOT\" ]; then\n:\n" + removed + "fi\ndefault_prerm\n",
	}
}
