#!/usr/bin/python3
"""Peers whose endpoint is a name: looked up until it is known, and again when the peer is silent."""
# tests/run: timeout=150
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import labkit
from labkit import Lab, want, wait_until

APART = "node 1 internet\nnode 2 internet\nnode 1 set discover.interfaces=none\nnode 2 set discover.interfaces=none\n"
NAME, RIGHT, WRONG = "mill.example.test", "203.0.113.102", "203.0.113.199"


def hosts(lab, node, *addresses):
    """What the name means on this node from now on."""
    path = f"{lab.dir}/nodes/{node}/hosts"
    with open(path, "w") as f:
        f.write("127.0.0.1 localhost\n" + "".join(f"{a} {NAME}\n" for a in addresses))
    if node not in getattr(lab, "has_hosts", []):
        lab.run(node, "mount", "--bind", path, "/etc/hosts")
        lab.has_hosts = getattr(lab, "has_hosts", []) + [node]


def listed(lab):
    lab.byway("n2", "peer", "add", lab.status("n1")["key"])
    return lab.status("n2")["key"]


def up(lab):
    return [p["state"] for p in lab.peers("n1")] == ["up"] and lab.reaches("n1", lab.address("n2"))


@labkit.test
def a_name_that_is_not_known_yet_is_looked_up_until_it_is():
    with Lab(text=APART) as lab:
        hosts(lab, "n1")
        lab.byway("n1", "peer", "add", listed(lab), "--endpoint", f"{NAME}:4870")
        wait_until(lambda: "name-not-found" in lab.problems("n1"), 10, "the problem is named")
        want(not up(lab), "up without an address")
        hosts(lab, "n1", RIGHT)
        wait_until(lambda: up(lab), 30, "the link")
        want("name-not-found" not in lab.problems("n1"), "the problem is still told")


@labkit.test
def a_silent_peers_name_is_looked_up_again_and_each_of_its_addresses_tried():
    with Lab(text=APART) as lab:
        hosts(lab, "n1", WRONG)
        lab.byway("n1", "peer", "add", listed(lab), "--endpoint", f"{NAME}:4870")
        wait_until(lambda: [p["endpoint"] for p in lab.peers("n1")] == [f"{WRONG}:4870"], 20, "the wrong address in use")
        hosts(lab, "n1", WRONG, RIGHT)
        wait_until(lambda: up(lab), 45, "the link by the second address")


@labkit.test
def a_peer_that_was_removed_meanwhile_does_not_come_back():
    with Lab(text=APART) as lab:
        hosts(lab, "n1")
        key = listed(lab)
        lab.byway("n1", "peer", "add", key, "--endpoint", f"{NAME}:4870")
        wait_until(lambda: "name-not-found" in lab.problems("n1"), 10, "the first look-up has failed")
        lab.byway("n1", "peer", "remove", key)
        wait_until(lambda: "name-not-found" not in lab.problems("n1"), 20, "nobody looks it up any more")
        hosts(lab, "n1", RIGHT)
        want(not lab.peers("n1"), "it came back")


labkit.main()
