#!/usr/bin/python3
"""Labs come and go: nothing is left behind, whatever ends them; mistakes are told; root is not needed."""
# tests/run: timeout=180 asan
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import labkit
from labkit import BYWAY, Failure, Lab, command, wait_until, want

BARE = "--no-daemons"


def in_pid_namespace(inode):
    """Processes (zombies aside) of that PID namespace."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.stat(f"/proc/{pid}/ns/pid").st_ino != inode:
                continue
            with open(f"/proc/{pid}/stat") as f:
                if f.read().rsplit(")", 1)[1].split()[0] not in "ZX":
                    found.append(int(pid))
        except OSError:
            pass
    return found


def pid_namespace(lab):
    return os.stat(f"/proc/{lab.show()['keeper_pid']}/ns/pid").st_ino


@labkit.test
def exec_passes_status_streams_names_and_terminal():
    with Lab("line", BARE) as lab:
        want(lab.run("n3", "hostname").stdout == "n3\n", "host name")
        want(lab.run("3", "sh", "-c", "exit 7", check=False).returncode == 7, "status")
        want(lab.run("n3", "sh", "-c", "kill -9 $$", check=False).returncode == 137, "signal")
        want(lab.run("n3", "no-such-program", check=False).returncode == 127, "not found")
        r = subprocess.run(lab.argv("n2", "cat", "--", "-"), input=b"through", capture_output=True)
        want(r.stdout == b"through", f"standard input {r}")
        want(lab.run("n2", "echo", "--json", "--name", "x").stdout == "--json --name x\n", "its options are its own")
        want(lab.run("n2", "pwd").stdout.strip() == os.getcwd(), "working directory")
        want(lab.run("n2", "printenv", "BYWAY_SOCKET").stdout.strip() == lab.socket("n2"), "environment")
        made = lab.run("n2", BYWAY, "key", "new", "--force").stdout
        want(made == command(BYWAY, "key", "show", "--state", f"{lab.dir}/nodes/n2/state").stdout, f"an identity for n2: {made}")
        shell = f"{BYWAY} lab exec --name {lab.name} n1 sh -c 'test -t 0 && test -t 1 && echo terminal'"
        want("terminal" in command("script", "-qec", shell, "/dev/null").stdout, "terminal")
        names = lab.run("n1", "ls", "/sys/class/net").stdout.split()
        want(names == ["lo", "to-n2"], f"/sys {names}")


@labkit.test
def an_ended_exec_ends_its_command():
    with Lab("line", BARE) as lab:
        ns = pid_namespace(lab)
        before = len(in_pid_namespace(ns))
        for sig in signal.SIGTERM, signal.SIGKILL:
            j = lab.job("n1", "sleep", 600)
            wait_until(lambda: len(in_pid_namespace(ns)) == before + 1, 5, "the command")
            j.stop(sig)
            wait_until(lambda: len(in_pid_namespace(ns)) == before, 5, f"its end by {sig.name}")


@labkit.test
def a_stopped_exec_does_not_hold_the_lab():
    with Lab("line", BARE) as lab:
        j = lab.job("n1", "sleep", 600)
        ns = pid_namespace(lab)
        wait_until(lambda: len(in_pid_namespace(ns)) == 2, 5, "the command")
        j.process.send_signal(signal.SIGSTOP)
        lab.lab("down", timeout=90)
        want(not in_pid_namespace(ns), "processes are left")
        want(j.wait(5) == -signal.SIGKILL, "the stopped exec")


@labkit.test
def nodes_keep_their_files_to_themselves():
    with Lab("line", BARE, "--internet", 1) as lab:
        with open("/etc/resolv.conf") as f:
            host = f.read()
        lab.run("n1", "sh", "-c", "echo nameserver 192.0.2.1 > /etc/resolv.conf; mkdir -p /var/run/wireguard; touch /var/run/wireguard/x")
        want(lab.run("n1", "cat", "/etc/resolv.conf").stdout == "nameserver 192.0.2.1\n", "its own is changed")
        want("nameserver" not in lab.run("n2", "cat", "/etc/resolv.conf").stdout, "another's is not")
        with open("/etc/resolv.conf") as f:
            want(f.read() == host, "the machine's is not")
        want(not os.path.exists("/var/run/wireguard/x") and lab.run("n2", "ls", "/run").stdout == "", "/run")
        lab.run("n1", "sh", "-c", "nft add table inet probe && nft list tables | grep -q probe")
        want("probe" not in lab.run("n2", "nft", "list", "tables").stdout, "nftables")
        lab.run("n1", "sh", "-c", "ip tuntap add dev tun7 mode tun && sysctl -qw net.ipv4.ip_forward=1")


@labkit.test
def down_leaves_nothing():
    with Lab("seven", BARE) as lab:
        ns = pid_namespace(lab)
        lab.job("n1", "sleep", 600)
        wait_until(lambda: len(in_pid_namespace(ns)) >= 4, 5, "a process in the lab")
        folder = lab.dir
        lab.lab("down")
        want(not in_pid_namespace(ns), f"processes {in_pid_namespace(ns)}")
        want(not os.path.exists(folder), "folder")
        want(lab.name not in command(BYWAY, "lab", "list").stdout.split(), "list")
        want(lab.lab("show", check=False).returncode == 1, "show")
        r = lab.lab("down", check=False)
        want(r.returncode == 1 and "no lab named" in r.stderr, r.stderr)
        command(BYWAY, "lab", "up", "line", BARE, "--name", lab.name)


@labkit.test
def a_killed_keeper_takes_everything_with_it():
    with Lab("seven", BARE) as lab:
        ns, keeper = pid_namespace(lab), lab.show()["keeper_pid"]
        lab.job("n1", "sleep", 600)
        wait_until(lambda: len(in_pid_namespace(ns)) >= 4, 5, "a process in the lab")
        os.kill(keeper, signal.SIGKILL)
        wait_until(lambda: not in_pid_namespace(ns), 20, "the end of all processes")
        wait_until(lambda: lab.name not in command(BYWAY, "lab", "list").stdout.split(), 20, "its name to go")
        want(not os.path.exists(lab.dir), "its folder is swept by the next command")
        command(BYWAY, "lab", "up", "line", BARE, "--name", lab.name)
        want(len(lab.show()["nodes"]) == 4, "the name is free again")


@labkit.test
def a_terminated_keeper_and_an_interrupted_up_end_clean():
    with Lab("seven", BARE) as lab:
        ns = pid_namespace(lab)
        os.kill(lab.show()["keeper_pid"], signal.SIGTERM)
        wait_until(lambda: not in_pid_namespace(ns), 20, "the end of all processes")
    name = f"i{os.getpid()}"
    script = tempfile.NamedTemporaryFile("w", suffix=".sh", delete=False)
    script.write("#!/bin/sh\nexec sleep 600\n")
    script.close()
    os.chmod(script.name, 0o755)
    try:
        p = subprocess.Popen([BYWAY, "lab", "up", "line", "--name", name, "--binary", script.name], stdout=subprocess.PIPE)
        p.stdout.readline()
        keeper = wait_until(lambda: keeper_of(name), 5, "the keeper")
        ns = os.stat(f"/proc/{keeper}/ns/pid").st_ino
        p.send_signal(signal.SIGINT)
        p.wait(10)
        wait_until(lambda: not in_pid_namespace(ns), 20, "the end of all processes")
        wait_until(lambda: name not in command(BYWAY, "lab", "list").stdout.split(), 10, "its name to go")
    finally:
        os.unlink(script.name)
        command(BYWAY, "lab", "down", "--name", name, check=False)


def keeper_of(name):
    r = command(BYWAY, "lab", "show", "--json", "--name", name, check=False)
    return json.loads(r.stdout)["keeper_pid"] if r.returncode == 0 else None


@labkit.test
def a_lab_ends_with_the_process_it_was_made_for():
    name = f"w{os.getpid()}"
    p = subprocess.Popen(["sleep", "600"])
    try:
        command(BYWAY, "lab", "up", "line", BARE, "--name", name, "--with", p.pid)
        ns = os.stat(f"/proc/{keeper_of(name)}/ns/pid").st_ino
        p.kill()
        p.wait()
        wait_until(lambda: not in_pid_namespace(ns), 20, "the end of all processes")
        wait_until(lambda: name not in command(BYWAY, "lab", "list").stdout.split(), 10, "its name to go")
    finally:
        p.kill()
        command(BYWAY, "lab", "down", "--name", name, check=False)


@labkit.test
def several_labs_at_once():
    with Lab("line", BARE) as a, Lab("ring", BARE, "--internet", 2) as b:
        names = command(BYWAY, "lab", "list").stdout.split()
        want(a.name in names and b.name in names, str(names))
        r = command(BYWAY, "lab", "up", "line", BARE, "--name", a.name, check=False)
        want(r.returncode == 1 and "is up already" in r.stderr, r.stderr)
        want(len(a.show()["nodes"]) == 4 and len(b.show()["nodes"]) == 6, "each its own")


@labkit.test
def daemons_that_fail_are_told_and_nothing_stays():
    name = f"f{os.getpid()}"
    r = command(BYWAY, "lab", "up", "line", "--name", name, "--binary", "/bin/false", check=False)
    want(r.returncode == 1 and "did not get ready" in r.stderr and "failed (status 1)" in r.stdout, r.stdout + r.stderr)
    want(name not in command(BYWAY, "lab", "list").stdout.split(), "it is still listed")
    r = command(BYWAY, "lab", "up", "line", "--name", name, "--binary", "/no/such", check=False)
    want(r.returncode == 1 and "/no/such" in r.stderr, r.stderr)


@labkit.test
def wrong_use_is_told_with_status_2():
    for words, why in [
        ([], "needs a command"), (["fly"], "no command fly"), (["up"], "needs one topology"), (["up", "cube"], "no topology"),
        (["up", "line", "--nodes", "x"], "a number"), (["up", "line", "--share", "9"], "no node 9"), (["up", "line", "--colour"], "there is no option --colour (see: byway lab --help)"),
        (["up", "line", "--set", "x"], "SECTION.KEY=VALUE"), (["link", "1", "2", "loss=5"], "not understood"), (["link", "1"], "two ends"),
        (["exec", "n1"], "a command"), (["kill", "n1", "FOO"], "no signal"), (["show", "--name", "a/b"], "--name"), (["down", "now"], "'now'"),
        *(([c, "--bogus"], "there is no option --bogus (see: byway lab --help)")
          for c in ("up", "show", "exec", "link", "kill", "stop", "start", "down", "list", "demo")),
        (["--bogus"], "there is no option --bogus"), (["exec", "--bogus", "n1", "true"], "there is no option --bogus"),
    ]:
        r = command(BYWAY, "lab", *words, check=False)
        want(r.returncode == 2 and why in r.stderr and r.stderr.startswith("byway: "), f"{words}: {r.returncode} {r.stderr}")
    want("lab up" in command(BYWAY, "lab", "--help").stdout, "help")
    with tempfile.NamedTemporaryFile("w", suffix=".topology") as f:
        f.write("link 1 2\nlink 2 3 loss=much\n")
        f.flush()
        r = command(BYWAY, "lab", "up", f.name, BARE, check=False)
        want(r.returncode == 1 and f"{f.name}:2:10: " in r.stderr, r.stderr)


@labkit.test
def two_hundred_nodes():
    begin = time.monotonic()
    with Lab("random", "--nodes", 200, BARE) as lab:
        up = time.monotonic() - begin
        want(lab.run("n200", "hostname").stdout == "n200\n", "the last one")
        begin = time.monotonic()
        lab.lab("down", timeout=120)
        down = time.monotonic() - begin
    want(up < 20 and down < 60, f"up {up:.1f} s, down {down:.1f} s")
    return f"up in {up:.1f} s, down in {down:.1f} s"


@labkit.test
def an_ordinary_user_can_do_it():
    """As root: does it again as nobody, with a /dev/net/tun as Debian's (mode 0666), which not every machine has."""
    if os.geteuid():
        labkit.skip("this all ran without root")
    folder = tempfile.mkdtemp(prefix="byway-user-", dir="/tmp")
    os.chmod(folder, 0o755)
    program = shutil.copy(BYWAY, folder + "/byway")
    script = f"""set -e
cd {folder}
B={program}
name=u{os.getpid()}
$B lab --name $name up seven {BARE} >/dev/null
trap '$B lab --name $name down' EXIT
$B lab --name $name exec n4 curl -sf http://www.example.test/ | grep -q reached
$B lab --name $name exec n4 sh -c 'nft add table inet x && sysctl -qw net.ipv6.conf.all.forwarding=1 && ip tuntap add dev t0 mode tun'
$B lab --name $name exec n4 sh -c 'echo nameserver 192.0.2.1 > /etc/resolv.conf && touch /run/x'
$B lab --name $name exec n1 ping -c1 -W1 ff02::1%to-n2 | grep -q 'bytes from'
$B lab list | grep -qx $name
"""
    nobody = pwd.getpwnam("nobody")
    try:
        r = command("unshare", "-m", "--propagation", "private", "sh", "-ec",
                    f"mount -t tmpfs none /mnt && mknod -m 666 /mnt/tun c 10 200 && mount --bind /mnt/tun /dev/net/tun && umount -l /mnt && "
                    f"exec setpriv --reuid {nobody.pw_uid} --regid {nobody.pw_gid} --clear-groups sh -c \"$0\"", script, check=False)
    finally:
        shutil.rmtree(folder)
    want(r.returncode == 0, f"status {r.returncode}: {r.stdout[-300:]} {r.stderr[-300:]}")


labkit.main()
