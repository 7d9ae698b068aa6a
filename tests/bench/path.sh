#!/bin/bash
# path.sh [NODES] [SECONDS] [THREADS]    one TCP stream over a row of nodes that run nothing but the packet path (path.c).
# Needs root, iproute2, iperf3 and a build in build/ (or BUILD=...). PERF=N profiles node N into /tmp/path.perf.
set -euo pipefail
cd "$(dirname "$0")/../.."
nodes=${1:-2} secs=${2:-5} threads=${3:-1} build=${BUILD:-build} tag=bwpath$$
prog=$(mktemp /tmp/path.XXXXXX)
# shellcheck disable=SC2046
cc -std=gnu17 -D_GNU_SOURCE ${CFLAGS:--O2} -g -o "$prog" $(for l in base wire crypto core os daemon; do echo "-I$build/inc/$l"; done) tests/bench/path.c \
  src/daemon/worker.c src/daemon/ring.c src/os/{udp,tun,clock}.c src/core/fwd/*.c src/core/link/{keypair,replay}.c src/crypto/*.c src/base/*.c \
  $(pkg-config --cflags --libs libsodium libcrypto) -pthread
pids=() server=
stop() {
  for p in $server "${pids[@]}"; do kill "$p" 2>/dev/null || true; done
  for p in $server "${pids[@]}"; do wait "$p" 2>/dev/null || true; done
  pids=() server=
}
end() {
  stop
  for i in $(seq "$nodes"); do ip netns del "$tag$i" 2>/dev/null || true; done
  rm -f "$prog" "$prog".*
}
trap end EXIT
at() { local n=$1; shift; nsenter --net="/var/run/netns/$tag$n" "$@"; }
until_ok() { local t=$((SECONDS + 10)); until "$@" >/dev/null 2>&1; do [ $SECONDS -lt $t ] || { echo "path.sh: $* never worked" >&2; exit 1; }; done; }
for i in $(seq "$nodes"); do ip netns add "$tag$i"; at "$i" ip link set lo up; done
for i in $(seq $((nodes - 1))); do
  j=$((i + 1))
  ip link add "r$i" netns "$tag$i" type veth peer name "l$j" netns "$tag$j"
  at "$i" ip addr add "10.99.$i.1/24" dev "r$i"; at "$i" ip link set "r$i" up
  at "$j" ip addr add "10.99.$i.2/24" dev "l$j"; at "$j" ip link set "l$j" up
done
for i in $(seq "$nodes"); do
  l=-; r=-; [ "$i" -gt 1 ] && l=10.99.$((i - 1)).1; [ "$i" -lt "$nodes" ] && r=10.99.$i.2
  run=(); [ "${PERF:-}" = "$i" ] && run=(perf record -q -g -o /tmp/path.perf)
  nsenter --net="/var/run/netns/$tag$i" "${run[@]}" "$prog" "$i" "$nodes" "$l" "$r" "$threads" > "$prog.out$i" & pids+=($!)
  until_ok grep -q ready "$prog.out$i"
  at "$i" ip addr add "fc0$i::$i/128" dev byway0 nodad; at "$i" ip link set byway0 mtu 1420 up; at "$i" ip route add fc00::/8 dev byway0
done
far=fc0$nodes::$nodes
at 1 ping -qc 50 -i 0.005 "$far" | tail -1
nsenter --net="/var/run/netns/$tag$nodes" iperf3 -s -B "$far" >/dev/null & server=$!
until_ok at 1 iperf3 -c "$far" -t 1
measure() { # iperf3's server refuses while it still tidies up after the last run
  local t=$((SECONDS + 10))
  until at 1 iperf3 -c "$far" "$@" -J > "$prog.json"; do [ $SECONDS -lt $t ] || exit 1; done
}
cpu() { local s=0 p; for p in "${pids[@]}"; do s=$((s + $(awk '{print $14 + $15}' "/proc/$p/stat"))); done; echo $s; }
for i in $(seq "${ROUNDS:-1}"); do
  c0=$(cpu)
  measure -C cubic -t "$secs"
  c1=$(cpu)
  python3 - "$prog.json" "$c0" "$c1" <<PY
import json, sys
e = json.load(open(sys.argv[1]))["end"]
g = e["sum_received"]["bytes"] / 1e9
print("path nodes=$nodes threads=$threads tcp %.2f Gbit/s retransmits %d, nodes' CPU %.2f s/GB" % (e["sum_received"]["bits_per_second"] / 1e9, e["sum_sent"]["retransmits"], (int(sys.argv[3]) - int(sys.argv[2])) / 100 / g))
PY
done
measure -u -l 64 -b 0 -t 2
python3 - "$prog.json" <<PY
import json, sys
e = json.load(open(sys.argv[1]))["end"]["sum"]
print("path nodes=$nodes threads=$threads udp64 %.0f kpackets/s" % ((e["packets"] - e["lost_packets"]) / e["seconds"] / 1e3))
PY
stop
for i in $(seq "$nodes"); do echo "node $i: $(grep -v ready "$prog.out$i" | tr '\n' ' ')"; done
