#!/usr/bin/env python3
"""trace - instruction traces of a Linux boot: Trivisor's binary and text beside QEMU's text.

  bench/trace.py [--build DIR] [--guests DIR] [--seconds S] [--insns MILLIONS] [--rounds N]

The same kernel, initramfs and command line on both. QEMU (-singlestep -d exec,nochain) writes a
line for each instruction and is stopped after --seconds; Trivisor's text and binary traces are
stopped by their count of instructions, the text one at what QEMU reached. One after the other in
turns, best of --rounds; prints a Markdown table. All traces go to files in --work.
"""
import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../tests/system"))
import guests     # noqa: E402
import initramfs  # noqa: E402

APPEND = "console=ttyS0 nokaslr"


def lines_of(path, begin):
    """How many lines begin so."""
    n, left = 0, b"\n"
    with open(path, "rb") as f:
        while True:
            data = f.read(1 << 24)
            if not data:
                return n
            n += (left + data).count(b"\n" + begin)
            left = (left + data)[-len(begin):]


def qemu(program, options, out, seconds):
    """(instructions, bytes, seconds)"""
    started = time.monotonic()
    p = subprocess.Popen([program, "-accel", "tcg", "-net", "none", "-display", "none", "-serial",
                          "null", "-monitor", "none", "-singlestep", "-d", "exec,nochain", "-D", out]
                         + options, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        p.wait(seconds)
        raise SystemExit("QEMU ended at once: %s" % p.stderr.read().decode())
    except subprocess.TimeoutExpired:
        t = time.monotonic() - started
        p.send_signal(signal.SIGTERM)  # in order, so that what it has buffered is in the file
        p.wait(30)
    finally:
        if p.poll() is None:
            p.kill()
            p.wait()
    return lines_of(out, b"Trace "), os.path.getsize(out), t


def trivisor(program, options, out, insns, text):
    started = time.monotonic()
    r = subprocess.run([program, "trace", "-icount", "2", "--stop", "count:%d" % insns, "-o", out,
                        "--format", "text" if text else "bin"] + options,
                       stdin=subprocess.DEVNULL, capture_output=True, text=True)
    t = time.monotonic() - started
    if text:
        with open(out, "rb") as f:
            n = sum(1 for line in f if re.match(rb" *\d+ [0-9a-f]{4}:", line))
    else:
        m = re.search(r": (\d+) instructions", r.stderr + r.stdout)
        n = int(m[1]) if m else 0
    if not n:
        raise SystemExit("trivisor: status %d: %s" % (r.returncode, r.stderr))
    return n, os.path.getsize(out), t


def row(name, result):
    n, size, t = result
    return "| %s | %.1f M | %.1f s | %.2f | %s | %.3g |" % (
        name, n / 1e6, t, n / t / 1e6, "{:,}".format(size), size / n)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--build", default=os.path.join(HERE, "..", "build"))
    p.add_argument("--guests", default=os.environ.get("TRIVISOR_GUESTS"))
    p.add_argument("--seconds", type=float, default=10, help="how long QEMU traces")
    p.add_argument("--insns", type=int, default=2000, help="length of the binary trace, millions")
    p.add_argument("--rounds", type=int, default=2)
    p.add_argument("--work", help="folder for the traces, some GB (default: a temporary one)")
    a = p.parse_args()
    program = os.environ.get("TRIVISOR", os.path.join(a.build, "frontends/trivisor"))
    folder = a.guests or os.path.join(a.build, "guests")
    work = tempfile.mkdtemp(prefix="trivisor-bench-", dir=a.work)
    best = {}
    try:
        emulator = guests.tool("qemu-system-x86_64", "qemu-system-x86")
        initrd = os.path.join(work, "initrd")
        with open(initrd, "wb") as f:
            f.write(initramfs.make(folder, "amd64"))
        options = ["-m", "256", "-kernel", guests.kernel(folder), "-initrd", initrd,
                   "-append", APPEND]
        out = os.path.join(work, "trace")

        def note(name, result):
            os.unlink(out)
            print(row(name, result), file=sys.stderr)
            if name not in best or result[0] / result[2] > best[name][0] / best[name][2]:
                best[name] = result
            return result[0]

        for _ in range(a.rounds):
            same = note("qemu, text", qemu(emulator, options, out, a.seconds))
            note("trivisor, text", trivisor(program, options, out, same, True))
            note("trivisor, binary, as many", trivisor(program, options, out, same, False))
            note("trivisor, binary", trivisor(program, options, out, a.insns * 1000000, False))
    except guests.Missing as e:
        sys.exit(str(e))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print("| trace | instructions | time | MIPS | bytes | bytes an instruction |")
    print("|---" * 6 + "|")
    for name, result in best.items():
        print(row(name, result))


if __name__ == "__main__":
    main()
