#!/usr/bin/python3
"""Networks behind nodes: what goes to them and what comes from them is sealed between the two nodes; relays see ESP. What a
node has not confirmed, or does not export itself, goes nowhere."""
# tests/run: timeout=240
import hashlib
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import labkit
from labkit import Lab, want, wait_until
from session_kit import key_log, tshark, watch_hop

# A network of its own behind n1 and one behind n3, with a host each; n2 is the relay.
ROW = ("link 1 2\nlink 2 3\nnode 1 set routing.export=10.1.1.0/24,fd00:1::/64\n"
       "node 3 set routing.export=192.168.7.0/24,fd00:7::/64\n")
SITES = {"n1": ("10.1.1", "fd00:1::"), "n3": ("192.168.7", "fd00:7::")}


class Host:
    """A machine behind a node, in a network namespace of its own."""

    def __init__(self, lab, node, v4, v6):
        self.lab, self.node, self.v4, self.v6 = lab, node, f"{v4}.9", f"{v6}9"
        lab.job(node, "unshare", "-n", "sleep", f"1000.{node[1:]}") # nodes see each other's processes
        self.pid = wait_until(lambda: lab.run(node, "pgrep", "-f", f"^sleep 1000.{node[1:]}$", check=False).stdout.split(), 5, "the host")[0]
        lab.run(node, "ip", "link", "add", "lan", "type", "veth", "peer", "name", "eth", "netns", self.pid)
        for c in (f"ip addr add {v4}.1/24 dev lan", f"ip addr add {v6}1/64 dev lan nodad", "ip link set lan up"):
            lab.run(node, *c.split())
        for c in (f"ip addr add {self.v4}/24 dev eth", f"ip addr add {self.v6}/64 dev eth nodad", "ip link set eth up",
                  "ip link set lo up", f"ip route add default via {v4}.1", f"ip -6 route add default via {v6}1"):
            self.run(*c.split())

    def argv(self, *cmd):
        return ["nsenter", "-t", self.pid, "-n", *cmd]

    def run(self, *cmd, **more):
        return self.lab.run(self.node, *self.argv(*cmd), **more)

    def reaches(self, address, size=56):
        return self.run("ping", "-n", "-q", "-c", 1, "-W", 1, "-s", size, address, check=False).returncode == 0


@labkit.test
def sites_talk_and_the_relay_sees_esp_only():
    with key_log() as folder:
        with Lab(text=ROW) as lab:
            lab.all_ping(30)
            # Other addresses of a node come first, but nobody could answer to them.
            lab.run("n1", "ip", "addr", "add", "10.250.0.1/24", "dev", "to-n2")
            h1, h3 = (Host(lab, n, *SITES[n]) for n in ("n1", "n3"))
            job = watch_hop(lab, folder)
            for a, b in ((h1, h3), (h3, h1)):
                for to in (b.v4, b.v6):
                    for size in (56, 1290, 3000):
                        wait_until(lambda: a.reaches(to, size), 30, f"{to} from behind {a.node}, {size} bytes")
            # Nodes to networks and back, mesh address to network: sealed likewise.
            for node, host in (("n1", h3), ("n3", h1)):
                wait_until(lambda: lab.reaches(node, host.v6) and lab.reaches(node, host.v4), 15, f"the network behind the other from {node}")
                other = lab.address("n1" if node == "n3" else "n3")
                wait_until(lambda: host.reaches(lab.address(node)), 15, f"{node} itself from behind {other}")
                wait_until(lambda: lab.reaches("n2", host.v6), 15, f"{host.v6} from the relay")
            out = h1.run("traceroute", "-n", "-q", 1, "-w", 1, h3.v4).stdout
            want(h3.v4 in out.split("\n", 1)[1], out)
            out = h1.run("tracepath", "-6", "-n", h3.v6, timeout=40).stdout
            want("reached" in out and "pmtu 1346" in out, out)
            content = os.urandom(2_000_000)
            with open(os.path.join(folder, "file"), "wb") as f:
                f.write(content)
            server = lab.job("n3", *h3.argv("python3", "-m", "http.server", "--bind", "::", "--directory", folder, "8080"))
            wait_until(lambda: "8080" in h3.run("ss", "-ltn").stdout, 10, "the server")
            syns = lab.job("n3", *h3.argv("tcpdump", "-n", "-l", "-Z", "root", "--immediate-mode", "-i", "eth", "tcp port 8080"), stdout=-1, stderr=-1)
            while b"listening" not in syns.process.stderr.readline():
                want(syns.process.poll() is None, "tcpdump has ended")
            for at in (h3.v4, f"[{h3.v6}]"):
                out = h1.run("sh", "-c", f"curl -sS -m 60 -g http://{at}:8080/file | sha256sum").stdout
                want(out.split()[0] == hashlib.sha256(content).hexdigest(), f"a transfer from {at}")
            server.stop()
            syns.stop()
            # The hosts' own interfaces carry 1,500 bytes: what they may send each other is said to them on the way.
            mss = {int(x) for x in re.findall(r"Flags \[S\].*mss (\d+)", syns.output.decode())}
            want(mss and mss <= {1346 - 40, 1346 - 60}, f"segments announced: {mss}")
            addresses = {h.v4 for h in (h1, h3)} | {h.v6 for h in (h1, h3)}
            mesh = {lab.address(n) for n in ("n1", "n3")}
            job.stop()
        rows = tshark(folder, ["frame.protocols", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst"], all_layers=True)
        seen = [r for r in rows if addresses & set(",".join(r[1:]).split(","))]
        want(not seen, f"{len(seen)} packets of the networks in plain, e.g. {seen[:2]}")
        esp = [r for r in rows if "esp" in r[0] and mesh <= set(",".join(r[3:]).split(","))]
        want(len(esp) > 1000, f"only {len(esp)} ESP packets")
        return f"{len(esp)} ESP packets between the two nodes, none in plain"


def export(lab, node, networks):
    """Changes what a running node exports."""
    lab.configure(node, f"[routing]\nexport = {networks}\n", "w")


@labkit.test
def who_exports_nothing_is_told_so_and_a_reload_is_followed():
    with Lab(text="link 1 2\nlink 2 3\n") as lab:
        lab.all_ping(30)
        host = Host(lab, "n3", *SITES["n3"])
        export(lab, "n3", "192.168.7.0/24, fd00:7::/64")
        wait_until(lambda: lab.reaches("n1", host.v6), 20, "the network by IPv6")
        # IPv4 has no mesh address to come from: the sender hears of it instead of waiting.
        lab.run("n1", "ip", "addr", "add", "10.1.1.1/24", "dev", "lo")
        out = wait_until(lambda: (lambda o: o if "Packet filtered" in o else None)(
            lab.run("n1", "ping", "-n", "-c", 1, "-W", 1, host.v4, check=False).stdout), 15, "an answer that says why")
        export(lab, "n1", "10.1.1.0/24")
        wait_until(lambda: lab.reaches("n1", host.v4), 20, "IPv4, once its own network is exported")
        # What is taken away is gone, what is added is confirmed anew.
        export(lab, "n3", "fd00:7::/64")
        wait_until(lambda: not lab.reaches("n1", host.v4), 20, "IPv4 gone")
        want(lab.reaches("n1", host.v6), "IPv6 stays")
        export(lab, "n3", "192.168.7.0/24, fd00:7::/64")
        wait_until(lambda: lab.reaches("n1", host.v4), 30, "IPv4 again")
        return re.search(r"From .*filtered", out)[0]


labkit.main()
