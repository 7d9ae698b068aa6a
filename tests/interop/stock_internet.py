#!/usr/bin/python3
"""A stock peer with `internet = yes`: it gets default routes from us and browses through our own uplink, without a lease.

    s (wireguard-go + babeld) --- m (byway run --share) --- w (the internet: two web servers)
"""
# tests/run: timeout=90
import re

import netkit
from netkit import check, step, wait_until

netkit.enter()
s, m, w = netkit.Node("s"), netkit.Node("m"), netkit.Node("w")
netkit.veth(s, "eth0", m, "to-s")
netkit.veth(w, "eth0", m, "wan")
s.address("eth0", "192.0.2.1/24")
m.address("to-s", "192.0.2.2/24")
m.address("wan", "198.51.100.2/24")
m.run("ip", "route", "add", "default", "via", "198.51.100.1")
w.address("eth0", "198.51.100.1/24")
w.address("lo", "203.0.113.80/32")
web = netkit.web(w, "203.0.113.80")
netkit.web(m, "192.0.2.2", 8080)

stock = netkit.StockLink(s, "wgs", "fe80::5", 51820)
s.address("lo", "10.77.9.1/32", "fd77:9::1/128")
CONFIG = """
[discover]
interfaces = none
[internet]
probe = 203.0.113.80:80
[peer guest]
key = %s
endpoint = 192.0.2.1:51820
internet = %s
"""
bm = netkit.Byway(m, CONFIG % (stock.public, "yes"), share="wan")
stock.peer(bm.key, "192.0.2.2:4870")
netkit.babeld(s, ["wgs"], ["10.77.9.0/24", "fd77:9::/64"])


def fetch(url, timeout_s=3):
    return s.run("curl", "-sS", "-m", timeout_s, "--interface", "10.77.9.1", url, timeout=timeout_s + 5)


with step("the exit proves its uplink"):
    wait_until(lambda: bm.get("status")["share"]["state"] == "on", 15,
               "share state %s" % bm.get("status")["share"])
with step("the stock peer gets a default route over the tunnel"):
    wait_until(lambda: re.search(r"^default .*wgs", s.run("ip", "route"), re.M), 20, "IPv4 default route")
with step("and browses"):
    text = wait_until(lambda: fetch("http://203.0.113.80/"), 15, "a page")
    check("you are 198.51.100.2" in text, "the server sees: " + text)
with step("a megabyte arrives intact"):
    out = s.run("sh", "-c", "curl -sS -m 30 --interface 10.77.9.1 http://203.0.113.80/1000000 | sha256sum", timeout=40)
    check(out.split()[0] == netkit.web_digest(1000000), "checksum differs")
with step("the exit's own networks are out of bounds"):
    m.address("wan", "10.55.0.1/24")
    netkit.web(m, "10.55.0.1", 81)
    code, out, _ = s.status("curl", "-sS", "-m", "2", "--interface", "10.77.9.1", "http://10.55.0.1:81/")
    check(code != 0, "it answered: " + out)
with step("it cannot pass for a client that leases an address"):
    pool = re.search(r"100\.[\d.]+/16", m.run("ip", "route")).group().split(".")
    stolen = "%s.%s.7.7" % (pool[0], pool[1])
    s.address("lo", stolen + "/32")

    def refused():
        return int(re.search(r'reason="tunnel_source"} (\d+)', m.run("curl", "-s", "http://127.0.0.1:4871/metrics"))[1])

    check(refused() == 0, "refused before")
    s.status("curl", "-sS", "-m", "2", "--interface", stolen, "http://203.0.113.80/")
    check(refused() > 0, "nothing was refused")
with step("without the setting there is no default route"):
    with open(bm.config, "w") as f:
        f.write(CONFIG % (stock.public, "no"))
    bm.cli("reload")
    wait_until(lambda: not re.search(r"^default ", s.run("ip", "route"), re.M), 20, "default route withdrawn")
with step("stopping takes NAT and tables away"):
    check(bm.stop() == 0, "exit status %s" % bm.process.p.returncode)
    check(not m.run("nft", "list", "tables"), "nftables: " + m.run("nft", "list", "tables"))
netkit.done()
