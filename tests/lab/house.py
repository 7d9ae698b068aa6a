#!/usr/bin/python3
"""A house behind a node: plain machines with nothing on them but a DHCP client get addresses, names and both families, and whatever
holds for the node holds for them."""
# tests/run: timeout=300
import ipaddress
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import labkit
from leak_kit import NOISE, Listener, package
from labkit import WEB, WEB4, WEB6, Lab, want, wait_until

ROUTER = "link 1 2\nlink 1 3\nnode 2 share\nnode 3 share\nnode 1 set lan.interfaces=lan0,lan1 "


class House:
    """A machine of the house: namespaces of its own inside n1's, a cable to n1's interface, and Debian's DHCP client."""

    def __init__(self, lab, interface):
        self.lab, self.interface = lab, interface
        client = package("isc-dhcp-client")
        if os.path.isdir(f"{client}/sbin"):
            shutil.copytree(f"{client}/sbin", f"{client}/usr/sbin", symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(f"{client}/sbin")
        note = f"/run/{interface}.pid"
        self.job = lab.job("n1", "unshare", "-n", "-m", "--propagation", "private", "sh", "-ec", f"""
            mount -t tmpfs tmpfs /mnt
            mkdir /mnt/etc /mnt/etc.work /mnt/usr /mnt/usr.work
            mount -t overlay overlay -o lowerdir={client}/etc:/etc,upperdir=/mnt/etc,workdir=/mnt/etc.work /etc
            mount -t overlay overlay -o lowerdir={client}/usr:/usr,upperdir=/mnt/usr,workdir=/mnt/usr.work /usr
            mount -t sysfs sysfs /sys
            umount /etc/resolv.conf 2>/dev/null || true
            rm -f /etc/resolv.conf
            echo $$ >{note}.new && mv {note}.new {note}
            exec sleep 10000""")
        wait_until(lambda: self.job.process.poll() is not None or lab.run("n1", "test", "-e", note, check=False).returncode == 0, 10, "the house")
        if self.job.process.poll() is not None:
            labkit.skip("no overlay can be mounted here")
        self.pid = lab.run("n1", "cat", note).stdout.strip()
        lab.run("n1", "ip", "link", "add", interface, "type", "veth", "peer", "name", "eth0", "netns", self.pid)
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "link", "set", "eth0", "up")

    def argv(self, *cmd):
        return ["nsenter", "-t", self.pid, "-n", "-m", "--", *cmd]

    def run(self, *cmd, check=True, timeout=60):
        return self.lab.run("n1", *self.argv(*cmd), check=check, timeout=timeout)

    def plug_in(self):
        """DHCP for IPv4; the kernel itself listens to router advertisements."""
        self.dhcp = self.lab.job("n1", *self.argv("dhclient", "-4", "-d", "-lf", "/mnt/leases", "-pf", "/mnt/dhclient.pid", "eth0"))
        wait_until(self.address4, 20, "an IPv4 address by DHCP")
        wait_until(self.address6, 20, "an IPv6 address by router advertisement")
        wait_until(lambda: "nameserver" in self.run("cat", "/etc/resolv.conf", check=False).stdout, 5, "a name server by DHCP")
        return self

    def _address(self, family):
        text = self.run("ip", "-o", family, "addr", "show", "dev", "eth0", "scope", "global").stdout
        m = re.search(r"inet6? (\S+)/\d+", text)
        return ipaddress.ip_address(m[1]) if m and "tentative" not in text else None

    def address4(self):
        return self._address("-4")

    def address6(self):
        return self._address("-6")

    def online(self, url=WEB + "/", family="-4", timeout=3):
        return self.run("curl", family, "-sf", "-m", str(timeout), "-o", "/dev/null", url, check=False).returncode == 0


def dnsmasq(lab):
    return lab.run("n1", "pgrep", "-f", "lan.conf", check=False).stdout.split()


def trouble(lab):
    return " ".join(p["text"] for p in lab.status("n1")["problems"])


def nothing_left(lab):
    want(not dnsmasq(lab), "dnsmasq is left")
    for i in ("lan0", "lan1"):
        text = lab.run("n1", "ip", "-o", "addr", "show", "dev", i, check=False).stdout
        want(not re.search(r"inet 10\.|inet6 fd", text), f"addresses are left on {i}: {text}")
    want("byway" not in lab.run("n1", "nft", "list", "ruleset").stdout, "rules are left")
    want(lab.run("n1", "cat", "/proc/sys/net/ipv4/ip_forward").stdout.strip() == "0", "forwarding is left on")


@labkit.test
def plain_machines_get_everything_and_browse():
    with Lab(text=ROUTER + "\n") as lab:
        wait_until(lambda: lab.online("n1"), 20, "Internet at n1")
        want("no interface lan" in trouble(lab), f"status says that the interface is not there yet: {trouble(lab)!r}")
        first, second = House(lab, "lan0").plug_in(), House(lab, "lan1").plug_in()
        nets = [ipaddress.ip_network(f"{h.address4()}/24", strict=False) for h in (first, second)]
        want(all(n.is_private for n in nets) and nets[0] != nets[1], f"{nets}")
        want(all(h.address6() in ipaddress.ip_network("fd00::/8") for h in (first, second)), "ULAs")
        for h in (first, second):
            wait_until(h.online, 10, "a page by name, IPv4")
            want(h.online(family="-6"), "a page by name, IPv6")
        r = first.run("sh", "-c", f"curl -sSf -m 60 {WEB}/10M | sha256sum", timeout=90)
        want(r.stdout.split()[0] == lab.sha256("10M"), f"10 MB: {r.stderr}")
        want(first.run("ping", "-c", "1", "-W", "2", lab.address("n3"), check=False).returncode == 0, "a node of the mesh")
        want(first.run("ping", "-c", "1", "-W", "2", str(second.address4()), check=False).returncode == 0, "the other interface's machine")
        want("lan0: looking" not in lab.log("n1") and not trouble(lab), f"no neighbours are looked for in the house: {trouble(lab)!r}")
        ping = lab.job("n1", *first.argv("sh", "-c", f"ping -n -i 0.2 198.51.100.80 >/mnt/ping"))
        answers = lambda: first.run("grep", "-c", "time=", "/mnt/ping", check=False).stdout.strip()
        wait_until(lambda: int(answers() or 0) >= 5, 10, "a ping that runs")
        victim = lab.exit_of("n1")
        lab.kill(victim)
        took = labkit.seconds_until(lambda: first.online(timeout=1), 20, "the house online by the other exit")
        seen = int(answers())
        wait_until(lambda: int(answers()) >= seen + 10, 10, "answers to a ping that never paused")
        ping.stop()
        old = dnsmasq(lab)
        lab.run("n1", "kill", "-KILL", *old)
        wait_until(lambda: dnsmasq(lab) and dnsmasq(lab) != old, 10, "dnsmasq again")
        wait_until(lambda: first.run("getent", "hosts", "example.test", check=False).returncode == 0, 10, "names again")
        before = first.address4()
        lab.kill("n1")
        wait_until(lambda: not dnsmasq(lab), 5, "dnsmasq's end with its node")
        lab.start("n1")
        wait_until(first.online, 20, "the house online after the node was killed")
        want(lab.run("n1", "ip", "-o", "-4", "addr", "show", "dev", "lan0").stdout.count("inet ") == 1, "one address only")
        want(first.address4() == before, "the same network as before")
        lab.stop("n1")
        nothing_left(lab)
        return f"{nets[0]}, the other exit after {took:.1f} s"


SYN = re.compile(r"(IP6?) [^ ]+\.(\d+) > [^ ]+\.(\d+): Flags \[(S\.?)[EW]*\].*mss (\d+)")


def ports(output):
    """Who opens connections there."""
    return {source for _, source, _, flags, _ in SYN.findall(output) if flags == "S"}


def segments(output, clients):
    """What the SYNs of a tcpdump announce: {(IPv4 or IPv6, SYN or its answer): {sizes}}. An exit's own question to the Internet
    may be among them: it does not come from a client's port."""
    found = {}
    for family, source, target, flags, mss in SYN.findall(output):
        if (source if flags == "S" else target) in clients:
            found.setdefault((family, flags), set()).add(int(mss))
    return found


@labkit.test
def segments_are_held_to_what_the_tunnel_carries():
    whole, fits = {("IP", f): {1460} for f in ("S", "S.")} | {("IP6", f): {1440} for f in ("S", "S.")}, {"IP": {1306}, "IP6": {1286}}
    with Lab(text=ROUTER + "\n") as lab:
        h = House(lab, "lan0").plug_in()
        wait_until(h.online, 20, "the house online")
        wait_until(lambda: h.online(WEB6 + "/", "-6"), 10, "by IPv6")
        at = [("n1", "lan0"), ("n1", "byway0"), (lab.exit_of("n1"), "byway0"), (lab.exit_of("n1"), "internet")]
        jobs = [labkit.Capture(lab.argv(node, "tcpdump", "-n", "-l", "-Z", "root", "--immediate-mode", "-i", interface, "tcp port 80 or (ip6 and tcp)"),
                               stdout=-1, stderr=-1) for node, interface in at]
        lab.jobs += jobs
        for j in jobs:
            while b"listening" not in j.process.stderr.readline():
                want(j.process.poll() is None, "tcpdump has ended")
        for url, family in ((WEB4, "-4"), (WEB6, "-6")):
            wait_until(lambda: h.online(url + "/", family), 10, "a page, " + family)
        for j in jobs:
            j.stop()
        seen = [j.output.decode() for j in jobs]
        lan, router, exit_, uplink = (segments(s, ports(seen[0])) for s in seen)
        for family in ("IP", "IP6"):
            want(lan.get((family, "S")) == whole[family, "S"], f"the house's own SYN: {lan}")
            want(router.get((family, "S")) == fits[family], f"behind the house's router: {router}")
            want(lan.get((family, "S.")) == fits[family], f"the answer in the house: {lan}")
            want(uplink.get((family, "S.")) == whole[family, "S."], f"the server's answer: {uplink}")
            want(exit_.get((family, "S.")) == fits[family], f"behind the exit: {exit_}")
            want(uplink.get((family, "S")) == fits[family], f"the SYN in the internet: {uplink}")


@labkit.test
def what_a_killed_node_left_goes_at_the_next_start():
    with Lab(text=ROUTER + "\n") as lab:
        House(lab, "lan0").plug_in()
        lab.kill("n1")
        want("10." in lab.run("n1", "ip", "-o", "-4", "addr", "show", "dev", "lan0").stdout, "a killed node's address stays")
        state = f"{lab.dir}/nodes/n1"
        other = lab.job("n1", "byway", "run", "--state", f"{state}/state", "--socket", f"{state}/api.sock")
        wait_until(lambda: "inet byway" in lab.run("n1", "nft", "list", "tables").stdout and
                   "10." not in lab.run("n1", "ip", "-o", "-4", "addr", "show", "dev", "lan0").stdout, 10, "the address gone")
        other.stop()
        nothing_left(lab)


@labkit.test
def the_kill_switch_holds_for_the_house():
    with Lab(text=ROUTER + "internet set internet.use=always set internet.killswitch=yes\n") as lab:
        ear = Listener(lab, "n1", "house")
        h = House(lab, "lan0").plug_in()
        wait_until(h.online, 20, "the house online")
        want(h.online(WEB6 + "/", "-6"), "by IPv6")
        racket = lab.job("n1", *h.argv("python3", "-c", NOISE))
        for victim in ("n2", "n3"):
            lab.kill(victim)
        wait_until(lambda: not lab.exit_of("n1"), 20, "no exit")
        want(not h.online(WEB4 + "/") and not h.online(WEB6 + "/", "-6"), "the house is online without an exit")
        lab.start("n2")
        wait_until(h.online, 30, "the house online again")
        lab.kill("n1")
        want(not h.online(WEB4 + "/", timeout=2), "the house is online with a dead node")
        lab.start("n1")
        wait_until(h.online, 30, "the house online again")
        racket.stop()
        frames = ear.quiet("the house with the kill switch")
        return f"{frames} frames on the uplink, all of them allowed"


@labkit.test
def with_a_connection_of_its_own_the_node_is_an_ordinary_router():
    with Lab(text=ROUTER + "internet\n") as lab:
        h = House(lab, "lan0").plug_in()
        wait_until(h.online, 20, "the house online")
        want(h.online(family="-6"), "by IPv6")
        want(not lab.exit_of("n1"), "by the node's own connection")
        lab.link("n1", "internet", "cut")
        wait_until(lambda: lab.exit_of("n1") and h.online(), 30, "by an exit when the own connection dies")


@labkit.test
def without_dnsmasq_the_node_says_so():
    with Lab(text=ROUTER + "\n") as lab:
        lab.stop("n1")
        path = shutil.which("dnsmasq", path="/usr/sbin:/usr/bin:/sbin:/bin")
        lab.run("n1", "mount", "--bind", "/dev/null", path)
        lab.run("n1", "ip", "link", "add", "lan0", "type", "veth", "peer", "name", "lan1")
        lab.start("n1")
        wait_until(lambda: "dnsmasq is not installed" in trouble(lab) and "apt install" in trouble(lab), 10, "a clear word")
        lab.run("n1", "ip", "link", "del", "lan0")


labkit.main()
