#!/usr/bin/env bash
# For go test -exec: slims the test program as programs in packages are, and
# runs it.
# Usage: slimmed.sh SLIM [EMULATOR…] PROGRAM.test [ARGUMENT…]
set -euo pipefail
slim=$1
shift
for word; do
	if [[ $word == *.test ]]; then
		"$slim" "$word" "$word"
		break
	fi
done
exec "$@"
