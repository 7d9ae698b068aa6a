#!/usr/bin/python3
"""Small wires: whatever the underlay's MTU is, links carry 1,420 bytes, and traceroute, tracepath, ping -s and transfers work
through sessions and through the tunnel to an exit."""
# tests/run: timeout=300
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import labkit
from labkit import WEB, WEB4, Lab, want, wait_until
from session_kit import ROW, ping_sizes, tracepath, traceroute

HERE = WEB4.removeprefix("http://")


def wire_mtu(lab, a, b, mtu):
    lab.run(a, "ip", "link", "set", f"to-{b}", "mtu", mtu)
    lab.run(b, "ip", "link", "set", f"to-{a}", "mtu", mtu)


def fragments_seen(lab, node, interface, filter_):
    """Counts on a wire what a filter of tcpdump's lets through, until stop()."""
    return lab.job(node, "tcpdump", "-n", "-l", "-Z", "root", "--immediate-mode", "-i", interface, filter_, stdout=-1)


def tools_work(lab, far, hops):
    traceroute(lab, far, hops)
    traceroute(lab, far, hops, 1300)  # packets that fill the wire
    pmtu = tracepath(lab, far, hops)
    ping_sizes(lab, far, 56, 900, 1200, 1232, 1298, 1338, 1400, 3000, 20000)
    r = lab.run("n1", "ping", "-n", "-c", 1, "-W", 1, "-M", "do", "-s", 1400, far, check=False)
    want(r.returncode and re.search("too long|mtu", r.stdout + r.stderr), f"-M do and too much for the TUN: {r.stdout} {r.stderr}")
    return pmtu


def the_exit_works(lab):
    wait_until(lambda: lab.online("n1"), 20, "Internet at n1")
    ping_sizes(lab, HERE, 56, 1200, 1318, 1400, 5000)
    out = lab.run("n1", "traceroute", "-n", "-q", 1, "-w", 1, HERE, check=False).stdout
    want(re.search(r"100\.[\d.]+", out) and HERE in out.split("\n", 1)[1], "traceroute to the Internet: " + out)
    out = lab.run("n1", "tracepath", "-n", HERE, check=False, timeout=40).stdout
    want("reached" in out and "pmtu 1346" in out, "tracepath to the Internet: " + out)
    f = lab.fetch("n1", f"{WEB}/10M", timeout=60)
    want(f.size == 10_000_000 and f.sha256 == lab.sha256("10M"), f"{f.size} bytes")
    return f


@labkit.test
def a_wire_of_1280_bytes():
    with Lab(text=ROW) as lab:
        lab.all_ping(30)
        wire_mtu(lab, "n2", "n3", 1280)
        frag = fragments_seen(lab, "n2", "to-n3", "ip6 proto 44")
        pmtu = tools_work(lab, lab.address("n4"), [lab.address(n) for n in ("n2", "n3", "n4")])
        f = the_exit_works(lab)
        frag.stop()
        want(frag.output.count(b"frag") > 10, "the wire saw no fragments: was it small at all?")
        return f"pmtu {pmtu}, {f.rate / 1e6:.0f} Mbit/s in fragments"


@labkit.test
def a_wire_of_1000_bytes():
    with Lab(text=ROW) as lab:
        lab.all_ping(30)
        # Below 1,280 bytes a wire has no IPv6: the two find each other by IPv4 addresses in their configuration.
        wire_mtu(lab, "n2", "n3", 1000)
        for n, other, a in (("n2", "n3", "10.9.9.1"), ("n3", "n2", "10.9.9.2")):
            lab.run(n, "ip", "addr", "add", f"{a}/30", "dev", f"to-{other}")
        key = lab.status("n3")["key"]
        lab.byway("n2", "peer", "add", key, "--endpoint", "10.9.9.2:4870")
        lab.byway("n3", "peer", "add", lab.status("n2")["key"], "--endpoint", "10.9.9.1:4870")
        wait_until(lambda: any(p["endpoint"] == "10.9.9.2:4870" and p["state"] == "up" for p in lab.peers("n2")), 30, "a link by IPv4")
        lab.converged(60)
        frag = fragments_seen(lab, "n2", "to-n3", "ip[6:2] & 0x3fff != 0")
        pmtu = tools_work(lab, lab.address("n4"), [lab.address(n) for n in ("n2", "n3", "n4")])
        f = the_exit_works(lab)
        frag.stop()
        want(frag.output.count(b"\n") > 10, "the wire saw no fragments: was it small at all?")
        return f"pmtu {pmtu}, {f.rate / 1e6:.0f} Mbit/s in fragments"


labkit.main()
