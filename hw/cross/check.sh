#!/usr/bin/env bash
# Runs the cross-built programs, and the unit tests of the packages without
# system calls, on emulated CPUs of the boards they are for. A CPU is always
# named: the default one of qemu has everything, and would hide a program for
# the wrong one.
# Usage: check.sh [-short|-big] PROGRAMS SLIM
# -short: the programs only. -big: the unit tests only, on big-endian MIPS,
# with those of node and mesh, and without the longest.
#
# Programs and tests went through SLIM (openwrt-feed/tools/cmd/slim), which
# takes tables out that only tracebacks use: all else must work as before.
#
# User-mode emulation has no generic netlink and no options of packet sockets,
# and on big-endian MIPS no readable route netlink. So this checks instructions,
# byte order, keys and configurations, and not the doors to the kernel: those
# need a whole emulated board.
set -euo pipefail
short= big=
case ${1:-} in
-short) short=1 && shift ;;
-big) big=1 && shift ;;
esac
programs=$(realpath "$1") slim=$(realpath "$2") slimmed=$(realpath "$(dirname "$0")/slimmed.sh")
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# target  emulator  CPU  board
cpus="
mips-softfloat    qemu-mips     24Kc       ath79
mipsle-softfloat  qemu-mipsel   24KEc      ramips
arm-5             qemu-arm      arm926     kirkwood
arm-6             qemu-arm      arm1176    bcm2708
arm-7             qemu-arm      cortex-a7  ipq40xx
arm64             qemu-aarch64  cortex-a53 filogic
amd64             -             -          x86-64
386               -             -          x86
"
# A private key and what belongs to it, by cjdns.
private=b81337f3fc15f9c1fbecfab8f8e546aa870bb723bdb4f4869d0ea167cbbf9e3f
public=p1k4y0xpkq5r12br69r6f832jk7h7s9n0ld8fwc8kvgpb70g7kx0.k
ip=fc67:b1a1:2ed9:d63f:573b:2199:208a:f95b
# Without node and mesh, whose tests are whole networks: more than a quarter of
# an hour each there. Those that are over in 2 s there are run by -big: all but
# these, which on an amd64 machine take 0.1 s and more.
long='Eclipse|DHTReachesAll|DHTAtRest|FloodOfForged|FloodOfHellos|FloodOfOne|IdentityFlood|IdentityNets|TestFloods|FuzzMesh|NoLoops|TPSpeed'
long+='|MeshSlots|Islands|AnyLength|AtRest|InTurn|SwappingLoss|ComesBack|Unplugged|RoomForItsClients|AllSources|AmongAgents|WayIsReplaced'
long+='|LongCut|BetterWay|ChainsChange|EverybodyOnce|PathCosts|SecondInterface|SeedsReach|TTConverge|HallRoams'
pure="mono pkt cjdns batman identity cryptoauth switchcore pathfinder session config ubus/wire"

fail() {
	echo "check-cross: $*" >&2
	exit 1
}

# programs: key derivation, both configuration forms there and back, and runs
# of the daemon up to the point where it opens its socket.
program() {
	local target=$1 board=$2
	shift 2
	local p=("$@" "$programs/meshagent-linux-$target") dir=$tmp/$target out pid n
	mkdir "$dir"
	out=$("${p[@]}" version --socket "$dir/none") || fail "$target: version"
	[[ $out == "meshagent "* ]] || fail "$target: version says $out"
	out=$("${p[@]}" keygen --pub <<<"$private") || fail "$target: keygen"
	[[ $out == *"$public"* && $out == *"$ip"* ]] || fail "$target: another key belongs to the private key: $out"
	for form in uci cjdroute; do
		"${p[@]}" genconf --format $form >"$dir/$form" || fail "$target: genconf $form"
		"${p[@]}" check-config "$dir/$form" >/dev/null || fail "$target: check-config $form"
	done
	printf "config meshagent 'main'\n\toption key_file '%s/key'\n\toption state_dir '%s'\n\toption socket '%s/sock'\nconfig tun 'tun'\n\toption enabled '0'\nconfig udp 'u'\n\toption bind '127.0.0.1:0'\n" \
		"$dir" "$dir" "$dir" >"$dir/conf"
	start
	out=$("${p[@]}" status --json --socket "$dir/sock") || fail "$target: status: $out, $(cat "$dir/log")"
	[[ $out == *'"state":"up"'* ]] || fail "$target: no link is up: $out"
	kill $pid
	wait $pid || fail "$target: the agent failed: $(cat "$dir/log")"
	# Asked by SIGQUIT, the runtime walks all stacks: it must name functions,
	# and get to the end.
	start
	kill -QUIT $pid
	wait $pid && fail "$target: SIGQUIT did not end it"
	for word in "SIGQUIT: quit" "/daemon." "main.main(" "runtime.main(" "created by " $'\t?:0 +0x'; do
		grep -qF "$word" "$dir/log" || fail "$target: no $word in the traceback: $(cat "$dir/log")"
	done
	! grep -q "fatal error\|unexpected return pc\|panic during" "$dir/log" || fail "$target: a fault in the traceback: $(cat "$dir/log")"
	printf '%-18s %-12s %s\n' "$target" "$board" "program ok"
}

# start runs the daemon until it has opened its socket.
start() {
	rm -f "$dir/sock"
	GOTRACEBACK=all "${p[@]}" run -c "$dir/conf" 2>"$dir/log" &
	pid=$!
	for ((n = 0; n < 300; n++)); do
		[[ -S $dir/sock ]] && return
		kill -0 $pid 2>/dev/null || fail "$target: the agent ended: $(cat "$dir/log")"
		sleep 0.1
	done
}

tests() {
	local target=$1 exec=$2 arch=${1%%-*} log=$tmp/$1.log p list=()
	shift 2
	for p; do list+=("./agent/$p"); done
	GOOS=linux GOARCH=$arch GOMIPS=softfloat GOARM=$([[ $target == arm-* ]] && echo "${target#arm-}") CGO_ENABLED=0 \
		go test -short -count=1 -timeout 60m ${big:+-skip "$long"} -exec "$slimmed $slim $exec" "${list[@]}" >"$log" 2>&1 || fail "$target: $(grep -v '^ok' "$log" | head -40)"
	printf '%-18s %-12s %s\n' "$target" "" "$(grep -c '^ok' "$log") packages tested"
}

if [[ -n $big ]]; then
	tests mips-softfloat "qemu-mips -cpu 24Kc" $pure mesh node
	exit
fi
while read -r target emulator cpu board; do
	[[ -n $target ]] || continue
	run=()
	[[ $emulator == - ]] || run=("$emulator" -cpu "$cpu")
	program "$target" "$board" "${run[@]}"
	# The tests on one CPU of each byte order and word size. What they find by
	# themselves, amd64 has found before: here it is about slim test programs.
	case $target in
	mips-softfloat | arm-5 | arm64) [[ -n $short ]] || tests "$target" "${run[*]}" $pure ;;
	amd64) tests "$target" "" $([[ -n $short ]] && echo cryptoauth identity || echo "$pure" mesh node) ;;
	esac
done <<<"$cpus"
# That a program for another CPU would have been noticed.
if { qemu-arm -cpu arm926 "$programs/meshagent-linux-arm-7" version; } >/dev/null 2>&1; then
	fail "a program for ARMv7 runs on an arm926: the CPU is not emulated"
fi
