#!/usr/bin/python3
"""While an exit is in use names are asked through the tunnel alone, with each way in which a machine keeps its resolvers: a bare
/etc/resolv.conf, Debian's resolvconf, openresolv, systemd-resolved. Afterwards everything is as it was, also after a SIGKILL."""
# tests/run: timeout=360
import os
import shutil
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import labkit
from leak_kit import Listener, package
from labkit import Lab, want, wait_until

# n1 has exits next to it, and a connection and resolvers of its own.
MESH = """
link 1 2
link 1 3
node 2 share
node 3 share
node 1 internet set internet.use=always
"""
OWN = "nameserver 198.51.100.53\nnameserver 2001:db8::53\n"

# Asks for names by the C library without end; a name of its own each time, so that no cache answers. And straight at the resolvers
# that the machine had, at the provider's box on the same wire, and at one in the LAN.
ASK = r"""
import itertools, os, socket, struct, subprocess
def query(to):
    q = struct.pack(">6H", os.getpid() & 0xffff, 256, 1, 0, 0, 0) + b"\3www\7example\4test\0" + struct.pack(">2H", 1, 1)
    s = socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        s.sendto(q, (to, 53))
    except OSError:
        pass
    s.close()
    for port in (53, 853):
        s = socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET, socket.SOCK_STREAM)
        s.setblocking(False)
        try:
            s.connect((to, port))
        except OSError:
            pass
        s.close()
for i in itertools.count():
    for name in ("www.example.test", f"x{i}.example.test", f"y{i}.example.com"):
        subprocess.run(["timeout", "3", "getent", "ahosts", name], stdout=subprocess.DEVNULL)
    for to in ("203.0.113.1", "192.168.77.1", "fd77::1", "2001:db8:0:1::1"):
        query(to)
"""


def furnish(lab, name):
    """Gives n1 folders /etc and /usr of its own, with a package's files in them."""
    folder = package(name)
    for d in ("lib", "sbin", "bin"):  # as they are since /lib is /usr/lib
        if os.path.isdir(f"{folder}/{d}"):
            shutil.copytree(f"{folder}/{d}", f"{folder}/usr/{d}", symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(f"{folder}/{d}")
    r = lab.run("n1", "sh", "-ec", f"""
        umount /etc/resolv.conf
        mount -t tmpfs tmpfs /mnt
        mkdir /mnt/etc /mnt/etc.work /mnt/usr /mnt/usr.work
        mount -t overlay overlay -o lowerdir={folder}/etc:/etc,upperdir=/mnt/etc,workdir=/mnt/etc.work /etc
        mount -t overlay overlay -o lowerdir={folder}/usr:/usr,upperdir=/mnt/usr,workdir=/mnt/usr.work /usr
        rm -f /etc/resolv.conf""", check=False)
    if r.returncode:
        labkit.skip(f"no overlay can be mounted here: {r.stderr.strip()[-100:]}")


def bare(lab):
    pass


def bare_file(lab):
    furnish(lab, "resolvconf")
    lab.run("n1", "sh", "-ec", f"rm /usr/sbin/resolvconf; printf '{OWN}' >/etc/resolv.conf".replace("\n", "\\n"))


def resolvconf(lab):
    furnish(lab, "resolvconf")
    lab.run("n1", "sh", "-ec", f"""mkdir -p /run/resolvconf/interface
        ln -s /run/resolvconf/resolv.conf /etc/resolv.conf
        resolvconf --enable-updates
        printf '{OWN}' | resolvconf -a internet.inet""".replace(OWN, OWN.replace("\n", "\\n")))


def openresolv(lab):
    furnish(lab, "openresolv")
    lab.run("n1", "sh", "-ec", f"printf '{OWN}' | resolvconf -a internet.inet".replace("\n", "\\n"))


def resolved(lab):
    if os.geteuid():
        labkit.skip("systemd-resolved gives its rights away, which takes root here")
    if not shutil.which("dbus-daemon"):
        labkit.skip("dbus-daemon is not installed")
    furnish(lab, "systemd-resolved")
    if "not found" in lab.run("n1", "ldd", "/usr/lib/systemd/systemd-resolved").stdout:
        labkit.skip("what systemd-resolved is linked with is not installed (apt install libsystemd-shared)")
    lab.run("n1", "sh", "-ec", """mkdir -p /run/dbus /run/systemd/resolve /etc/systemd/resolved.conf.d
        getent passwd systemd-resolve >/dev/null || echo 'systemd-resolve:x:981:981::/:/usr/sbin/nologin' >>/etc/passwd
        getent group systemd-resolve >/dev/null || echo 'systemd-resolve:x:981:' >>/etc/group
        chown systemd-resolve:systemd-resolve /run/systemd/resolve
        ln -s ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf
        printf '[Resolve]\nLLMNR=no\nMulticastDNS=no\n' >/etc/systemd/resolved.conf.d/lab.conf""")
    lab.job("n1", "dbus-daemon", "--system", "--nofork", "--nopidfile")
    wait_until(lambda: lab.run("n1", "test", "-S", "/run/dbus/system_bus_socket", check=False).returncode == 0, 10, "the bus")
    lab.resolved = lab.job("n1", "/usr/lib/systemd/systemd-resolved")
    wait_until(lambda: lab.run("n1", "resolvectl", "status", check=False).returncode == 0, 10, "systemd-resolved")
    # The uplink's own servers, as a DHCP client would set them, with a domain that is asked there and nowhere else.
    lab.run("n1", "resolvectl", "dns", "internet", "198.51.100.53", "2001:db8::53")
    lab.run("n1", "resolvectl", "domain", "internet", "~example.com", "~.")


def state(lab):
    """What looking up depends on, as text."""
    return lab.run("n1", "sh", "-c", """readlink /etc/resolv.conf; cat /etc/resolv.conf
        if [ -d /run/resolvconf ]; then cd /run/resolvconf; grep -r . interface* 2>/dev/null | sort; fi
        if [ -S /run/dbus/system_bus_socket ]; then resolvectl dns; resolvectl domain; fi""").stdout


def resolves(lab, name="www.example.test"):
    return lab.run("n1", "timeout", "3", "getent", "ahosts", name, check=False).returncode == 0


def started(lab):
    """Starts n1 and returns how it says that names are asked of the exit."""
    known = lab.log("n1").count("by way of ")
    lab.start("n1")
    wait_until(lambda: lab.log("n1").count("by way of ") > known, 20, "names asked of the exit")
    return lab.log("n1").split("by way of ")[-1].splitlines()[0]


def forgotten(lab):
    """Others put their own servers where the node had put the exit's: a DHCP client that renews its lease, or a restart."""
    if lab.run("n1", "test", "-S", "/run/dbus/system_bus_socket", check=False).returncode == 0:
        lab.resolved.stop()
        lab.resolved = lab.job("n1", "/usr/lib/systemd/systemd-resolved")
        known = "resolvectl dns byway0 | grep -q :.*[0-9]"
    elif lab.run("n1", "which", "resolvconf", check=False).returncode == 0:
        return
    else:
        lab.run("n1", "sh", "-c", f"printf '{OWN}' >/etc/resolv.conf".replace("\n", "\\n"))
        known = "! grep -q 198.51.100.53 /etc/resolv.conf"
    wait_until(lambda: lab.run("n1", "sh", "-c", known, check=False).returncode == 0, 45, "the exit's servers put there again")


def asks_exit_only(prepare, how):
    """how: what the log must say about the way that was found."""
    with Lab(text=MESH) as lab:
        wait_until(lambda: lab.exit_of("n1"), 20, "an exit")
        lab.stop("n1")
        prepare(lab)
        lab.run("n1", "ip", "addr", "add", "192.168.77.2/24", "dev", "internet")
        lab.run("n1", "ip", "addr", "add", "fd77::2/64", "dev", "internet", "nodad")
        before = state(lab)
        plain = Listener(lab, "n1", "without")
        wait_until(lambda: resolves(lab), 10, "names without the node")
        want([d for d in plain.stop().so_far() if d[4] == 53], "without the node questions are seen on the uplink: the capture works")
        said = started(lab)
        want(said == how, f"the way that was found: {said!r}")
        for e in ("n2", "n3"):
            wait_until(lambda: any(x["state"] == "standby" for x in lab.exits("n1")), 30, "a second exit in reserve")
            forgotten(lab)
            ear = Listener(lab, "n1", f"asking-{e}")
            asking = lab.job("n1", "python3", "-c", ASK)
            wait_until(lambda: resolves(lab), 10, "a name through the tunnel")
            end = time.monotonic() + 3
            wait_until(lambda: time.monotonic() > end, 5)  # for this long it asks and asks
            victim = lab.exit_of("n1")
            lab.kill(victim)  # the first server falls silent: now others would be asked
            wait_until(lambda: lab.exit_of("n1") not in (None, victim) and resolves(lab), 20, "names through the other exit")
            asking.stop()
            ear.no_questions("while an exit is in use")
            lab.start(victim)
        lab.stop("n1")
        want(state(lab) == before, lambda: f"not put back: before\n{before}\nnow\n{state(lab)}")
        wait_until(lambda: resolves(lab), 10, "names after the end")
        started(lab)
        lab.kill("n1")
        lab.start("n1")
        wait_until(lambda: resolves(lab), 20, "names after a SIGKILL")
        lab.stop("n1")
        want(state(lab) == before, lambda: f"not put back after a SIGKILL: before\n{before}\nnow\n{state(lab)}")
        return f"by way of {said}"


@labkit.test
def with_a_bare_resolv_conf_that_is_mounted():
    return asks_exit_only(bare, "/etc/resolv.conf")


@labkit.test
def with_a_bare_resolv_conf():
    return asks_exit_only(bare_file, "/etc/resolv.conf")


@labkit.test
def with_resolvconf():
    return asks_exit_only(resolvconf, "resolvconf /etc/resolv.conf")


@labkit.test
def with_openresolv():
    return asks_exit_only(openresolv, "resolvconf")


@labkit.test
def with_systemd_resolved():
    return asks_exit_only(resolved, "systemd-resolved")


@labkit.test
def where_the_resolvers_cannot_be_changed_nothing_is_asked_in_the_lan():
    with Lab(text=MESH) as lab:
        wait_until(lambda: lab.exit_of("n1"), 20, "an exit")
        lab.stop("n1")
        lab.run("n1", "ip", "addr", "add", "192.168.77.2/24", "dev", "internet")
        lab.run("n1", "ip", "neigh", "replace", "192.168.77.1", "lladdr", "02:00:00:00:00:99", "dev", "internet")
        lab.run("n1", "sh", "-ec", "echo nameserver 192.168.77.1 >/etc/resolv.conf; mount -o remount,bind,ro /etc/resolv.conf")
        plain = Listener(lab, "n1", "without")
        resolves(lab)
        want([d for d in plain.stop().so_far() if d[4] == 53], "without the node questions are seen on the uplink: the capture works")
        lab.start("n1")
        wait_until(lambda: "dns-not-set" in lab.problems("n1"), 20, "the node says that it could not")
        wait_until(lambda: "dport" in lab.run("n1", "nft", "list", "table", "inet", "byway-guard", check=False).stdout, 10, "the guard")
        ear = Listener(lab, "n1", "with")
        want(not resolves(lab), "a name, in spite of all")
        ear.no_questions("where /etc/resolv.conf cannot be changed")
        lab.run("n1", "mount", "-o", "remount,bind,rw", "/etc/resolv.conf")
        wait_until(lambda: resolves(lab), 45, "names, once it can be changed")
        want("dns-not-set" not in lab.problems("n1"), "the problem is over")


labkit.main()
