#!/usr/bin/env bash
# Builds programs and packages again, from a copy of the working tree in
# another folder and with an empty build cache, and compares the bytes.
# Usage: reproducible.sh WORK PROGRAMS PACKAGES KEYS [MAKE-VARIABLE=…]…
set -euo pipefail
work=$(realpath -m "$1") programs=$(realpath "$2") packages=$(realpath "$3") keys=$4
shift 4
rm -rf "$work"
mkdir -p "$work/tree"
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' f; do [[ -e $f ]] && printf '%s\0' "$f"; done |
	tar c --null -T - | tar x -C "$work/tree"
GOCACHE=$work/cache make -s -C "$work/tree" packages DIST="$work/dist" KEYS="$keys" "$@" >/dev/null
diff -r "$programs" "$work/tree/.build/cross"
diff -r -x deb "$packages" "$work/dist"
echo "reproducible: $(find "$programs" -type f | wc -l) programs and $(find "$work/dist" -type f | wc -l) files of packages are the same"
rm -rf "$work"
