#!/usr/bin/env bash
# Installs the Debian packages of those commands that are missing.
# Usage: needs.sh COMMAND…
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
declare -A package=([ip]=iproute2 [bridge]=iproute2 [tc]=iproute2 [ping]=iputils-ping [nft]=nftables [ssh]=openssh-client [sshd]=openssh-server [gcc]="gcc libc6-dev"
	[xz]=xz-utils [libdeflate-gzip]=libdeflate-tools [busybox]=busybox-static [qemu-system-x86_64]=qemu-system-x86 [qemu-mips]=qemu-user [qemu-arm]=qemu-user [setpriv]=util-linux
	[qemu-system-mipsel]=qemu-system-mips [qemu-system-aarch64]=qemu-system-arm [mips-linux-gnu-gcc]=gcc-mips-linux-gnu
	[arm-linux-gnueabihf-gcc]=gcc-arm-linux-gnueabihf [aarch64-linux-gnu-gcc]=gcc-aarch64-linux-gnu [wpa_supplicant]=wpasupplicant)
declare -A file=([linux-source]="/usr/src/linux-source-*.tar.xz") # packages that bring no command
missing=()
for c in "$@"; do
	[[ -n ${file[$c]:-} ]] && compgen -G "${file[$c]}" >/dev/null && continue
	# shellcheck disable=SC2206  # one command may need two packages
	command -v "$c" >/dev/null || missing+=(${package[$c]:-$c})
done
((${#missing[@]})) || exit 0
if ! command -v apt-get >/dev/null; then
	echo "needs: please install ${missing[*]} (Debian's names); there is no apt-get here" >&2
	exit 1
fi
if ((EUID != 0)); then
	echo "needs: not root; please run: apt-get install ${missing[*]}" >&2
	exit 1
fi
echo "needs: installing ${missing[*]} with apt-get"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >/dev/null
