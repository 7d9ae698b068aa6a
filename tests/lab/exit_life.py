#!/usr/bin/python3
"""The life of exits: killed, black-holed, restarted under many clients; preferred and refused ones; what a client can't reach;
who had which address."""
# tests/run: timeout=600 longer
import json
import os
import re
import sqlite3
import statistics
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import labkit
from labkit import Lab, want, wait_until

SOAK = os.environ.get("BYWAY_SOAK") == "1"
HERE = "198.51.100.80"
PACE = 0.05  # of the running ping, seconds
# Two exits behind relays, and a client.
TWO = """
node e1 share
node e2 share
link c a
link c b
link a e1
link b e2
link a b
link e1 internet
link e2 internet
"""
PROBE = ["--set", f"internet.probe={HERE}:80"]


def both_known(lab, node="c"):
    """Both exits, one in use and one standing by; returns the active one's name."""
    wait_until(lambda: sorted(e["state"] for e in lab.exits(node)) == ["active", "standby"], 60, "one exit in use and one standing by")
    return lab.exit_of(node)


def leased(lab, node):
    """The IPv4 address that the exit has leased to a node."""
    return re.search(r"inet (100\.[\d.]+)", lab.run(node, "ip", "-4", "-o", "address", "show", "byway0").stdout)[1]


def outage(lab, break_it, most):
    """Seconds without an answer around break_it(), as a running ping to the Internet sees it."""
    ping = lab.pinging("c", HERE, PACE)
    try:
        wait_until(lambda: sum("time=" in x for x in ping.lines[-5:]) >= 3, 10, "a ping that runs")
        before = len(ping.lines)
        break_it()
        wait_until(lambda: any("no answer" in x for x in ping.lines[before:]), 10, "an outage")
        lost = len(ping.lines)
        wait_until(lambda: sum("time=" in x for x in ping.lines[lost:]) >= 10, most + 10, "answers again")
    finally:
        ping.stop()
    return max(n for _, n in ping.gaps) * PACE


def outages(count, break_it, mend_it, most, median):
    """Breaks the exit in use again and again (20 times in the long run), and judges the median."""
    times = []
    with Lab(*PROBE, text=TWO) as lab:
        for _ in range(20 if SOAK else count):
            victim = both_known(lab)
            times.append(outage(lab, lambda: break_it(lab, victim), most))
            mend_it(lab, victim)
    middle = statistics.median(times)
    want(middle <= median, f"median {middle:.2f} s of {sorted(times)}")
    return f"without answer {min(times):.2f} to {max(times):.2f} s, median {middle:.2f} of {len(times)}"


@labkit.test
def an_exit_is_killed():
    return outages(5, Lab.kill, Lab.start, 10, 3)


@labkit.test
def an_uplink_is_black_holed():
    return outages(3, lambda lab, n: lab.link(n, "internet", "cut"), lambda lab, n: lab.link(n, "internet", "up"), 12, 6)


@labkit.test
def an_exit_that_lies_is_found_out():
    """An exit whose gateway answers and that claims to be online, while what its clients send goes nowhere."""
    with Lab(*PROBE, text=TWO) as lab:
        liar = both_known(lab)
        rule = "add table inet liar; add chain inet liar f { type filter hook forward priority -10; }; add rule inet liar f drop"
        took = outage(lab, lambda: lab.run(liar, "nft", rule), 10)
        want(lab.exit_of("c") != liar, "still there")
        want(took <= 6, f"{took:.2f} s")
        want("does not answer through it" in lab.log("c"), "for another reason")
        return f"{took:.2f} s"


@labkit.test
def prefer_and_never():
    with Lab(*PROBE, text=TWO) as lab:
        first = both_known(lab)
        other = "e2" if first == "e1" else "e1"
        conf = f"{lab.dir}/nodes/c/byway.conf"

        def restart(line):
            with open(conf) as f:
                text = f.read() if os.path.exists(conf) else ""
            text = re.sub(r"(?m)^(prefer|never) = .*\n", "", text)
            text = text.replace("[internet]\n", f"[internet]\n{line}\n") if "[internet]" in text else text + f"\n[internet]\n{line}\n"
            with open(conf, "w") as f:
                f.write(text)
            lab.stop("c")
            lab.start("c")

        restart(f"never = {lab.address(first)}")
        wait_until(lambda: lab.exit_of("c") == other and lab.online("c"), 20, f"{other} alone")
        restart(f"prefer = {lab.address(other)}")
        wait_until(lambda: lab.exit_of("c") == other and both_known(lab), 60, f"{other} before {first}")


@labkit.test
def what_a_client_cannot_do():
    """Private networks of the exit's owner, its machine, other clients, others' addresses, blocked ports."""
    text = "node e share set internet.block-ports=tcp/53 set internet.log-leases=30d\nlink c e\nlink d e\nlink e internet\nlink e lan\n"
    with Lab(*PROBE, text=text) as lab:
        for n in ("c", "d"):
            wait_until(lambda: lab.online(n), 20, f"Internet at {n}")
        lab.run("e", "ip", "address", "add", "192.168.77.1/24", "dev", "to-lan")
        lab.run("e", "sh", "-c", "ip link add here type bridge; ip address add 10.9.8.7/24 dev here; ip link set here up")
        lab.run("lan", "ip", "address", "add", "192.168.77.2/24", "dev", "to-e")
        want(lab.reaches("e", "192.168.77.2"), "the owner reaches its own LAN")
        captured = lab.capture("lan", "to-e", f"{lab.dir}/lan.pcap", "net", "192.168.77.0/24", "and", "icmp")
        for target in ("192.168.77.2", "192.168.77.1", "10.9.8.7", "203.0.113.100", "169.254.1.1", "100.64.0.1"):
            out = lab.run("c", "ping", "-n", "-c", 1, "-W", 1, target, check=False).stdout
            want(" 0% packet loss" not in out, f"{target} answers a client")
        captured.stop()
        size = os.path.getsize(f"{lab.dir}/lan.pcap")
        want(size <= 24, f"{size} bytes of a client's packets came to the LAN")
        inner = {n: leased(lab, n) for n in ("c", "d")}
        want(inner["c"] != inner["d"], "one address for two")
        want(not lab.reaches("c", inner["d"]), "a client reaches another")
        # A source that is not the leased one is dropped by the exit's packet path before anybody sees it.
        spoof = lab.capture("e", "internet", f"{lab.dir}/spoof.pcap", "src", "net", "100.64.0.0/10")
        evil = "add table ip evil; add chain ip evil o { type filter hook output priority raw; }; add rule ip evil o ip saddr 100.99.99.99 notrack"
        lab.run("c", "nft", evil)  # around the client's own translation
        lab.run("c", "ip", "address", "add", "100.99.99.99/32", "dev", "byway0")
        count = lambda: lab.metrics("e")["byway_packets_dropped_total", "tunnel_source"]
        before = count()
        answers = [lab.run("c", "ping", "-n", "-c", 2, "-i", 0.2, "-W", 1, "-I", source, HERE, check=False).returncode
                   for source in ("100.99.99.99", inner["c"])]
        want(answers == [1, 0], f"a false and the leased source: ping's status {answers}")
        spoof.stop()
        want(os.path.getsize(f"{lab.dir}/spoof.pcap") <= 24, "an inner address on the uplink")
        want(count() == before + 2, f"{count() - before} of 2 with a false source dropped")
        blocked = lab.run("c", "curl", "-s", "-m", 3, "http://198.51.100.53:53/", check=False)
        want(blocked.returncode == 7, f"a blocked port: curl's status {blocked.returncode}")
        lab.stop("c")
        lab.stop("e")
        db = sqlite3.connect(f"file:{lab.dir}/nodes/e/state/byway.db?mode=ro", uri=True)
        rows = [json.loads(v) for (v,) in db.execute("select value from kv where tab = 'lease-log'")]
        db.close()
        of_c = [r for r in rows if r["inner4"] == inner["c"]]
        want(len(of_c) == 1 and of_c[0]["ended"] and abs(of_c[0]["until"] - time.time()) < 60, f"the log of leases: {rows}")


@labkit.test
def the_log_of_leases_is_kept_as_long_as_the_owner_says():
    def log(lab):
        db = sqlite3.connect(f"file:{lab.dir}/nodes/e/state/byway.db?immutable=1", uri=True)  # the node keeps it locked
        try:
            return [json.loads(v) for (v,) in db.execute("select value from kv where tab = 'lease-log'")]
        except sqlite3.DatabaseError:  # it was just writing
            return None
        finally:
            db.close()

    with Lab(*PROBE, text="node e share\nlink c e\nlink e internet\n") as lab:
        conf = f"{lab.dir}/nodes/e/byway.conf"
        with open(conf) as f:
            before = f.read()
        wait_until(lambda: lab.online("c"), 20, "Internet at c")
        lab.configure("e", "\n[internet]\nlog-leases = 30d\n")
        client, inner = lab.address("c"), leased(lab, "c")
        lab.stop("c")
        wait_until(lambda: any(r["ended"] for r in log(lab) or []), 10, "the lease in the log")
        lab.stop("e")
        db = sqlite3.connect(f"{lab.dir}/nodes/e/state/byway.db")
        (row,) = db.execute("select key, value from kv where tab = 'lease-log'").fetchall()
        for days in (29, 31):
            entry = dict(json.loads(row[1]), until=int(time.time()) - days * 86400, client=f"fc00::{days}")
            db.execute("insert into kv values ('lease-log', ?, ?)", (bytes([days]) + row[0][1:], json.dumps(entry).encode()))
        db.commit()
        db.close()
        lab.start("e")
        wait_until(lambda: sorted(r["client"] for r in log(lab) or []) == ["fc00::29", client], 10, "what is too old forgotten")
        lab.configure("e", before, "w")
        wait_until(lambda: log(lab) == [], 10, "all of it forgotten, once the owner wants no log")
        with open(f"{lab.dir}/nodes/e/state/byway.db", "rb") as f:
            want(f'"inner4":"{inner}"'.encode() not in f.read(), "what was deleted can still be read in the file")


@labkit.test
def ipv6_where_the_exit_has_it():
    with Lab(*PROBE[:1], f"internet.probe={HERE}:80,[2001:db8::80]:80", text="node e share\nlink c e\nlink e internet\n") as lab:
        wait_until(lambda: lab.online("c", labkit.WEB6 + "/"), 30, "IPv6 through the exit")
        want(lab.online("c", labkit.WEB4 + "/"), "IPv4")
    with Lab(*PROBE[:1], f"internet.probe={HERE}:80,[2001:db8:dead::1]:80", text="node e share\nlink c e\nlink e internet\n") as lab:
        wait_until(lambda: lab.online("c", labkit.WEB4 + "/"), 30, "IPv4 through the exit")
        begin = time.monotonic()
        want(not lab.online("c", labkit.WEB6 + "/", timeout=3), "IPv6 although the exit has none")
        want(time.monotonic() - begin < 1, "IPv6 hangs instead of failing at once")
        want(lab.exits("c")[0]["families"] == ["ipv4"], f"{lab.exits('c')}")


@labkit.test
def an_exit_restarts_under_many_clients():
    count, each = 200 if SOAK else 40, 50  # a node looks for neighbours on 64 interfaces
    clients = [f"c{i}" for i in range(count)]
    text = "node e share\nlink e internet\n" + "".join(f"link e r{i}\n" for i in range((count + each - 1) // each))
    text += "".join(f"link r{i // each} c{i}\n" for i in range(count))
    with Lab(*PROBE, text=text) as lab:

        def active():
            return [n for n in clients if lab.exit_state(n) == "active"]

        wait_until(lambda: len(active()) == count, 120, "an exit at all")
        before = {n: leased(lab, n) for n in clients}
        want(len(set(before.values())) == count, "two with one address")
        pings = [lab.pinging(n, HERE, 0.5) for n in clients]
        answered = lambda p, since: any("time=" in x for x in p.lines[since:])
        wait_until(lambda: all(answered(p, 0) for p in pings), 30, "an answer at each")
        lab.kill("e")
        lab.start("e")
        begin, then = time.monotonic(), [len(p.lines) for p in pings]
        times = {}

        def back():
            for i, p in enumerate(pings):
                if i not in times and answered(p, then[i]):
                    times[i] = time.monotonic() - begin
            return len(times) == count

        wait_until(back, 60, "all back")
        took = max(times.values())
        for p in pings:
            p.stop()
        after = {n: leased(lab, n) for n in clients}
        want(len(set(after.values())) == count, "two with one address")
        moved = sum(after[n] != before[n] for n in clients)
        want(took <= 10, f"{took:.1f} s until all {count} were back")
        want(not moved, f"{moved} have another address")
        middle = statistics.median(times.values())
        return f"{count} clients back {middle:.1f} s (median), {took:.1f} s (last) after the exit was ready, with the same addresses"


labkit.main()
