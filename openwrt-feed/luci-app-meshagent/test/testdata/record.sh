#!/bin/bash
# Writes testdata/recorded anew, from three agents in a row in namespaces of
# their own: a, whose answers are kept, b, and c. Needs root and a built agent:
#
#	make build && openwrt-feed/luci-app-meshagent/test/testdata/record.sh
#
# The keys are for this only. Tests name some of what comes out.
set -e
cd "$(dirname "$0")/.."
agent="${MESHAGENT:-$(cd ../../.. && pwd)/.build/meshagent}"
dir="$(mktemp -d)"
ns="rec$$"
pids=()
finish() {
	kill "${pids[@]}" 2>/dev/null || true
	wait "${pids[@]}" 2>/dev/null || true
	for n in a b c; do ip netns del "$ns$n" 2>/dev/null || true; done
	rm -rf "$dir"
}
trap finish EXIT

for n in a b c; do
	ip netns add "$ns$n"
	ip -n "$ns$n" link set lo up
done
# wire FROM DEVICE MAC TO DEVICE MAC MTU
wire() {
	ip -n "$ns$1" link add "$2" address "$3" mtu "$7" type veth peer name "$5" netns "$ns$4" address "$6" mtu "$7"
	ip -n "$ns$1" link set "$2" up
	ip -n "$ns$4" link set "$5" up
}
wire a phy0-mesh0 02:ba:00:00:01:00 b mesh1 02:ba:00:00:02:00 1532
wire b mesh2 02:ba:00:00:02:01 c mesh0 02:ba:00:00:03:00 1500
wire a wan 02:00:00:00:00:0a b wan 02:00:00:00:00:0b 1500
ip -n "${ns}a" addr add 10.9.1.1/24 dev wan
ip -n "${ns}b" addr add 10.9.1.2/24 dev wan

# run NAME KEY < SECTIONS
run() {
	mkdir "$dir/$1"
	echo "$2" >"$dir/$1/key"
	chmod 600 "$dir/$1/key"
	{
		printf "config meshagent 'main'\n\toption key_file '%s'\n\toption state_dir '%s'\n\toption socket '%s'\n\toption ubus 'off'\n\n" \
			"$dir/$1/key" "$dir/$1" "$dir/$1/sock"
		cat
	} >"$dir/$1/conf"
	ip netns exec "$ns$1" "$agent" run -c "$dir/$1/conf" 2>"$dir/$1/log" &
	pids+=($!)
}
sed '/^config meshagent/,/^$/d' testdata/meshagent | run a 7a3232ac8ff5868414a28a8c526f69b957b70a10d3c2307ee88fe4f883082d32
run b ccbae872fbef7ce937894ff7826254ec1f612ae8e0eb6c084a53ffcb7e1ed728 <<-EOF
	config tun 'tun'
		option persist '0'
	config udp 'udp4'
		option bind '0.0.0.0:25381'
	config password 'alice'
		option password 'apples-and-pears'
	config mesh 'bat0'
		option gw_mode 'server'
		option gw_bandwidth '20mbit/5mbit'
	config hardif 'air'
		list device 'mesh1'
		list device 'mesh2'
EOF
run c be83c83decce5988687ca5ebdcdd24763e94238b2d912d647a2ddfc09566dd83 <<-EOF
	config tun 'tun'
		option persist '0'
	config mesh 'bat0'
	config hardif 'air'
		list device 'mesh0'
EOF
sleep 40
go run ./cmd/record "$dir/a/sock" testdata/recorded fc49:3a0b:7bfe:3967:0135:8eaa:092b:a817
sed -i "s|$dir/a/conf|/etc/config/meshagent|" testdata/recorded/*.json
