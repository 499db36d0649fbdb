#!/usr/bin/env python3
"""run - trivisor lockstep as its users see it: engines agree, and a planted difference is found.

  run.py --trivisor EXE --rom DEMO --programs DIR [--more N]
"""
import argparse
import glob
import os
import re
import stat
import subprocess
import sys
import tempfile

failed = 0


def check(name, ok, text=""):
    global failed
    print("%s %s" % ("ok  " if ok else "FAIL", name))
    if not ok:
        failed += 1
        print(text)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--trivisor", required=True)
    p.add_argument("--rom", required=True)
    p.add_argument("--programs", required=True)
    p.add_argument("--engines", default="interp,generic")
    p.add_argument("--more", type=int, default=3000, help="random programs for each mode")
    a = p.parse_args()

    def run(*args):
        r = subprocess.run([a.trivisor, "lockstep", *args], capture_output=True, text=True,
                           timeout=200, stdin=subprocess.DEVNULL)
        return r.returncode, r.stdout + r.stderr

    # random programs, for each width of code
    for mode in "16", "32", "64":
        rc, out = run("--random", "--engines", a.engines, "--mode", mode, "--programs", str(a.more))
        check("random %s: %s" % (mode, a.engines), rc == 0 and "are equal over" in out, out)
    # programs that once differed
    stored = sorted(glob.glob(os.path.join(a.programs, "*.prog")))
    check("there are stored programs", stored)
    rc, out = run("--random", "--engines", a.engines, *stored)
    check("stored programs", rc == 0, out)

    # whole machines
    rc, out = run("--engines", a.engines, "-rom", a.rom)
    check("demo: %s" % a.engines, rc == 0 and "are equal over" in out, out)
    rc, out = run("--engines", "interp", "--until", "Done", "-rom", a.rom)
    check("demo: until a word", rc == 0, out)
    rc, out = run("--engines", "interp", "--until", "no such word", "-rom", a.rom)
    check("demo: a word that is never said", rc == 4, out)

    # a planted difference, in a register and in memory, is found where it was planted
    rc, out = run("--engines", a.engines, "-plant", "rcx,4500000", "-slice", "300000", "-rom", a.rom)
    check("a register that flips", rc == 1 and "equal after 4500000" in out and
          re.search(r"^  rcx ", out, re.M), out)
    rc, out = run("--engines", a.engines, "-plant", "mem=0x300123,1234567", "-rom", a.rom)
    check("a byte that flips", rc == 1 and "equal after 1234567" in out and
          "0000300120" in out, out)

    # another build on the other side: the same one; one that lies; one that is none; one that dies
    rc, out = run("--other", a.trivisor, "-rom", a.rom)
    check("another build", rc == 0, out)
    with tempfile.TemporaryDirectory() as d:
        def script(name, text):
            path = os.path.join(d, name)
            with open(path, "w") as f:
                f.write("#!/bin/sh\n" + text)
            os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
            return path
        # its second side is run with a difference planted in it
        other = script("mutated", 'shift 4; exec "%s" lockstep --serve interp rbx,3500000 "$@"\n'
                       % a.trivisor)
        rc, out = run("--other", other, "-rom", a.rom)
        check("a build that is different", rc == 1 and "are different after" in out, out)
        # programs that are no side, ending before or after they are asked: one answer each time
        for name, text, why in (
                ("none", "exit 0\n", "knows no lockstep"),
                ("late", "head -c 24 > /dev/null; exit 0\n", "knows no lockstep"),
                ("short", "echo hi\n", "knows no lockstep"),
                ("noise", "echo hello hello hello\n", "answers something else"),
                ("noise-late", "head -c 24 > /dev/null; echo hello hello hello\n",
                 "answers something else")):
            rc, out = run("--other", script(name, text), "-rom", a.rom)
            check("another build that is none: %s" % name,
                  rc == 4 and why in out and out.count("\n") == 1, "%d: %s" % (rc, out))
        gone = [run("--other", os.path.join(d, "no-such-program"), "-rom", a.rom)
                for _ in range(20)]  # ends at once
        check("another build that is not there",
              all(rc == 4 and "cannot be run" in out and out.count("\n") == 1
                  for rc, out in gone), str(gone))

    # the command line
    for args in (["--engines", "nope", "-rom", a.rom], ["--random", "--mode", "8"], [],
                 ["--random", "--engines", "interp,nope"], ["--random", "no-such-file.prog"],
                 ["-rom", "no-such-file"]):
        rc, out = run(*args)
        check("refused: %s" % " ".join(args), rc in (2, 4) and out.count("\n") == 1, out)

    # against silicon, where the recorder's runner can work
    rc, out = run("--random", "--against", "host", "--engines", "interp", "--programs", "300")
    if rc == 4:
        print("skip against the host: " + out.strip())
    else:
        check("against the host", rc == 0, out)
    print("%s" % ("FAILED" if failed else "all is well"))
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
