#!/usr/bin/python3
"""The stock `wg` on our device: show tells everything, set changes the running node, and what makes no sense is refused."""
# tests/run: timeout=60
import re

import netkit
from netkit import check, step, wait_until

netkit.enter()
a, b = netkit.Node("a"), netkit.Node("b")
netkit.veth(a, "eth0", b, "eth0")
a.address("eth0", "192.0.2.1/24")
b.address("eth0", "192.0.2.2/24")
QUIET = "[discover]\ninterfaces = none\n[internet]\nuse = none\n"
ba = netkit.Byway(a, QUIET + "[tun]\ninterface = bwa\n")
stock = netkit.StockLink(b, "wgb", "fe80::b", 51820)
stock.peer(ba.key, "192.0.2.1:4870")


def show(what="dump"):
    return a.run("wg", "show", "bwa", what)


with step("wg lists our interface"):
    check("bwa" in a.run("wg", "show", "interfaces").split(), "not in wg show interfaces")
with step("wg show names key and port"):
    first = show().split("\n")[0].split("\t")
    check(first[1] == ba.key and first[2] == "4870", "dump begins with %s" % first[1:])
with step("wg show, as people read it, hides the private key"):
    check("private key: (hidden)" in a.run("wg", "show", "bwa"), a.run("wg", "show", "bwa"))
with step("a peer without an endpoint is shown while it is waited for, and its settings with it"):
    def codes():
        return {p["code"] for p in ba.get("status")["problems"]}
    silent, psk = netkit.wg_keys()[1], a.run("wg", "genpsk").strip()
    check("no-interfaces" in codes(), "no peer and no interface: %s" % codes())
    a.run("wg", "set", "bwa", "peer", silent, "persistent-keepalive", "7", "preshared-key", netkit.write("silent", psk + "\n"))
    rows = {r.split("\t")[0]: r.split("\t") for r in show().strip().split("\n")[1:]}
    check(silent in rows and rows[silent][1] == psk and rows[silent][2] == "(none)" and rows[silent][7] == "7", str(rows))
    mine = [p for p in ba.get("peers") if p["key"] == silent]
    check(len(mine) == 1 and mine[0]["state"] == "waiting" and mine[0]["endpoint"] is None and mine[0]["source"] == "command" and
          mine[0]["last_handshake_s"] is None and mine[0]["cost"] == 65535, str(mine))
    check("no-interfaces" not in codes() and ba.get("status")["peers"] == 0, "a peer is listed: %s" % codes())
    check("waiting" in ba.cli("peers") and "Neighbours  0, 1 not connected" in ba.cli("status"), ba.cli("peers") + ba.cli("status"))
    ba.cli("peer", "remove", silent)
    check(silent not in show("peers") and all(p["key"] != silent for p in ba.get("peers")), "it is still there")
with step("wg set adds a peer, and the link comes up"):
    a.run("wg", "set", "bwa", "peer", stock.public, "endpoint", "192.0.2.2:51820", "persistent-keepalive", "5")
    check(stock.public in show("peers"), "not in wg show peers")
    wait_until(lambda: stock.latest_handshake(), 15, "handshake")
    check(any(p["key"] == stock.public for p in ba.get("peers")), "byway peers does not know it")
with step("wg show tells the same as byway peers"):
    def agree():
        b.status("ping", "-c1", "-W1", ba.linklocal() + "%wgb")
        rows = {r.split("\t")[0]: r.split("\t") for r in show().strip().split("\n")[1:]}
        row = rows[stock.public]
        mine = next(p for p in ba.get("peers") if p["key"] == stock.public)
        return row[2] == "192.0.2.2:51820" and set(row[3].split(",")) == {"0.0.0.0/0", "::/0"} and int(row[4]) > 0 \
            and int(row[5]) > 0 and mine["rx_bytes"] > 0
    wait_until(agree, 10, "endpoint, allowed-ips, handshake and counters in wg show: " + show())
with step("wg set gives the peer a preshared key"):
    psk = a.run("wg", "genpsk").strip()
    a.run("wg", "set", "bwa", "peer", stock.public, "preshared-key", netkit.write("psk", psk + "\n"))
    stock.peer(ba.key, "192.0.2.1:4870", psk)
    check(psk in show("preshared-keys"), "not in wg show preshared-keys")
    b.run("ip", "link", "set", "wgb", "down")
    b.run("ip", "link", "set", "wgb", "up")
    b.address("wgb", "fe80::b/64")
    before = stock.latest_handshake()

    def fresh():
        b.status("ping", "-c1", "-W1", ba.linklocal() + "%wgb")
        return stock.latest_handshake() > before
    wait_until(fresh, 15, "a new handshake with it")
with step("wg set private-key is refused"):
    code, _, err = a.status("wg", "set", "bwa", "private-key", netkit.write("other", stock.private + "\n"))
    check(code != 0, "it was accepted")
    check(ba.get("status")["key"] == ba.key, "the key changed")
with step("wg set removes the peer"):
    a.run("wg", "set", "bwa", "peer", stock.public, "remove")
    check(stock.public not in show("peers"), "still there")
    wait_until(lambda: all(p["key"] != stock.public for p in ba.get("peers")), 5, "gone from byway peers")
with step("wg syncconf works"):
    conf = "[Interface]\nListenPort = 4870\n[Peer]\nPublicKey = %s\nEndpoint = 192.0.2.2:51820\nAllowedIPs = 0.0.0.0/0, ::/0\n" % stock.public
    a.run("wg", "syncconf", "bwa", netkit.write("sync.conf", conf))
    check(stock.public in show("peers"), "its peer is not there")
with step("what wg cannot know is refused without harm"):
    code, _, _ = a.status("wg", "set", "bwa", "peer", stock.public, "endpoint", "192.0.2.2:0")
    check(re.search(r"peer: ", a.run("wg", "show", "bwa")), "wg show no longer works")
netkit.done()
