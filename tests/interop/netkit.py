"""Networks for tests: a private world of namespaces, processes that die with it, waits with deadlines, and reports.

    import netkit
    netkit.enter()                       # from here on: own network, mount and process namespaces, root inside
    a, b = netkit.Node("a"), netkit.Node("b")
    netkit.veth(a, "eth0", b, "eth0")
    with netkit.step("a reaches b"):     # prints "ok a reaches b" or "not ok a reaches b: why"
        a.run("ping", "-c1", "-W2", "fe80::1%eth0")
    netkit.done()

Nothing is left behind, whatever happens: when the first process of the private world ends, the kernel ends the others
and takes interfaces, mounts and namespaces away with them. No privileges are needed where the kernel allows user
namespaces. Only the standard library is used.
"""
import contextlib
import ctypes
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BYWAY = os.environ.get("BYWAY", os.path.join(ROOT, "build", "byway"))
SEED = int(os.environ.get("BYWAY_SEED", "1"))
SOAK = os.environ.get("BYWAY_SOAK") == "1"
failed = 0
processes = []
_libc = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1


class Failure(Exception):
    """A test found something wrong: the message says what."""


# ---- the private world ----

def enter():
    """Start this program again inside namespaces of its own, and come back from there."""
    os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
    if os.environ.get("NETKIT_INSIDE") != "yes":
        os.environ["NETKIT_INSIDE"] = "yes"
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        os.execvp("unshare", ["unshare", *user, "--net", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child",
                              "--mount-proc", sys.executable, *sys.argv])
    del os.environ["NETKIT_INSIDE"]
    work_dir()
    child = os.fork()
    if child:
        _reap(child)
    sys.excepthook = _not_set_up
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(1))
    _die_with_parent()
    subprocess.run(["mount", "-t", "tmpfs", "run", "/run"], check=True)
    os.makedirs("/run/netns", exist_ok=True)
    os.makedirs("/run/wireguard", exist_ok=True)
    if os.path.realpath("/var/run") != "/run" and os.path.isdir("/var/run"):
        subprocess.run(["mount", "--bind", "/run", "/var/run"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def _reap(child):
    """The life of process 1: pass signals on, bury the dead, end with the child."""
    for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(s, lambda sig, _: os.kill(child, signal.SIGTERM))
    while True:
        try:
            pid, status = os.wait()
        except InterruptedError:
            continue
        if pid == child:
            if not os.environ.get("NETKIT_KEEP"):       # set it to look at logs and captures afterwards
                shutil.rmtree(work_dir(), ignore_errors=True)
            os._exit(os.waitstatus_to_exitcode(status) & 0xff)


def _not_set_up(kind, value, trace):
    """What goes wrong outside a step is a failed test too."""
    print("not ok set-up: %s" % " ".join(str(value).split("\n")), flush=True)
    print("\n".join("# " + x for x in "".join(traceback.format_exception(kind, value, trace)).split("\n")), flush=True)
    tell_logs()
    os._exit(1)


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def work_dir():
    """A folder for files of this test; tests/run gives one that it removes."""
    global _work
    if _work is None:
        _work = tempfile.mkdtemp(prefix="netkit-", dir=os.environ.get("TMPDIR") or "/tmp")
    return _work


_work = None


def path(name):
    return os.path.join(work_dir(), name)


def write(name, text):
    with open(path(name), "w") as f:
        f.write(text)
    return path(name)


# ---- waiting ----

def wait_until(condition, timeout_s, what, every_s=0.02):
    """Returns condition()'s first true value; Failure after the deadline. An exception in it counts as "not yet"."""
    end, last = time.monotonic() + timeout_s, None
    while True:
        try:
            value = condition()
            if value:
                return value
            last = None
        except (Failure, OSError, subprocess.SubprocessError, ValueError, KeyError, IndexError) as e:
            last = e
        if time.monotonic() > end:
            raise Failure("%s: not within %g s%s" % (what, timeout_s, " (%s)" % last if last else ""))
        time.sleep(every_s)


# ---- processes ----

class Process:
    """A child with its output in a log. It dies when the test does."""

    def __init__(self, name, argv, env=None, stdin=None):
        self.name, self.log = name, path("%s-%d.log" % (re.sub(r"\W", "-", name), len(processes)))
        with open(self.log, "wb") as out:
            self.p = subprocess.Popen(argv, stdin=stdin or subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                      env=dict(os.environ, **(env or {})), preexec_fn=_die_with_parent)
        self.pid = self.p.pid
        processes.append(self)

    def text(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def alive(self):
        return self.p.poll() is None

    def wait_line(self, pattern, timeout_s=10):
        def seen():
            m = re.search(pattern, self.text(), re.M)
            if m is None and not self.alive():
                raise Failure("%s ended with %s: %s" % (self.name, self.p.returncode, self.text().strip()[-300:]))
            return m
        end = time.monotonic() + timeout_s
        while True:
            m = seen()
            if m:
                return m
            if time.monotonic() > end:
                raise Failure("%s does not say /%s/ within %g s: %s" % (self.name, pattern, timeout_s, self.text()[-300:]))
            time.sleep(0.02)

    def wait(self, timeout_s=10):
        try:
            return self.p.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise Failure("%s does not end within %g s" % (self.name, timeout_s)) from None

    def stop(self, sig=signal.SIGTERM, timeout_s=10):
        if self.alive():
            self.p.send_signal(sig)
        return self.wait(timeout_s)


# ---- nodes and wires ----

class Node:
    """A network namespace: a machine of the test."""

    def __init__(self, name):
        self.name = name
        subprocess.run(["ip", "netns", "add", name], check=True)
        self.sysctl("net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0",
                    "net.ipv6.conf.default.accept_ra=0")
        self.run("ip", "link", "set", "lo", "up")

    def argv(self, *args):
        return ["ip", "netns", "exec", self.name, *map(str, args)]

    def run(self, *args, timeout=20, check=True, text=None, env=None):
        """Run to the end; standard output comes back. Failure with its own words if it ends badly."""
        try:
            p = subprocess.run(self.argv(*args), capture_output=True, text=True, timeout=timeout, input=text,
                               env=dict(os.environ, **env) if env else None, errors="replace",
                               stdin=subprocess.DEVNULL if text is None else None)
        except subprocess.TimeoutExpired:
            raise Failure("%s on %s: not finished in %g s" % (" ".join(map(str, args)), self.name, timeout)) from None
        if check and p.returncode:
            raise Failure("%s on %s: status %d: %s" % (" ".join(map(str, args)), self.name, p.returncode,
                                                      (p.stderr + p.stdout).strip()[-300:]))
        return p.stdout

    def status(self, *args, timeout=20):
        """(exit status, standard output, standard error)"""
        p = subprocess.run(self.argv(*args), capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
        return p.returncode, p.stdout, p.stderr

    def spawn(self, *args, env=None, name=None):
        return Process("%s-%s" % (self.name, name or os.path.basename(str(args[0]))), self.argv(*args), env)

    def sysctl(self, *settings):
        self.run("sysctl", "-q", "-w", *settings)

    def address(self, interface, *addresses):
        for a in addresses:
            self.run("ip", *(["-6"] if ":" in a else []), "address", "add", a, "dev", interface)

    def forwarding(self):
        self.sysctl("net.ipv6.conf.all.forwarding=1", "net.ipv4.ip_forward=1")

    def links(self):
        return {x["ifname"]: x for x in json.loads(self.run("ip", "-j", "address"))}

    def linklocal(self, interface):
        for a in self.links()[interface]["addr_info"]:
            if a["family"] == "inet6" and a["scope"] == "link":
                return a["local"]
        raise Failure("%s has no link-local address on %s" % (self.name, interface))

    def ping(self, to, count=1, wait_s=1, size=56, source=None):
        """True if every echo request was answered."""
        extra = ["-I", source] if source else []
        code, out, _ = self.status("ping", "-n", "-i", "0.05", "-c", count, "-W", wait_s, "-s", size, *extra, to)
        return code == 0 and " 0% packet loss" in out

    def reaches(self, to, timeout_s=15, source=None):
        wait_until(lambda: self.ping(to, source=source), timeout_s, "%s pings %s" % (self.name, to))


def veth(a, a_if, b, b_if, mtu=1500):
    """A cable between two nodes."""
    subprocess.run(["ip", "link", "add", a_if, "mtu", str(mtu), "netns", a.name, "type", "veth", "peer", "name", b_if, "mtu",
                    str(mtu), "netns", b.name], check=True)
    a.run("ip", "link", "set", a_if, "up")
    b.run("ip", "link", "set", b_if, "up")


# ---- stock WireGuard ----

def wg_keys():
    private = subprocess.run(["wg", "genkey"], capture_output=True, text=True, check=True).stdout.strip()
    public = subprocess.run(["wg", "pubkey"], input=private, capture_output=True, text=True, check=True).stdout.strip()
    return private, public


class StockLink:
    """One wireguard-go interface for one neighbour, as the guide says: Babel decides, so every address is allowed."""

    def __init__(self, node, interface, linklocal, port):
        self.node, self.interface, self.port = node, interface, port
        self.private, self.public = wg_keys()
        self.process = node.spawn("wireguard-go", "-f", interface)
        wait_until(lambda: os.path.exists("/run/wireguard/%s.sock" % interface), 10, "wireguard-go makes " + interface)
        node.run("wg", "set", interface, "private-key", write(interface + ".key", self.private + "\n"), "listen-port", port)
        node.run("ip", "link", "set", interface, "mtu", 1420, "up")
        with contextlib.suppress(Failure):      # the kernel may have given it one by itself: one is enough
            node.run("ip", "-6", "address", "flush", "dev", interface, "scope", "link")
        node.address(interface, linklocal + "/64")

    def peer(self, public, endpoint=None, psk=None):
        more = ["endpoint", endpoint] if endpoint else []
        if psk:
            more += ["preshared-key", write(self.interface + ".psk", psk + "\n")]
        self.node.run("wg", "set", self.interface, "peer", public, *more, "persistent-keepalive", 5,
                      "allowed-ips", "0.0.0.0/0,::/0")

    def latest_handshake(self):
        words = self.node.run("wg", "show", self.interface, "latest-handshakes").split()
        return int(words[1]) if len(words) > 1 else 0


def babeld(node, interfaces, announce, more=""):
    """A stock babeld that announces local addresses and prefixes of the list."""
    conf = "".join("interface %s type tunnel hello-interval 1 update-interval 4\n" % i for i in interfaces)
    conf += "".join("redistribute local ip %s allow\nredistribute ip %s allow\n" % (p, p) for p in announce)
    conf += "redistribute local deny\n" + more
    base = "babeld-" + node.name
    return node.spawn("babeld", "-I", path(base + ".pid"), "-S", path(base + ".state"), "-c", write(base + ".conf", conf), *interfaces)


def bird(node, interfaces, announce, router_id, ipv4=False):
    """A stock bird2 speaking Babel; it announces prefixes as routes of its own."""
    statics = "".join(" route %s unreachable;\n" % p for p in announce)
    conf = """
router id %s;
protocol device { scan time 1; }
protocol kernel { ipv6 { import none; export filter { if source = RTS_STATIC then reject; accept; }; }; }
protocol static { ipv6; %s }
protocol babel {
  ipv6 { import all; export all; };
  %s
}
""" % (router_id, statics, "".join('interface "%s" { type wired; hello interval 1 s; update interval 4 s; };\n' % i for i in interfaces))
    if ipv4:
        conf = conf.replace("protocol babel {", "protocol kernel { ipv4 { import none; export all; }; }\nprotocol babel {\n  ipv4 { import all; export all; };")
    base = "bird-" + node.name
    return node.spawn("bird", "-f", "-c", write(base + ".conf", conf), "-s", path(base + ".ctl"), "-P", path(base + ".pid"))


def birdc(node, *words):
    return node.run("birdc", "-s", path("bird-%s.ctl" % node.name), *words)


# ---- byway ----

class Byway:
    """A running `byway run` in a node, told everything on the command line."""

    def __init__(self, node, config="", sets=(), env=None, share=None, wait=True, binary=BYWAY, state=None):
        self.node, self.binary = node, binary
        self.state = state or path("state-" + node.name)
        self.socket = path(node.name + ".sock")
        self.config = write(node.name + ".conf", config)
        self.args = ["run", "--config", self.config, "--state", self.state, "--socket", self.socket]
        for s in sets:
            self.args += ["--set", s]
        if share:
            self.args.append("--share=" + share)
        self.start(env, wait)

    def start(self, env=None, wait=True):
        self.process = self.node.spawn(self.binary, *self.args, env=env, name="byway")
        if wait:
            self.process.wait_line(r"^ready$", 15)
            status = self.get("status")
            self.address, self.key = status["address"], status["key"]

    def cli(self, *args, **more):
        return self.node.run(self.binary, "--socket", self.socket, *args, **more)

    def get(self, what):
        return json.loads(self.cli(what, "--json"))

    def linklocal(self):
        packed = socket.inet_pton(socket.AF_INET6, self.address)
        return socket.inet_ntop(socket.AF_INET6, b"\xfe\x80" + b"\0" * 6 + packed[8:])

    def has_route(self, prefix):
        return any(r["prefix"] == prefix and r["selected"] for r in self.get("routes"))

    def stop(self, sig=signal.SIGTERM):
        return self.process.stop(sig)


# ---- capture and its judge ----

class Capture:
    """tcpdump on one interface, written packet by packet."""

    def __init__(self, node, interface, name=None, what=""):
        self.file = path((name or node.name + "-" + interface) + ".pcap")
        self.process = node.spawn("tcpdump", "-n", "-U", "-s", "0", "-Z", "root", "-i", interface, "-w", self.file, *what.split(),
                                  name="tcpdump")
        self.process.wait_line("listening on")

    def stop(self):
        self.process.stop(signal.SIGINT)
        return self.file


def tshark(file, *args, timeout=60):
    p = subprocess.run(["tshark", "-n", "-r", file, *args], capture_output=True, text=True, timeout=timeout, errors="replace",
                       env=dict(os.environ, HOME=work_dir()))
    if p.returncode:
        raise Failure("tshark: " + p.stderr.strip()[-300:])
    return p.stdout


# ---- a plain web server, for something to fetch ----

WEB = r'''
import hashlib, http.server, socket, socketserver, sys
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
    daemon_threads = True
    def server_bind(self):      # the library's own asks the DNS for a name
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = sys.argv[1:3]
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        size = int(self.path.strip("/") or 0) if self.path.strip("/").isdigit() else 0
        body = None if size else ("hello from " + sys.argv[1] + ", you are " + self.client_address[0] + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(size or len(body)))
        self.end_headers()
        if body:
            self.wfile.write(body)
        block = hashlib.sha512(b"byway").digest() * 1024
        while size:
            n = min(size, len(block))
            self.wfile.write(block[:n])
            size -= n
    def log_message(self, *a):
        pass
s = Server((sys.argv[1], int(sys.argv[2])), Handler)
print("serving", flush=True)
s.serve_forever()
'''


def web(node, address, port=80):
    """Serves "/" (one line that names the client) and "/BYTES" (that many bytes, always the same)."""
    p = node.spawn(sys.executable, "-u", "-c", WEB, address, port, name="web")
    p.wait_line("^serving$")
    return p


def web_digest(size):
    """SHA-256 of what /SIZE serves."""
    block, h = hashlib.sha512(b"byway").digest() * 1024, hashlib.sha256()
    while size:
        n = min(size, len(block))
        h.update(block[:n])
        size -= n
    return h.hexdigest()


# ---- reports ----

@contextlib.contextmanager
def step(name, needs=True):
    """One test. After a failure the logs of all processes that still matter are shown as comments."""
    global failed
    if not needs:
        print("skip %s: an earlier step that it needs failed" % name, flush=True)
        yield
        return
    try:
        yield
        print("ok " + name, flush=True)
    except Exception as e:
        failed += 1
        why = str(e) if isinstance(e, (Failure, AssertionError)) and str(e) else "%s: %s" % (type(e).__name__, e)
        print("not ok %s: %s" % (name, " ".join(why.split("\n"))), flush=True)
        if not isinstance(e, Failure):
            print("\n".join("# " + x for x in traceback.format_exc().split("\n")), flush=True)
        tell_logs()


def tell_logs(lines=25):
    for p in processes:
        text = p.text().rstrip().split("\n")
        if text != [""] and "tcpdump" not in p.name and not (p.alive() and "wireguard-go" in p.name):
            state = "running" if p.alive() else "ended with %s" % p.p.returncode
            print("# ---- %s (%s)" % (p.name, state))
            print("\n".join("#   " + x for x in text[-lines:]), flush=True)


def check(condition, why):
    if not condition:
        raise Failure(why)


def skip(name, why):
    print("skip %s: %s" % (name, why), flush=True)


SANITIZER = re.compile(r"^.*(?:ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:).*$", re.M)


def done():
    global failed
    for p in processes:
        report = SANITIZER.search(p.text())
        if report:
            failed += 1
            print("not ok no sanitizer report from %s: %s" % (p.name, report.group(0)))
            print("\n".join("#   " + x for x in p.text()[report.start():].split("\n")[:60]), flush=True)
    for p in processes:
        if p.alive():
            p.p.kill()
    sys.exit(1 if failed else 0)
