#!/usr/bin/python3
"""A wrong configuration: every mistake at once with its line, exit status 1, nothing started; `byway check` says the same;
a reload of a bad file changes nothing and says why."""
# tests/run: timeout=60 asan
import os
import re
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
import netkit  # noqa: E402
from netkit import check, step, wait_until  # noqa: E402

netkit.enter()
a = netkit.Node("a")
BAD = """[node]
name = under_score
[listen]
port = 70000
[nonsense]
x = 1
[internet]
share = eth0
shore = yes
limit-down = 20 potatoes
[firewall]
allow = tcp/0
[routing]
export = 192.168.7.0/40
[peer one]
key = tooshort
[peer two]
endpoint = somewhere:4870
"""
LINES = {2: "name", 4: "port", 5: "nonsense", 9: "shore", 10: "limit-down", 12: "allow", 14: "export", 16: "key", 17: "key"}
conf = netkit.write("bad.conf", BAD)


def told(text):
    return {int(n) for n in re.findall(r"bad\.conf:(\d+): ", text)}


with step("byway check names every mistake with its line"):
    code, out, err = a.status(netkit.BYWAY, "check", conf)
    check(code == 1, "exit status %d" % code)
    check(told(out + err) == set(LINES), "lines %s, expected %s: %s" % (sorted(told(out + err)), sorted(LINES), out + err))
    for line, word in LINES.items():
        row = next(r for r in (out + err).split("\n") if "bad.conf:%d: " % line in r)
        check(word in row, "line %d does not name %s: %s" % (line, word, row))
with step("byway run refuses it in the same words, all of them, and starts nothing"):
    before = a.run("ip", "-br", "link") + a.run("nft", "list", "ruleset")
    p = a.spawn(netkit.BYWAY, "run", "--config", conf, "--state", netkit.path("st"), "--socket", netkit.path("s"))
    check(p.wait(10) == 1, "exit status %s" % p.p.returncode)
    check(told(p.text()) == set(LINES), "lines %s: %s" % (sorted(told(p.text())), p.text()))
    check("ready" not in p.text().split("\n"), "it said ready")
    check(p.text().rstrip().split("\n")[-1].startswith("byway: the configuration has %d mistakes" % len(LINES)),
          "the last line: " + p.text())
    check(a.run("ip", "-br", "link") + a.run("nft", "list", "ruleset") == before, "something was set up")
    check(not os.path.exists(netkit.path("st")), "it made a state folder")
with step("duplicate peers, keys and sections"):
    twice = netkit.write("twice.conf", "[node]\nname = a\nname = b\n[peer x]\nkey = %s\n[peer x]\nkey = %s\n" %
                         (netkit.wg_keys()[1], netkit.wg_keys()[1]))
    code, out, err = a.status(netkit.BYWAY, "check", twice)
    check(code == 1 and "twice.conf:3:" in out + err and "twice.conf:6:" in out + err, "status %d: %s" % (code, out + err))
with step("--set is checked too"):
    code, out, err = a.status(netkit.BYWAY, "run", "--state", netkit.path("st"), "--socket", netkit.path("s"), "--set", "listen.port=x",
                              "--set", "no.such=1")
    check(code in (1, 2) and "listen.port" in err and "no.such" in err, "status %d: %s" % (code, err))
with step("a configuration that does not exist is said to"):
    code, out, err = a.status(netkit.BYWAY, "run", "--config", "/nowhere/x.conf", "--state", netkit.path("st"), "--socket", netkit.path("s"))
    check(code == 1 and "/nowhere/x.conf" in err and "\nbyway: " in err, "status %d: %s" % (code, err))
with step("wrong usage ends with 2"):
    code, out, err = a.status(netkit.BYWAY, "run", "--nonsense")
    check(code == 2 and err.startswith("byway: "), "status %d: %s" % (code, err))
with step("byway check is content with a good file"):
    good = netkit.write("good.conf", "[node]\nname = good\n[listen]\nport = 4870\n[peer mill]\nkey = %s\n" % netkit.wg_keys()[1])
    code, out, err = a.status(netkit.BYWAY, "check", good)
    check(code == 0, "status %d: %s" % (code, out + err))
with step("a bad file at reload changes nothing and says why"):
    b = netkit.Byway(a, "[node]\nname = steady\n[discover]\ninterfaces = none\n")
    with open(b.config, "w") as f:
        f.write(BAD)
    code, out, err = a.status(netkit.BYWAY, "--socket", b.socket, "reload")
    check(code == 1 and re.search(r":4: ", out + err), "status %d: %s" % (code, out + err))
    check(b.get("status")["name"] == "steady", "the name changed")
    with open(b.config, "w") as f:
        f.write("[node]\n" + "wrong = 1\n" * 60)
    b.process.p.send_signal(signal.SIGHUP)
    wait_until(lambda: {int(n) for n in re.findall(r":(\d+): unknown key", b.process.text())} == set(range(2, 62)), 10,
               "all sixty mistakes in the log after SIGHUP")
    with open(b.config, "w") as f:
        f.write("[node]\nname = renamed\n[discover]\ninterfaces = none\n")
    b.cli("reload")
    check(b.get("status")["name"] == "renamed", "a good file was not applied")
    check(b.stop() == 0, "exit status")
netkit.done()
