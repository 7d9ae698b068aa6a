#!/usr/bin/python3
"""DNS for an exit's clients: over whichever family there is, from whichever servers the exit's machine has by now."""
# tests/run: timeout=90
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import labkit
from labkit import WEB, Lab, want, wait_until

PAIR = "link 1 2\nnode 1 share\n"


@labkit.test
def an_exit_with_ipv6_alone_gives_names_as_well():
    with Lab(text=PAIR) as lab:
        wait_until(lambda: lab.online("n2"), 30, "Internet at n2")
        lab.run("n1", "ip", "addr", "del", "203.0.113.101/24", "dev", "internet")
        wait_until(lambda: lab.online("n2", "http://[2001:db8::80]/") and lab.exits("n2")[0]["families"] == ["ipv6"], 30, "IPv6 alone")
        wait_until(lambda: lab.online("n2", WEB + "/"), 20, "a name")


def resolvers(lab, node, *servers):
    with open(f"{lab.dir}/nodes/{node}/resolv.conf", "w") as f:
        f.write("".join(f"nameserver {s}\n" for s in servers))


@labkit.test
def the_exit_asks_the_servers_that_its_machine_has_now():
    for dns in ("auto", "none"):
        with Lab(text=PAIR + f"node 1 set internet.dns={dns}\n") as lab:
            lab.stop("n1")
            resolvers(lab, "n1")  # as before a DHCP client has spoken
            lab.start("n1")
            wait_until(lambda: lab.online("n2", "http://198.51.100.80/"), 30, "Internet at n2")
            want(not lab.online("n2", WEB + "/"), "a name without a server")
            resolvers(lab, "n1", "198.51.100.53", "2001:db8::53")
            wait_until(lambda: lab.online("n2", WEB + "/"), 20, f"names, with dns = {dns}")


labkit.main()
