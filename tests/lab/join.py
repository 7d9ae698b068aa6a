#!/usr/bin/python3
"""An invitation joins two nodes that could not have found each other, and lasts: the network's secret included."""
# tests/run: timeout=120
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import labkit
from labkit import Lab, wait_until, want

TWO = """node n1 set discover.interfaces=none {}
node n2 set discover.interfaces=none
link n1 n2
"""


def joined(sets, *options):
    with Lab(text=TWO.format(sets)) as lab:
        lab.run("n1", "ip", "addr", "add", "10.9.0.1/24", "dev", "to-n2")
        lab.run("n2", "ip", "addr", "add", "10.9.0.2/24", "dev", "to-n1")
        text = lab.byway("n1", "invite", *options).stdout.strip().splitlines()
        text = next(t for t in text if t.startswith("byway:1:"))
        want(lab.byway("n2", "join", text[:-3], check=False).returncode == 1, "a cut invitation is refused")
        if not sets:
            lab.byway("n1", "peer", "add", lab.status("n2")["key"])
        said = lab.byway("n2", "join", text).stdout
        want(lab.status("n2")["key"] in said, "it names the key that the other side may have to add")
        own = lab.byway("n1", "join", text, check=False)
        want(own.returncode == 1 and "own invitation" in own.stderr, own.stderr)
        want("Connecting to n1" in said and "does not last" not in said, said)
        wait_until(lambda: lab.reaches("n2", lab.address("n1")), 20, "the link")
        lab.stop("n2")
        lab.start("n2")
        wait_until(lambda: lab.reaches("n2", lab.address("n1")), 20, "the link after a restart")
        # Joining again leaves what the owner has said of that peer.
        key = lab.status("n1")["key"]
        lab.byway("n2", "peer", "add", key, "--name", "uphill", "--internet", "--save")
        lab.byway("n2", "join", text)
        with open(f"{lab.dir}/nodes/n2/byway.conf") as f:
            conf = f.read()
        want(conf.count(key) == 1 and "[peer uphill]" in conf and "internet = yes" in conf and "endpoint = 10.9.0.1:" in conf, conf)


@labkit.test
def an_invitation_joins_and_lasts():
    joined("")


@labkit.test
def an_invitation_carries_the_secret():
    with tempfile.NamedTemporaryFile("w", suffix=".secret", delete=False) as f:
        f.write("correct horse battery staple\n")
    os.chmod(f.name, 0o600)
    try:
        joined(f"set discover.policy=secret set discover.secret-file={f.name} set listen.public=yes", "--secret")
    finally:
        os.unlink(f.name)


@labkit.test
def where_the_file_cannot_be_written_it_says_that_it_does_not_last():
    with Lab(text=TWO.format("")) as lab:
        text = next(t for t in lab.byway("n1", "invite").stdout.splitlines() if t.startswith("byway:1:"))
        conf = f"{lab.dir}/nodes/n2/byway.conf"
        os.rename(conf, conf + ".kept")
        os.mkdir(conf)  # root may write anything but that
        said = lab.byway("n2", "join", text).stdout
        want("does not last" in said and "read again" in said and conf in said, said)
        os.rmdir(conf)
        os.rename(conf + ".kept", conf)


labkit.main()
