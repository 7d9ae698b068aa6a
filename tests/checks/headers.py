#!/usr/bin/python3
"""Every header compiles alone, with gcc and with clang, seeing only what its layer may see; and what a file includes is
what its layer may include. The build refuses a breach by its include paths: a planted one shows that it does."""
import re

import house

LIBRARIES = house.library_flags()


def alone(compiler):
    def one(item):
        layer, folder, path = item
        inner = path[len(folder) + 1:]
        why = house.compile_text(compiler, '#include "%s/%s"\nint alone;\n' % (layer, inner),
                                 house.include_flags(layer) + LIBRARIES)
        return why and "%s: %s" % (path, why)
    return one


# What no pure layer has any business with, whatever the linker says.
IMPURE = re.compile(r"^(time|unistd|fcntl|pthread|signal|errno|poll|netdb|dirent|threads|locale|uv|sqlite3|microhttpd|curl/.*"
                    r"|sys/(socket|stat|time|epoll|ioctl|mman|random|types)|linux/.*|net/.*|ifaddrs|stdlib)\.h$")
EXCUSED = {"src/wire": {"stdlib.h"}, "src/base": {"stdlib.h"}, "src/crypto": {"stdlib.h"}}


def discipline(layer, folder, uses):
    problems = []
    for path in house.files(folder, (".c", ".h")):
        with open(house.ROOT + "/" + path, errors="replace") as f:
            for n, line in enumerate(f, 1):
                m = re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', line)
                if not m:
                    continue
                name = m.group(2)
                if m.group(1) == '"' and (".." in name or name.split("/")[0] not in [layer] + uses):
                    problems.append("%s:%d includes %s (allowed: %s)" % (path, n, name, ", ".join([layer] + uses)))
                if layer in ("base", "wire", "crypto", "core") and m.group(1) == "<" and IMPURE.match(name) \
                        and name not in EXCUSED.get(folder, set()):
                    problems.append("%s:%d includes <%s>" % (path, n, name))
    return problems


def refusal(table):
    """For each layer: a file that includes a header of a layer it may not see does not compile, one that may does."""
    problems = []
    some = {}
    for layer, (folder, _) in table.items():
        headers = house.files(folder, (".h",))
        if headers:
            some[layer] = "%s/%s" % (layer, headers[0][len(folder) + 1:])
    for layer, (_, uses) in table.items():
        for other, header in some.items():
            why = house.compile_text("gcc", '#include "%s"\nint breach;\n' % header, house.include_flags(layer) + LIBRARIES)
            if other in uses + [layer]:
                continue
            if why is None or "No such file" not in why:
                problems.append("%s may include %s" % (layer, header))
    return problems


def main():
    house.need_build()
    table = house.layers()
    headers = [(l, f, h) for l, (f, _) in table.items() for h in house.files(f, (".h",))]
    for compiler in ("gcc", "clang"):
        if not house.have(compiler):
            print("skip headers compile alone (%s): not installed" % compiler)
            continue
        house.report("headers compile alone (%s)" % compiler, house.every(alone(compiler), headers))
    house.report("the build refuses an include across layers", refusal(table))
    for layer, (folder, uses) in table.items():
        house.report("includes of %s" % layer, discipline(layer, folder, uses))
    house.done()


main()
