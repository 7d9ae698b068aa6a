"""What the checks share: the layers as CMakeLists.txt declares them, compilers, and how a check reports."""
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("BYWAY_BUILD", os.path.join(ROOT, "build"))
failed = False


def report(name, problems):
    """One line per test as tests/run wants it; problems is a list of strings, empty when all is well."""
    global failed
    if not problems:
        print("ok " + name)
        return
    failed = True
    print("not ok %s: %s" % (name, problems[0]))
    for p in problems[1:20]:
        print("    " + p)
    if len(problems) > 20:
        print("    and %d more" % (len(problems) - 20))


def need_build():
    """Ends the check if the build folder was never configured: its include folders are what is looked at."""
    if not os.path.isdir(os.path.join(BUILD, "inc")):
        print("not ok build: %s is not a build folder (make, or BYWAY_BUILD=DIR)" % BUILD)
        sys.exit(1)


def done():
    sys.exit(1 if failed else 0)


def layers():
    """name -> (folder, names of the layers whose headers it may include), itself not among them."""
    found = {}
    with open(os.path.join(ROOT, "CMakeLists.txt")) as f:
        for m in re.finditer(r"^\s*byway_layer\((\w+)\s+([^\s)]+)([^)]*)\)", f.read(), re.M):
            uses = re.search(r"USES\s+(.*?)\s*(?:LINKS|$)", m.group(3), re.S)
            found[m.group(1)] = (m.group(2), uses.group(1).split() if uses else [])
    return found


def files(folder, ends):      # ends: a tuple; ("",) means all
    out = []
    for at, _, names in os.walk(os.path.join(ROOT, folder)):
        out += [os.path.relpath(os.path.join(at, n), ROOT) for n in names if n.endswith(ends)]
    return sorted(out)


def archive(layer):
    return os.path.join(BUILD, "libbw_%s.a" % layer)


def include_flags(layer):
    folder, uses = layers()[layer]
    return ["-I" + os.path.join(BUILD, "inc", u) for u in [layer] + uses]


def library_flags():
    libs = "libsodium libcrypto jansson libuv libmicrohttpd libcurl sqlite3 libmnl libnftables inih libqrencode".split()
    return subprocess.run(["pkg-config", "--cflags"] + libs, check=True, capture_output=True, text=True).stdout.split()


BASE_FLAGS = ["-std=gnu17", "-D_GNU_SOURCE", '-DBYWAY_VERSION="0"', "-Wall", "-Wextra", "-Werror", "-fno-strict-aliasing"]


def compile_text(compiler, text, flags):
    """None if the text compiles, else the first line that says why not."""
    p = subprocess.run([compiler] + BASE_FLAGS + flags + ["-fsyntax-only", "-x", "c", "-"], input=text,
                       capture_output=True, text=True, cwd="/")
    if p.returncode == 0:
        return None
    lines = [x for x in p.stderr.split("\n") if "error" in x]
    return lines[0] if lines else p.stderr.strip().split("\n")[0]


def every(function, items):
    """The non-None results of function over items, two at a time or so."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return [r for r in pool.map(function, items) if r]


def have(program):
    return any(os.access(os.path.join(d, program), os.X_OK) for d in os.environ["PATH"].split(":"))
