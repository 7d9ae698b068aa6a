#!/usr/bin/python3
"""What is switched off is not built: the simulator, and with it the stand-in for the cryptography."""
import os
import re
import subprocess
import sys
import tempfile

import house


def targets(*options):
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as build:
        p = subprocess.run(["cmake", "-S", house.ROOT, "-B", build, "-G", "Ninja", *options], capture_output=True, text=True)
        if p.returncode:
            return None, p.stderr[-400:]
        p = subprocess.run(["ninja", "-C", build, "-t", "targets", "all"], capture_output=True, text=True)
        return p.stdout, p.stderr


def without_simulator():
    on, why = targets("-DBYWAY_SIM=ON")
    off, why_not = targets("-DBYWAY_SIM=OFF")
    if on is None or off is None:
        return [why or why_not]
    found = re.compile(r"^\S*(?:standin|bw_sim|test_sim)\S*:", re.M)
    problems = [] if found.search(on) else ["the pattern finds nothing with the simulator either"]
    return problems + sorted(set(found.findall(off)))


house.report("no simulator and no stand-in crypto with BYWAY_SIM=OFF", without_simulator())
sys.exit(1 if house.failed else 0)
