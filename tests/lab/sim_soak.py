#!/usr/bin/python3
"""A thousand runs of the random tester, ten simulated minutes each, from a fresh seed on."""
# tests/run: timeout=7200 soak
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BYWAY = os.environ.get("BYWAY", os.path.join(ROOT, "build", "byway"))
seed = int(os.environ.get("BYWAY_SEED", "1")) % 1000000000
args = [BYWAY, "sim", "random", "--seed", str(seed), "--runs", "1000", "--jobs", str(os.cpu_count() or 1), "--for", "10m", "--no-shrink"]
p = subprocess.run(args, capture_output=True, text=True)
bad = [x for x in (p.stdout + p.stderr).split("\n") if x.startswith(("FAILED", "reproduce", "byway:"))]
print(p.stdout.strip().split("\n")[-1])
if p.returncode:
    print("not ok 1000 seeds from %d on: %s" % (seed, " / ".join(bad)[:2000]))
else:
    print("ok 1000 seeds from %d on, 10 simulated minutes each" % seed)
sys.exit(p.returncode)
