#!/usr/bin/python3
"""End-to-end sessions between nodes that share only relays: everything between two mesh addresses is ESP, and what others'
tools make of it: tshark decrypts both modes with exported keys, traceroute, tracepath and fragments pass, a restarted peer is
back at once."""
# tests/run: timeout=300
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import labkit
from labkit import WEB, Lab, want, wait_until
from session_kit import ROW, key_log, logged, ping_sizes, tracepath, traceroute, tshark, watch_hop


def sessions(lab, node):
    return {s["address"]: s for s in lab.api(node, "/v1/sessions")}


def up(lab, a, b):
    return sessions(lab, a).get(lab.address(b), {}).get("state") == "up"


@labkit.test
def every_pair_has_a_session_and_says_so():
    with Lab(text=ROW) as lab:
        lab.all_ping(30)
        for a in lab.nodes():
            for b in lab.nodes():
                if a != b:
                    wait_until(lambda: up(lab, a, b), 5, f"session from {a} to {b}")
        s = sessions(lab, "n1")[lab.address("n4")]
        want(s["cipher"] in ("AES-256-GCM", "ChaCha20-Poly1305"), s)
        want(s["rx_bytes"] > 0 and s["tx_bytes"] > 0, s)
        out = lab.byway("n1", "sessions").stdout
        want(s["cipher"] in out and lab.address("n4") in out and "AGE" in out, out)
        later = wait_until(lambda: (lambda x: x if x["age_s"] > s["age_s"] else None)(sessions(lab, "n1")[lab.address("n4")]), 10, "it ages")
        want(0 < later["age_s"] < 120, later)
        out = lab.byway("n1", "ping", lab.address("n4")).stdout
        want("answered, 0 % lost" in out and re.search(rf"session  up for \d+ (s|min), {s['cipher']}", out), out)
        return s["cipher"]


@labkit.test
def tshark_decrypts_both_modes_and_sees_nothing_plain():
    with key_log() as folder:
        with Lab(text=ROW) as lab:
            lab.all_ping(30)
            wait_until(lambda: lab.online("n1"), 20, "Internet at n1")
            job = watch_hop(lab, folder)
            wait_until(lambda: lab.online("n1"), 30, "Internet at n1 again")
            want(lab.fetch("n1", f"{WEB}/1M").size == 1_000_000, "a transfer")
            lab.all_ping(20)
            lab.run("n1", "ping", "-n", "-c", 3, "-i", 0.2, "-s", 3000, lab.address("n4"), check=False)
            addresses = {lab.address(n) for n in lab.nodes()}
            job.stop()
        table = [x[len("ESP_SA "):] for x in logged(folder) if x.startswith("ESP_SA ")]
        want(table, "no session keys in the key log")
        plain, esp = [], 0
        for src, dst, nxt, port, icmp, spi, number in tshark(
                folder, ["ipv6.src", "ipv6.dst", "ipv6.nxt", "udp.dstport", "icmpv6.type", "esp.spi", "frame.number"]):
            if src not in addresses or dst not in addresses:
                continue
            error = nxt == "58" and icmp and int(icmp) < 128
            if spi:
                esp += 1
            elif not (nxt == "17" and port == "4871") and not error:
                plain.append(f"{number}: {src} {dst} {nxt} {port}")
        want(not plain, f"{len(plain)} plain packets, e.g. {plain[:3]}")
        want(esp > 500, f"only {esp} ESP packets")
        if "AES-GCM" not in table[0]:
            return f"{esp} packets, all ESP; this machine has no AES instructions, so tshark can't decrypt"
        # tshark takes what the command line says of a table only one entry at a time: a preferences folder holds them all.
        prefs = os.path.join(folder, "config", "wireshark")
        os.makedirs(prefs)
        with open(os.path.join(prefs, "esp_sa"), "w") as f:
            f.write("\n".join(sorted(set(table))) + "\n")
        os.environ["XDG_CONFIG_HOME"] = os.path.join(folder, "config")
        try:
            rows = tshark(folder, ["frame.protocols", "esp.icv_good", "esp.icv_bad", "http.request.uri"],
                          "-o", "esp.enable_encryption_decode:TRUE", "-o", "esp.enable_authentication_check:TRUE", all_layers=True, timeout=180)
        finally:
            del os.environ["XDG_CONFIG_HOME"]
        good = [r for r in rows if "1" in r[1].split(",") or "True" in r[1]]
        transport = sum(1 for r in good if re.search(r":esp:(tcp|udp|icmpv6)", r[0]))
        tunnel = sum(1 for r in good if re.search(r":esp:ip(v6)?:", r[0]))
        wrong = sum(1 for r in rows if "1" in r[2].split(",") or "True" in r[2])
        want(not wrong, f"{wrong} packets with a wrong ICV")
        want(transport > 10, f"transport mode: {transport} packets decrypted")
        want(tunnel > 500, f"tunnel mode: {tunnel} packets decrypted")
        want(any("/1M" in r[3] for r in rows), "the request inside the tunnel was not found")
        return f"{esp} ESP packets; decrypted {transport} in transport mode, {tunnel} in tunnel mode"


@labkit.test
def the_usual_tools_work_through_sessions():
    with Lab(text=ROW) as lab:
        lab.all_ping(30)
        n4, hops = lab.address("n4"), [lab.address(n) for n in ("n2", "n3", "n4")]
        traceroute(lab, n4, hops)
        traceroute(lab, n4, hops, "-I")
        pmtu = tracepath(lab, n4, hops)
        want(1200 <= pmtu < 1400, f"pmtu {pmtu}")
        ping_sizes(lab, n4, 1200, 1290, 1298, 1306, 1400, 3000, 20000)
        trace = lab.byway("n1", "trace", n4).stdout
        want(all(h in trace for h in hops) and re.search(r"session  up for \d+ (s|min), ", trace), trace)
        return f"pmtu {pmtu}"


@labkit.test
def a_restarted_peer_is_back_with_its_route():
    lost = []
    with Lab(text=ROW) as lab:
        lab.all_ping(30)
        n4 = lab.address("n4")
        for _ in range(3):
            lab.kill("n4")
            lab.start("n4")
            # A notice has to find its way: the mesh and n4 must know of each other again.
            wait_until(lambda: lab.path("n1", n4)[-1] == "n4" and lab.path("n4", lab.address("n1"))[-1] == "n1", 30, "routes both ways")
            out = lab.run("n1", "ping", "-n", "-q", "-i", 0.02, "-c", 30, "-W", 1, n4, check=False).stdout
            lost.append(30 - int(re.search(r"(\d+) received", out)[1]))
        want(sorted(lost)[1] <= 2 and max(lost) <= 15, f"lost of 30: {lost}")  # a handshake may once wait for a busy machine
    return f"{lost} of 30 pings lost, 20 ms apart"


@labkit.test
def a_hundred_megabytes_through_the_exit():
    with Lab(text=ROW) as lab:
        lab.all_ping(30)
        wait_until(lambda: lab.online("n1"), 20, "Internet at n1")
        f = lab.fetch("n1", f"{WEB}/100M", timeout=120)
        want(f.size == 100_000_000 and f.sha256 == lab.sha256("100M"), f"{f.size} bytes")
        return f"{f.rate / 1e6:.0f} Mbit/s over three relays' cores"


labkit.main()
