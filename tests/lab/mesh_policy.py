#!/usr/bin/python3
"""Who may be a neighbour: open, secret, closed, and public for those from elsewhere."""
# tests/run: timeout=120
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import labkit
from labkit import Lab, want, wait_until

SECRET = "an old oak stands by the mill and knows it all\n"


def up(lab, node):
    return sorted(p["name"] or p["key"] for p in lab.peers(node) if p["state"] == "up")


def secret_file(lab, node, text):
    path = f"{lab.dir}/nodes/{node}/network.secret"
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
        f.write(text)
    return path


@labkit.test
def who_knows_the_secret_is_a_neighbour_and_nobody_else():
    with Lab("line", "--nodes", 4) as lab:
        lab.all_ping(30)
        for n, secret in (("n1", SECRET), ("n2", SECRET), ("n3", "another oak, another mill, another stream altogether\n")):
            path = secret_file(lab, n, secret)
            lab.configure(n, f"[discover]\npolicy = secret\nsecret-file = {path}\n")
        wait_until(lambda: up(lab, "n1") == ["n2"] and lab.reaches("n1", lab.address("n2")), 20, "n1 and n2 linked again")
        wait_until(lambda: up(lab, "n2") == ["n1"], 20, "n2 has n1 alone")
        wait_until(lambda: up(lab, "n3") == [] and up(lab, "n4") == [], 30, "another secret and none are left out")
        want(not lab.reaches("n3", lab.address("n1")), "n3 gets in with another secret")
        # The right secret lets it in.
        secret_file(lab, "n3", SECRET)
        lab.byway("n3", "reload")
        wait_until(lambda: up(lab, "n2") == ["n1", "n3"] and lab.reaches("n3", lab.address("n1")), 30, "n3 lets itself be told")


@labkit.test
def closed_takes_listed_keys_only():
    with Lab("line", "--nodes", 3, "--set", "discover.policy=closed") as lab:
        keys = {n: lab.status(n)["key"] for n in lab.nodes()}
        begin = time.monotonic()
        # Only one side lists the other: that is not enough.
        lab.byway("n1", "peer", "add", keys["n2"])
        wait_until(lambda: time.monotonic() - begin > 3 or up(lab, "n1"), 10, "three seconds of refusal")
        want(not up(lab, "n1") and not up(lab, "n2"), "one listing alone made a link")
        lab.byway("n2", "peer", "add", keys["n1"])
        wait_until(lambda: up(lab, "n1") == ["n2"] and up(lab, "n2") == ["n1"], 20, "both list each other")
        wait_until(lambda: lab.reaches("n1", lab.address("n2")), 10, "ping")
        want(not up(lab, "n3"), "n3 was let in")
        lab.byway("n2", "peer", "remove", keys["n1"])
        wait_until(lambda: not up(lab, "n2"), 10, "the link gone with its listing")
        wait_until(lambda: not lab.reaches("n1", lab.address("n2")), 10, "no ping")


@labkit.test
def a_neighbour_that_was_found_can_be_removed_and_is_found_again():
    with Lab("line", "--nodes", 2) as lab:
        wait_until(lambda: [p["state"] for p in lab.peers("n1")] == ["up"], 20, "a link")
        key = lab.status("n2")["key"]
        before = lab.metrics("n1")["byway_handshakes_total", ""]
        want(lab.byway("n1", "peer", "remove", key).stdout == "removed\n", "not removed")
        wait_until(lambda: [p["state"] for p in lab.peers("n1")] == ["up"] and
                   lab.metrics("n1")["byway_handshakes_total", ""] > before, 30, "a new link")
        wait_until(lambda: lab.reaches("n1", lab.address("n2")), 20, "n2")


@labkit.test
def from_elsewhere_only_to_the_public():
    # The two meet through the internet namespace only, as two houses far apart.
    with Lab(text="node 1 internet\nnode 2 internet\nnode 2 set discover.interfaces=none\n", *["--share", "1,2"]) as lab:
        key = lab.status("n2")["key"]
        lab.byway("n1", "peer", "add", key, "--endpoint", "203.0.113.102:4870")
        begin = time.monotonic()
        wait_until(lambda: time.monotonic() - begin > 3 or up(lab, "n1"), 10, "three seconds of refusal")
        want(not up(lab, "n1"), "an unknown key from elsewhere was let in")
        lab.configure("n2", "[listen]\npublic = yes\n")
        wait_until(lambda: up(lab, "n1") and up(lab, "n2"), 20, "a link")
        wait_until(lambda: lab.reaches("n2", lab.address("n1")), 10, "ping")
        want(lab.peers("n2")[0]["source"] == "incoming", "its source")


@labkit.test
def a_route_to_elsewhere_does_not_make_it_near():
    with Lab(text="node 1 internet\nnode 2 internet\nnode 1 set discover.interfaces=none\n") as lab:
        # n1's address is in no network of n2's, but n2 has a route there that is not its default route.
        lab.stop("n2")
        for c in ("ip addr del 203.0.113.102/24 dev internet", "ip addr add 203.0.113.102/32 dev internet", "ip route add 203.0.113.1 dev internet",
                  "ip route add 203.0.113.0/24 via 203.0.113.1 src 203.0.113.102"):
            lab.run("n2", *c.split())
        lab.start("n2")
        lab.byway("n1", "peer", "add", lab.status("n2")["key"], "--endpoint", "203.0.113.102:4870")

        def refused():
            return lab.metrics("n2")["byway_handshakes_dropped_total", "policy"] > 0 and not up(lab, "n1")

        wait_until(refused, 15, "the refusal")
        want(not up(lab, "n2"), "n1 was taken for a neighbour on the wire")
        lab.byway("n2", "peer", "add", lab.status("n1")["key"])
        wait_until(lambda: up(lab, "n1") and up(lab, "n2"), 20, "listed it comes in")


labkit.main()
