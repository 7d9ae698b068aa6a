#!/usr/bin/python3
"""Changed configuration while running: what changed is applied, what did not is not disturbed, a bad file changes nothing."""
# tests/run: timeout=120
import base64
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import labkit
from labkit import Lab, want, wait_until


def file_of(lab, node):
    return f"{lab.dir}/nodes/{node}/byway.conf"


def text_of(lab, node):
    with open(file_of(lab, node)) as f:
        return f.read()


def write(lab, node, text):
    with open(file_of(lab, node), "w") as f:
        f.write(text)


def handshakes(lab, node):
    """When each link shook hands last: one that is made anew has a later time."""
    up = lab.status(node)["uptime_s"]
    return {(p["key"], p["link"]): up - p["last_handshake_s"] for p in lab.peers(node)}


def undisturbed(before, after):
    return all(k in after and after[k] <= at + 1.5 for k, at in before.items())


@labkit.test
def a_bad_file_changes_nothing_and_says_why():
    with Lab("line", "--nodes", 3) as lab:
        lab.all_ping(30)
        before, good = handshakes(lab, "n2"), text_of(lab, "n2")
        write(lab, "n2", good + "[routing]\ntransit = perhaps\n[nonsense]\nx = 1\n[firewall]\nallow = all\n")
        r = lab.byway("n2", "reload", check=False)
        lines = len(good.splitlines())
        want(r.returncode == 1 and f":{lines + 2}:" in r.stderr and f":{lines + 3}:" in r.stderr, r.stderr)
        want("nothing was changed" in r.stderr, r.stderr)
        lab.kill("n2", "HUP")
        wait_until(lambda: lab.log("n2").count("nothing was changed") >= 2, 10, "SIGHUP says it in the log")
        want(lab.path("n1", lab.address("n3")) == ["n1", "n2", "n3"] and lab.reaches("n1", lab.address("n3")), "n2 no longer carries")
        lab.job("n2", "python3", "-m", "http.server", "--bind", "::", "8080")
        url = f"http://[{lab.address('n2')}]:8080/"
        wait_until(lambda: lab.online("n2", url), 10, "a server at n2")
        want(not lab.online("n1", url, timeout=1), "the bad file opened the firewall")
        write(lab, "n2", good + "[firewall]\nallow = icmp, tcp/8080\n")
        lab.kill("n2", "HUP")
        wait_until(lambda: lab.online("n1", url), 10, "the good file opens the port")
        write(lab, "n2", good)
        lab.byway("n2", "reload")
        wait_until(lambda: not lab.online("n1", url, timeout=1), 10, "and shuts it again")
        want(undisturbed(before, handshakes(lab, "n2")), "a link was made anew")


@labkit.test
def a_saved_peer_outlives_a_restart_and_goes_with_its_section():
    with Lab(text="node 1 internet\nnode 2 internet\nnode 1 set discover.interfaces=none\nnode 2 set discover.interfaces=none\n") as lab:
        keys = {n: lab.status(n)["key"] for n in lab.nodes()}
        lab.byway("n2", "peer", "add", keys["n1"], "--save")
        lab.byway("n1", "peer", "add", keys["n2"], "--endpoint", "203.0.113.102:4870", "--save")
        want(keys["n2"] in text_of(lab, "n1"), text_of(lab, "n1"))
        wait_until(lambda: lab.reaches("n1", lab.address("n2")), 20, "a link")
        # What a second command does not say stays as it was.
        lab.byway("n1", "peer", "add", keys["n2"], "--name", "second", "--save")
        want("[peer second]" in text_of(lab, "n1") and "endpoint = 203.0.113.102:4870" in text_of(lab, "n1"), text_of(lab, "n1"))
        lab.byway("n1", "peer", "add", keys["n2"], "--endpoint", "two.example.test:4870", "--internet", "--save")
        lab.byway("n1", "peer", "add", keys["n2"], "--save")
        want("[peer second]" in text_of(lab, "n1") and "endpoint = two.example.test:4870" in text_of(lab, "n1") and
             "internet = yes" in text_of(lab, "n1"), text_of(lab, "n1"))
        lab.byway("n1", "peer", "remove", keys["n2"], "--save")
        lab.byway("n1", "peer", "add", keys["n2"], "--endpoint", "203.0.113.102:4870")
        lab.byway("n1", "peer", "add", keys["n2"], "--save")
        want("endpoint = 203.0.113.102:4870" in text_of(lab, "n1") and "internet" not in text_of(lab, "n1"), text_of(lab, "n1"))
        lab.stop("n1")
        lab.start("n1")
        wait_until(lambda: lab.reaches("n1", lab.address("n2")), 20, "a link after the restart")
        lab.byway("n1", "peer", "remove", keys["n2"], "--save")
        want(keys["n2"] not in text_of(lab, "n1"), "still in the file")
        wait_until(lambda: not lab.peers("n1"), 10, "the link gone")
        r = lab.byway("n1", "peer", "remove", keys["n2"], check=False)
        want(r.returncode == 1 and "no peer has that key" in r.stderr, r.stderr)


@labkit.test
def what_was_chosen_by_command_holds_until_the_file_says_otherwise():
    with Lab(text="link 1 2\nnode 1 share\n") as lab:
        wait_until(lambda: lab.exit_of("n2") == "n1", 30, "an exit")
        good = text_of(lab, "n2")
        lab.byway("n2", "exit", "use", "none")
        wait_until(lambda: lab.status("n2")["exit"]["state"] == "none", 10, "none")
        write(lab, "n2", good + "[firewall]\nallow = icmp, tcp/22\n")
        lab.byway("n2", "reload")
        want(lab.status("n2")["exit"]["state"] == "none", "another change in the file undid the choice")
        write(lab, "n2", good + "[internet]\nuse = always\n")
        lab.byway("n2", "reload")
        wait_until(lambda: lab.exit_of("n2") == "n1", 20, "the file's word")


@labkit.test
def a_place_for_the_api_that_is_taken_is_told_until_it_is_free():
    with Lab("line", "--nodes", 1) as lab:
        good = text_of(lab, "n1")
        taken = lab.job("n1", "python3", "-m", "http.server", "--bind", "127.0.0.1", "5871")
        wait_until(lambda: lab.online("n1", "http://127.0.0.1:5871/"), 20, "the other server")
        write(lab, "n1", good + "[api]\nlisten = 127.0.0.1:5871\n")
        said = lab.byway("n1", "reload").stdout
        want("applied, but" in said and "5871" in said and "api-listen" in lab.problems("n1"), said)
        want(lab.online("n1", "http://127.0.0.1:4871/v1/status"), "the old place was given up")
        taken.stop()
        said = lab.byway("n1", "reload").stdout
        want("but" not in said and "api-listen" not in lab.problems("n1"), said)
        want(lab.online("n1", "http://127.0.0.1:5871/v1/status"), "the new place does not answer")


@labkit.test
def what_takes_a_restart_is_said_until_then():
    with Lab("line", "--nodes", 2, "--set", "internet.probe=none") as lab:
        good = text_of(lab, "n2")

        def problem():
            return lab.problems("n2").get("restart-needed", "")

        write(lab, "n2", good + "[tun]\nmtu = 1400\n[listen]\nport = 4999\n")
        said = lab.byway("n2", "reload").stdout
        want("is applied, but a restart" in said and "listen.port" in said and "[tun]" in said and "probe" not in said, said)
        said = lab.byway("n2", "reload").stdout
        want("listen.port" in said, f"it is still so: {said}")
        want("listen.port" in problem() and lab.log("n2").count("a restart of the node is needed") == 1, lab.log("n2")[-300:])
        want(":4870" in lab.run("n2", "ss", "-Hnulp").stdout, "it goes on with the old port")
        write(lab, "n2", good)
        said = lab.byway("n2", "reload").stdout
        want("restart" not in said and not problem(), f"all is as it was: {said} {problem()}")
        write(lab, "n2", good + "[listen]\nport = 4999\n")
        lab.byway("n2", "reload")
        lab.stop("n2")
        lab.start("n2")
        wait_until(lambda: ":4999" in lab.run("n2", "ss", "-Hnulp").stdout, 10, "the new port after a restart")
        want(not problem(), "the problem is over")


@labkit.test
def an_exit_that_is_renamed_offers_itself_by_its_new_name():
    with Lab(text="link 1 2\nnode 1 share\n") as lab:
        wait_until(lambda: lab.online("n2"), 30, "Internet at n2")
        write(lab, "n1", text_of(lab, "n1").replace("name = n1\n", "name = ford\n"))
        lab.byway("n1", "reload")
        offer = lab.run("n2", "curl", "-s", f"http://[{lab.address('n1')}]:4870/v1/exit").stdout
        want('"name":"ford"' in offer.replace(" ", "").replace("\\", ""), offer)


@labkit.test
def a_name_that_is_not_answered_does_not_delay_the_end():
    with Lab("line", "--nodes", 2) as lab:
        # A resolver that never answers: the C library gives up after ten seconds and more.
        hole = lab.job("n2", "python3", "-c", "import socket, time\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                                              "s.bind(('127.0.0.9', 53))\nprint(s.recvfrom(512)[0], flush=True)\ntime.sleep(100)",
                       stdout=subprocess.PIPE)
        lab.run("n2", "sh", "-c", "echo nameserver 127.0.0.9 > /etc/resolv.conf")
        key = base64.b64encode(bytes(range(32))).decode()
        wait_until(lambda: "127.0.0.9:53" in lab.run("n2", "ss", "-Hnulp").stdout, 10, "the resolver")
        write(lab, "n2", text_of(lab, "n2") + f"[peer far]\nkey = {key}\nendpoint = far.example.net:4870\n")
        lab.byway("n2", "reload")
        want(hole.process.stdout.readline(), "the question")
        begin = time.monotonic()
        lab.stop("n2")
        took = time.monotonic() - begin
        want(took < 4, f"the end took {took:.1f} s")
        hole.stop()


labkit.main()
