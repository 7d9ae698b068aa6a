#!/usr/bin/python3
"""The lab with daemons in it: what show, kill, stop, start and the settings do."""
# tests/run: timeout=120 asan
import ipaddress
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import labkit
from labkit import Failure, Lab, want, wait_until


def node(lab, name):
    return next(n for n in lab.show()["nodes"] if n["name"] == name)


@labkit.test
def show_tells_address_neighbours_and_exit():
    with Lab("line", "--nodes", 3, "--share", 1) as lab:
        lab.converged()
        wait_until(lambda: lab.exit_of("n3") == "n1", 15, "n3's exit")
        n = node(lab, "n3")
        want(n["state"] == "running" and ipaddress.ip_address(n["address"]).packed[0] == 0xfc and n["peers"] == 1, str(n))
        want(os.path.exists(f"/proc/{n['pid']}"), "its pid is one of this machine")
        text = lab.lab("show").stdout
        want(any(l.split()[0] == "n3" and "n1" in l.split()[1:] for l in text.splitlines() if l.startswith("n3")), text)
        want(lab.path("n3", lab.address("n1")) == ["n3", "n2", "n1"], "the way")
        want("n3" in lab.run("n3", "byway", "status").stdout, "byway inside")
        f = lab.fetch("n3", labkit.WEB + "/1M")
        want(f.sha256 == lab.sha256("1M"), "the transfer")


@labkit.test
def kill_stop_and_start_do_so():
    with Lab("line", "--nodes", 2) as lab:
        address = lab.address("n1")
        lab.kill("n1")
        want(node(lab, "n1")["state"] == "killed by SIGKILL" and node(lab, "n1")["pid"] is None, str(node(lab, "n1")))
        try:
            lab.kill("n1")
            raise Failure("killed twice")
        except Failure as e:
            want("does not run" in str(e), str(e))
        lab.start("n1")
        want(node(lab, "n1")["state"] == "running" and lab.status("n1")["address"] == address, "the same node again")
        lab.stop("n1")
        want(node(lab, "n1")["state"] == "stopped", str(node(lab, "n1")))
        lab.start("n1")
        lab.converged()
        want(node(lab, "n1")["starts"] == 3, "counted")


@labkit.test
def settings_reach_the_nodes():
    with Lab("--set", "log.level=info", text="link 1 2\nnode 2 set node.name=mill set log.level=warn\n") as lab:
        want(lab.status("n1")["name"] == "n1" and lab.status("n2")["name"] == "mill", "names")
        want("info:" in lab.log("n1") and "info:" not in lab.log("n2"), "log levels")
    try:
        with Lab("line", "--nodes", 2, "--set", "no.such=thing"):
            raise Failure("it came up")
    except Failure as e:
        want("did not get ready" in str(e), str(e))


labkit.main()
