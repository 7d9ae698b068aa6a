#!/usr/bin/python3
"""Seven nodes, two exits: transfers survive the death of a relay, new connections the death of an exit, and nothing on any
relay's wires can be read."""
# tests/run: timeout=240 alone
import ipaddress
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import labkit
from labkit import WEB, Lab, command, want, wait_until


@labkit.test
def all_pairs_ping_and_all_are_online():
    with Lab("seven") as lab:
        took = lab.all_ping(30)
        for n in "n1 n2 n3 n6 n7".split():
            wait_until(lambda: lab.online(n), 20, f"Internet at {n}")
        want(lab.online("n7", "http://198.51.100.80/"), "by IPv4 address")
        return f"all pairs {took:.1f} s after the start"


@labkit.test
def a_transfer_outlives_the_relay_that_carries_it():
    notes = []
    with Lab("seven") as lab:
        lab.all_ping(30)
        for client in ("n7", "n2"):
            wait_until(lambda: lab.online(client), 20, f"Internet at {client}")
        # n7 hangs on n4 alone: its exit is a neighbour as long as n4 shares. With n4's sharing off the way leads through relays.
        lab.link("n4", "internet", "cut")
        wait_until(lambda: lab.exit_of("n7") == "n5" and lab.exit_of("n2") == "n5" and lab.online("n7"), 30, "both at exit n5")
        wanted = lab.sha256("100M")
        transfers = [lab.fetching(c, f"{WEB}/100M", 120, rate="5M") for c in ("n7", "n2")]
        wait_until(lambda: all(t.size > 10_000_000 for t in transfers), 60, "the first 10 MB of both")
        # n4 and n3 are the only way for n7 and to n5; what can die is what lies between them.
        relay = next(n for n in lab.path("n7", lab.address("n5"))[1:-1] if n not in ("n4", "n3"))
        lab.kill(relay)
        for t in transfers:
            t.join(130)
            want(not t.error, f"transfer: {t.error}")
            want(t.sha256 == wanted, f"checksum of {t.size} bytes")
            notes.append(f"{t.rate / 1e6:.0f} Mbit/s")
        notes.append(f"killed {relay}")
    return ", ".join(notes)


@labkit.test
def new_connections_work_soon_after_an_exit_dies():
    with Lab("seven") as lab:
        lab.all_ping(30)
        for n in ("n7", "n2"):
            wait_until(lambda: lab.online(n), 20, f"Internet at {n}")
        victim = lab.exit_of("n2")
        lab.kill(victim)
        begin = time.monotonic()
        for n in ("n2", "n1"):
            wait_until(lambda: lab.online(n, timeout=1), 20, f"Internet at {n} again", every=0.05)
        took = time.monotonic() - begin
        want(took <= 3.5, f"{took:.1f} s until a new connection worked")
        return f"{victim} killed, online again after {took:.1f} s"


@labkit.test
def a_relay_that_stops_properly_costs_at_most_one_ping():
    with Lab("seven") as lab:
        lab.all_ping(30)
        path = lab.path("n1", lab.address("n6"))
        relay = path[1]
        ping = lab.pinging("n1", lab.address("n6"), 0.02)
        wait_until(lambda: len(ping.lines) > 50, 10, "fifty answers")
        lab.stop(relay)
        seen = len(ping.lines)
        wait_until(lambda: len(ping.lines) > seen + 100, 15, "a hundred more answers")
        ping.stop()
        want(ping.lost <= 1, f"{ping.lost} of {ping.sent} lost, gaps {ping.gaps}, stopped {relay}")
        return f"{ping.lost} of {ping.sent} lost"


MARK = "byway-plain-text-marker"


@labkit.test
def nothing_on_the_wires_can_be_read():
    with Lab("seven") as lab:
        lab.all_ping(30)
        wait_until(lambda: lab.online("n7"), 20, "Internet at n7")
        lab.link("n4", "internet", "cut")
        wait_until(lambda: lab.exit_of("n7") == "n5" and lab.online("n7"), 30, "n7 at exit n5")
        captures = []
        for node in ("n1", "n2", "n3", "n6", "n4"):
            for iface in lab.run(node, "ls", "/sys/class/net").stdout.split():
                if iface.startswith("to-") and iface != "to-internet":
                    file = f"{lab.dir}/{node}-{iface}.pcap"
                    captures.append((file, lab.capture(node, iface, file, whole=True)))
        lab.run("n7", "curl", "-s", "-m", "10", "-A", MARK, f"{WEB}/{MARK}", check=False)
        want(lab.fetch("n7", f"{WEB}/1M").size == 1_000_000, "a transfer")
        addresses = [ipaddress.ip_address(lab.address("n%d" % i)).packed for i in range(1, 8)]
        total, light, bad = 0, 0, []
        for file, job in captures:
            job.stop()
            with open(file, "rb") as f:
                data = f.read()
            for word in (MARK.encode(), b"example", b"HTTP/1", b"www.example", b"curl/"):
                if word in data:
                    bad.append(f"{word!r} in {os.path.basename(file)}")
            bad += [f"address {a.hex()} in {os.path.basename(file)}" for a in addresses if a in data]
            out = command("tshark", "-r", file, "-d", "udp.port==4870,wg", "-T", "fields", "-e", "_ws.col.Protocol", "-e", "wg.type",
                          "-e", "udp.dstport", "-e", "ipv6.dst", "-e", "udp.payload").stdout
            for line in out.splitlines():
                total += 1
                proto, wg, port, dst, payload = (line.split("\t") + ["", "", "", "", ""])[:5]
                beacon = port == "4870" and dst.startswith("ff12")
                is_light = payload.startswith(("4c000000", "4c010000"))    # docs/spec/link.md, section 9
                light += is_light
                if not (wg in ("1", "2", "3", "4") or is_light or beacon or proto in ("ICMPv6", "ARP", "IPv6 fragment")):
                    bad.append(f"{os.path.basename(file)}: {line}")
        want(total > 500, f"only {total} packets were captured")
        want(light > 20, f"only {light} light messages")    # a captured frame may hold a train of them
        want(not bad, "; ".join(bad[:4]))
        return f"{total} packets on {len(captures)} interfaces, {light} of them light messages"


labkit.main()
