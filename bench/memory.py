#!/usr/bin/env python3
"""memory - what a running guest costs the host besides its own RAM.

  bench/memory.py --kernel BZIMAGE --initrd FILE [--until TEXT] [--mem MIB] [--engines bt,interp]

Boots the kernel on each engine, waits until the guest has said TEXT on its serial port, and adds up
the proportional set size (PSS) of everything but guest RAM, from /proc/PID/smaps: translated code,
which is mapped twice, counts once. The difference between the engines is the translator's.
"""
import argparse
import os
import re
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def parts(pid):
    """PSS in KiB by kind of mapping."""
    sums, kind = {}, None
    with open("/proc/%d/smaps" % pid) as f:
        for line in f:
            m = re.match(r"[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \S+\s*(.*)", line)
            if m:
                name = m.group(1)
                kind = ("guest RAM" if "trivisor-ram" in name else
                        "translated code" if "trivisor-bt" in name else
                        "heap and tables" if not name or name.startswith("[") else
                        "program and libraries")
            elif line.startswith("Pss:"):
                sums[kind] = sums.get(kind, 0) + int(line.split()[1])
    return sums


def measure(a, engine):
    p = subprocess.Popen([a.trivisor, "run", "-engine", engine, "-m", str(a.mem), "-nographic",
                          "-kernel", a.kernel, "-initrd", a.initrd, "-append", a.append],
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL)
    try:
        text, end = b"", time.monotonic() + a.timeout
        os.set_blocking(p.stdout.fileno(), False)
        while a.until.encode() not in text:
            if time.monotonic() > end or p.poll() is not None:
                sys.exit("memory: %s: the guest did not say %r; it ended with %r"
                         % (engine, a.until, text[-200:]))
            time.sleep(0.1)
            text += p.stdout.read() or b""
        return parts(p.pid)
    finally:
        p.send_signal(signal.SIGKILL)
        p.wait()


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--trivisor", default=os.environ.get(
        "TRIVISOR", os.path.join(HERE, "..", "build", "frontends", "trivisor")))
    p.add_argument("--kernel", required=True)
    p.add_argument("--initrd", required=True)
    p.add_argument("--append", default="console=ttyS0 quiet")
    p.add_argument("--until", default="trivisor#", help="what the guest says when it is up")
    p.add_argument("--mem", type=int, default=512, help="MiB of guest RAM")
    p.add_argument("--engines", default="bt,interp")
    p.add_argument("--timeout", type=float, default=180)
    a = p.parse_args()
    engines = a.engines.split(",")
    found = {e: measure(a, e) for e in engines}
    kinds = sorted({k for f in found.values() for k in f})
    print("| MiB, besides %d MiB of guest RAM | %s |" % (a.mem, " | ".join(engines)))
    print("|---" * (1 + len(engines)) + "|")
    for k in [k for k in kinds if k != "guest RAM"]:
        print("| %s | %s |" % (k, " | ".join("%.1f" % (found[e].get(k, 0) / 1024)
                                             for e in engines)))
    print("| all | %s |" % " | ".join(
        "%.1f" % (sum(v for k, v in found[e].items() if k != "guest RAM") / 1024)
        for e in engines))


if __name__ == "__main__":
    main()
