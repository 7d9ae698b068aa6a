#!/usr/bin/python3
"""What is promised to people and scripts exists: every command in `byway --help` and with a --help of its own, a man page
per command that groff reads without a warning, every setting in the guide, and links between our documents that lead
somewhere."""
import os
import re
import subprocess

import house

COMMANDS = ["run", "status", "peers", "routes", "sessions", "exits", "peer add", "peer remove", "exit use", "ping", "trace",
            "monitor", "key show", "key new", "invite", "join", "check", "reload", "lab up", "lab exec", "lab show", "lab link",
            "lab down", "sim", "version", "help"]
SETTINGS = """node.name listen.port listen.public discover.interfaces discover.policy discover.secret-file tun.interface tun.mtu
internet.share internet.use internet.killswitch internet.probe internet.dns internet.limit-down internet.limit-up firewall.allow
routing.export routing.import routing.transit api.listen log.level peer.key peer.endpoint peer.psk-file peer.internet""".split()
BYWAY = os.environ.get("BYWAY", os.path.join(house.BUILD, "byway"))


def call(*args):
    p = subprocess.run([BYWAY, *args], capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
    return p.returncode, p.stdout, p.stderr


def commands():
    code, out, _ = call("--help")
    problems = [] if code == 0 else ["byway --help ends with %d" % code]
    for c in COMMANDS:
        first = c.split()[0]
        if not re.search(r"^\s*(byway )?%s\b" % first, out, re.M):
            problems.append("byway --help does not mention %s" % first)
        code, text, _ = call(*c.split(), "--help")
        if code or not re.search(r"byway.*%s" % first, text):
            problems.append("byway %s --help: status %d, %d bytes" % (c, code, len(text)))
    return problems


def usage():
    problems = []
    for args in (["nonsense"], ["run", "--nonsense"], ["peer", "nonsense"], ["ping"], ["lab", "nonsense"]):
        code, out, err = call(*args)
        if code != 2 or not err.startswith("byway: ") or out:
            problems.append("byway %s: status %d, says \"%s\"" % (" ".join(args), code, err.strip()[:80]))
    return problems


def pages():
    problems = []
    for c in ["", *COMMANDS]:
        words = ["byway"] + c.split()
        names = {"-".join(words), "-".join(words[:2])}      # `lab up` is explained in byway-lab
        if not any(os.path.exists(os.path.join(house.ROOT, "docs/man", n + s)) for n in names for s in (".1", ".8")):
            problems.append("docs/man has no page for %s" % " ".join(words))
            continue
        page = next(p for p in (os.path.join(house.ROOT, "docs/man", n + ".1") for n in sorted(names, key=len, reverse=True))
                    if os.path.exists(p))
        with open(page) as f:
            told = set(re.findall(r"--[a-z-]+", f.read().replace("\\-", "-")))
        missing = set(re.findall(r"--[a-z-]+", call(*c.split(), "--help")[1])) - told if c else set()
        if missing:
            problems.append("%s does not tell %s" % (os.path.basename(page), ", ".join(sorted(missing))))
    return problems


def lint():
    problems = []
    for page in house.files("docs/man", (".1", ".5", ".7", ".8")):
        p = subprocess.run(["groff", "-man", "-ww", "-z", "-Tutf8", os.path.join(house.ROOT, page)], capture_output=True, text=True)
        problems += ["%s: %s" % (page, x) for x in p.stderr.strip().split("\n") if x]
    return problems


def settings():
    path = os.path.join(house.ROOT, "docs/guide/configuration.md")
    if not os.path.exists(path):
        return ["docs/guide/configuration.md is missing"]
    with open(path) as f:
        text = f.read()
    return ["%s is not explained" % s for s in SETTINGS if not re.search(r"\b%s\b" % re.escape(s.split(".")[1]), text)]


def links():
    problems = []
    listed = subprocess.run(["git", "ls-files", "*.md"], capture_output=True, text=True, cwd=house.ROOT).stdout.split()
    for path in listed or house.files(".", (".md",)):
        full = os.path.join(house.ROOT, path)
        if not os.path.exists(full):
            continue
        with open(full) as f:
            text = re.sub(r"```.*?```", "", f.read(), flags=re.S)
        for target in re.findall(r"\]\(([^)#\s]+)", text):
            if "://" not in target and not target.startswith("mailto:") \
                    and not os.path.exists(os.path.join(os.path.dirname(full), target)):
                problems.append("%s: %s is not there" % (path, target))
    return problems


if os.access(BYWAY, os.X_OK):
    house.report("every command has its help", commands())
    house.report("wrong usage ends with 2 and says why", usage())
else:
    house.report("every command has its help", ["%s is not built" % BYWAY])
house.report("every command has its man page", pages())
if house.have("groff"):
    house.report("man pages are well-formed", lint())
else:
    print("# groff is not installed: man pages not checked for form")
house.report("every setting is in the guide", settings())
house.report("links between documents lead somewhere", links())
house.done()
