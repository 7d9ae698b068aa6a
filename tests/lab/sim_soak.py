#!/usr/bin/python3
"""A thousand runs of the random tester, ten simulated minutes each, from a fresh seed on, on all processors.

  tests/lab/sim_soak.py [RUNS]

Says how far it is and how long it will take. What was interrupted goes on with the same BYWAY_SEED (tests/run --seed) and the
same program: it is noted beside it. Every failure is told with the command that shows it again."""
# tests/run: timeout=7200 soak
import hashlib
import json
import os
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BYWAY = os.environ.get("BYWAY", os.path.join(ROOT, "build", "byway"))
NOTES = os.path.join(os.path.dirname(BYWAY), "sim-soak.json")
RUNS = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
JOBS = os.cpu_count() or 1
CHUNK = 10 * JOBS  # runs between two notes


def begin():
    """What is to be done: new, or as it was noted."""
    with open(BYWAY, "rb") as f:
        program = hashlib.sha256(f.read()).hexdigest()
    seed = int(os.environ.get("BYWAY_SEED") or time.time_ns() // 1000) % 1000000000
    try:
        with open(NOTES) as f:
            old = json.load(f)
    except (OSError, ValueError):
        old = {}
    if old.get("program") == program and ("BYWAY_SEED" not in os.environ or old.get("seed") == seed):
        return old
    return {"program": program, "seed": seed, "done": 0, "seconds": 0, "failures": []}


def note(work):
    with open(NOTES + ".new", "w") as f:
        json.dump(work, f)
    os.replace(NOTES + ".new", NOTES)


def chunk(work):
    seed, runs, since = work["seed"] + work["done"], min(CHUNK, RUNS - work["done"]), time.monotonic()
    p = subprocess.run([BYWAY, "sim", "random", "--seed", str(seed), "--runs", str(runs), "--jobs", str(JOBS), "--for", "10m", "--no-shrink"],
                       capture_output=True, text=True, cwd=os.environ.get("TMPDIR", "/tmp"))
    told = [x for x in (p.stdout + p.stderr).split("\n") if x.startswith(("FAILED", "reproduce", "byway:"))]
    good = sum(x.startswith("ok ") for x in p.stdout.split("\n"))
    if p.returncode or good != runs:
        work["failures"] += told or ["seeds %d to %d: status %d, %d of %d ended well" % (seed, seed + runs - 1, p.returncode, good, runs)]
    work["done"] += runs
    work["seconds"] += time.monotonic() - since
    note(work)


work = begin()
print("# %d runs of 10 simulated minutes, seeds from %d on%s, %d at a time" %
      (RUNS, work["seed"], ", the first %d are done" % work["done"] if work["done"] else "", JOBS), flush=True)
while work["done"] < RUNS:
    chunk(work)
    left = work["seconds"] / work["done"] * (RUNS - work["done"])
    print("# %d of %d done, %d failed, %d min left" % (work["done"], RUNS, sum(x.startswith("FAILED") for x in work["failures"]),
                                                       left // 60 + 1 if left else 0), flush=True)
name = "%d seeds from %d on, 10 simulated minutes each, %.0f s" % (work["done"], work["seed"], work["seconds"])
print("not ok %s: %s" % (name, " / ".join(work["failures"])[:4000]) if work["failures"] else "ok " + name)
os.unlink(NOTES)
sys.exit(1 if work["failures"] else 0)
