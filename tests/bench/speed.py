#!/usr/bin/python3
"""Compares byway with Debian's wireguard-go: two nodes, or three in a row, in network namespaces joined by veth; round by
round, so that both meet the same machine. One line per figure, medians; then their ratio.

  speed.py [direct|relay]...      ROUNDS=3 SECS=5 (of each TCP run)  BYWAY=build/byway  SYSTEMS=byway,wireguard-go

Exits 1 if one TCP stream is not at least FLOOR times as fast, direct and relayed.

byway's nodes find each other by themselves; wireguard-go is configured, and the kernel forwards between its links.
Needs no root where user namespaces may be made. Needs iperf3, wireguard-go and wg (Debian 12)."""
import json
import os
import re
import shutil
import signal
import statistics
import subprocess as sp
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BYWAY = os.environ.get("BYWAY", os.path.join(ROOT, "build", "byway"))
ROUNDS, SECS = int(os.environ.get("ROUNDS", "3")), float(os.environ.get("SECS", "5"))
TICK = os.sysconf("SC_CLK_TCK")
FLOOR = 4.0
UNITS = {"tcp": "Gbit/s", "cpu": "s/GB", "rtt": "ms", "udp64": "kpackets/s", "memory": "MB", "join": "s"}
MORE_IS_BETTER = {"tcp", "udp64"}


def run(*args, check=True, text=None):
    r = sp.run([str(a) for a in args], input=text, stdout=sp.PIPE, stderr=sp.PIPE, text=True)
    if check and r.returncode:
        raise RuntimeError("%s: %s" % (" ".join(map(str, args)), r.stderr.strip() or r.stdout.strip()))
    return r.stdout


def until(what, condition, secs=30):
    end = time.monotonic() + secs
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError("%s: not within %g s" % (what, secs))
        time.sleep(0.01)


class Row:
    """Namespaces 1..count, joined by veth; everything in them ends with close()."""

    def __init__(self, count):
        self.count, self.children, self.daemons = count, [], []
        self.dir = tempfile.mkdtemp(prefix="byway-bench-")

    def __enter__(self):
        try:
            for i in range(1, self.count + 1):
                run("ip", "netns", "add", self.name(i))
                self.at(i, "sh", "-c", "echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad")
                self.at(i, "ip", "link", "set", "lo", "up")
            for i in range(1, self.count):
                run("ip", "link", "add", "east%d" % i, "netns", self.name(i), "type", "veth",
                    "peer", "name", "west%d" % (i + 1), "netns", self.name(i + 1))
                for k, dev in ((i, "east%d" % i), (i + 1, "west%d" % (i + 1))):
                    self.at(k, "ip", "addr", "add", "10.99.%d.%d/24" % (i, k), "dev", dev)
                    self.at(k, "ip", "link", "set", dev, "up")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *unused):
        self.close()

    def name(self, i):
        return "bench%d-%d" % (os.getpid(), i)

    def command(self, i, *args):
        return ["nsenter", "--net=/run/netns/" + self.name(i)] + [str(a) for a in args]

    def at(self, i, *args, **kw):
        return run(*self.command(i, *args), **kw)

    def spawn(self, i, *args, daemon=False, env=None):
        log = open(os.path.join(self.dir, "log%d" % i), "ab")
        p = sp.Popen(self.command(i, *args), stdin=sp.DEVNULL, stdout=log, stderr=log, env={**os.environ, **(env or {})})
        self.children.append(p)
        if daemon:
            self.daemons.append(p)
        return p

    def log(self, i):
        with open(os.path.join(self.dir, "log%d" % i), errors="replace") as f:
            return f.read()[-2000:]

    def end_child(self, p):
        for sig in (signal.SIGTERM, signal.SIGKILL):
            if p.poll() is None:
                p.send_signal(sig)
                try:
                    p.wait(3)
                except sp.TimeoutExpired:
                    pass

    def close(self):
        for p in reversed(self.children):
            self.end_child(p)
        for i in range(1, self.count + 1):
            run("ip", "netns", "del", self.name(i), check=False)
        shutil.rmtree(self.dir, ignore_errors=True)


# ---- the systems: each starts its daemons in the row and returns the far end's address ----

def byway(row):
    sockets = []
    for i in range(1, row.count + 1):
        conf, state, socket = (os.path.join(row.dir, "%s%d" % (n, i)) for n in ("conf", "state", "socket"))
        with open(conf, "w") as f:   # the machine is shut towards the mesh: open what iperf3 uses, as its owner would
            f.write("[node]\nname = node%d\n[internet]\nuse = none\n[api]\nlisten = none\n[log]\nlevel = warn\n"
                    "[firewall]\nallow = icmp, tcp/5201, udp/5201\n" % i)
        p = row.spawn(i, BYWAY, "run", "--config", conf, "--state", state, "--socket", socket, daemon=True)
        until("byway %d" % i, lambda: "\nready" in "\n" + row.log(i) or p.poll() is not None)
        if p.poll() is not None:
            raise RuntimeError("byway ended: " + row.log(i))
        sockets.append(socket)
    return json.loads(run(BYWAY, "status", "--json", "--socket", sockets[-1]))["address"]


def wireguard_go(row):
    keys = {i: run("wg", "genkey").strip() for i in range(1, row.count + 1)}
    public = {i: run("wg", "pubkey", text=k + "\n").strip() for i, k in keys.items()}
    dev = {i: "bench%d" % i for i in keys}
    for i in keys:
        row.spawn(i, "wireguard-go", "-f", dev[i], daemon=True, env={"WG_PROCESS_FOREGROUND": "1", "LOG_LEVEL": "error"})
    for i in keys:
        until("wireguard-go %d" % i, lambda: os.path.exists("/var/run/wireguard/%s.sock" % dev[i]))
        path = os.path.join(row.dir, "key%d" % i)
        with open(path, "w") as f:
            f.write(keys[i] + "\n")
        args = ["wg", "set", dev[i], "listen-port", "51820", "private-key", path]
        for j in (i - 1, i + 1):
            if j in keys:
                far = ["fd88::%d/128" % k for k in keys if (k - i) * (j - i) > 0]
                args += ["peer", public[j], "endpoint", "10.99.%d.%d:51820" % (min(i, j), j), "allowed-ips", ",".join(far)]
        row.at(i, *args)
        row.at(i, "ip", "addr", "add", "fd88::%d/64" % i, "dev", dev[i], "nodad")
        row.at(i, "ip", "link", "set", dev[i], "mtu", "1420", "up")
    if row.count > 2:
        row.at(2, "sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding")
    return "fd88::%d" % row.count


SYSTEMS = {"byway": byway, "wireguard-go": wireguard_go}
if os.environ.get("SYSTEMS"):
    SYSTEMS = {s: SYSTEMS[s] for s in os.environ["SYSTEMS"].split(",")}


# ---- measuring ----

def cpu(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def memory(pid):
    with open("/proc/%d/smaps_rollup" % pid) as f:
        return int(re.search(r"^Pss:\s+(\d+)", f.read(), re.M).group(1)) / 1000


def iperf(row, far, *args):
    end = time.monotonic() + 10
    while True:     # its server refuses while it still tidies up after the last run
        out = row.at(1, "iperf3", "-J", "-c", far, *args, check=False)
        j = json.loads(out) if out.strip() else {"error": "no output"}
        if "error" not in j:
            return j["end"]
        if not re.search("connect|busy", j["error"]) or time.monotonic() > end:
            raise RuntimeError("iperf3: " + j["error"])
        time.sleep(0.1)


def measure(system, count):
    with Row(count) as row:
        try:
            return figures(system, row)
        except BaseException:
            for i in range(1, count + 1):
                print("# %s, node %d, said last:\n%s" % (system, i, row.log(i)), file=sys.stderr)
            print("# daemons' exit codes (None: running): %s" % [p.poll() for p in row.daemons], file=sys.stderr)
            raise


def figures(system, row):
    begun = time.monotonic()
    far = SYSTEMS[system](row)
    until("the first ping", lambda: sp.run(row.command(1, "ping", "-c1", "-W0.2", far), stdout=sp.DEVNULL,
                                           stderr=sp.DEVNULL).returncode == 0)
    r = {"join": time.monotonic() - begun}
    times = re.findall(r"time=([\d.]+)", row.at(1, "ping", "-n", "-i", "0.01", "-c", "200", far, check=False))
    r["rtt"] = statistics.median(float(t) for t in times)
    server = row.spawn(row.count, "iperf3", "-s", "--forceflush", "-B", far)
    until("iperf3", lambda: "listening" in row.log(row.count).lower() or server.poll() is not None, 10)
    iperf(row, far, "-C", "cubic", "-t", "1")
    before = {p.pid: cpu(p.pid) for p in row.daemons}
    got = iperf(row, far, "-C", "cubic", "-t", SECS)["sum_received"]
    used = sum(cpu(p) - c for p, c in before.items())
    r["tcp"] = got["bits_per_second"] / 1e9
    r["cpu"] = used / (got["bytes"] / 1e9)
    udp = iperf(row, far, "-u", "-l", "64", "-b", "0", "-t", "2")["sum"]
    r["udp64"] = (udp["packets"] - udp["lost_packets"]) / udp["seconds"] / 1e3
    r["memory"] = max(memory(p.pid) for p in row.daemons)
    return r


def compare(topology):
    count = 2 if topology == "direct" else 3
    got = {s: [] for s in SYSTEMS}
    for k in range(ROUNDS):
        for s in SYSTEMS:
            got[s].append(measure(s, count))
            print("# %s %s round %d: %s" % (topology, s, k + 1, " ".join("%s=%.3g" % x for x in got[s][-1].items())), file=sys.stderr, flush=True)
    middle = {}
    for s in SYSTEMS:
        for f in UNITS:
            v = [r[f] for r in got[s]]
            middle[s, f] = statistics.median(v)
            print("bench %s %s %s median=%.3g min=%.3g max=%.3g %s n=%d" % (topology, s, f, middle[s, f], min(v), max(v), UNITS[f], len(v)))
    for f in UNITS if len(SYSTEMS) > 1 else ():
        a, b = middle["byway", f], middle["wireguard-go", f]
        if min(a, b) > 0:
            print("bench %s ratio %s byway/wireguard-go=%.2f (%s is better)" % (topology, f, a / b, "more" if f in MORE_IS_BETTER else "less"))
    sys.stdout.flush()
    if len(SYSTEMS) == 1:
        return True
    ratio = middle["byway", "tcp"] / middle["wireguard-go", "tcp"]
    print("bench %s floor: %.2f times wireguard-go, at least %g is wanted: %s" % (topology, ratio, FLOOR, "ok" if ratio >= FLOOR else "MISSED"), flush=True)
    return ratio >= FLOOR


def main():
    topologies = sys.argv[1:] or ["direct", "relay"]
    if set(topologies) - {"direct", "relay"}:
        sys.exit("usage: speed.py [direct|relay]...")
    missing = [t for t in ("iperf3", "wireguard-go", "wg", "ip", "nsenter", "unshare") if not shutil.which(t)]
    if missing or not os.access(BYWAY, os.X_OK):
        sys.exit("speed.py: %s missing (apt install iperf3 wireguard-go wireguard-tools iproute2 util-linux; make)" % (", ".join(missing) or BYWAY))
    if os.environ.get("BENCH_INSIDE") != "1":
        # Namespaces of our own for everything: nothing is left behind, and no root is needed where that is allowed.
        kind = "-nmp" if os.getuid() == 0 else "-Urnmp"
        os.environ["BENCH_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", kind, "--fork", "--mount-proc", "--kill-child", sys.executable, os.path.abspath(__file__)] + topologies)
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    os.makedirs("/run/netns", exist_ok=True)
    if not os.path.exists("/var/run/wireguard"):
        os.makedirs("/var/run/wireguard", exist_ok=True)
    sys.exit(not all([compare(t) for t in topologies]))


if __name__ == "__main__":
    main()
