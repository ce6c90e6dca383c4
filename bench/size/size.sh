#!/usr/bin/env bash
# Prints the sizes in bytes of the given programs: as they are, and compressed
# as a package (gzip) and as squashfs (xz) would hold them. With -b BYTES it
# fails if one has more than that as gzip.
set -euo pipefail
budget=0
if [[ ${1:-} == -b ]]; then
	budget=$2
	shift 2
fi
over=()
printf '%-36s %10s %10s %10s\n' program stripped gzip xz
for f in "$@"; do
	xz=-
	command -v xz >/dev/null && xz=$(xz -9 --stdout "$f" | wc -c)
	gz=$(gzip -9 --stdout "$f" | wc -c)
	printf '%-36s %10d %10d %10s\n' "$(basename "$f")" "$(wc -c <"$f")" "$gz" "$xz"
	((budget == 0 || gz <= budget)) || over+=("$(basename "$f")")
done
if ((${#over[@]})); then
	echo "size: beyond the budget of $budget bytes as gzip: ${over[*]}" >&2
	exit 1
fi
