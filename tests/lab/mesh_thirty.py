#!/usr/bin/python3
"""Thirty nodes on a random graph: converged within 15 s of the last start, and cheap to keep."""
# tests/run: timeout=180 alone
import os
import re
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import labkit
from labkit import Lab, want

TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        w = f.read().rsplit(")", 1)[1].split()
    return (int(w[11]) + int(w[12])) / TICK


def pss_mb(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return int(re.search(r"^Pss:\s+(\d+)", f.read(), re.M)[1]) / 1024


@labkit.test
def thirty_nodes_converge_and_idle():
    with Lab("random", "--nodes", 30, "--seed", 7) as lab:
        took = lab.converged(60)
        lab.all_ping(60)
        pids = {n["name"]: n["pid"] for n in lab.show()["nodes"]}
        begin, before = time.monotonic(), {n: cpu_seconds(p) for n, p in pids.items()}
        while time.monotonic() - begin < 20:  # what is measured is this long; nothing is waited for
            time.sleep(1)
        used = sum(cpu_seconds(p) - before[n] for n, p in pids.items())
        share = 100 * used / (time.monotonic() - begin)
        memory = [pss_mb(p) for p in pids.values()]
        want(took < 15, f"{took:.1f} s to converge")
        want(share < 25, f"{share:.1f} % of a core when idle")
        want(max(memory) < 12, f"{max(memory):.1f} MB in the largest node")
        return (f"converged {took:.1f} s after the last start, idle CPU of all {share:.1f} % of a core, "
                f"PSS {sum(memory) / len(memory):.1f} MB a node (most {max(memory):.1f})")


labkit.main()
