#!/usr/bin/python3
"""The simulator as people run it: every shipped scenario, fixed and fresh seeds of the random tester, equal bytes for equal
runs, a small scale run with its figures."""
# tests/run: timeout=300 longer
import glob
import json
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BYWAY = os.environ.get("BYWAY", os.path.join(ROOT, "build", "byway"))
SEED = int(os.environ.get("BYWAY_SEED", "1"))
TMP = os.environ.get("TMPDIR", "/tmp")
FRESH_S = 60  # wall time for fresh seeds
failed = False


def sim(*args, timeout=250):
    p = subprocess.run([BYWAY, "sim", *map(str, args)], capture_output=True, text=True, timeout=timeout, cwd=TMP)
    return p.returncode, p.stdout, p.stderr


def report(name, why=""):
    global failed
    failed |= bool(why)
    print(("not ok %s: %s" % (name, why.strip().replace("\n", " / ")[:600])) if why else "ok " + name)


def scenarios():
    for path in sorted(glob.glob(os.path.join(ROOT, "sim", "scenarios", "*.sim"))):
        code, out, err = sim(path)
        report("scenario " + os.path.basename(path)[:-4], "" if code == 0 else out + err)


def fixed_seeds():
    code, out, err = sim("random", "--seed", 1, "--runs", 12, "--for", "10m", "--no-shrink")
    report("twelve fixed seeds", "" if code == 0 else "\n".join(x for x in (out + err).split("\n") if not x.startswith("ok")))


def fresh_seeds():
    begin, runs = time.monotonic(), 0
    while time.monotonic() < begin + FRESH_S:
        seed = SEED % 1000000000 + runs
        code, out, err = sim("random", "--seed", seed, "--runs", 4, "--for", "10m", "--no-shrink")
        runs += 4
        if code:  # what failed, and the command that shows it again
            report("fresh seeds", "\n".join(x for x in (out + err).split("\n") if x and not x.startswith("ok")))
            return
    report("%d fresh seeds from %d on" % (runs, SEED % 1000000000))


def equal_bytes():
    args = ("random", "--seed", SEED % 1000, "--nodes", 10, "--for", "3m", "--json", "--no-shrink")
    first, second = sim(*args), sim(*args)
    why = "" if first[1] == second[1] and first[1] else "%s != %s" % (first[1], second[1])
    if not why and json.loads(first[1])["nodes"] != 10:
        why = first[1]
    report("equal runs print equal bytes", why)


def quick():
    begin = time.monotonic()
    code, out, err = sim("random", "--seed", 5, "--nodes", 20, "--for", "5m", "--no-shrink")
    took = time.monotonic() - begin
    report("five simulated minutes of random in under 20 s", "" if code == 0 and took < 20 else "%.1f s: %s%s" % (took, out, err))


def scale():
    csv, svg = os.path.join(TMP, "s.csv"), os.path.join(TMP, "s.svg")
    code, out, err = sim("scale", "--nodes", "50,100", "--graph", "geometric", "--seed", 3, "--idle", "20s", "--csv", csv, "--svg", svg, "--json")
    rows = [json.loads(x) for x in out.split("\n") if x]
    why = err if code else ""
    if not why and not (len(rows) == 2 and all(0 < r["full_s"] < 10 and r["most_routes"] == r["nodes"] for r in rows)):
        why = out
    if not why and (len(open(csv).read().split("\n")) != 4 or "</svg>" not in open(svg).read()):
        why = "no csv or svg"
    code2, out2, _ = sim("scale", "--nodes", "60", "--seed", 3, "--idle", "20s", "--json", "--crypto", "standin")
    if not why and code2:
        why = "stand-in: " + out2
    report("scale runs give figures and plots", why)
    code, out, err = sim("scale", "--nodes", "40,50", "--seed", 3, "--idle", "20s")
    lines = [x for x in err.split("\n") if " simulated, " in x]
    ok = code == 0 and "\r" not in out + err and len(lines) >= 2 and all(re.match(r"geometric \d+: .* s CPU", x) for x in lines)
    report("a scale run's progress is plain lines where no terminal is", "" if ok else out + err)
    code, out, err = sim("scale", "--nodes", "60", "--seed", 3, "--only-full", "--verbose")
    ok = code == 0 and re.search(r"starting, .* about \d+ %, \d+ s to go", err)
    report("progress has an estimate", "" if ok else out + err)
    code, out, err = sim("scale", "--nodes", "1", "--seed", 3, "--idle", "1s", "--json")
    report("a lonely node has figures", "" if code == 0 and json.loads(out)["idle_link_bps"] == -1 and "nan" not in out else out + err)


def usage():
    why = ""
    for args, text in ((["random", "--seed"], "--seed"), (["--nonsense", "1"], "there is no option --nonsense (see: byway sim --help)"),
                       (["scale", "--bogus"], "there is no option --bogus (see: byway sim --help)"), (["scale", "--nodes"], "needs a value (see"),
                       (["scale", "x"], "`x` (see: byway sim --help)"), ([], "needs"), (["random", "--for", "1y"], "--for"), (["random", "--for", "59s"], "--for")):
        code, out, err = sim(*args)
        if code != 2 or not err.startswith("byway: ") or text not in err or out:
            why += "%s: %d %s%s\n" % (args, code, out, err)
    bad = os.path.join(TMP, "bad.sim")
    with open(bad, "w") as f:
        f.write("ring 3\nat 5s crash n9\n")
    code, out, err = sim(bad)
    if code != 2 or ":2:13: there is no node n9" not in err:
        why += "%d %s" % (code, err)
    with open(bad, "wb") as f:
        f.write(b"ring 3\nend 5s\n\0nonsense\n")
    for name, status, text in ((bad, 2, "zero byte"), (TMP, 1, "Is a directory")):
        code, out, err = sim(name)
        if code != status or text not in err or out:
            why += "%s: %d %s%s" % (name, code, out, err)
    for args, status in ((["--graph", "bogus"], 2), (["--csv", os.path.join(TMP, "nowhere", "x")], 1)):  # before anything is run
        code, out, err = sim("scale", "--nodes", "40", "--seed", 1, *args)
        if code != status or out:
            why += "%s: %d %s%s" % (args, code, out, err)
    report("wrong usage and wrong text are told", why)


usage()
equal_bytes()
quick()
scenarios()
fixed_seeds()
scale()
fresh_seeds()
sys.exit(1 if failed else 0)
