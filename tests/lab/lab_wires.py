#!/usr/bin/python3
"""The lab's links, measured by real tools between bare namespaces."""
# tests/run: timeout=120
import json
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import labkit
from labkit import Lab, want

BARE = "--no-daemons"


def far_end(lab, node, interface):
    """The link-local address of the other end of a node's interface, with its scope."""
    l = next(l for l in lab.show()["links"] if (l["a"], l["a_interface"]) == (node, interface) or (l["b"], l["b_interface"]) == (node, interface))
    far, far_if = (l["b"], l["b_interface"]) if l["a"] == node and l["a_interface"] == interface else (l["a"], l["a_interface"])
    text = lab.run(far, "ip", "-6", "-o", "addr", "show", "dev", far_if, "scope", "link").stdout
    return re.search(r"inet6 (fe80\S+)/64", text)[1] + "%" + interface


def ping(lab, node, address, count, interval=0.02, size=56):
    out = lab.run(node, "ping", "-n", "-c", count, "-i", interval, "-W", 3, "-s", size, address, check=False).stdout
    got = int(re.search(r"(\d+) received", out)[1])
    return got, [float(x) for x in re.findall(r"time=([\d.]+)", out)]


def repeat(condition, seconds, what):
    """Like wait_until, for conditions that take a while themselves. what() tells what was found in the end."""
    end = time.monotonic() + seconds
    while not condition():
        want(time.monotonic() < end, what)


def shortest_rtt(lab, expected):
    """From n1 to n2. The shortest of many: what a busy machine adds is not the wire's."""
    to, rtts = far_end(lab, "n1", "to-n2"), []

    def short():
        rtts.extend(ping(lab, "n1", to, 10)[1])
        return len(rtts) > 10 and min(rtts) < expected + 1.5
    repeat(short, 30, lambda: f"a round trip of {expected} ms, the shortest took {min(rtts, default=None)}")
    return min(rtts)


def iperf(lab, server, client, address, *args, seconds=2):
    s = lab.job(server, "iperf3", "-s", "-1", stdout=subprocess.PIPE)
    labkit.wait_until(lambda: ":5201" in lab.run(server, "ss", "-ltnH").stdout, 5, "iperf3's server")
    out = lab.run(client, "iperf3", "-J", "-6", "-c", address, *(["-t", seconds] if "-n" not in args else []), *args, timeout=seconds + 30).stdout
    s.wait(10)
    end = json.loads(out)["end"]
    return end


def keeper_cpu(lab):
    pid = lab.show()["keeper_pid"]
    with open(f"/proc/{pid}/stat") as f:
        w = f.read().rsplit(")", 1)[1].split()
    return (int(w[11]) + int(w[12])) / os.sysconf("SC_CLK_TCK")


@labkit.test
def every_neighbour_answers_at_once():
    with Lab("random", "--nodes", 20, BARE) as lab:
        for l in lab.show()["links"]:
            got, _ = ping(lab, l["a"], far_end(lab, l["a"], l["a_interface"]), 1)
            want(got == 1, f"{l['a']} {l['a_interface']}")


@labkit.test
def delay_is_what_was_asked():
    with Lab(BARE, text="link 1 2 delay=10ms") as lab:
        least = shortest_rtt(lab, 20)
        want(20.0 <= least < 21.5, f"{least} ms instead of 20")
        return f"{least} ms for 2 x 10 ms"


@labkit.test
def loss_is_what_was_asked_and_is_not_reported_to_the_sender():
    with Lab(BARE, text="link 1 2 loss=10%") as lab:
        a = far_end(lab, "n1", "to-n2")
        out = lab.run("n1", "ping", "-n", "-c", 2000, "-i", 0.002, "-W", 1, a, check=False)
        got = int(re.search(r"(\d+) received", out.stdout)[1])
        want(0.77 < got / 2000 < 0.85, f"{got} of 2000")
        want("No buffer" not in out.stdout + out.stderr, "the sender was told")
        return f"{100 - got / 20:.1f} % lost for 2 x 10 %"


@labkit.test
def one_way_changes_one_way():
    with Lab("line", "--nodes", 2, BARE) as lab:
        lab.link("n2", "n1", "delay=30ms", "--one-way")
        least = shortest_rtt(lab, 30)
        want(30 <= least < 31.5, f"{least} ms instead of 30")
        l = lab.show()["links"][0]
        want((l["a_to_b"]["impairment"], l["b_to_a"]["impairment"]) == ("up", "delay=30ms"), str(l))


@labkit.test
def rate_holds():
    with Lab(BARE, text="link 1 2 rate=20mbit") as lab:
        to, rates = far_end(lab, "n1", "to-n2"), []

        def full():  # on a busy machine not at the first try
            rates.append(iperf(lab, "n2", "n1", to, "-C", "cubic", seconds=3)["sum_received"]["bits_per_second"] / 1e6)
            return rates[-1] > 15
        repeat(full, 60, lambda: f"Mbit/s of TCP through 20: {rates}")
        want(max(rates) < 20.2, f"more than 20 Mbit/s: {rates}")
        return f"{rates[-1]:.1f} Mbit/s of TCP through 20"


@labkit.test
def fast_when_unimpaired_and_with_delay():
    with Lab("line", "--nodes", 2, BARE) as lab:
        to, got = far_end(lab, "n1", "to-n2"), {}

        def carries(what, least, *args):
            """More than so many Mbit/s: far below what it does, so that a wire is no bottleneck where another thing is meant."""
            def enough():
                end = iperf(lab, "n2", "n1", to, *args)
                end = end.get("sum_received") or end["sum"]
                got[what] = end["bits_per_second"] * (100 - end.get("lost_percent", 0)) / 100e6
                return got[what] > least
            repeat(enough, 60, lambda: f"{what} at {least} Mbit/s at the least, got {got[what]:.0f}")

        carries("TCP", 200)
        carries("UDP", 100, "-u", "-b", "700M", "-l", 1400)
        lab.link("n1", "n2", "delay=5ms")
        carries("TCP with 10 ms of RTT", 100)
        return ", ".join(f"{what} {rate:.0f} Mbit/s" for what, rate in got.items())


@labkit.test
def frames_are_frames_when_asked():
    with Lab("line", "--nodes", 2, BARE, "--frames") as lab:
        a = far_end(lab, "n1", "to-n2")
        file = f"/tmp/byway-labkit-{os.getpid()}.pcap"
        try:
            c = lab.capture("n2", "to-n1", file, "tcp", "port", 5201)
            iperf(lab, "n2", "n1", a, "-n", "2M")
            c.stop()
            out = labkit.command("tcpdump", "-nner", file).stdout
        finally:
            if os.path.exists(file):
                os.unlink(file)
        sizes = [int(x) for x in re.findall(r", length (\d+): ", out)]
        want(len(sizes) > 200 and max(sizes) <= 1514, f"{len(sizes)} frames, the largest {max(sizes or [0])}")


@labkit.test
def cut_is_silent_and_down_is_not():
    with Lab("line", "--nodes", 2, BARE) as lab:
        a = far_end(lab, "n1", "to-n2")
        carrier = lambda: lab.run("n1", "cat", "/sys/class/net/to-n2/carrier").stdout.strip()
        lab.link(1, 2, "cut")
        want(ping(lab, "n1", a, 2)[0] == 0, "a cut link carried something")
        want(carrier() == "1", "a cut is seen")
        lab.link(1, 2, "down")
        labkit.wait_until(lambda: carrier() == "0", 2, "carrier off")
        lab.link(1, 2, "up")
        labkit.wait_until(lambda: carrier() == "1", 2, "carrier on")
        labkit.wait_until(lambda: ping(lab, "n1", a, 1)[0] == 1, 5, "an answer again")


@labkit.test
def links_beside_each_other_are_told_apart():
    with Lab(BARE, text="link 1 2\nlink 1 2 name=radio delay=20ms\n") as lab:
        lab.link(1, 2, "cut", "--link", "radio")
        states = {l["name"]: l["state"] for l in lab.show()["links"]}
        want(states == {"": "up", "radio": "cut"}, str(states))
        labkit.wait_until(lambda: ping(lab, "n1", far_end(lab, "n1", "to-n2"), 1)[0] == 1, 10, "an answer over the other one")


@labkit.test
def idle_costs_nothing():
    with Lab("random", "--nodes", 30, BARE) as lab:
        labkit.wait_until(lambda: quiet(lab), 30, "quiet on the links")
        before, begin = keeper_cpu(lab), time.monotonic()
        labkit.wait_until(lambda: time.monotonic() > begin + 2, 3)
        used = keeper_cpu(lab) - before
        want(used <= 0.04, f"{used:.2f} s of processor in 2 s")


def quiet(lab):
    count = lambda: sum(l[w]["frames"] for l in lab.show()["links"] for w in ("a_to_b", "b_to_a"))
    before, begin = count(), time.monotonic()
    labkit.wait_until(lambda: time.monotonic() > begin + 0.5, 1)
    return count() - before < 20


@labkit.test
def the_internet_is_there_for_those_who_have_it():
    with Lab("line", "--nodes", 3, BARE, "--internet", "1,3") as lab:
        for node in "n1", "n3":
            for url in labkit.WEB + "/1M", labkit.WEB4 + "/1M", labkit.WEB6 + "/1M":
                f = lab.fetch(node, url)
                want(f.sha256 == lab.sha256("1M"), f"{node} {url}: wrong content")
        want(not lab.online("n2"), "n2 has none")
        want(lab.reaches("n1", "203.0.113.103") and lab.reaches("n1", "2001:db8:0:3::2"), "customers reach each other by the provider")
        want(lab.run("n1", "ping", "-c1", "-W1", "ff02::1%internet").stdout.count("bytes from") >= 1, "")
        lab.link(1, "internet", "cut")
        want(not lab.online("n1", labkit.WEB4 + "/"), "a cut uplink")
        want(lab.online("n3"), "the other one")
        lab.link(1, "internet", "clear")
        labkit.wait_until(lambda: lab.online("n1"), 10, "the uplink's return")
        f = lab.fetch("n1", labkit.WEB + "/100M")
        want(f.sha256 == lab.sha256("100M"), "100M: wrong content")
        return f"{f.rate / 1e6:.0f} Mbit/s from the web server"


labkit.main()
