#!/usr/bin/env python3
"""mutate - do recorded vectors notice mistakes? Plants ten, one at a time, each of one line.

Copies the sources, builds them, records vectors of the rows below from this host's processor and
checks that they pass. Then, for each mistake: changes one line of cpu/, builds, runs `trivisor
check` over the vectors of the rows that have to do with it, and expects failures. Nothing of the
source tree is changed. It takes some minutes: `./dev mutate`.

  mutate.py [--source ROOT] [--work DIR] [--only NAME] [--jobs N]

The last line is "N caught, N missed"; the status is 0 if all were caught, 2 if something could not
be built or recorded.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile

# name, file, line, what it becomes, rows whose vectors must notice
MUTATIONS = [
    ("wrong AF", "cpu/exec/bcd.c",
     "cpu->fl = (u16)((fl & ~(AF_CF | AF_AF)) | carries);",
     "cpu->fl = (u16)((fl & ~(AF_CF | AF_AF)) | (carries & ~AF_AF));", "DA[AS]"),
    ("missing fault", "cpu/exec/misc.c",
     "if (index < low || index > high)",
     "if (index < low)", "BOUND"),
    ("wrong segment default", "cpu/access.c",
     "return s == SEG_FLAT && i && (i->base == RSP || i->base == RBP);",
     "return s == SEG_FLAT && i && i->base == RSP;", "ADD"),
    ("off-by-one limit", "cpu/exec_priv.h",
     "if (likely((write ? sg->wok : sg->rok) && off + (u64)size - 1 <= sg->limit))",
     "if (likely((write ? sg->wok : sg->rok) && off + (u64)size - 2 <= sg->limit))", "ADD"),
    ("sticky MXCSR bits", "cpu/exec/simd.c",
     "    mxcsr_set(v);",
     "    mxcsr_set(v | (mxcsr_get() & 0x3f));", "LDMXCSR"),
    ("operands of CMPS swapped", "cpu/exec/string.c",
     "compare(cpu, size, a, b);",
     "compare(cpu, size, b, a);", "CMPS[BWDQ]"),
    ("upper half not cut off", "cpu/exec/bits.c",
     "u128 p = i->size[0] == 4 ? (u128)((u32)cpu->gpr[RDX] * b) : (u128)cpu->gpr[RDX] * b;",
     "u128 p = (u128)cpu->gpr[RDX] * b;", "MULX"),
    ("alignment of 80-bit reals", "cpu/access.c",
     "return size == 10 ? 8 :",
     "return size == 10 ? 4 :", "F[LS]*"),
    ("fault address", "cpu/interp.c",
     "cpu->cr2 = addr;",
     "cpu->cr2 = addr & PAGE_MASK;", "OR"),
    ("nesting level of ENTER", "cpu/exec/stack.c",
     "level = i->imm2 & 31;",
     "level = i->imm2 & 15;", "ENTER"),
    ("masked-out elements are stored", "cpu/exec/simd.c",
     "#define ON(k) (mask[(k) + es - 1] & 0x80)",
     "#define ON(k) (mask[(k) + es - 1] & 0xc0)", "VPMASKMOV*"),
]


def say(text):
    print(text, flush=True)


def run(args, **more):
    return subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)


def must(args):
    r = run(args)
    if r.returncode:
        say("%s:\n%s" % (" ".join(args), r.stdout[-3000:]))
        sys.exit(2)
    return r.stdout


def copy_sources(source, to):
    skip = shutil.ignore_patterns(".git", "build*", "__pycache__")
    shutil.copytree(source, to, ignore=skip)


def mutate(path, old, new):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    if text.count(old) != 1:
        return None
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace(old, new))
    return text


def check(exe, folder):
    """Failures over the vectors of a folder, with both engines."""
    failed = 0
    for engine in ("interp", "generic"):
        r = run([exe, "check", "--quiet", "--cpu", "host", "--engine", engine, "--show", "1", folder],
                timeout=600)
        if r.returncode not in (0, 1):
            failed += 1
        else:
            failed += r.returncode
    return failed


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--source", default=os.path.join(os.path.dirname(__file__), "..", ".."))
    p.add_argument("--work")
    p.add_argument("--only")
    p.add_argument("--jobs", default=str(os.cpu_count() or 1))
    a = p.parse_args()
    work = a.work or tempfile.mkdtemp(prefix="mutate-")
    src, build = os.path.join(work, "src"), os.path.join(work, "build")
    exe = os.path.join(build, "frontends", "trivisor")
    ninja = ["ninja", "-C", build, "-j", a.jobs, "frontends/trivisor"]
    todo = [m for m in MUTATIONS if not a.only or a.only in m[0]]
    missed = []
    try:
        copy_sources(os.path.abspath(a.source), src)
        must(["meson", "setup", build, src, "-Dtests=false"])
        must(ninja)
        for rows in sorted({m[4] for m in todo}):
            out = os.path.join(work, "vectors", "".join(c for c in rows if c.isalnum()))
            os.makedirs(out, exist_ok=True)
            must([exe, "record", "--rows", rows, "--per-form", "12", "--out", out])
            if check(exe, out):
                say("%s: the vectors fail without a mistake" % rows)
                return 2
        for name, path, old, new, rows in todo:
            path = os.path.join(src, path)
            text = mutate(path, old, new)
            if text is None:
                say("stale   %s: its line is not in the source any more" % name)
                missed.append(name)
                continue
            must(ninja)
            out = os.path.join(work, "vectors", "".join(c for c in rows if c.isalnum()))
            caught = check(exe, out) > 0
            say("%s  %s" % ("caught" if caught else "MISSED", name))
            if not caught:
                missed.append(name)
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
    finally:
        if not a.work:
            shutil.rmtree(work, ignore_errors=True)
    say("%d caught, %d missed" % (len(todo) - len(missed), len(missed)))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
