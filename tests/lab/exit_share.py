#!/usr/bin/python3
"""[internet] share: which interface, and what is said when it can't be."""
# tests/run: timeout=240
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import labkit
from labkit import WEB, WEB4, Lab, want, wait_until


@labkit.test
def an_uplink_that_is_named_is_shared_while_it_has_the_default_route():
    with Lab(text="link 1 2\nnode 1 internet\nnode 1 set internet.share=wan\n") as lab:
        wait_until(lambda: "share-interface" in lab.problems("n1"), 10, "the problem is named")
        want(lab.status("n1")["share"]["state"] == "off" and not lab.online("n2", timeout=1), "something else is shared")
        lab.run("n1", "ip", "link", "set", "internet", "down")
        lab.run("n1", "ip", "link", "set", "internet", "name", "wan")
        lab.run("n1", "ip", "link", "set", "wan", "up")
        lab.run("n1", "ip", "route", "replace", "default", "via", "203.0.113.1", "dev", "wan")
        wait_until(lambda: lab.status("n1")["share"]["state"] == "on" and lab.online("n2", "http://198.51.100.80/"), 20, "it is shared")
        want("share-interface" not in lab.problems("n1"), "the problem is still told")


@labkit.test
def an_uplink_that_is_named_but_is_not_there_is_told():
    with Lab(text="link 1 2\nnode 1 set internet.share=wam0\n") as lab:
        told = [p for p in lab.status("n1")["problems"] if p["code"] == "share-interface"]
        want(len(told) == 1 and told[0]["text"].startswith("wam0,") and told[0]["hint"], f"{told}")
        lab.run("n1", "ip", "link", "add", "wam0", "type", "bridge")
        want("share-interface" not in lab.problems("n1"), "the problem is still told")


@labkit.test
def a_node_that_goes_out_through_another_exit_does_not_share():
    with Lab("line", "--nodes", 3, "--share", "2,3") as lab:  # n1 - n2 - n3
        # n3 may have answered first; the nearer exit is taken when it has been better for half a minute
        wait_until(lambda: lab.exit_of("n1") == "n2" and lab.online("n1"), 60, "n1 is online through n2")
        lab.byway("n2", "exit", "use", "always")
        wait_until(lambda: "share-behind-exit" in lab.problems("n2"), 10, "the problem is named")
        want(lab.status("n2")["share"]["state"] == "down", f"{lab.status('n2')}")
        out = lab.byway("n2", "status").stdout
        want("goes out through another exit" in out.split("Sharing")[1].split("\n")[0], out)
        wait_until(lambda: lab.exit_of("n1") == "n3" and lab.online("n1"), 20, "n1 is online through n3")
        lab.byway("n2", "exit", "use", "auto")
        wait_until(lambda: lab.status("n2")["share"]["state"] == "on" and "share-behind-exit" not in lab.problems("n2"), 20, "n2 shares")


@labkit.test
def what_began_through_an_exit_goes_on_there_when_a_better_one_is_taken():
    def addresses():
        return lab.run("n1", "ip", "-4", "-br", "addr", "show", "byway0").stdout.count("/32")
    with Lab(text="link 1 2\nlink 1 3\nnode 2 internet share\nnode 3 internet share\n") as lab:
        wait_until(lambda: lab.online("n1") and lab.exit_of("n1"), 20, "n1 is online")
        first = lab.exit_of("n1")
        other = {"n2": "n3", "n3": "n2"}[first]
        transfer = lab.fetching("n1", f"{WEB}/100M", 170, rate="1M")  # takes longer than everything that is to come
        wait_until(lambda: transfer.size > 1_000_000, 30, "the first MB")
        want(addresses() == 1, "one address as long as one exit has been in use")
        lab.link("n1", first, "delay=120ms")
        wait_until(lambda: lab.exit_of("n1") == other and lab.online("n1"), 80, "n1 has changed to the nearer exit")
        want(addresses() == 2, "addresses of both exits")
        before = transfer.size
        wait_until(lambda: transfer.size > before + 12_000_000, 40, "12 MB more of the transfer, more than waits in any socket")
        want(not transfer.error, f"{transfer.error}")
        lab.kill(first)
        wait_until(lambda: addresses() == 1, 20, "the address of the exit that died is gone")
        want(lab.exit_of("n1") == other and lab.online("n1"), f"n1 is online through {other}")


@labkit.test
def each_clients_bytes_are_counted():
    with Lab("star", "--nodes", 3, "--share", 1) as lab:
        for n in ("n2", "n3"):
            wait_until(lambda: lab.online(n), 20, f"Internet at {n}")

        def moved(node):
            counters = lab.metrics("n1")
            return [counters[f"byway_share_client_{way}_bytes_total", lab.address(node)] for way in ("rx", "tx")]
        before, idle = moved("n2"), moved("n3")
        lab.fetch("n2", f"{WEB}/1M")
        after = moved("n2")
        want(after[1] - before[1] > 1_000_000 and 1000 < after[0] - before[0] < 500_000, f"{before} {after}")
        want(moved("n3")[1] - idle[1] < 100_000, "the other client's bytes have grown, too")


@labkit.test
def answers_that_come_twice_count_once():
    with Lab(text="link 1 2\nnode 1 internet share\n") as lab:
        here = WEB4.removeprefix("http://")
        wait_until(lambda: lab.reaches("n1", here), 20, "Internet at n1")
        lab.link("n1", "internet", "duplicate=100%", "delay=5ms")
        want("DUP!" in lab.run("n1", "ping", "-n", "-c", 2, "-i", 0.2, here).stdout, "nothing comes twice")
        out = lab.byway("n1", "ping", here, "--count", "6", "--interval", 100).stdout
        want(sorted(re.findall(r"^(\d+): .* answers in", out, re.M)) == [str(i) for i in range(1, 7)] and "6 sent, 6 answered, 0 % lost" in out, out)
        out = lab.byway("n1", "trace", here).stdout
        want("lost" not in out and here in out, out)


labkit.main()
