#!/usr/bin/python3
"""The kill switch: a machine that has a connection of its own sends nothing over it in the clear, whatever its exits do, whatever
its routes say, and whether the node runs, dies or starts."""
# tests/run: timeout=300 longer
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import labkit
from leak_kit import UPLINK, Listener, leaks, noise
from labkit import WEB4, WEB6, Lab, want, wait_until

FAILOVERS = 100 if os.environ.get("BYWAY_SOAK") == "1" else 10
# n1 is the one that relies on it: exits next to it, and an uplink that works.
ALONE = "node 1 internet set internet.use=always set internet.killswitch=yes\n"
MESH = "link 1 2\nlink 1 3\nnode 2 share\nnode 3 share\n" + ALONE
FOUR = "link 1 4\nlink 1 5\nnode 4 share\nnode 5 share\n" + MESH


def counted(lab, node="n1"):
    """How many packets the guard refused."""
    text = lab.run(node, "nft", "list", "table", "inet", "byway-guard", check=False).stdout
    return sum(int(line.split("packets")[1].split()[0]) for line in text.splitlines() if "packets" in line)


def up(lab, seconds=30):
    wait_until(lambda: lab.exit_of("n1") and lab.online("n1", timeout=1), seconds, "Internet at n1")


@labkit.test
def nothing_leaves_in_the_clear_while_exits_come_and_go():
    with Lab(text=FOUR) as lab:
        ear = Listener(lab, "n1", "failovers")
        up(lab)
        racket = noise(lab, "n1")
        ping = lab.job("n1", "ping", "-n", "-i", "0.05", "198.51.100.80")
        longest = 0
        for _ in range(FAILOVERS):
            wait_until(lambda: any(e["state"] == "standby" for e in lab.exits("n1")), 30, "a second exit in reserve")
            victim = lab.exit_of("n1")
            lab.kill(victim)
            begin = time.monotonic()
            wait_until(lambda: lab.exit_of("n1") not in (None, victim) and lab.online("n1", timeout=1), 20, f"another exit than {victim}")
            longest = max(longest, time.monotonic() - begin)
            lab.start(victim)
        for e in ("n2", "n3", "n4", "n5"):  # none is left: still nothing
            lab.kill(e)
        wait_until(lambda: not lab.exit_of("n1"), 20, "no exit at all")
        before = counted(lab)
        wait_until(lambda: counted(lab) > before + 50, 20, "attempts that the guard refuses")
        want(not lab.online("n1", WEB4 + "/") and not lab.online("n1", WEB6 + "/"), "online without an exit")
        racket.stop()
        ping.stop()
        frames = ear.quiet("failovers")
        return f"{FAILOVERS} failovers, the longest {longest:.1f} s, {frames} frames on the uplink, all of them allowed"


@labkit.test
def a_killed_node_leaves_the_switch_on_and_a_stopped_one_does_not():
    with Lab(text=MESH) as lab:
        up(lab)
        ear = Listener(lab, "n1", "killed")
        racket = noise(lab, "n1")
        for _ in range(3):
            lab.kill("n1")
            before = counted(lab)
            wait_until(lambda: counted(lab) > before + 50, 20, "attempts that the guard refuses")
            want(not lab.online("n1", WEB4 + "/", timeout=1), "online while the node is dead")
            lab.start("n1")
            up(lab)
        racket.stop()
        frames = ear.quiet("kill and start")
        lab.stop("n1")
        want("byway" not in lab.run("n1", "nft", "list", "ruleset").stdout, "rules are left after an orderly stop")
        want("proto 112" not in lab.run("n1", "ip", "rule").stdout, "policy rules are left after an orderly stop")
        want(lab.online("n1", WEB4 + "/") and lab.online("n1", WEB6 + "/"), "its own connection works again")
        ear = Listener(lab, "n1", "without")  # the same noise with nothing in its way: the judge does see it
        racket = noise(lab, "n1")
        wait_until(lambda: len(ear.so_far()) > 200, 10, "noise on the uplink")
        racket.stop()
        bad = leaks(ear.stop().file, ear.mac)
        want(all(any(w in b for b in bad) for w in ("udp", "tcp", "198.51.100.80", "8.8.8.8", "2606:")), f"only {len(bad)} seen")
        return f"{frames} frames on the uplink, all of them allowed; {len(bad)} leaks once it was stopped"


@labkit.test
def a_start_that_fails_leaves_the_switch_on_and_it_can_be_lifted_by_hand():
    with Lab(text=MESH) as lab:
        up(lab)
        lab.kill("n1")
        ear = Listener(lab, "n1", "failed")
        taken = lab.job("n1", "python3", "-c", "import socket, time\ns = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)\n"
                                              "s.bind(('::', 4870))\ntime.sleep(100)")
        wait_until(lambda: ":4870" in lab.run("n1", "ss", "-Hnulp").stdout, 10, "somebody else on its port")
        state = f"{lab.dir}/nodes/n1/state"
        r = lab.run("n1", "byway", "run", "--state", state, "--socket", "/run/again.sock", "--set", "internet.killswitch=yes", check=False)
        want(r.returncode == 1, f"it started: {r.stderr[-200:]}")
        want(not lab.online("n1", WEB4 + "/", timeout=1), "online after a failed start")
        ear.quiet("a failed start")
        lab.run("n1", "nft", "delete", "table", "inet", "byway-guard")
        for argv in (("--state", state), ("--state", "/proc/none")):  # nothing stands from an earlier run
            r = lab.run("n1", "byway", "run", *argv, "--socket", "/run/again.sock", "--set", "internet.killswitch=yes", check=False)
            want(r.returncode == 1 and not lab.online("n1", WEB4 + "/", timeout=1), f"online after a first start that failed: {r.stderr[-200:]}")
        taken.stop()
        lab.run("n1", "nft", "delete", "table", "inet", "byway-guard")
        for family in ("-4", "-6"):
            for rule in (4869, 4870, 4871, 4872, 32768):
                lab.run("n1", "ip", family, "rule", "del", "priority", rule, check=False)
        want(lab.online("n1", WEB4 + "/"), "lifted by hand")


@labkit.test
def routes_of_another_vpn_do_not_lead_around_the_tunnel_and_the_lan_stays_reachable():
    with Lab(text=MESH) as lab:
        up(lab)
        # A LAN behind the uplink's interface: the provider plays the printer.
        lab.run("n1", "ip", "addr", "add", "192.168.77.2/24", "dev", UPLINK)
        lab.run("internet", "ip", "addr", "add", "192.168.77.1/24", "dev", "to-n1")
        lab.run("n1", "ip", "addr", "add", "fd77::2/64", "dev", UPLINK, "nodad")
        lab.run("internet", "ip", "addr", "add", "fd77::1/64", "dev", "to-n1", "nodad")
        for half in ("0.0.0.0/1", "128.0.0.0/1", "198.51.100.0/24"):
            lab.run("n1", "ip", "route", "add", half, "via", "203.0.113.1", "dev", UPLINK)
        for half in ("2000::/3", "2001:db8::/64"):
            lab.run("n1", "ip", "-6", "route", "add", half, "via", "2001:db8:0:1::1", "dev", UPLINK)
        lan = Listener(lab, "n1", "lan")
        for address in ("192.168.77.1", "fd77::1"):
            want(lab.reaches("n1", address), f"{address} in the LAN")
        answers = len([d for d in lan.stop().so_far() if d[0] in ("icmp", "icmpv6") and d[4] in (8, 128)])
        want(answers >= 2, "pings to the LAN are seen on the uplink: the capture works")
        ear = Listener(lab, "n1", "routes")
        racket = noise(lab, "n1")
        before = counted(lab)
        wait_until(lambda: counted(lab) > before + 100, 20, "attempts that the guard refuses")
        want(not lab.reaches("n1", "198.51.100.80"), "a more specific route is no way around")
        lab.run("n1", "ip", "route", "del", "198.51.100.0/24")
        lab.run("n1", "ip", "-6", "route", "del", "2001:db8::/64")
        want(lab.online("n1", WEB4 + "/"), "halves of a default route are not looked at: through the tunnel")
        racket.stop()
        ear.quiet("another VPN's routes")


@labkit.test
def a_family_that_the_exit_lacks_does_not_leave_beside_the_tunnel():
    with Lab(text="link 1 2\nnode 2 share\nnode 1 internet set internet.use=always\n") as lab:  # without the kill switch
        lab.run("n2", "ip", "-6", "route", "del", "default")
        wait_until(lambda: lab.exit_of("n1") and lab.exits("n1")[0]["families"] == ["ipv4"] and lab.online("n1", WEB4 + "/"), 60, "an exit for IPv4 only")
        wait_until(lambda: "unreachable" in lab.run("n1", "ip", "-6", "route", "show", "table", "4870").stdout, 30, "a lease without IPv6")
        ear = Listener(lab, "n1", "ipv6")
        want(not lab.online("n1", WEB6 + "/"), "IPv6 beside the tunnel")
        want(lab.online("n1"), "by name, over IPv4")
        ear.stop()
        seen = [d for d in ear.so_far() if d[0] in ("tcp", "udp") and d[2].version == 6 and d[4] != 4870]
        want(not seen, f"IPv6 on the uplink: {seen[:3]}")


labkit.main()
