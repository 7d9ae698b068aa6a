#!/usr/bin/python3
"""Two nodes with one key (a copied SD card): both say so, in the log and in `byway status`, and neither dies of it."""
# tests/run: timeout=60 longer
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
import netkit  # noqa: E402
from netkit import check, step, wait_until  # noqa: E402

netkit.enter()
a, b, c = (netkit.Node(n) for n in "abc")
netkit.veth(a, "to-b", b, "to-a")
netkit.veth(b, "to-c", c, "to-b")
netkit.veth(a, "to-c", c, "to-a")
CONFIG = "[internet]\nuse = none\n"
first = netkit.Byway(a, CONFIG)
shutil.copytree(first.state, netkit.path("state-b"), ignore=lambda d, names: [n for n in names if n != "identity"])
second = netkit.Byway(b, CONFIG)
third = netkit.Byway(c, CONFIG)


def same_key(node):
    return next((p for p in node.get("status")["problems"] if p["code"] == "same-key"), None)


with step("they have one key"):
    check(first.key == second.key and first.key != third.key, "the test is wrong")
for node, name in ((first, "the original"), (second, "the copy")):
    with step("%s names the problem and what to do" % name):
        problem = wait_until(lambda: same_key(node), 20, "a problem in byway status: %s" % node.get("status")["problems"])
        check("key new" in problem["hint"], "the hint does not say how to get a new key: %s" % problem)
        check("key" in node.process.text(), "the log does not mention it")
with step("the others go on"):
    check(third.process.alive() and first.process.alive() and second.process.alive(), "one died")
with step("once the copy has a key of its own, all is well"):
    second.stop()
    os.unlink(os.path.join(second.state, "identity"))
    second.start()
    check(second.key != first.key, "still the same key")
    a.reaches(second.address)
    c.reaches(second.address)
    check(not same_key(second), "the copy still complains")
if netkit.SOAK:
    with step("and after two minutes the original no longer complains"):
        wait_until(lambda: not same_key(first), 150, "the problem goes away")
netkit.done()
