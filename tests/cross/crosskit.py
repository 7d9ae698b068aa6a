#!/usr/bin/python3
"""Another machine's build (tools/cross ARCH) under qemu-user: unit and vector tests, the corpora of the fuzz targets, and the
simulator, whose runs must be equal to the bit to those of this machine."""
# tests/run: helper
import concurrent.futures
import glob
import json
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HERE = os.environ.get("BYWAY", os.path.join(ROOT, "build", "byway"))
DEADLINE_S = 3600
SEEDS = range(1, 7)

# What qemu-user 7.2 cannot run, and why. Everything else does run.
NETLINK = "rtnetlink attributes that qemu does not know stay in the other byte order (Debian's own `ip` says \"Deficit\")"
LEFT_OUT = {
    "os_nft": "no nfnetlink in qemu-user", "daemon_share": "no nfnetlink in qemu-user", "daemon_netconf": "no nfnetlink in qemu-user",
    "daemon_lan": "no nfnetlink in qemu-user", "os_conntrack": "no nfnetlink in qemu-user", "os_netlink": "no routing rules in qemu-user's rtnetlink",
    "os_icmp": "qemu-user refuses a socket option", "os_probe": "no routing rules in qemu-user's rtnetlink", "os_udp": "qemu-user refuses a socket option",
    "os_child": "qemu-user refuses PR_SET_CHILD_SUBREAPER"}
LEFT_OUT_BIG_ENDIAN = {"os_iface": NETLINK, "daemon_worker": "UDP_GRO's control message stays in the other byte order"}

failed = []


def report(name, why=""):
    if why:
        failed.append(name)
    print(("not ok %s: %s" % (name, why.strip().replace("\n", " / ")[-600:])) if why else "ok " + name, flush=True)


def run(argv, env=None, timeout=DEADLINE_S):
    begin = time.monotonic()
    try:
        p = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT,
                           errors="replace", timeout=timeout, env=dict(os.environ, **(env or {})))
    except subprocess.TimeoutExpired:
        return 1, "not finished after %d s" % timeout, timeout
    return p.returncode, p.stdout, time.monotonic() - begin


def unit(build, path):
    name = os.path.basename(path)
    code, out, took = run([os.path.join(build, "run"), path], {
        "CMOCKA_MESSAGE_OUTPUT": "TAP", "BYWAY_EMULATED": "1", "BYWAY_BUILD": build, "BYWAY_BINARY": os.path.join(build, "byway-here")})
    bad = [x for x in out.split("\n") if x.startswith(("not ok", "#")) and not re.match(r"# ok|# SKIP", x)]
    passed = len(re.findall(r"^ok ", out, re.M))
    report("%s (%.0f s)" % (name, took), "" if code == 0 and passed else "; ".join(bad) or out or "status %d" % code)


def corpus(build, path):
    name = os.path.basename(path)
    files = os.path.join(ROOT, "tests", "fuzz", "corpus", name[5:])
    code, out, took = run([os.path.join(build, "run"), path, "-r", os.environ.get("BYWAY_SEED", "1"), "20"] +
                          ([files] if os.path.isdir(files) else []))
    report("%s (%.0f s)" % (name, took), "" if code == 0 else out or "status %d" % code)


def trace(out):
    """What a run says of itself, but for bytes: structures have other sizes elsewhere."""
    try:
        said = json.loads(out)
    except ValueError:
        return None
    said.pop("most_memory", None)
    return said


def simulation(build, name, args):
    argv = ["sim"] + args + ["--json"]
    here, there = run([HERE] + argv), run([os.path.join(build, "run"), os.path.join(build, "byway")] + argv)
    a, b = trace(here[1]), trace(there[1])
    why = ""
    if not a or not a.get("trace"):
        why = "here: " + here[1]
    elif a != b:
        why = "here %s; there %s" % (json.dumps(a), there[1])
    report("%s: the same run as here (%.0f s)" % (name, there[2]), why)


def main(arch):
    build = os.path.join(ROOT, "build-" + arch)
    if not os.path.exists(os.path.join(build, "byway")):
        print("skip %s: no build for it (tools/cross %s)" % (arch, arch))
        return 0
    left_out = dict(LEFT_OUT, **(LEFT_OUT_BIG_ENDIAN if arch == "s390x" else {}))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        jobs = []
        for p in sorted(glob.glob(os.path.join(build, "tests", "test_*"))):
            why = left_out.get(os.path.basename(p)[5:])
            if why:
                print("skip %s: %s" % (os.path.basename(p), why), flush=True)
            else:
                jobs.append(pool.submit(unit, build, p))
        for p in sorted(glob.glob(os.path.join(build, "fuzz", "fuzz_*"))):
            jobs.append(pool.submit(corpus, build, p))
        for p in sorted(glob.glob(os.path.join(ROOT, "sim", "scenarios", "*.sim"))):
            jobs.append(pool.submit(simulation, build, os.path.basename(p), [p]))
        for s in SEEDS:
            jobs.append(pool.submit(simulation, build, "random seed %d" % s,
                                    ["random", "--seed", str(s), "--nodes", "8", "--for", "60s", "--no-shrink"]))
        for j in jobs:
            j.result()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
