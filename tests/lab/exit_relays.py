#!/usr/bin/python3
"""Seven nodes, a client behind three relays, and a download through the exit behind them at 40 Mbit/s, while again and again a relay
that carries it (as the routes say) is killed and started again: nothing is lost.

    n7 - n4 - n6 - n3 - n5 - internet        n4 - n2 - n1 - n3 is the other way; n4 and n3 have no substitute
"""
# tests/run: timeout=180 longer
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import labkit
from labkit import WEB, Failure, Lab, want, wait_until

SOAK = os.environ.get("BYWAY_SOAK") == "1"
SEVEN = """
node n5 share
link n1 n2
link n1 n3
link n2 n4
link n3 n5
link n3 n6
link n4 n6
link n4 n7
link n5 internet
"""
SIZE, EVERY = (300_000_000, 10) if SOAK else (60_000_000, 4)


def on_the_way(lab):
    try:
        path = lab.path("n7", lab.address("n5"))
        return path[1:-1] if len(path) >= 5 else None
    except Failure:
        return None


@labkit.test
def a_download_outlives_every_relay_on_its_way():
    with Lab(text=SEVEN) as lab:
        for n in lab.nodes():
            lab.address(n)  # remembered, so that a dead node's is known
        with open(f"{lab.dir}/www/large", "wb") as f:
            for k in range(SIZE // 1_000_000):
                f.write(random.Random(k).randbytes(1_000_000))
        wait_until(lambda: lab.exit_of("n7") == "n5" and lab.online("n7"), 30, "n7 at exit n5")
        load = lab.fetching("n7", f"{WEB}/large", 300, rate="5M")
        killed, trouble = [], []

        def kill_them():
            begin = time.monotonic()
            try:
                while load.is_alive() and (SOAK or len(killed) < 3):  # on a busy machine a way takes longer to come back
                    if time.monotonic() - begin < EVERY * (len(killed) + 1):
                        time.sleep(0.05)
                        continue
                    relays = wait_until(lambda: on_the_way(lab), 10, "a way through relays")
                    killed.append(relays[len(killed) % len(relays)])
                    lab.kill(killed[-1])
                    lab.start(killed[-1])
            except Exception as e:  # a thread's own troubles are told by the test
                trouble.append(e)

        killer = threading.Thread(target=kill_them, daemon=True)
        killer.start()
        stall, last, moved = 0.0, time.monotonic(), 0
        while load.is_alive():
            if load.size > moved:
                stall, last, moved = max(stall, time.monotonic() - last), time.monotonic(), load.size
            time.sleep(0.02)
        killer.join(100)
        want(not trouble, f"{trouble}")
        want(not load.error, f"after {load.size} bytes and {killed} killed: {load.error}")
        want(load.size == SIZE and load.sha256 == lab.sha256("large"), f"{load.size} bytes arrived, not as they were sent")
        want(len(killed) >= 2, f"it was over after {load.seconds:.1f} s")
        return f"{SIZE // 1_000_000} MB in {load.seconds:.1f} s ({load.rate / 1e6:.1f} Mbit/s), killed {' '.join(killed)}; longest pause {stall:.1f} s"


labkit.main()
