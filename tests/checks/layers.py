#!/usr/bin/python3
"""The layers as the linker sees them (DESIGN 3): what each library imports, and that core keeps nothing of its own.

- A layer uses symbols of the layers that CMakeLists.txt lets it use, and of no other.
- base, wire, crypto and core import from outside only what tests/checks/imports/LAYER.txt names: no clock, no I/O, no
  entropy, no heap. (What a layer may include says nothing about libc, hence this check.)
- core, wire and crypto have no variables that change (but for what is set once at start): many nodes live in one process.
The check shows first that it can fail.
"""
import fnmatch
import os
import subprocess
import tempfile

import house

PURE = ["base", "wire", "crypto", "core"]
# Symbols of base that are not for the pure layers: they are how the outside is handed in.
NOT_FOR = {"core": ["bw_mem_system"], "wire": ["bw_mem_system"], "crypto": ["bw_mem_system"]}
# Filled once by bw_crypto_init, before anything else runs: OpenSSL's fetched algorithms.
SET_ONCE = {"crypto": ["crypto_fetched"]}


def symbols(path):
    """(defined, [(object, undefined)], [(object, variable)]) of an archive or object."""
    out = subprocess.run(["nm", "-f", "sysv", path], check=True, capture_output=True, text=True).stdout
    defined, undefined, variables, obj = set(), [], [], os.path.basename(path)
    for line in out.split("\n"):
        if "[" in line and line.rstrip().endswith("]:"):
            obj = line[line.index("[") + 1:line.index("]")]
        cells = [c.strip() for c in line.split("|")]
        if line.startswith("Symbols from ") and "[" in line:
            obj = line[line.index("[") + 1:line.rindex("]")]
        if len(cells) < 7 or cells[0] == "Name":
            continue
        name, kind, section = cells[0], cells[2], cells[6]
        if kind in "Uwv":
            undefined.append((obj, name))
            continue
        if kind.isupper() or kind == "C":
            defined.add(name)
        changes = section.startswith((".data", ".bss", ".tbss", ".tdata", "*COM*")) and not section.startswith(".data.rel.ro")
        if changes or kind in "CBbDd" and not section.startswith(".data.rel.ro"):
            variables.append((obj, name))
    return defined, undefined, variables


def allowed(layer):
    with open(os.path.join(house.ROOT, "tests/checks/imports", layer + ".txt")) as f:
        return [x.split("#")[0].strip() for x in f if x.split("#")[0].strip()]


def breaches(layer, undefined, exports, uses):
    """What undefined symbols of a layer break the rules, as sentences."""
    out = []
    patterns = allowed(layer) if layer in PURE else None
    for obj, name in undefined:
        owners = [o for o, d in exports.items() if name in d]
        if layer in owners:
            continue
        if owners:
            if not set(owners) & set(uses):
                out.append("%s (%s) uses %s of %s" % (obj, layer, name, owners[0]))
            elif name in NOT_FOR.get(layer, []):
                out.append("%s (%s) uses %s, which is not for it" % (obj, layer, name))
        elif patterns is not None and not any(fnmatch.fnmatchcase(name, p) for p in patterns):
            out.append("%s (%s) imports %s" % (obj, layer, name))
    return out


BREACH = """
#include <stdlib.h>
#include <time.h>
int breach_count;
static int breach_inner;
void *breach(void); void *breach(void) { breach_count++; breach_inner += (int)time(0); return malloc((size_t)breach_inner); }
"""


def can_fail(exports):
    with tempfile.TemporaryDirectory() as d:
        obj = os.path.join(d, "breach.o")
        subprocess.run(["gcc", "-O1", "-c", "-x", "c", "-", "-o", obj], input=BREACH, text=True, check=True)
        _, undefined, variables = symbols(obj)
        said = " ".join(breaches("core", undefined, exports, []))
        problems = ["a breach by %s went unseen" % n for n in ("malloc", "time") if "imports " + n not in said]
        names = [n for _, n in variables]
        problems += ["variable %s went unseen" % n for n in ("breach_count", "breach_inner") if n not in names]
        return problems


def main():
    house.need_build()
    table = house.layers()
    found = {l: symbols(house.archive(l)) for l in table if os.path.exists(house.archive(l))}
    exports = {l: f[0] for l, f in found.items()}
    house.report("a planted breach is seen", can_fail(exports))
    for layer in table:
        if not house.files(table[layer][0], (".c",)):
            continue        # nothing there yet
        if layer not in found:
            house.report("imports of %s" % layer, ["%s is not built" % house.archive(layer)])
            continue
        house.report("imports of %s" % layer, breaches(layer, found[layer][1], exports, table[layer][1]))
    for layer in ("wire", "crypto", "core"):
        if layer in found:
            house.report("no changing globals in %s" % layer,
                         ["%s: %s" % v for v in found[layer][2] if v[1] not in SET_ONCE.get(layer, [])])
    house.done()


main()
