#!/usr/bin/python3
"""The test runner itself: in a scratch tree with tests that pass, fail, crash, hang, leave processes behind and do
nothing, it must say so and end with the right status."""
# tests/run: timeout=60
import os
import re
import shutil
import subprocess
import tempfile

import house

TESTS = {
    "good": 'echo "ok one"; echo "ok two"; echo "skip three: no moon"',
    "bad": 'echo "ok fine"; echo "not ok broken: it rains"; exit 1',
    "silent": "exit 0",
    "lying": 'echo "ok all"; exit 3',
    "crash": "kill -SEGV $$",
    "hang": "# tests/run: timeout=1\nsleep 600 & sleep 600",
    "litter": 'echo "ok it"; setsid sleep 601 >/dev/null 2>&1 &\nsleep 0.2',
    "later": "# tests/run: soak\necho 'ok soaked'",
}


def tree(at, names):
    os.makedirs(at + "/tests/checks")
    shutil.copy(house.ROOT + "/tests/run", at + "/tests/run")
    for n in names:
        with open("%s/tests/checks/%s.sh" % (at, n), "w") as f:
            f.write("#!/bin/sh\n" + TESTS[n] + "\n")
        os.chmod("%s/tests/checks/%s.sh" % (at, n), 0o755)


def run(names, *args):
    with tempfile.TemporaryDirectory() as d:
        tree(d, names)
        p = subprocess.run([d + "/tests/run", *args], capture_output=True, text=True, timeout=50)
        return p.returncode, p.stdout, p.stdout.rstrip().split("\n")[-1]


def expect(name, names, code, last, said=(), args=()):
    got, out, line = run(names, *args)
    problems = []
    if got != code or line != last:
        problems.append("status %d and last line \"%s\", expected %d and \"%s\"" % (got, line, code, last))
    problems += ["\"%s\" is not in what it says" % s for s in said if not re.search(s, out)]
    house.report(name, problems)


expect("passes are counted", ["good"], 0, "2 passed, 0 failed, 1 skipped", ["no moon"])
expect("a failure is shown and counted", ["good", "bad"], 1, "3 passed, 1 failed, 1 skipped", ["broken: it rains"])
expect("no test at all is a failure", [], 1, "0 passed, 1 failed", ["no test ran"])
expect("a pattern that matches nothing is a failure", ["good"], 1, "0 passed, 1 failed", ["--only"], ["--only", "zzz"])
expect("a program without a test is a failure", ["silent"], 1, "0 passed, 1 failed", ["no test in it ran"])
expect("a bad exit status is a failure", ["lying"], 1, "1 passed, 1 failed", ["exit status 3"])
expect("a crash is a failure", ["crash"], 1, "0 passed, 1 failed", ["killed by signal 11"])
expect("a hang ends at its deadline", ["hang"], 1, "0 passed, 1 failed", ["not finished after 1 s"])
expect("processes left behind are a failure", ["litter"], 1, "1 passed, 1 failed", ["left running: .*sleep 601"])
expect("long tests wait for --soak", ["good", "later"], 0, "2 passed, 0 failed, 1 skipped")
expect("--soak runs them", ["good", "later"], 0, "3 passed, 0 failed, 1 skipped", args=["--soak"])
house.done()
