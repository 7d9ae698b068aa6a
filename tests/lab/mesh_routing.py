#!/usr/bin/python3
"""[routing]: exported networks are reached from the mesh, import narrows and widens, transit = no carries nobody else."""
# tests/run: timeout=120
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import labkit
from labkit import Lab, want, wait_until

LAN4, HOST4, GATE4 = "192.168.7.0/24", "192.168.7.9", "192.168.7.1"
LAN6, HOST6, GATE6 = "fd00:7::/64", "fd00:7::9", "fd00:7::1"


def behind(lab, node):
    """A network of its own behind a node, with one host on it that answers pings and HTTP."""
    lab.job(node, "unshare", "-n", "sleep", "1000")
    sleeper = wait_until(lambda: lab.run(node, "pgrep", "-f", "^sleep 1000$", check=False).stdout.split(), 5, "the host")[0]
    lab.run(node, "ip", "link", "add", "lan", "type", "veth", "peer", "name", "eth", "netns", sleeper)
    for c in (f"ip addr add {GATE4}/24 dev lan", f"ip addr add {GATE6}/64 dev lan nodad", "ip link set lan up"):
        lab.run(node, *c.split())
    for c in (f"ip addr add {HOST4}/24 dev eth", f"ip addr add {HOST6}/64 dev eth nodad", "ip link set eth up", "ip link set lo up",
              f"ip route add default via {GATE4}", f"ip -6 route add default via {GATE6}"):
        lab.run(node, "nsenter", "-t", sleeper, "-n", *c.split())


def has_route(lab, node, prefix):
    return any(r["prefix"] == prefix and r["selected"] and r["metric"] < 65535 for r in lab.routes(node))


@labkit.test
def an_exported_network_is_reached_and_reaches_nobody_by_itself():
    with Lab(text=f"link 1 2\nlink 2 3\nnode 3 set routing.export={LAN4},{LAN6}\nnode 1 set routing.export=10.1.1.0/24\n") as lab:
        lab.all_ping(30)
        behind(lab, "n3")
        lab.run("n1", "ip", "addr", "add", "10.1.1.1/24", "dev", "lo")
        for n in ("n1", "n2"):
            wait_until(lambda: lab.reaches(n, HOST6), 15, f"{HOST6} from {n}")
        # IPv4 needs a way back: the asker's network is exported as well.
        wait_until(lambda: lab.reaches("n1", HOST4), 15, f"{HOST4} from n1")
        # A service on the router itself is not open by the export.
        lab.job("n3", "python3", "-m", "http.server", "--bind", "::", "8080")
        wait_until(lambda: lab.run("n3", "curl", "-s", "-m", 1, f"http://[{GATE6}]:8080/", check=False).returncode == 0, 10, "the server")
        r = lab.run("n1", "curl", "-s", "-m", 2, f"http://[{GATE6}]:8080/", check=False)
        want(r.returncode != 0, "the router's own port is open to the mesh")


@labkit.test
def import_says_no_and_yes_and_what_is_local_wins():
    with Lab(text="link 1 2\nlink 2 3\n"
                  f"node 3 set routing.export={LAN4},{LAN6},203.0.113.0/24\n"
                  f"node 1 set routing.import=!{LAN4}\n"
                  "node 2 set routing.import=203.0.113.0/24\n") as lab:
        lab.converged(30)
        wait_until(lambda: has_route(lab, "n2", LAN4) and has_route(lab, "n2", "203.0.113.0/24"), 15, "n2's routes")
        wait_until(lambda: has_route(lab, "n1", LAN6), 15, "n1's route")
        want(not has_route(lab, "n1", LAN4), "n1 believes what it was told not to")
        want(not has_route(lab, "n1", "203.0.113.0/24"), "n1 believes a global prefix")
        # A network of n2's own that overlaps is not given away to the mesh.
        lab.run("n2", "ip", "link", "add", "own", "type", "veth", "peer", "name", "own2")
        lab.run("n2", "ip", "addr", "add", "192.168.7.77/25", "dev", "own")
        lab.run("n2", "ip", "link", "set", "own2", "up")
        lab.run("n2", "ip", "link", "set", "own", "up")
        wait_until(lambda: not has_route(lab, "n2", LAN4), 10, "the overlapping prefix gone")
        lab.run("n2", "ip", "link", "del", "own")
        wait_until(lambda: has_route(lab, "n2", LAN4), 30, "and back")


@labkit.test
def transit_no_carries_nobody_else_and_a_reload_changes_it():
    with Lab(text="link 1 2\nlink 2 3\nlink 1 4 delay=30ms\nlink 4 3 delay=30ms\nnode 2 set routing.export=10.2.2.0/24\n") as lab:
        lab.all_ping(30)
        to3 = lab.address("n3")
        wait_until(lambda: lab.path("n1", to3) == ["n1", "n2", "n3"], 15, "the quick way")
        with open(f"{lab.dir}/nodes/n2/byway.conf") as f:
            before = f.read()
        handshakes = {p["key"]: p["last_handshake_s"] for p in lab.peers("n2")}
        lab.configure("n2", "[routing]\ntransit = no\n")
        wait_until(lambda: lab.path("n1", to3) == ["n1", "n4", "n3"], 15, "the slow way round")
        want(lab.reaches("n2", lab.address("n1")) and lab.reaches("n2", to3), "n2 itself reaches both")
        lab.link("n4", "n3", "cut")
        wait_until(lambda: lab.next_node("n1", to3) is None, 30, "no way")
        want(not lab.reaches("n1", to3), "it is not reached")
        lab.configure("n2", before, "w")
        wait_until(lambda: lab.reaches("n1", to3), 30, "n2 carries again")
        for p in lab.peers("n2"):
            want(p["last_handshake_s"] >= handshakes[p["key"]], "a link was made anew by the reload")


@labkit.test
def a_machine_with_many_routes_believes_nothing_over_them_and_says_when_they_are_too_many():
    with Lab(text="link 1 2\nnode 1 internet share set internet.share=auto\nnode 2 set routing.export=10.250.0.0/16,10.251.0.0/16\n") as lab:
        def routes(first, count, verb="add"):
            lines = "".join(f"route {verb} 9.{i // 128}.{i % 128 * 2}.0/24 via 203.0.113.1\n" for i in range(first, first + count))
            path = f"{lab.dir}/routes"
            with open(path, "w") as f:
                f.write(lines)
            lab.run("n1", "ip", "-batch", path)

        def problem():
            return lab.problems("n1").get("too-many-networks", "")

        wait_until(lambda: has_route(lab, "n1", "10.250.0.0/16") and has_route(lab, "n1", "10.251.0.0/16"), 30, "both networks")
        routes(0, 600)
        lab.run("n1", "ip", "route", "add", "10.250.7.0/24", "via", "203.0.113.1")
        wait_until(lambda: not has_route(lab, "n1", "10.250.0.0/16"), 20, "its own network comes first")
        want(has_route(lab, "n1", "10.251.0.0/16") and not problem(), "nothing else has changed")
        lab.run("n1", "ip", "route", "del", "10.250.7.0/24")
        wait_until(lambda: has_route(lab, "n1", "10.250.0.0/16"), 60, "its own is gone")
        routes(600, 3600)
        wait_until(problem, 20, "the problem is named")
        want("4096 are looked at" in problem(), problem())
        want(lab.log("n1").count("4096 are looked at") == 1, "it is said in the log, once")
        wait_until(lambda: "9.30.0.0/24" in lab.run("n1", "nft", "list", "set", "inet", "byway", "bounds4").stdout, 20, "they are out of bounds")
        routes(600, 3600, "del")
        wait_until(lambda: not problem(), 20, "they are fewer again")


labkit.main()
