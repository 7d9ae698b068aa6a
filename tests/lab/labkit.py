"""A small library for tests that run on `byway lab`: labs, waiting, transfers, pings, captures, routes.

    import labkit

    @labkit.test
    def a_name_that_says_what_is_shown():
        with labkit.Lab("seven") as lab:
            lab.converged()
            labkit.want(lab.fetch("n7", "http://www.example.test/1M").size == 1_000_000)

    labkit.main()

Prints a line "ok NAME", "not ok NAME: why" or "skip NAME: why" per test and exits 1 if one failed (tests/run). BYWAY names the program (default
build/byway). Every lab has a name of its own and is taken down whatever happens. Nothing here sleeps for a fixed time to
"be sure": conditions are waited for, with deadlines.
"""
import atexit
import hashlib
import http.client
import ipaddress
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BYWAY = os.path.abspath(os.environ.get("BYWAY", os.path.join(ROOT, "build", "byway")))
ANY_EXIT = "fc00::e"
WEB = "http://www.example.test"
WEB4, WEB6 = "http://198.51.100.80", "http://[2001:db8::80]"


class Failure(Exception):
    """A test's own verdict; its text is what is printed."""


def want(condition, why="not as wanted"):
    if not condition:
        raise Failure(why() if callable(why) else why)


def wait_until(condition, seconds, what="the condition", every=0.05):
    """Calls condition() until it returns something true, and returns that. Fails after `seconds`, telling `what` and, if
    condition raised Failure, its text."""
    end = time.monotonic() + seconds
    last = ""
    while True:
        try:
            got = condition()
            if got:
                return got
        except Failure as e:
            last = f" ({e})"
        if time.monotonic() > end:
            raise Failure(f"{what} did not come about within {seconds} s{last}")
        time.sleep(every)


def seconds_until(condition, limit, what="the condition", every=0.01):
    """Like wait_until, but returns how long it took."""
    begin = time.monotonic()
    wait_until(condition, limit, what, every)
    return time.monotonic() - begin


# ---- running things ----

def command(*args, timeout=60, check=True):
    r = subprocess.run([str(a) for a in args], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
    if check and r.returncode:
        raise Failure(f"{' '.join(str(a) for a in args[:6])}: status {r.returncode}: {(r.stderr or r.stdout).strip()[-400:]}")
    return r


class _UnixHTTP(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


_labs = []
_serial = 0


def _sanitized(path, known={}):
    if path not in known:
        with open(path, "rb") as f:
            text = f.read()
        known[path] = b"__asan_init" in text or b"__tsan_init" in text
    return known[path]


class Lab:
    """A lab, up inside `with`: Lab("ring", "--nodes", 5), or Lab("--share", 1, text="link 1 2 loss=5%") with the text of a
    topology file. The other words go to `byway lab up`."""

    def __init__(self, topology=None, *args, text=None, binary=None, name=None):
        global _serial
        _serial += 1
        self.name = name or f"t{os.getpid()}-{_serial}"
        self.binary = binary or BYWAY
        self.args = [str(a) for a in args]
        self.topology, self.text = topology, text
        if text is not None and topology is not None:
            self.args.insert(0, str(topology))
        self.file = None
        self.jobs = []
        self._addresses = {}

    def __enter__(self):
        if self.text is not None:
            self.file = f"/tmp/byway-labkit-{os.getpid()}-{self.name}.topology"
            with open(self.file, "w") as f:
                f.write(self.text)
            self.topology = self.file
        _labs.append(self)
        try:
            self.up_output = command(self.binary, "lab", "up", self.topology, "--name", self.name, "--with", os.getpid(),
                                     *self.args, timeout=180).stdout
        except BaseException:
            self.down(check=False)
            raise
        self.dir = f"/tmp/byway-lab-{os.geteuid()}/{self.name}"
        return self

    def __exit__(self, kind, value, tb):
        if kind and kind is not KeyboardInterrupt:
            self.print_logs()
        self.down(check=kind is None)

    def down(self, check=True):
        for j in self.jobs:
            j.stop()
        self.jobs = []
        reports = self._sanitizer_reports() if check else None
        r = subprocess.run([self.binary, "lab", "down", "--name", self.name], capture_output=True, text=True, timeout=120)
        if self in _labs:
            _labs.remove(self)
        if self.file and os.path.exists(self.file):
            os.unlink(self.file)
        if check and r.returncode and "no lab named" not in r.stderr:
            raise Failure(f"lab down: {r.stderr.strip()}")
        want(not reports, reports)

    def _sanitizer_reports(self):
        """With a sanitizer's build: ends the nodes properly, so that leaks are looked for, and reads what they said."""
        if not _sanitized(self.binary) or not os.path.exists(getattr(self, "dir", "")):
            return None
        try:
            running = [n["name"] for n in self.show()["nodes"] if n["pid"]]
        except Failure:
            return None
        threads = [threading.Thread(target=self.lab, args=("stop", n), kwargs={"check": False, "timeout": 60}) for n in running]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        for at, _, files in os.walk(self.dir):
            for f in files:
                if f in ("log", "keeper.log"):
                    with open(os.path.join(at, f), errors="replace") as text:
                        m = re.search(r"^.*(?:Sanitizer: |runtime error: ).*$", text.read(), re.M)
                    if m:
                        return f"{os.path.join(at, f)}: {m[0].strip()}"
        return None

    # -- the lab's own commands --
    def lab(self, *args, timeout=60, check=True):
        return command(self.binary, "lab", args[0], "--name", self.name, *args[1:], timeout=timeout, check=check)

    def show(self):
        return json.loads(self.lab("show", "--json").stdout)

    def link(self, a, b, *words):
        self.lab("link", a, b, *words)

    def kill(self, node, sig="KILL"):
        self.lab("kill", node, sig)

    def stop(self, node):
        self.lab("stop", node)

    def start(self, node):
        self.lab("start", node, timeout=90)

    def nodes(self):
        return [n["name"] for n in self.show()["nodes"]]

    def argv(self, node, *cmd):
        return [self.binary, "lab", "exec", "--name", self.name, node, *[str(c) for c in cmd]]

    def run(self, node, *cmd, timeout=60, check=True):
        """Runs a command inside a node (or in "internet") and returns subprocess' CompletedProcess, with text."""
        return command(*self.argv(node, *cmd), timeout=timeout, check=check)

    def job(self, node, *cmd, **popen):
        """Starts a command inside a node; it is ended with the lab at the latest."""
        j = Job(self.argv(node, *cmd), **popen)
        self.jobs.append(j)
        return j

    # -- what the nodes say --
    def log(self, node):
        with open(f"{self.dir}/nodes/{node}/log", errors="replace") as f:
            return f.read()

    def print_logs(self, lines=15):
        """What the nodes said last, for whoever looks for the cause of a failure."""
        for n in sorted(os.listdir(f"{self.dir}/nodes"))[:10]:
            try:
                text = self.log(n).splitlines()[-lines:]
            except OSError:
                continue
            print(f"# ---- log of {n}", *(f"#   {t}" for t in text), sep="\n")

    def socket(self, node):
        return f"{self.dir}/nodes/{node}/api.sock"

    def _get(self, node, path, timeout):
        try:
            c = _UnixHTTP(self.socket(node), timeout)
            c.request("GET", path)
            r = c.getresponse()
            body = r.read()
            c.close()
        except (OSError, http.client.HTTPException) as e:
            raise Failure(f"{node} does not answer {path}: {e}")
        if r.status != 200:
            raise Failure(f"{node} {path}: status {r.status}: {body[:200]!r}")
        return body

    def api(self, node, path, timeout=5):
        """GET path from the node's socket. Failure if it does not answer."""
        return json.loads(self._get(node, path, timeout))

    def metrics(self, node):
        """The node's counters: {(name, value of the label or ""): number}."""
        text = self._get(node, "/metrics", 5).decode()
        return {(m[1], m[2] or ""): int(m[3]) for m in re.finditer(r'^(\w+)(?:\{\w+="([\w:]+)"\})? (\d+)$', text, re.M)}

    def configure(self, node, text, mode="a"):
        """Adds text to the node's configuration (mode "w": replaces it) and has the node read it again."""
        with open(f"{self.dir}/nodes/{node}/byway.conf", mode) as f:
            f.write(text)
        self.byway(node, "reload")

    def byway(self, node, *args, timeout=30, check=True):
        """The command line, from outside the node, over its socket."""
        return command(self.binary, *args, "--socket", self.socket(node), timeout=timeout, check=check)

    def status(self, node):
        return self.api(node, "/v1/status")

    def problems(self, node):
        """What `byway status` complains of: {code: text}."""
        return {p["code"]: p["text"] for p in self.status(node)["problems"]}

    def exit_state(self, node):
        return (self.status(node).get("exit") or {}).get("state")

    def routes(self, node):
        return self.api(node, "/v1/routes")

    def peers(self, node):
        return self.api(node, "/v1/peers")

    def exits(self, node):
        return self.api(node, "/v1/exits")

    def address(self, node):
        if node not in self._addresses:
            self._addresses[node] = self.status(node)["address"]
        return self._addresses[node]

    def name_of(self, address):
        """The node that has this mesh address, or None."""
        for n in self.nodes():
            try:
                if ipaddress.ip_address(self.address(n)) == ipaddress.ip_address(address):
                    return n
            except Failure:
                continue
        return None

    def exit_of(self, node):
        """The node whose Internet this one uses, or None."""
        a = (self.status(node).get("exit") or {}).get("address")
        return self.name_of(a) if a else None

    def route(self, node, address):
        """The selected route of node to an address: the longest prefix that holds it."""
        a = ipaddress.ip_address(address)
        best = None
        for r in self.routes(node):
            p = ipaddress.ip_network(r["prefix"], strict=False)
            if not r["selected"] or p.version != a.version or a not in p:
                continue
            if best is None or p.prefixlen > ipaddress.ip_network(best["prefix"], strict=False).prefixlen:
                best = r
        return best

    def next_node(self, node, address):
        """The neighbour by which a node reaches an address; the node itself if it is its own; None without a route. Next
        hops are link-local addresses that end in the last 8 bytes of the neighbour's mesh address."""
        if ipaddress.ip_address(self.address(node)) == ipaddress.ip_address(address):
            return node
        r = self.route(node, address)
        if not r:
            return None
        if not r.get("next_hop"):
            return node
        tail = ipaddress.ip_address(r["next_hop"].split("%")[0]).packed[-8:]
        for n in self.nodes():
            try:
                if ipaddress.ip_address(self.address(n)).packed[-8:] == tail:
                    return n
            except Failure:
                continue
        return None

    def path(self, source, address):
        """The nodes from source to the holder of an address, as the routes say: ["n7", "n4", "n2"]. Failure if they lead
        nowhere or in a circle."""
        hops = [source]
        while True:
            n = self.next_node(hops[-1], address)
            if n == hops[-1]:
                return hops
            if n is None:
                raise Failure(f"{hops[-1]} has no route to {address} (came by {' '.join(hops)})")
            if n in hops:
                raise Failure(f"a loop to {address}: {' '.join(hops + [n])}")
            hops.append(n)

    def converged(self, seconds=30, nodes=None):
        """Waits until each of these nodes (default: all) has a loop-free path to each other one, and returns how long it
        took. Asks the routes, sends no packets."""
        nodes = nodes or self.nodes()

        def all_paths():
            addresses = {n: self.address(n) for n in nodes}
            tails = {ipaddress.ip_address(a).packed[-8:]: n for n, a in addresses.items()}
            hop = {}
            for n in nodes:
                for r in self.routes(n):
                    if r["selected"] and r["prefix"].endswith("/128") and r.get("next_hop"):
                        via = ipaddress.ip_address(r["next_hop"].split("%")[0]).packed[-8:]
                        hop[n, r["prefix"][:-4]] = tails.get(via)
            for dst, a in addresses.items():
                for n in nodes:
                    at, steps = n, 0
                    while at != dst:
                        at, steps = hop.get((at, a)), steps + 1
                        want(at, f"{n} has no way to {dst}")
                        want(steps <= len(nodes), f"a loop from {n} to {dst}")
            return True

        return seconds_until(all_paths, seconds, "routes between all nodes", every=0.1)

    # -- traffic --
    def reaches(self, node, address, timeout=1, size=56):
        return self.run(node, "ping", "-n", "-q", "-c", 1, "-W", timeout, "-s", size, address, check=False).returncode == 0

    def all_ping(self, seconds=30, nodes=None):
        """Waits until every node's ping reaches every other; returns how long it took."""
        nodes = nodes or self.nodes()
        left = [(a, b) for a in nodes for b in nodes if a != b]

        def round_():
            failed = []

            def one(a, others):
                if not others:
                    return
                try:
                    names = {self.address(b): b for b in others}
                    each = "(ping -n -q -c1 -W1 $a >/dev/null 2>&1 || echo $a) &"
                    out = self.run(a, "sh", "-c", f"for a in {' '.join(names)}; do {each} done; wait").stdout
                    failed.extend((a, names[x]) for x in out.split())
                except Exception:  # a thread's own troubles are no answers
                    failed.extend((a, b) for b in others)

            threads = [threading.Thread(target=one, args=(a, [y for x, y in left if x == a])) for a in nodes]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            left[:] = failed
            want(not failed, lambda: f"{len(failed)} pairs, e.g. {failed[0][0]} to {failed[0][1]}")
            return True

        return seconds_until(round_, seconds, "ping between all pairs")

    def fetch(self, node, url, timeout=60, check=True):
        f = self.fetching(node, url, timeout)
        f.join(timeout + 5)
        if check and f.error:
            raise Failure(f"{node} fetching {url}: {f.error}")
        return f

    def fetching(self, node, url, timeout=60, rate=None):
        """rate: as curl's --limit-rate takes it, in bytes a second ("5M")."""
        return Fetch(self, node, url, timeout, rate)

    def online(self, node, url=WEB + "/", timeout=2):
        """True if the node gets this page now."""
        return self.run(node, "curl", "-sf", "-m", timeout, "-o", "/dev/null", url, check=False).returncode == 0

    def pinging(self, node, address, interval=0.02):
        return Pinging(self, node, address, interval)

    def capture(self, node, interface, file, *filter_, whole=False):
        """Starts tcpdump on an interface of a node; it is running when this returns. stop() it before reading the file. The kernel
        keeps room for each packet's most bytes: 7,000 of 2,048 wait for a busy machine, or 250 whole super-frames."""
        j = Capture(self.argv(node, "tcpdump", "-n", "-U", "-Z", "root", "--immediate-mode", "-s", 0 if whole else 2048, "-B", 16384,
                              "-i", interface, "-w", file, *filter_), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        self.jobs.append(j)
        line = j.process.stderr.readline()
        want(b"listening on" in line, f"tcpdump: {line!r}")
        return j

    def sha256(self, name):
        """The checksum of a file that the internet's web server has, e.g. "100M"."""
        h = hashlib.sha256()
        with open(f"{self.dir}/www/{name}", "rb") as f:
            while block := f.read(1 << 20):
                h.update(block)
        return h.hexdigest()


class Job:
    """A running command. stop() sends SIGTERM, or another signal, and waits; the output so far is in .output if stdout was
    a pipe."""

    def __init__(self, argv, **popen):
        popen.setdefault("stdin", subprocess.DEVNULL)
        popen.setdefault("stdout", subprocess.DEVNULL)
        popen.setdefault("stderr", subprocess.DEVNULL)
        self.process = subprocess.Popen(argv, **popen)
        self.output = b""

    def stop(self, sig=signal.SIGTERM, timeout=10):
        if self.process.poll() is None:
            self.process.send_signal(sig)
        return self.wait(timeout)

    def wait(self, timeout=60):
        try:
            out, _ = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, _ = self.process.communicate()
        except ValueError:  # read to its end before
            out = None
        self.output = out or self.output
        return self.process.returncode


class Capture(Job):
    """A tcpdump. It ends at once when it is told to, whatever it has not read yet; so stop() lets it fall asleep first, which it
    does when there is nothing left to read. That may take seconds on a busy machine."""

    def stop(self, sig=signal.SIGTERM, timeout=10):
        end = time.monotonic() + timeout
        while self.process.poll() is None and self._state() != "S" and time.monotonic() < end:
            time.sleep(0.01)
        return super().stop(sig, timeout)

    def _state(self):
        pid = str(self.process.pid)
        try:
            while True:     # it is the last child of what entered the namespace for it
                with open(f"/proc/{pid}/task/{pid}/children") as f:
                    children = f.read().split()
                if not children:
                    break
                pid = children[-1]
            with open(f"/proc/{pid}/stat") as f:
                return f.read().rsplit(")", 1)[1].split()[0]
        except OSError:     # it has ended
            return None


class Fetch(threading.Thread):
    """A transfer by curl, hashed as it arrives: .size, .sha256, .seconds, .rate (bit/s), .error (None when all went well)."""

    def __init__(self, lab, node, url, timeout, rate=None):
        super().__init__(daemon=True)
        self.size, self.error, self.sha256, self.seconds = 0, None, None, 0.0
        self.begin = time.monotonic()
        self.job = lab.job(node, "curl", "-sSf", "--connect-timeout", 10, "-m", timeout,
                           *(["--limit-rate", rate] if rate else []), url, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE)
        self.start()

    def run(self):
        p, h = self.job.process, hashlib.sha256()
        while block := p.stdout.read1(1 << 18):
            h.update(block)
            self.size += len(block)
        error = p.stderr.read().decode(errors="replace").strip()
        p.wait()
        self.seconds = time.monotonic() - self.begin
        self.sha256 = h.hexdigest()
        if p.returncode:
            self.error = error or f"curl: status {p.returncode}"

    @property
    def rate(self):
        return self.size * 8 / self.seconds if self.seconds else 0


class Pinging:
    """A ping that runs until stop(): .sent, .received, .lost, .gaps (runs of lost ones, as (first sequence number, how
    many)), .rtts in ms. The last answers are waited for."""

    def __init__(self, lab, node, address, interval):
        self.job = lab.job(node, "ping", "-n", "-O", "-i", interval, "-W", 1, address, stdout=subprocess.PIPE)
        self.lines = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        wait_until(lambda: self.lines or self.job.process.poll() is not None, 5, "ping's first line")

    def _read(self):
        for line in self.job.process.stdout:
            self.lines.append(line.decode(errors="replace"))

    def stop(self):
        self.job.process.send_signal(signal.SIGTERM)
        self.job.process.wait(10)
        self.reader.join(10)
        got, self.rtts, highest = set(), [], 0
        for line in self.lines:
            seq = re.search(r"icmp_seq=(\d+)", line)
            if not seq:
                continue
            highest = max(highest, int(seq[1]))
            rtt = re.search(r"time=([\d.]+)", line)
            if rtt:
                got.add(int(seq[1]))
                self.rtts.append(float(rtt[1]))
        # The very last may have been under way when ping was ended.
        if highest not in got:
            highest -= 1
        missing = [s for s in range(1, highest + 1) if s not in got]
        self.sent, self.received, self.lost = highest, len(got), len(missing)
        self.gaps = []
        for s in missing:
            if self.gaps and self.gaps[-1][0] + self.gaps[-1][1] == s:
                self.gaps[-1] = (self.gaps[-1][0], self.gaps[-1][1] + 1)
            else:
                self.gaps.append((s, 1))
        return self


# ---- the test program ----

_tests = []


def test(f):
    _tests.append(f)
    return f


class Skip(Exception):
    pass


def skip(why):
    raise Skip(why)


def _clean():
    for lab in list(_labs):
        try:
            lab.down(check=False)
        except Exception:
            pass


def _terminated(sig, frame):
    raise KeyboardInterrupt


def main():
    """Runs the tests of the calling program, or those named on its command line."""
    atexit.register(_clean)
    signal.signal(signal.SIGTERM, _terminated)
    if not os.access(BYWAY, os.X_OK):
        print(f"not ok {os.path.basename(sys.argv[0])}: {BYWAY} is not there (build it, or set BYWAY)")
        sys.exit(1)
    failed = 0
    for t in _tests:
        name = t.__name__
        if len(sys.argv) > 1 and name not in sys.argv[1:]:
            continue
        begin = time.monotonic()
        try:
            note = t()
            note = f": {note}" if isinstance(note, str) else ""
            print(f"ok {name} ({time.monotonic() - begin:.1f} s){note}", flush=True)
        except Skip as e:
            print(f"skip {name}: {e}", flush=True)
        except Failure as e:
            failed += 1
            print(f"not ok {name}: {e}", flush=True)
        except KeyboardInterrupt:
            print(f"not ok {name}: interrupted", flush=True)
            sys.exit(130)
        except subprocess.TimeoutExpired as e:
            failed += 1
            print(f"not ok {name}: no end after {e.timeout:g} s of {' '.join(e.cmd)[:200]}", flush=True)
        except Exception as e:
            failed += 1
            print(f"not ok {name}: {type(e).__name__}: {e}", flush=True)
            for line in traceback.format_exc().splitlines():
                print(f"#   {line}")
        _clean()
    sys.exit(1 if failed else 0)
