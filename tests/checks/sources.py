#!/usr/bin/python3
"""Rules that the sources keep: -Wconversion in wire and core, clang content with everything, a fuzz target for every
decoder, files of a size that a person reads."""
import os
import re
import subprocess
import sys

import house

LIMIT_LINES = 900


def compiles(compiler, more):
    libs = house.library_flags()

    def one(path):
        layer = next(l for l, (f, _) in house.layers().items() if path.startswith(f + "/"))
        p = subprocess.run([compiler] + house.BASE_FLAGS + more + house.include_flags(layer) + libs + ["-fsyntax-only", path],
                           capture_output=True, text=True, cwd=house.ROOT)
        lines = [x for x in p.stderr.split("\n") if "error" in x]
        if p.returncode == 0:
            return None
        return lines[0] + (" (and %d more)" % (len(lines) - 1) if len(lines) > 1 else "") if lines else p.stderr.strip()
    return one


def fuzzed():
    text = ""
    for path in house.files("tests/fuzz", (".c",)):
        if os.path.basename(path).startswith("fuzz_"):
            with open(os.path.join(house.ROOT, path)) as f:
                text += f.read()
    problems = []
    for path in house.files("src/wire", (".c",)):
        name = os.path.basename(path)[:-2]
        stem = name.split("_")[0]       # babel_read.c and babel_write.c have one header, babel.h
        if os.path.exists(os.path.join(house.ROOT, "tests/fuzz/fuzz_%s.c" % name)):
            continue
        if not re.search(r"\bwire/(%s|%s)\.[ch]\b" % (re.escape(name), re.escape(stem)), text):
            problems.append("%s: no tests/fuzz/fuzz_*.c includes or names wire/%s" % (path, name))
    return problems


def too_long():
    problems = []
    for path in house.files("src", (".c", ".h")) + house.files("lab", (".c", ".h")) + house.files("sim", (".c", ".h")):
        with open(os.path.join(house.ROOT, path), errors="replace") as f:
            n = sum(1 for _ in f)
        if n > LIMIT_LINES:
            problems.append("%s has %d lines" % (path, n))
    return problems


def executable():
    """A test that nobody may execute is a test that nobody runs."""
    problems = []
    for path in sum((house.files("tests/" + d, (".py", ".sh")) for d in ("checks", "lab", "interop", "cross", "bench")), house.files("tools", ("",))):
        with open(os.path.join(house.ROOT, path), "rb") as f:
            if f.read(2) == b"#!" and not os.access(os.path.join(house.ROOT, path), os.X_OK):
                problems.append("%s begins with #! and is not executable" % path)
    return problems


def formatting():
    """Advice only: what clang-format would write differently."""
    if not house.have("clang-format"):
        return
    differ = [p for p in house.files("src", (".c", ".h")) + house.files("lab", (".c", ".h"))
              if subprocess.run(["clang-format", "-n", "--Werror", p], capture_output=True, cwd=house.ROOT).returncode]
    print("# formatting, as advice: clang-format would change %d files (make format)" % len(differ))


def main():
    house.need_build()
    pure = house.files("src/wire", (".c",)) + house.files("src/core", (".c",))
    house.report("wire and core are clean with -Wconversion", house.every(compiles("gcc", ["-Wconversion"]), pure))
    everything = [p for f, _ in house.layers().values() for p in house.files(f, (".c",))]
    if house.have("clang"):
        more = ["-Wshadow", "-Wstrict-prototypes", "-Wmissing-prototypes", "-Wpointer-arith"]
        house.report("clang compiles everything without a warning", house.every(compiles("clang", more), everything))
    else:
        print("skip clang compiles everything without a warning: clang is not installed")
    house.report("every wire format has a fuzz target", fuzzed())
    house.report("no source file is longer than %d lines" % LIMIT_LINES, too_long())
    house.report("every program may be executed", executable())
    formatting()
    house.done()


if __name__ == "__main__":
    sys.exit(main())
