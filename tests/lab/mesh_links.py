#!/usr/bin/python3
"""Two nodes with two links between them, and interfaces that come, go and change while the nodes run."""
# tests/run: timeout=120
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import labkit
from labkit import Lab, want, wait_until

TWO = "link 1 2 name=cable\nlink 1 2 name=radio delay=4ms\nlink 2 3\n"


def link_names(lab, node):
    return sorted(p["link"] for p in lab.peers(node) if p["state"] == "up")


def way(lab, node, to):
    r = lab.route(node, lab.address(to))
    return r["link"] if r and r["metric"] < 65535 else None


@labkit.test
def two_links_join_the_same_two_nodes_and_cutting_one_moves_traffic():
    with Lab(text=TWO) as lab:
        lab.all_ping(30)
        wait_until(lambda: link_names(lab, "n1") == ["to-cable", "to-radio"], 15, "both links up")
        want(len({p["key"] for p in lab.peers("n1")}) == 1, "both belong to one key")
        used = wait_until(lambda: way(lab, "n1", "n3"), 10, "a way")
        other = "to-radio" if used == "to-cable" else "to-cable"
        ping = lab.pinging("n1", lab.address("n3"), 0.05)
        wait_until(lambda: len(ping.lines) > 20, 10, "twenty answers")
        lab.link("n1", "n2", "cut", "--link", used[3:])
        wait_until(lambda: way(lab, "n1", "n3") == other and way(lab, "n2", "n1") == other, 10, f"traffic on {other}")
        seen = len(ping.lines)
        wait_until(lambda: len(ping.lines) > seen + 20, 10, "answers after the cut")
        ping.stop()
        longest = max([n for _, n in ping.gaps], default=0) * 0.05
        want(longest < 2, f"{longest:.1f} s without an answer")
        lab.link("n1", "n2", "up", "--link", used[3:])
        lab.link("n1", "n2", "cut", "--link", other[3:])
        wait_until(lambda: way(lab, "n1", "n3") == used and lab.reaches("n1", lab.address("n3")), 20, f"and back on {used}")
        return f"{longest:.1f} s until traffic had moved from {used} to {other}"


def pid(lab, node):
    """The daemon's, as it is numbered inside the lab."""
    outside = next(n["pid"] for n in lab.show()["nodes"] if n["name"] == node)
    with open(f"/proc/{outside}/status") as f:
        return next(line.split()[-1] for line in f if line.startswith("NSpid:"))


def wire(lab, a, b, name):
    """A new cable between two running nodes."""
    lab.run(a, "ip", "link", "add", name, "type", "veth", "peer", "name", name, "netns", pid(lab, b))
    lab.run(a, "ip", "link", "set", name, "up")
    lab.run(b, "ip", "link", "set", name, "up")


@labkit.test
def a_new_interface_is_used_and_one_that_vanishes_is_let_go():
    with Lab(text="link 1 2\nlink 2 3\nlink 3 4\n") as lab:
        lab.all_ping(30)
        want(lab.path("n1", lab.address("n4")) == ["n1", "n2", "n3", "n4"], "a line")
        wire(lab, "n1", "n4", "extra")
        wait_until(lambda: lab.path("n1", lab.address("n4")) == ["n1", "n4"], 20, "a route by the new wire")
        want(lab.reaches("n1", lab.address("n4")), "ping by the new wire")
        for gone in (("set", "extra", "down"), ("del", "extra")):
            ping = lab.pinging("n1", lab.address("n4"), 0.05)
            wait_until(lambda: len(ping.lines) > 10, 10, "ten answers")
            lab.run("n1", "ip", "link", *gone)
            wait_until(lambda: lab.path("n1", lab.address("n4")) == ["n1", "n2", "n3", "n4"], 10, f"the way round after {gone}")
            seen = len(ping.lines)
            wait_until(lambda: len(ping.lines) > seen + 10, 10, "answers by the way round")
            ping.stop()
            want(sum(n for _, n in ping.gaps) * 0.05 < 2, f"gaps {ping.gaps} after {gone}")
            wait_until(lambda: "extra" not in link_names(lab, "n1") + link_names(lab, "n4"), 10, "the link gone at both ends")
            if gone[0] == "set":
                lab.run("n1", "ip", "link", "set", "extra", "up")
                wait_until(lambda: lab.path("n1", lab.address("n4")) == ["n1", "n4"], 20, "the wire in use again")
        for n in lab.nodes():
            problems = set(lab.problems(n)) - {"no-exit"}  # nobody shares here
            want(not problems, f"{n}: {problems}")


@labkit.test
def an_interface_that_changes_its_name_or_address_is_the_same_neighbour():
    with Lab(text="link 1 2\n") as lab:
        lab.all_ping(30)
        lab.run("n1", "ip", "link", "set", "to-n2", "down")
        lab.run("n1", "ip", "link", "set", "to-n2", "name", "other", "address", "02:00:5e:10:00:01")
        lab.run("n1", "ip", "link", "set", "other", "up")
        wait_until(lambda: link_names(lab, "n1") == ["other"], 20, "the link under its new name")
        wait_until(lambda: lab.reaches("n1", lab.address("n2")) and lab.reaches("n2", lab.address("n1")), 20, "ping")
        want(len(lab.peers("n2")) == 1, f"one link at n2: {lab.peers('n2')}")


@labkit.test
def a_dead_neighbour_is_shown_as_such_and_back_when_it_returns():
    with Lab("line", "--nodes", 2) as lab:
        lab.all_ping(30)
        lab.kill("n2")
        # Two seconds; ten where it died within moments of the first contact, before its first unicast Hello.
        wait_until(lambda: [p["state"] for p in lab.peers("n1")] == ["silent"], 20, "n2 shown as silent")
        status = lab.status("n1")
        want(status["peers"] == 0, f"{status['peers']} neighbours counted")
        want("silent" in lab.byway("n1", "status").stdout, "the screen does not say it")
        wait_until(lambda: "no-link-up" in lab.problems("n1"), 8, "the problem is named")
        lab.start("n2")
        wait_until(lambda: [p["state"] for p in lab.peers("n1")] == ["up"] and lab.status("n1")["peers"] == 1, 20, "n2 is up again")


@labkit.test
def an_interface_that_is_named_and_cannot_be_used_is_named():
    with Lab(text="link 1 2\nnode 2 set discover.interfaces=to-n1\n") as lab:
        lab.all_ping(30)

        def problem():
            return lab.problems("n2").get("interface-not-used", "")

        want(not problem(), problem())
        lab.run("n2", "sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/to-n1/disable_ipv6")
        wait_until(lambda: "to-n1" in problem() and "IPv6" in problem(), 10, "the reason")
        lab.run("n2", "sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/to-n1/disable_ipv6")
        wait_until(lambda: not problem(), 10, "all is well again")


labkit.main()
