#!/usr/bin/python3
"""One TCP stream through byway and through Debian's wireguard-go, in turns in one run, over the same kind of cable: a direct
link, and one relay in between. Prints medians, and exits 1 if byway is not at least FLOOR times as fast in both.

  tests/bench/compare.py [ROUNDS [SECONDS]]       default 5 rounds of 3 s each
"""
import json
import os
import statistics
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
import netkit  # noqa: E402
from netkit import wait_until  # noqa: E402

FLOOR = 4.0
ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 5
SECONDS = int(sys.argv[2]) if len(sys.argv) > 2 else 3


def line_of(prefix, count):
    """count nodes in a row."""
    nodes = [netkit.Node(prefix + str(i)) for i in range(count)]
    for i in range(count - 1):
        netkit.veth(nodes[i], "right", nodes[i + 1], "left")
    return nodes


def stock(count):
    """wireguard-go on a line of nodes; the kernel of the one in the middle forwards. Returns (client, server, address)."""
    nodes = line_of("w%d-" % count, count)
    for i in range(count - 1):
        a, b, net = nodes[i], nodes[i + 1], "10.%d.%d" % (count, i)
        a.address("right", net + ".1/30")
        b.address("left", net + ".2/30")
        ia, ib = "wr%d%d" % (count, i), "wl%d%d" % (count, i)
        la, lb = netkit.StockLink(a, ia, "fe80::1", 7000), netkit.StockLink(b, ib, "fe80::2", 7001)
        la.peer(lb.public, net + ".2:7001")
        lb.peer(la.public, net + ".1:7000")
        a.address(ia, "172.%d.%d.1/30" % (16 + count, i))
        b.address(ib, "172.%d.%d.2/30" % (16 + count, i))
    if count == 3:
        nodes[1].forwarding()
        nodes[0].run("ip", "route", "add", "172.19.1.0/30", "via", "172.19.0.2")
        nodes[2].run("ip", "route", "add", "172.19.0.0/30", "via", "172.19.1.1")
    target = "172.%d.%d.2" % (16 + count, count - 2)
    nodes[0].reaches(target)
    return nodes[0], nodes[-1], target


def ours(count):
    nodes = line_of("b%d-" % count, count)
    config = "[discover]\ninterfaces = left right\n[internet]\nuse = none\n[api]\nlisten = none\n[firewall]\nallow = all\n"
    running = [netkit.Byway(n, config.replace("left right", ", ".join(x for x in ("left", "right") if x in n.links())))
               for n in nodes]
    nodes[0].reaches(running[-1].address, timeout_s=30)
    return nodes[0], nodes[-1], running[-1].address


def measure(client, server, target, congestion):
    p = server.spawn("iperf3", "-s", "-1", "-p", "5201")
    wait_until(lambda: ":5201" in server.run("ss", "-Hltn"), 5, "iperf3 listens")
    out = client.run("iperf3", "-J", "-c", target, "-p", "5201", "-t", SECONDS, "-C", congestion, timeout=SECONDS + 20)
    p.wait(10)
    return json.loads(out)["end"]["sum_received"]["bits_per_second"] / 1e6


def main():
    netkit.enter()
    with open("/proc/sys/net/ipv4/tcp_available_congestion_control") as f:
        congestion = "cubic" if "cubic" in f.read() else "reno"
    ways = {"direct": (stock(2), ours(2)), "one relay": (stock(3), ours(3))}
    print("%d rounds of %d s, one TCP stream, %s, %d processors; Mbit/s, medians" % (ROUNDS, SECONDS, congestion, os.cpu_count()))
    good = True
    for way, (theirs, mine) in ways.items():
        speeds = {"wireguard-go": [], "byway": []}
        for _ in range(ROUNDS):
            speeds["wireguard-go"].append(measure(*theirs, congestion))
            speeds["byway"].append(measure(*mine, congestion))
        t, m = statistics.median(speeds["wireguard-go"]), statistics.median(speeds["byway"])
        good &= m >= FLOOR * t
        print("%-10s wireguard-go %6.0f   byway %6.0f   %.1f times   (rounds: %s)" %
              (way, t, m, m / t, "  ".join("%.0f/%.0f" % p for p in zip(*speeds.values()))), flush=True)
    print("floor of %g times: %s" % (FLOOR, "held" if good else "NOT held"))
    netkit.done() if good else sys.exit(1)


main()
