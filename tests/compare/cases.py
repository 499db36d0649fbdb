#!/usr/bin/env python3
"""cases - `trivisor compare`: the ways have equal results, exits are counted, output is whole.

  cases.py --program build/frontends/trivisor [--engine SPEC] [NAME...]

--engine: in the translator's place. No times are judged. Last line: N passed, N failed.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml

HOST, USAGE = 4, 2
WORK = ["compute", "syscalls", "faults", "switch", "remap", "fork", "disk-read", "disk-write",
        "disk-pio", "virtio-read", "virtio-write", "virtio-queue", "network", "clock", "kvmclock",
        "console", "timer"]
WAYS = ["emulated", "translated", "paravirt"]


class Failure(Exception):
    pass


def need(ok, what):
    if not ok:
        raise Failure(str(what)[-2000:])


class Bench:
    def __init__(self, program, engine, tmp):
        self.program, self.engine, self.tmp = os.path.abspath(program), engine, tmp

    def compare(self, *args, status=0):
        engine = ["--engine", self.engine] if self.engine and "--engine" not in args else []
        r = subprocess.run([self.program, "compare", *engine, *args], stdin=subprocess.DEVNULL,
                           capture_output=True, text=True, timeout=120)
        if re.search(r"Sanitizer|runtime error:|internal error", r.stderr):
            raise Failure(r.stderr[-2000:])
        need(r.returncode == status, "compare %s: status %d, not %d\n%s%s" % (
            " ".join(args), r.returncode, status, r.stdout, r.stderr))
        return r.stdout if status == 0 else r.stderr

    def json(self, *args):
        """{work: {way: numbers}} and {work: count}"""
        c = json.loads(self.compare("--json", *args))["comparison"]
        return {x["work"]: x["ways"] for x in c}, {x["work"]: x["count"] for x in c}


def case_everything(b):
    """All work, three ways: the same results, and somebody spent time on it."""
    ways, count = b.json("--quick")
    need(list(ways) == WORK, list(ways))
    for work, w in ways.items():
        need(list(w) == WAYS, w)
        need(len({x["checksum"] for x in w.values()}) == 1, w)
        need(len({x["console_bytes"] for x in w.values()}) == 1, w)
        need(all(x["cpu_ns"] > 0 and x["instructions"] > count[work] for x in w.values()), w)
        need(w["emulated"]["pv"] == w["translated"]["pv"] == "none", w)


def case_same_code(b):
    """Without a way of its own the guest runs the same instructions whatever the engine."""
    ways, _ = b.json("--quick", "compute", "syscalls", "faults", "switch")
    for w in ways.values():
        need(len({x["instructions"] for x in w.values()}) == 1, w)
        need(not any(x["own_way"] for x in w.values()), w)
        need(len({json.dumps({k: v["n"] for k, v in x["exits"].items()})
                  for x in w.values()}) == 1, w)


def case_exits(b):
    """Exits by cause are what the work must take."""
    ways, _ = b.json("compute:10", "faults:600", "disk-read:10", "disk-pio:4", "clock:100",
                     "kvmclock:100", "console:20", "timer:5", "remap:7", "fork:3",
                     "virtio-read:10", "virtio-queue:64", "network:64")

    def n(work, way, cause):
        return ways[work][way]["exits"][cause]["n"]

    for way in WAYS:
        need(sum(n("compute", way, c) for c in ("mmio", "page_fault", "hypercall")) == 0, ways)
        need(n("faults", way, "page_fault") == 600, ways["faults"])
        need(n("timer", way, "interrupt") == 5, ways["timer"])
    for way in WAYS[:2]:
        need(n("disk-read", way, "interrupt") == 10, ways["disk-read"])
        need(n("disk-pio", way, "port") >= 4 * 8 * 256, ways["disk-pio"])
        need(n("console", way, "port") >= 20 * 64 * 2, ways["console"])
        need(n("clock", way, "port") >= 100, ways["clock"])
        need(sum(n(w, way, "hypercall") for w in ways) == 0, ways)
    need(n("disk-read", "paravirt", "hypercall") == 10, ways["disk-read"])
    need(n("disk-pio", "paravirt", "hypercall") == 4, ways["disk-pio"])
    need(n("console", "paravirt", "hypercall") == 20, ways["console"])
    need(n("clock", "paravirt", "hypercall") == 100, ways["clock"])
    need(n("remap", "paravirt", "hypercall") == 7, ways["remap"])
    need(n("fork", "paravirt", "hypercall") == 6, ways["fork"])
    need(all(n("fork", way, "page_fault") == 3 * 32 for way in WAYS), ways["fork"])
    need(n("virtio-read", "paravirt", "mmio") == 10, ways["virtio-read"])
    need(n("virtio-read", "translated", "port") >= 180, ways["virtio-read"])
    need(n("virtio-queue", "paravirt", "mmio") == 4, ways["virtio-queue"])
    need(n("network", "paravirt", "port") <= 1, ways["network"])
    need(n("network", "translated", "port") >= 4 * 2, ways["network"])
    need(n("kvmclock", "paravirt", "hypercall") == 0, ways["kvmclock"])
    need(n("timer", "paravirt", "hypercall") >= 10, ways["timer"])
    for work in ("disk-read", "disk-pio", "console", "kvmclock"):
        need(n(work, "paravirt", "port") <= 1, ways[work])  # the mark that ends the run
    need(ways["console"]["emulated"]["console_bytes"] == 20 * 64, ways["console"])


def case_table(b):
    """Heads, a line a way, and a verdict."""
    out = b.compare("compute:5", "console:20")
    for head in ("work", "ms", "gain", "instrs", "device accesses", "faults", "interrupts",
                 "hypercalls"):
        need(head in out, out)
    for way in WAYS:
        need(len(re.findall(r"(?m)^\S* +%s +\d+\.\d\d " % way, out)) +
             len(re.findall(r"(?m)^\S+ +%s +\d+\.\d\d " % way, out)) >= 2, out)
    need("PV has no way of its own, gains nothing: no exits" in out, out)
    need(re.search(r"PV (gains|loses).*12\d\.\d device accesses became 1\.0 hypercalls", out), out)


def case_personalities(b):
    """--pv: which ways there are."""
    ways, _ = b.json("--pv", "none", "compute:5")
    need(list(ways["compute"]) == WAYS[:2], ways)
    ways, _ = b.json("--pv", "kvm", "console:5", "kvmclock:50")
    need(ways["console"]["paravirt"]["pv"] == "kvm", ways)
    need(not ways["console"]["paravirt"]["own_way"], ways)
    need(ways["kvmclock"]["paravirt"]["own_way"], ways)
    ways, _ = b.json("--pv", "virtio", "disk-read:5", "virtio-read:5")
    need(not ways["disk-read"]["paravirt"]["own_way"], ways)
    need(ways["virtio-read"]["paravirt"]["own_way"], ways)
    ways, _ = b.json("--pv", "trv", "console:5", "kvmclock:50", "virtio-read:5", "network:5")
    need(not ways["network"]["paravirt"]["own_way"], ways)
    need(ways["console"]["paravirt"]["own_way"], ways)
    need(not ways["kvmclock"]["paravirt"]["own_way"], ways)


def case_engines(b):
    """--base and --engine choose both engines."""
    ways, _ = b.json("--base", "generic", "--engine", "interp", "clock:50")
    need([w["engine"] for w in ways["clock"].values()] == ["generic", "interp", "interp"], ways)


def case_plot(b):
    """--plot writes a picture with a bar and its number for each way."""
    path = os.path.join(b.tmp, "plot.svg")
    b.compare("--quick", "compute", "clock", "--plot", path)
    texts = [t.text for t in xml.parse(path).getroot().iter("{http://www.w3.org/2000/svg}text")]
    need("compute" in texts and "clock" in texts, texts)
    need(sum(1 for t in texts if re.match(r"\d+\.\d\d ms", t)) == 6, texts)


def case_mistakes(b):
    """One line each."""
    for args, status, says in [
            (("comput",), USAGE, "did you mean 'compute'"),
            (("zzz",), USAGE, "help compare"),
            (("compute:0",), USAGE, "count"),
            (("compute:x",), USAGE, "count"),
            (("--engine",), USAGE, "wants an argument"),
            (("--engine", "zzz"), USAGE, "zzz"),
            (("--pv", "xen"), USAGE, "xen"),
            (("--wat",), USAGE, "--wat"),
            (("compute:1", "--plot", os.path.join(b.tmp, "no", "where.svg")), HOST, "where.svg")]:
        e = b.compare(*args, status=status)
        need(says in e and e.count("\n") == 1, e)


def case_help(b):
    """All work is in the help, and both ways to it give the same."""
    texts = [subprocess.run([b.program, *a], capture_output=True, text=True, timeout=20).stdout
             for a in (["help", "compare"], ["compare", "--help"])]
    need(texts[0] == texts[1] and all("\n  " + w in texts[0] for w in WORK), texts)


CASES = {k[5:]: v for k, v in globals().items() if k.startswith("case_")}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--program", required=True)
    p.add_argument("--engine")
    p.add_argument("names", nargs="*")
    a = p.parse_args()
    failed = 0
    names = a.names or list(CASES)
    with tempfile.TemporaryDirectory() as tmp:
        for name in names:
            try:
                CASES[name](Bench(a.program, a.engine, tmp))
                print("ok   ", name)
            except (Failure, subprocess.TimeoutExpired) as e:
                failed += 1
                print("FAIL ", name, "-", e)
    print("%d passed, %d failed" % (len(names) - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
