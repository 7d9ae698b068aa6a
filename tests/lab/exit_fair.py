#!/usr/bin/python3
"""Fifty clients on one exit, each taking as much as it can: even shares in both directions, the owner's floor kept. A client
that has used up its volume is told so and slowed, the others are not."""
# tests/run: timeout=480 alone
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import labkit
from labkit import Lab, want, wait_until

CLIENTS = 50
HERE = "198.51.100.80"

# Sends to whoever connects to port 9001, swallows what comes to port 9000.
SERVER = """
import socket, threading
def serve(port, work):
    s = socket.create_server(("198.51.100.80", port), backlog=200)
    while True:
        threading.Thread(target=work, args=(s.accept()[0],), daemon=True).start()
def guard(f):
    def g(c):
        try: f(c)
        except OSError: pass
    return g
block = bytes(65536)
@guard
def send(c):
    while True: c.sendall(block)
@guard
def swallow(c):
    while c.recv(1 << 18): pass
threading.Thread(target=serve, args=(9001, send), daemon=True).start()
serve(9000, swallow)
"""
# One that takes or gives as much as it can, and writes into a file how many bytes have arrived, as TCP counts them.
CLIENT = """
import socket, struct, sys, threading, time
down, file = sys.argv[1] == "0", sys.argv[2]
def count(c):
    with open(file, "w") as f:
        while True:
            info = c.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
            acked, received = struct.unpack_from("=QQ", info, 120)
            f.seek(0)
            f.write(f"{received if down else acked:020}")
            f.flush()
            time.sleep(0.1)
c = socket.create_connection(("198.51.100.80", 9001 if down else 9000))
threading.Thread(target=count, args=(c,), daemon=True).start()
block = bytes(65536)
while c.recv(1 << 18) if down else not c.sendall(block): pass
"""
DOWN, UP = 0, 1


def loading(lab, node, way):
    j = lab.job(node, "python3", "-c", CLIENT, way, f"{lab.dir}/{node}.{way}")
    j.count = f"{lab.dir}/{node}.{way}"
    return j


def serving(lab):
    lab.job("internet", "python3", "-c", SERVER)
    ready = f"import socket; socket.create_connection(('{HERE}', 9000)); socket.create_connection(('{HERE}', 9001))"
    wait_until(lambda: lab.run("internet", "python3", "-c", ready, check=False).returncode == 0, 10, "the server")


def moved(job):
    try:
        with open(job.count) as f:
            return int(f.read() or 0)
    except FileNotFoundError:
        return 0


def window(jobs, seconds):
    """Mbit/s of each of these in so many seconds from now."""
    begin, before = time.monotonic(), [moved(j) for j in jobs]
    time.sleep(seconds)  # what is measured is this long
    span = time.monotonic() - begin
    return [(moved(j) - b) * 8 / 1e6 / span for j, b in zip(jobs, before)]


def jain(x):
    return sum(x) ** 2 / (len(x) * sum(v * v for v in x))


def all_active(lab, names, seconds):
    for n in names:
        wait_until(lambda: lab.exit_state(n) == "active", seconds, f"an exit at {n}")


@labkit.test
def fifty_greedy_clients_and_the_owner():
    exit_ = "n1"
    sets = "limit-down=25mbit limit-up=20mbit floor-down=8mbit floor-up=5mbit".split()
    with Lab("star", "--nodes", CLIENTS + 1, "--share", "1", *[w for s in sets for w in ("--set", f"internet.{s}")]) as lab:
        lab.link(exit_, "internet", "rate=30mbit")
        serving(lab)
        clients = [n for n in lab.nodes() if n != exit_]
        all_active(lab, clients, 60)
        notes = []
        for way, limit, floor, name in ((DOWN, 25, 8, "down"), (UP, 20, 5, "up")):
            jobs = [loading(lab, n, way) for n in clients]
            wait_until(lambda: min(moved(j) for j in jobs) > 20_000, 60, "everybody loading")
            begin, windows = time.monotonic(), []

            def shares(last):
                """Mbit/s of each over the last windows."""
                return [sum(of) / last for of in zip(*windows[-last:])]

            def even():
                """Over the last twelve seconds or more: those who began late catch up by their TCP's pace, and what a busy machine
                keeps from one for a while evens out."""
                windows.append(window(jobs, 12))
                return next((s for s in map(shares, range(1, len(windows) + 1)) if jain(s) >= 0.95), None)

            try:
                rates = wait_until(even, 120, "even shares")
            except labkit.Failure:
                fairs = [round(jain(shares(n)), 3) for n in range(1, len(windows) + 1)]
                rates = sorted(round(r, 2) for r in shares(len(windows)))
                raise labkit.Failure(f"{name}: Jain's index over the last 12 s, 24 s and so on is {fairs}; rates over all of them {rates}") from None
            took = time.monotonic() - begin
            notes.append(f"{name}: Jain {jain(rates):.3f} within {took:.0f} s, {sum(rates):.0f} Mbit/s of {limit}, each {min(rates):.2f} to {max(rates):.2f}")
            want(sum(rates) > 0.3 * limit, f"{name}: {sum(rates):.1f} Mbit/s used of {limit}")
            want(sum(rates) < 1.1 * limit, f"{name}: {sum(rates):.1f} Mbit/s passed a limit of {limit}")
            owner = loading(lab, exit_, way)
            got = []

            def kept():  # over six seconds; where the machine is busy with other things not at the first try
                got.append(window([owner], 6)[0])
                return got[-1] > 0.9 * floor

            try:
                wait_until(kept, 40, "the owner at its floor")
            except labkit.Failure:
                raise labkit.Failure(f"{name}: the owner got {got} Mbit/s, its floor is {floor}") from None
            notes.append(f"owner {got[-1]:.1f} (floor {floor})")
            for j in jobs + [owner]:
                j.stop()
        left = [n for n in clients if "its own connection is down" in lab.log(n)]
        want(not left, f"a full connection was taken for a dead one by {len(left)} clients")
        return "; ".join(notes)


@labkit.test
def one_at_its_volume_is_told_and_slowed():
    exit_, greedy = "n1", "n2"
    with Lab("star", "--nodes", 5, "--share", "1", "--set", "internet.volume-client=20MB/month", "--set", "internet.limit-client-down=20mbit") as lab:
        serving(lab)
        clients = [n for n in lab.nodes() if n != exit_]
        all_active(lab, clients, 30)

        def problem(n):
            return lab.problems(n).get("exit-slowed")

        want(not problem(greedy), "told too early")
        load = loading(lab, greedy, DOWN)
        begin = time.monotonic()
        told = wait_until(lambda: problem(greedy), 60, "a word about the volume")
        took = time.monotonic() - begin
        want("GB of this month" in told, told)
        slow = window([load], 8)[0]
        want(slow < 0.5, f"{slow:.2f} Mbit/s after the volume was used up")
        want(slow > 0.05, f"{slow:.3f} Mbit/s: cut off, not slowed")
        other = lab.fetch("n3", f"http://{HERE}/10M", 60)
        want(other.rate > 2e6, f"{other.rate / 1e6:.1f} Mbit/s at another client")
        want(not problem("n3"), "another one is told as well")
        lab.stop(exit_)
        lab.start(exit_)  # it is remembered
        wait_until(lambda: problem(greedy) and lab.exit_state(greedy) == "active", 30, "the same after a restart")
        return f"told {took:.1f} s after it began, slowed to {slow:.2f} Mbit/s, another got {other.rate / 1e6:.0f}; remembered over a restart"


labkit.main()
