#!/usr/bin/env bash
# Prints the sizes in bytes of the given programs: as they are, and compressed
# as an OpenWrt package (gzip) and as squashfs (xz) would hold them.
set -euo pipefail
printf '%-36s %10s %10s %10s\n' program stripped gzip xz
for f in "$@"; do
	xz=-
	command -v xz >/dev/null && xz=$(xz -9 --stdout "$f" | wc -c)
	printf '%-36s %10d %10d %10s\n' "$(basename "$f")" "$(wc -c <"$f")" "$(gzip -9 --stdout "$f" | wc -c)" "$xz"
done
