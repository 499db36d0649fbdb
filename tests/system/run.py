#!/usr/bin/env python3
"""run - the system tests: real firmware, kernels and programs on the whole machine.

  run.py --list
  run.py [--emu trivisor|qemu] [--build DIR] [--guests DIR] [-v] CASE...

A case is a function in a cases_*.py file, marked with @case. It passes by returning, fails by
raising vm.Failure, and is skipped by raising guests.Missing or by a line in `pending` (which may
only shrink). Status: 0 passed, 1 failed, 77 all skipped. Last line: N passed, N failed, N skipped.
"""
import argparse
import glob
import importlib
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import guests  # noqa: E402
import vm      # noqa: E402

CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


class Context:
    """What a case gets."""

    def __init__(self, args):
        self.build = os.path.abspath(args.build)
        self.guests = os.path.abspath(args.guests)
        self.work = tempfile.mkdtemp(prefix="trivisor-test-")
        if args.emu == "qemu":
            program = guests.tool("qemu-system-x86_64", "qemu-system-x86")
        else:
            program = os.path.join(self.build, "frontends", "trivisor")
            if not os.path.exists(program):
                raise guests.Missing("this tree does not build frontends/trivisor yet")
        self.emu = vm.Emulator(args.emu, program)

    def path(self, name):
        return os.path.join(self.work, name)

    def write(self, name, data):
        with open(self.path(name), "wb") as f:
            f.write(data)
        return self.path(name)

    def rom(self, name):
        path = os.path.join(self.build, "roms", name)
        if not os.path.exists(path):
            raise guests.Missing("%s is not built" % path)
        return path

    def close(self):
        shutil.rmtree(self.work, ignore_errors=True)


def pending():
    """{case: reason} of cases that wait for a part of the machine."""
    with open(os.path.join(HERE, "pending")) as f:
        lines = [x.strip() for x in f if x.strip() and not x.startswith("#")]
    return {x.split(":", 1)[0].strip(): x.split(":", 1)[1].strip() for x in lines}


def main():
    sys.modules["run"] = sys.modules["__main__"]  # cases do "from run import case"
    for f in sorted(glob.glob(os.path.join(HERE, "cases_*.py"))):
        importlib.import_module(os.path.basename(f)[:-3])
    p = argparse.ArgumentParser()
    p.add_argument("--emu", default="trivisor", choices=("trivisor", "qemu"))
    p.add_argument("--build", default=os.path.join(HERE, "..", "..", "build"))
    p.add_argument("--guests", default=os.environ.get("TRIVISOR_GUESTS"))
    p.add_argument("--list", action="store_true")
    p.add_argument("-v", action="store_true", help="print the guest's console in the end")
    p.add_argument("cases", nargs="*")
    a = p.parse_args()
    if a.list:
        for name, function in CASES.items():
            print("%-24s %s" % (name, function.__doc__.splitlines()[0]))
        return 0
    a.guests = a.guests or os.path.join(a.build, "guests")
    waiting = pending() if a.emu == "trivisor" else {}
    count = {"ok": 0, "FAIL": 0, "SKIP": 0}
    for name in a.cases or CASES:
        started, context, why = time.monotonic(), None, ""
        try:
            if name not in CASES:
                raise vm.Failure("no such case")
            if name in waiting:
                raise guests.Missing(waiting[name])
            context = Context(a)
            CASES[name](context)
            result = "ok"
        except guests.Missing as e:
            result, why = "SKIP", str(e)
        except (vm.Failure, OSError, RuntimeError, subprocess.SubprocessError) as e:
            result, why = "FAIL", str(e)
        finally:
            if context:
                context.close()
        count[result] += 1
        print("%s %s%s" % (result, name, ": " + why if why else
                           " (%.1f s)" % (time.monotonic() - started)), flush=True)
    print("%d passed, %d failed, %d skipped" % (count["ok"], count["FAIL"], count["SKIP"]))
    if count["FAIL"]:
        return 1
    return 0 if count["ok"] else 77


if __name__ == "__main__":
    sys.exit(main())
