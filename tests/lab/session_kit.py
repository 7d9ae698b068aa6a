"""What the tests of sessions share: a row of four nodes, the usual tools between its ends, and a hop that is watched and read by
tshark with the keys that the nodes write down."""
import contextlib
import os
import re
import tempfile

import light_kit
from labkit import command, want, wait_until

ROW = "link 1 2\nlink 2 3\nlink 3 4\nlink 4 internet\nnode 4 internet share set firewall.allow=all\n"


def traceroute(lab, far, hops, *words, seconds=15):
    """Waits until traceroute from n1 shows just these mesh addresses. words: its options, a length."""
    options = [w for w in words if str(w).startswith("-")]
    length = [w for w in words if w not in options]

    def shown():
        out = lab.run("n1", "traceroute", "-6", "-n", *options, "-q", 1, "-w", 1, far, *length, check=False).stdout
        want(re.findall(r"fc[0-9a-f:]+", out.partition("\n")[2]) == hops, out)
        return True

    wait_until(shown, seconds, f"traceroute {' '.join(str(w) for w in words)}")


def tracepath(lab, far, hops):
    """Through these mesh addresses; returns the way's MTU."""
    out = lab.run("n1", "tracepath", "-6", "-n", far, check=False, timeout=40).stdout
    want(all(h in out for h in hops) and "no reply" not in out, "tracepath: " + out)
    return int(re.search(r"Resume: pmtu (\d+)", out)[1])


def ping_sizes(lab, far, *sizes):
    for size in sizes:
        wait_until(lambda: lab.reaches("n1", far, size=size), 5, f"ping -s {size} to {far}")


@contextlib.contextmanager
def key_log():
    """A folder; the nodes that are started meanwhile write their keys into its file "keys"."""
    with tempfile.TemporaryDirectory(prefix="byway-keys-") as folder:
        os.environ["BYWAY_KEYLOG"] = os.path.join(folder, "keys")
        try:
            yield folder
        finally:
            del os.environ["BYWAY_KEYLOG"]


def watch_hop(lab, folder):
    """Captures between n2 and n3 into the folder's "pcap", with the handshake at its beginning; stop() the job that is returned."""
    for n, iface in (("n2", "to-n3"), ("n3", "to-n2")):  # one datagram a frame, as tshark wants them
        lab.run(n, "ethtool", "-K", iface, "tx-udp-segmentation", "off", "gso", "off", check=False)
    job = lab.capture("n2", "to-n3", os.path.join(folder, "pcap"))
    for n in ("n2", "n3"):
        lab.stop(n)
        lab.start(n)
    return job


def logged(folder):
    with open(os.path.join(folder, "keys")) as f:
        return f.read().splitlines()


def tshark(folder, fields, *options, all_layers=False, timeout=120):
    """The fields of each packet inside the hop that was watched; of a field that a packet has several times the last, or all."""
    wg = os.path.join(folder, "wg")
    with open(wg, "w") as f:
        f.write("\n".join(x for x in logged(folder) if " = " in x) + "\n")
    opened = os.path.join(folder, "opened")
    want(light_kit.open_light(os.path.join(folder, "pcap"), wg, opened) > 100, "hardly any light messages")
    out = command("tshark", "-r", opened, "-d", "udp.port==4870,wg", "-o", f"wg.keylog_file:{wg}",
                  "-o", "wg.dissect_packet:TRUE", *options, "-T", "fields", "-E", f"occurrence={'a' if all_layers else 'l'}",
                  *(w for f in fields for w in ("-e", f)), timeout=timeout).stdout
    return [(line.split("\t") + [""] * len(fields))[:len(fields)] for line in out.splitlines()]
