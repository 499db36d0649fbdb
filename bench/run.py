#!/usr/bin/env python3
"""run - micro-benchmarks: the same loops on trivisor, QEMU TCG, Bochs and, where they can, the host.

  ./dev bench                                    all that is installed
  bench/run.py [--build DIR] [--emu NAME,...] [--only LOOP,...] [--seconds S] [--json FILE]

Each emulator runs the benchmark ROM (roms/bench) and is told over its serial port which loop to run
and how often; the two markers that the guest prints are stamped with the host's clock as they
arrive. Counts are raised until a run lasts --seconds, so each emulator works for about as long.
The emulators take turns loop by loop, so that a busy host slows all of them alike.
"""
import argparse
import json
import math
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tty

HERE = os.path.dirname(os.path.abspath(__file__))

BOCHSRC = """megs: 32
cpu: model=corei7_haswell_4770, count=1, ips=100000000, reset_on_triple_fault=0
clock: sync=none, time0=utc
romimage: file=%(rom)s
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
display_library: term
sound: driver=dummy
speaker: enabled=0
boot: disk
com1: enabled=1, mode=term, dev=%(tty)s
log: %(work)s/bochs.log
panic: action=fatal
error: action=report
info: action=report
debug: action=ignore
"""


class Broken(Exception):
    pass


class Guest:
    """One emulator running the ROM. `console` is the file its serial port is read and typed at."""

    def __init__(self, name, command, console, slave, env=None, own_tty=None):
        self.name, self.console, self.text = name, console, b""
        self.process = subprocess.Popen(command, stdin=own_tty or slave, stdout=own_tty or slave,
                                        stderr=subprocess.DEVNULL, env=env, start_new_session=True)
        self.expect(b"READY", 60)

    def expect(self, marker, timeout):
        """Waits for marker; returns the host's time at which it had arrived."""
        limit = time.monotonic() + timeout
        while True:
            if marker in self.text:
                self.text = self.text.split(marker, 1)[1]
                return time.monotonic()
            left = limit - time.monotonic()
            if left <= 0 or self.process.poll() is not None:
                raise Broken("%s: no %r; it said %r" % (self.name, marker, self.text[-200:]))
            if select.select([self.console], [], [], min(left, 1))[0]:
                try:
                    self.text += os.read(self.console, 4096)
                except OSError:
                    raise Broken("%s ended" % self.name)

    def type(self, line):
        # Character by character: a 16450 without FIFO holds one.
        for c in line.encode() + b"\n":
            os.write(self.console, bytes([c]))
            time.sleep(0.005)

    def run(self, loop, count, timeout=120):
        self.type("%s %d" % (loop, count))
        start = self.expect(b"@B", timeout)
        end = self.expect(b"@E", timeout)
        self.expect(b"READY", timeout)
        return end - start

    def pause(self, on):
        try:
            os.killpg(self.process.pid, signal.SIGSTOP if on else signal.SIGCONT)
        except ProcessLookupError:
            pass

    def close(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Native:
    name = "native"

    def __init__(self, program):
        self.program = program

    def run(self, loop, count, timeout=120):
        r = subprocess.run([self.program, loop, str(count)], capture_output=True, text=True)
        if r.returncode:
            raise Broken("not on the host")
        return float(r.stdout)

    def pause(self, on):
        pass

    def close(self):
        pass


def terminal():
    master, slave = pty.openpty()
    tty.setraw(slave)
    return master, slave


def start(name, build, work):
    """The emulator `name`, or Broken with the reason."""
    rom = os.path.join(build, "roms/bench/bench.bin")
    if not os.path.exists(rom):
        raise Broken("%s is not built" % rom)
    if name == "native":
        return Native(os.path.join(build, "roms/bench/bench-native"))
    master, slave = terminal()
    if name == "trivisor":
        program = os.environ.get("TRIVISOR", os.path.join(build, "frontends/trivisor"))
        if not os.path.exists(program):
            raise Broken("%s is not built" % program)
        return Guest(name, [program, "run", "-rom", rom, "-m", "32", "-nographic"], master, slave)
    if name == "qemu":
        program = shutil.which("qemu-system-x86_64")
        if not program:
            raise Broken("package qemu-system-x86 is not installed")
        return Guest(name, [program, "-accel", "tcg", "-cpu", "max", "-m", "32", "-bios", rom,
                            "-display", "none", "-serial", "stdio", "-monitor", "none", "-net", "none",
                            "-device", "isa-debug-exit,iobase=0x501,iosize=2"], master, slave)
    if name == "bochs":
        program = os.environ.get("BOCHS", shutil.which("bochs") or "")
        if not program:
            raise Broken("package bochs is not installed")
        rc, go = os.path.join(work, "bochsrc"), os.path.join(work, "go")
        with open(rc, "w") as f:
            f.write(BOCHSRC % {"rom": rom, "tty": os.ttyname(slave), "work": work})
        with open(go, "w") as f:
            f.write("c\n")  # Debian builds Bochs with its debugger, which waits to be told
        _, own = pty.openpty()
        return Guest(name, [program, "-q", "-f", rc, "-rc", go], master, slave,
                     env=dict(os.environ, TERM="xterm", LINES="40", COLUMNS="100"), own_tty=own)
    raise Broken("no such emulator")


def measure(guest, loop, seconds):
    """Seconds an iteration, the best of two runs of at least `seconds`, markers taken out."""
    marker = min(guest.run("nop", 1) for _ in range(3)) if guest.name != "native" else 0
    count, t = 256, 0
    while True:
        t = guest.run(loop, count) - marker
        if t >= seconds / 4 or count > 1 << 40:
            break
        count = int(count * min(64, max(2, seconds / 4 / max(t, 1e-4) * 1.2)))
    count = max(1, int(count * seconds / max(t, 1e-9)))
    return min(guest.run(loop, count) - marker for _ in range(2)) / count


def loops(build):
    """The table of the ROM, read from its sources' two lists."""
    found = []
    for f in ("loops.h", "main.c"):
        with open(os.path.join(HERE, "../roms/bench", f)) as h:
            found += [(n, int(i), w) for n, i, w in
                      re.findall(r'^\s+X\((\w+), (\d+), "([^"]*)"\)', h.read(), re.M)]
    return [x for x in found if x[0] != "nop"]


def geomean(values):
    return math.exp(sum(map(math.log, values)) / len(values)) if values else float("nan")


def cell(insns, t):
    """MIPS (where the loop's instructions are counted) and nanoseconds an iteration."""
    return ("%.4g MIPS, " % (insns / t / 1e6) if insns else "") + "%.4g ns" % (t * 1e9)


def table(results, emus, rows):
    """Markdown: guest MIPS and the time of an iteration, then ratios (above 1: trivisor is faster)."""
    out = ["| loop | " + " | ".join(emus) + " | " +
           " | ".join("trivisor / " + e for e in emus if e != "trivisor") + " |",
           "|---" * (1 + 2 * len(emus) - ("trivisor" in emus)) + "|"]
    ratios = {e: [] for e in emus}
    for name, insns, what in rows:
        per = results.get(name, {})
        cells = []
        for e in emus:
            t = per.get(e)
            cells.append("-" if t is None else cell(insns, t))
        for e in emus:
            if e == "trivisor":
                continue
            a, b = per.get("trivisor"), per.get(e)
            if a and b:
                ratios[e].append(b / a)
                cells.append("%.2f" % (b / a))
            else:
                cells.append("-")
        out.append("| %s | " % name + " | ".join(cells) + " |")
    means = ["%.2f" % geomean(ratios[e]) if ratios[e] else "-" for e in emus if e != "trivisor"]
    out.append("| geomean of ratios | " + " | ".join([""] * len(emus)) + " | " +
               " | ".join(means) + " |")
    return "\n".join(out)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--build", default=os.path.join(HERE, "..", "build"))
    p.add_argument("--emu", default="native,trivisor,qemu,bochs")
    p.add_argument("--only", default="")
    p.add_argument("--seconds", type=float, default=1.0, help="length of one timed run")
    p.add_argument("--json", help="write seconds an iteration there as well")
    a = p.parse_args()
    rows = [r for r in loops(a.build) if not a.only or r[0] in a.only.split(",")]
    work = tempfile.mkdtemp(prefix="trivisor-bench-")
    guests, results, emus = [], {}, []
    try:
        for name in a.emu.split(","):
            try:
                guests.append(start(name, os.path.abspath(a.build), work))
                guests[-1].pause(True)
                emus.append(name)
            except Broken as e:
                print("without %s: %s" % (name, e), file=sys.stderr)
        for name, insns, what in rows:
            for g in list(guests):
                g.pause(False)
                try:
                    t = measure(g, name, a.seconds)
                    results.setdefault(name, {})[g.name] = t
                    print("%-10s %-9s %s" % (name, g.name, cell(insns, t)), file=sys.stderr)
                except Broken as e:
                    if g.name != "native":
                        print("%s: %s; leaving it out from here" % (name, e), file=sys.stderr)
                        guests.remove(g)
                        g.close()
                        continue
                g.pause(True)
    finally:
        for g in guests:
            g.pause(False)
            g.close()
        shutil.rmtree(work, ignore_errors=True)
    print(table(results, emus, rows))
    if a.json:
        with open(a.json, "w") as f:
            json.dump(results, f, indent=1)


if __name__ == "__main__":
    main()
