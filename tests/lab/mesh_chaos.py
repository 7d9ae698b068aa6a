#!/usr/bin/python3
"""Random link cuts, relay kills and restarts under traffic: no sanitizer's report, no loop, everything reachable at the end.
A minute in the suite, ten with BYWAY_SOAK. The seed is printed and taken from BYWAY_SEED."""
# tests/run: timeout=900 asan
import os
import random
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import labkit
from labkit import Failure, Lab, want, wait_until

SECONDS = 600 if os.environ.get("BYWAY_SOAK") else 45
SEED = int(os.environ.get("BYWAY_SEED", "0")) or random.randrange(1, 1 << 31)


def no_loops(lab, nodes):
    """Walks the routes as they are now, while they change: a loop seen twice in a row is one."""
    for _ in range(2):
        loop = None
        tails, hop = {}, {}
        for n in nodes:
            try:
                tails[lab.address(n)] = n
                for r in lab.routes(n):
                    if r["selected"] and r["prefix"].endswith("/128") and r["metric"] < 65535 and r.get("next_hop"):
                        hop[n, r["prefix"][:-4]] = r["next_hop"]
            except Failure:
                continue
        by_tail = {a.split(":")[-1]: n for a, n in tails.items()}
        for dst in tails:
            for n in nodes:
                seen, at = [], n
                while at and at != tails[dst] and at not in seen:
                    seen.append(at)
                    h = hop.get((at, dst))
                    at = by_tail.get(h.split("%")[0].split(":")[-1]) if h else None
                if at in seen:
                    loop = f"loop to {tails[dst]}: {' '.join(seen + [at])}"
        if not loop:
            return
    raise Failure(loop)


@labkit.test
def a_mesh_gets_over_whatever_breaks():
    rng = random.Random(SEED)
    print(f"# seed {SEED}", flush=True)
    events = 0
    with Lab("random", "--nodes", 8, "--seed", SEED % 1000, "--internet", "1,5", "--share", "1,5") as lab:
        lab.all_ping(60)
        nodes = lab.nodes()
        links = [(l["a"], l["b"]) for l in lab.show()["links"] if "internet" not in (l["a"], l["b"])]
        pings = [lab.pinging(a, lab.address(b), 0.05) for a, b in (("n2", "n7"), ("n3", "n6"))]
        transfer = lab.fetching("n4", f"{labkit.WEB4}/100M", SECONDS)
        down, cut, end = set(), set(), time.monotonic() + SECONDS
        while time.monotonic() < end:
            events += 1
            what = rng.random()
            if what < 0.3 and len(cut) < len(links) // 3:
                l = rng.choice(links)
                lab.link(*l, "cut")
                cut.add(l)
            elif what < 0.55 and cut:
                l = cut.pop()
                lab.link(*l, "clear")
            elif what < 0.7 and len(down) < 2:
                n = rng.choice([x for x in nodes if x not in down and x not in ("n2", "n3", "n4", "n6", "n7")])
                (lab.kill if rng.random() < 0.6 else lab.stop)(n)
                down.add(n)
            elif what < 0.9 and down:
                lab.start(down.pop())
            else:
                lab.link(*rng.choice(links), f"loss={rng.randrange(20)}%", f"delay={rng.randrange(30)}ms")
            no_loops(lab, [n for n in nodes if n not in down])
            time.sleep(rng.random() * 2)  # the pace of the trouble, not a wait for anything
        for l in links:
            lab.link(*l, "clear")
        for n in down:
            lab.start(n)
        took = lab.all_ping(60)
        for n in nodes:
            wait_until(lambda: lab.online(n, f"{labkit.WEB4}/"), 30, f"Internet at {n}")
        for p in pings:
            p.stop()
        transfer.job.stop()
        lost = ", ".join(f"{p.lost} of {p.sent}" for p in pings)
    return f"{events} events in {SECONDS} s, all pairs {took:.1f} s after the last, pings lost meanwhile: {lost}, seed {SEED}"


labkit.main()
