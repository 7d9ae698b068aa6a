#!/usr/bin/python3
"""What others may take from under a running node: its interface, its routes, its firewall."""
# tests/run: timeout=90
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import labkit
from labkit import Lab, want, wait_until


@labkit.test
def a_node_whose_interface_is_removed_says_so_and_ends():
    with Lab("line", "--nodes", 3) as lab:
        lab.all_ping(30)
        lab.run("n2", "ip", "link", "del", "byway0")
        wait_until(lambda: not next(n["pid"] for n in lab.show()["nodes"] if n["name"] == "n2"), 10, "the end of n2")
        want("byway0 was removed by somebody" in lab.log("n2"), lab.log("n2")[-300:])
        wait_until(lambda: not lab.reaches("n1", lab.address("n2")), 5, "it is gone for the others")
        left = lab.run("n2", "sh", "-c", "ip rule; ip -6 rule; nft list ruleset; ip -6 route show proto 112").stdout
        want("proto 112" not in left and "487" not in left and "byway" not in left, f"left behind: {left}")
        lab.start("n2")
        lab.all_ping(30)


@labkit.test
def routes_and_rules_that_others_take_away_are_put_back():
    with Lab(text="link 1 2\nnode 1 share\n") as lab:
        wait_until(lambda: lab.online("n2"), 30, "Internet at n2")
        for cmd in ("ip rule del pref 4871", "ip -6 rule del pref 4869", "ip route flush table 4870", "ip -6 route del fc00::/8",
                    "ip link set byway0 down"):
            lab.run("n2", *cmd.split())
            wait_until(lambda: lab.online("n2") and lab.online("n2", "http://[2001:db8::80]/") and
                       lab.reaches("n2", lab.address("n1")), 15, f"Internet at n2 after `{cmd}`")


@labkit.test
def a_firewall_that_is_flushed_is_put_back():
    with Lab(text="link 1 2\nnode 1 share\n") as lab:
        wait_until(lambda: lab.online("n2"), 30, "Internet at n2")
        url = f"http://[{lab.address('n1')}]:8080/"
        lab.job("n1", "python3", "-m", "http.server", "--bind", "::", "8080")
        wait_until(lambda: lab.online("n1", url), 10, "a server at n1")
        for i in range(5):
            lab.run("n1", "nft", "flush ruleset" if i % 2 else "delete table inet byway")
            wait_until(lambda: "dport 4870" in lab.run("n1", "nft", "list ruleset").stdout, 3, "the rules")
        want(not lab.online("n2", url, timeout=1), "n1's server is open to the mesh")
        wait_until(lambda: lab.online("n2"), 10, "Internet at n2 again")
        # Other people's tables are none of our business.
        before = lab.log("n1").count("put back")
        lab.run("n1", "nft", "add table inet other; delete table inet other")
        lab.byway("n1", "reload")
        want(lab.log("n1").count("put back") == before, "somebody else's table was taken for ours")


@labkit.test
def a_kill_switch_survives_a_flush():
    with Lab(text="link 1 2\nnode 1 share\nnode 2 internet set internet.killswitch=yes\n") as lab:
        wait_until(lambda: lab.online("n2"), 30, "Internet at n2, through n1")
        lab.run("n2", "nft", "flush ruleset")
        wait_until(lambda: "byway-guard" in lab.run("n2", "nft", "list ruleset").stdout, 3, "the guard")


labkit.main()
