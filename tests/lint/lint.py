#!/usr/bin/env python3
"""lint - the house rules a machine can check (docs/testing.md, "lint").

Each check below is one case: it passes, fails with one line a finding, or is skipped with its
reason. The last line is "N passed, N failed, N skipped"; the status says whether any failed.

  lint.py --source ROOT --build BUILD [--clang] [--only NAME]
"""
import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

MAX_LINES = 800

LAYERS = ["base", "bus", "mmu", "cpu", "bt", "pv", "devices", "machine"]
# The arrows of the design: who may include whom. A folder may always include itself.
ARROWS = {
    "base": [],
    "bus": ["base"],
    "mmu": ["base", "bus"],
    "cpu": ["base", "bus", "mmu"],
    "bt": ["base", "bus", "mmu", "cpu"],
    "pv": ["base", "bus", "mmu", "cpu"],
    "devices": ["base", "bus"],
    "machine": ["base", "bus", "mmu", "cpu", "bt", "pv", "devices"],
    "frontends": ["base", "bus/backend.h", "machine/vm.h", "machine/state.h", "machine/testbed.h",
                  "machine/debug.h", "machine/trace.h", "machine/insns.h",
                  "machine/lockstep.h", "machine/live.h", "machine/media.h",
                  "machine/snapshot.h", "machine/views.h", "machine/ledger.h"],
    "roms": ["pv/guest"],
    "tests": LAYERS + ["frontends"],
    "bench": LAYERS + ["frontends", "roms"],
}
# Folders in which all state lives in structs. base/ has the process-wide log and its sink.
STATELESS = ["bus", "mmu", "cpu", "bt", "pv", "devices", "machine"]
# Libraries of others, by the first part of the header's name: one file includes each.
THIRD_PARTY = ["Zydis", "Zycore", "capstone", "SDL2", "SDL.h", "zlib.h", "zstd.h", "slirp", "gif_lib.h"]
WARNINGS = ["-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wshadow", "-Wstrict-prototypes",
            "-Wmissing-prototypes", "-Wno-unused-parameter", "-Wno-missing-field-initializers",
            "-Wpointer-arith", "-Wvla", "-Werror"]
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)


class Skip(Exception):
    pass


class Tree:
    """The source files, by path from the root."""

    def __init__(self, source, build):
        self.source, self.build = os.path.abspath(source), os.path.abspath(build)
        self.files = []
        for folder in ARROWS:
            for top, dirs, names in os.walk(os.path.join(self.source, folder)):
                dirs[:] = sorted(d for d in dirs if not d.startswith((".", "__")))
                self.files += [os.path.relpath(os.path.join(top, n), self.source)
                               for n in sorted(names)]
        self.text = {}

    def having(self, *ends):
        return [f for f in self.files if f.endswith(ends)]

    def read(self, f):
        if f not in self.text:
            with open(os.path.join(self.source, f), encoding="utf-8") as h:
                self.text[f] = h.read()
        return self.text[f]

    def includes(self, f):
        """(style, name) for each include; style is '<' or '"'."""
        return INCLUDE.findall(self.read(f))


def top(f):
    return f.split("/")[0]


# ---- the checks: each returns a list of findings --------------------------------------------

def check_layers(t):
    """Includes go along the arrows, from the root, and private headers stay in their folder."""
    bad = []
    for f in t.having(".c", ".h", ".def"):
        for style, name in t.includes(f):
            if style == "<":
                continue
            if not os.path.exists(os.path.join(t.source, name)):
                if os.path.exists(os.path.join(t.build, name)):
                    continue
                bad.append("%s: \"%s\" is not a path from the root" % (f, name))
                continue
            me, it = top(f), top(name)
            if it != me and not any(name == a or name.startswith(a + "/") for a in ARROWS[me]):
                bad.append("%s: %s/ may not include %s" % (f, me, name))
            # the second engine is made of the first one's parts
            if (name.endswith("_priv.h") and it != me and me not in ("tests", "bench") and
                    (me, it) != ("bt", "cpu")):
                bad.append("%s: %s is private to %s/" % (f, name, it))
    return bad


def check_circles(t):
    """No header reaches itself."""
    graph = {f: [n for s, n in t.includes(f) if s == '"'] for f in t.having(".h")}
    bad, done = [], set()

    def visit(f, path):
        if f in path:
            bad.append(" -> ".join(path[path.index(f):] + [f]))
            return
        if f in done or f not in graph:
            return
        for n in graph[f]:
            visit(n, path + [f])
        done.add(f)

    for f in graph:
        visit(f, [])
    return bad


def check_headers(t):
    """Each header compiles alone."""
    bad = []
    with tempfile.TemporaryDirectory() as d:
        for f in t.having(".h"):
            if top(f) == "roms":
                continue  # freestanding guest code, compiled by its own rules
            c = os.path.join(d, "alone.c")
            with open(c, "w") as h:
                h.write('#include "%s"\n#include "%s"\nextern int lint_unit;\n' % (f, f))
            r = subprocess.run(["gcc", "-fsyntax-only", "-I", t.source, "-I", t.build, *WARNINGS, c],
                               capture_output=True, text=True)
            if r.returncode:
                first = next((x for x in r.stderr.splitlines() if "error" in x), r.stderr[:200])
                bad.append("%s does not compile alone: %s" % (f, first))
    return bad


def check_length(t):
    """Files fit in a reader's head."""
    return ["%s has %d lines (limit %d): split it by meaning" % (f, n, MAX_LINES)
            for f in t.having(".c", ".h", ".asm", ".py")
            for n in [t.read(f).count("\n")] if n > MAX_LINES]


def check_heads(t):
    """Each file opens by saying what it is."""
    bad = []
    for f in t.having(".c", ".h", ".def", ".asm", ".inc", ".py"):
        lines = [x for x in t.read(f).splitlines()[:6] if not x.startswith("#!")]
        first = "\n".join(lines).lstrip()
        if f.endswith((".c", ".h", ".def")):
            if not first.startswith("/*"):
                bad.append("%s: no head comment" % f)
            elif os.path.basename(f) not in first:
                bad.append("%s: its head comment does not begin with its name" % f)
        elif f.endswith((".asm", ".inc")) and not first.startswith(";"):
            bad.append("%s: no head comment" % f)
        elif f.endswith(".py") and not first.startswith(('"""', "#")):
            bad.append("%s: no docstring" % f)
    return bad


def check_third_party(t):
    """One file knows each library of others."""
    users = {}
    for f in t.having(".c", ".h"):
        if top(f) in ("tests", "bench", "roms"):
            continue
        for style, name in t.includes(f):
            lib = name.split("/")[0]
            if name.startswith("SDL2/SDL_"):
                continue  # a part of it; SDL.h is all of it
            if style == "<" and lib in THIRD_PARTY:
                users.setdefault(lib, set()).add(f)
    return ["%s is included by %s" % (lib, ", ".join(sorted(fs)))
            for lib, fs in sorted(users.items()) if len(fs) > 1]


def check_statics(t):
    """No mutable static state: several machines live in one process."""
    libs = [os.path.join(t.build, d, "libtrv_%s.a" % d) for d in STATELESS]
    libs = [x for x in libs if os.path.exists(x)]
    if not libs:
        raise Skip("nothing is built in " + t.build)
    with open(os.path.join(t.build, "meson-info", "intro-buildoptions.json")) as h:
        options = {o["name"]: o["value"] for o in json.load(h)}
    if options.get("sanitize") or options.get("b_coverage"):
        raise Skip("this build is instrumented")
    bad = []
    for lib in libs:
        out = subprocess.run(["objdump", "-t", lib], capture_output=True, text=True).stdout
        member = "?"
        for line in out.splitlines():
            m = re.match(r"(\S+):\s+file format", line)
            if m:
                member = m.group(1)
            # address, seven flag characters ("O" is an object), section, size, name
            m = re.match(r"[0-9a-f]{16} (.{7}) (\S+)\t([0-9a-f]{16})\s+(\S+)", line)
            if not m or int(m.group(3), 16) == 0:
                continue
            flags, section, name = m.group(1), m.group(2), m.group(4)
            if "O" not in flags and section != "*COM*":
                continue
            if re.match(r"\.data\.rel\.ro|\.rodata", section):
                continue
            if re.match(r"\.(data|bss|tdata|tbss)|\*COM\*", section):
                bad.append("%s: %s in %s is mutable static state" % (member, name, section))
    return bad


def check_format(t):
    """clang-format agrees with the layout."""
    exe = shutil.which("clang-format")
    if not exe:
        raise Skip("clang-format is not installed")
    version = subprocess.run([exe, "--version"], capture_output=True, text=True).stdout
    if not re.search(r"version 14\.", version):
        raise Skip("layout is checked with clang-format 14, this is: " + version.strip())
    files = t.having(".c", ".h")
    r = subprocess.run([exe, "--dry-run", "-Werror", *files], cwd=t.source,
                       capture_output=True, text=True)
    found = {}
    for line in r.stderr.splitlines():
        m = re.match(r"(\S+?):(\d+):\d+: error", line)
        if m:
            found.setdefault(os.path.relpath(os.path.join(t.source, m.group(1)), t.source),
                             m.group(2))
    # Headers laid out by hand in tables; the list may only shrink.
    with open(os.path.join(t.source, "tests/lint/unformatted")) as h:
        by_hand = set(h.read().split())
    return ["%s:%s: run clang-format -i on it" % x for x in sorted(found.items())
            if x[0] not in by_hand]


def check_scripts(t):
    """Shell and Python files parse."""
    bad = []
    for f in t.having(".py"):
        try:
            compile(t.read(f), f, "exec")
        except SyntaxError as e:
            bad.append("%s:%s: %s" % (f, e.lineno, e.msg))
    for f in ("dev", ".ci/run"):
        r = subprocess.run(["bash", "-n", os.path.join(t.source, f)], capture_output=True, text=True)
        if r.returncode:
            bad.append(r.stderr.strip())
    return bad


def check_words(t):
    """docs/ and the README name only files that exist."""
    bad = []
    docs = [os.path.join("docs", n) for n in sorted(os.listdir(os.path.join(t.source, "docs")))
            if n.endswith(".md")] + ["README.md", "CONTRIBUTING.md"]
    for f in docs:
        if not os.path.exists(os.path.join(t.source, f)):
            continue
        text = t.read(f)
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
            if "://" not in target and not os.path.exists(
                    os.path.join(t.source, os.path.dirname(f), target)):
                bad.append("%s links to %s, which is not there" % (f, target))
        for name in re.findall(r"`([a-z]+/[a-z0-9_./-]+\.(?:c|h|def|py|md|asm))`", text):
            if not os.path.exists(os.path.join(t.source, name)):
                bad.append("%s names %s, which is not there" % (f, name))
    return bad


def check_clang(t):
    """clang has no warnings either."""
    with open(os.path.join(t.build, "compile_commands.json")) as h:
        commands = json.load(h)
    bad = []
    for c in commands:
        if not c["file"].endswith(".c") or "roms" in c["file"]:
            continue
        args = [a for a in shlex.split(c["command"])[1:] if a.startswith(("-I", "-D", "-isystem"))]
        r = subprocess.run(["clang", "-fsyntax-only", *args, *WARNINGS, "-Wno-gnu-case-range",
                            os.path.join(c["directory"], c["file"])],
                           cwd=c["directory"], capture_output=True, text=True)
        bad += [x for x in r.stderr.splitlines() if "error:" in x]
    return bad


CHECKS = [check_layers, check_circles, check_headers, check_length, check_heads,
          check_third_party, check_statics, check_format, check_scripts, check_words]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--source", default=".")
    p.add_argument("--build", default="build")
    p.add_argument("--clang", action="store_true", help="compile everything with clang as well")
    p.add_argument("--only", help="run one check, by name")
    a = p.parse_args()
    tree = Tree(a.source, a.build)
    checks = CHECKS + ([check_clang] if a.clang else [])
    passed = failed = skipped = 0
    for check in checks:
        name = check.__name__[len("check_"):]
        if a.only and a.only != name:
            continue
        try:
            bad = check(tree)
        except Skip as e:
            print("SKIP %s: %s" % (name, e))
            skipped += 1
            continue
        print("%s %s: %s" % ("FAIL" if bad else "ok  ", name, check.__doc__.splitlines()[0]))
        for line in bad:
            print("    " + line)
        failed += bool(bad)
        passed += not bad
    print("%d passed, %d failed, %d skipped" % (passed, failed, skipped))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
