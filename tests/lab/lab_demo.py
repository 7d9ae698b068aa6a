#!/usr/bin/python3
"""The demonstration: it works, and leaves nothing, interrupted or not."""
# tests/run: timeout=400
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import labkit
from labkit import BYWAY, command, wait_until, want


def labs():
    return [n for n in command(BYWAY, "lab", "list").stdout.split() if n.startswith("demo-")]


@labkit.test
def it_shows_what_it_promises():
    begin = time.monotonic()
    r = command(BYWAY, "lab", "demo", timeout=200, check=False)
    took = time.monotonic() - begin
    want(r.returncode == 0, f"status {r.returncode}: {r.stderr.strip()} after: {r.stdout.strip().splitlines()[-1:]}")
    for piece in ("n1 has no Internet of its own", "killed n", "every byte right", "the exit that n1 uses", "nothing is left behind"):
        want(piece in r.stdout, f"nothing about '{piece}'")
    want("\033" not in r.stdout, "control characters without a terminal")
    want(not labs(), "a lab is left")
    last = re.search(r"replaced in ([\d.]+) s without breaking the download, a dead exit in ([\d.]+) s", r.stdout)
    want(last, "the measured times")
    return f"relay {last[1]} s, exit {last[2]} s, all {took:.0f} s"


@labkit.test
def on_a_terminal_it_draws_a_table():
    r = command("script", "-qec", f"{BYWAY} lab demo", "/dev/null", timeout=200)
    want("NEIGHBOURS" in r.stdout and "\033[J" in r.stdout and "n1 downloads #" in r.stdout, "no table")


def stopped_in_the_middle(sig):
    p = subprocess.Popen([BYWAY, "lab", "demo"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    for line in p.stdout:
        if "downloads 100 MB" in line:
            break
    name = wait_until(labs, 5, "the lab")[0]
    keeper = int(re.search(r'"keeper_pid": (\d+)', command(BYWAY, "lab", "show", "--json", "--name", name).stdout)[1])
    p.send_signal(sig)
    p.stdout.read()
    code = p.wait(30)
    wait_until(lambda: not os.path.exists(f"/proc/{keeper}/ns/pid") or zombie(keeper), 30, "the keeper's end")
    wait_until(lambda: not labs(), 30, "the lab's end")
    return code


def zombie(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] in "ZX"
    except OSError:
        return True


@labkit.test
def interrupted_it_cleans_up():
    want(stopped_in_the_middle(signal.SIGINT) == 1, "its status")


@labkit.test
def killed_it_takes_its_lab_with_it():
    want(stopped_in_the_middle(signal.SIGKILL) == -signal.SIGKILL, "its status")


labkit.main()
