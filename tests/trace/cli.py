#!/usr/bin/env python3
"""cli - `trivisor trace` and `trivisor profile` on programs of a few instructions whose every line
and count can be told beforehand.

  cli.py --program trivisor --demo ROM [CASE...]
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml

# mov ecx, 3; push rcx; pop rax; add eax, ecx; mov [rip + 0xff1], eax; out 0x80, al; hlt
SMALL = bytes.fromhex("b903000000 51 58 01c8 8905f10f0000 e680 f4")
# the same up to the fifth, then mov al, 2; nop; hlt
OTHER = bytes.fromhex("b903000000 51 58 01c8 8905f10f0000 b002 90 f4")


def at(calls, places):
    """Pieces of code at their places, with the targets of calls filled in."""
    image = bytearray(b"\xcc" * (max(places) + len(places[max(places)]) // 2))
    for where, code in places.items():
        image[where:where + len(code) // 2] = bytes.fromhex(code)
    for where, to in calls.items():
        image[where + 1:where + 5] = (to - where - 5).to_bytes(4, "little", signed=True)
    return bytes(image)


# outer: mov ecx, 1000; 1: call mid; dec ecx; jnz 1b; hlt
# mid: push rcx; mov ecx, 50; call leaf; pop rcx; ret      leaf: dec ecx; jnz leaf; ret
CALLS = at({0x05: 0x20, 0x26: 0x40},
           {0x00: "b9e8030000e800000000ffc975f7f4", 0x20: "51b932000000e80000000059c3",
            0x40: "ffc975fcc3"})
NAMES = b"0000000000001000 T outer\n0000000000001020 T mid\n0000000000001040 t leaf<int>\n"


class Wrong(Exception):
    pass


def need(ok, what):
    if not ok:
        raise Wrong(what)


class Run:
    def __init__(self, program, demo, work):
        self.program, self.demo, self.work = program, demo, work

    def file(self, name, data=None):
        path = os.path.join(self.work, name)
        if data is not None:
            with open(path, "wb") as f:
                f.write(data)
        return path

    def read(self, name):
        with open(self.file(name)) as f:
            return f.read()

    def __call__(self, *args, status=0):
        r = subprocess.run([self.program, *args], capture_output=True, text=True, timeout=120,
                           stdin=subprocess.DEVNULL, cwd=self.work)
        need(r.returncode == status, "%s: status %d: %s%s" % (args, r.returncode, r.stdout, r.stderr))
        return r.stdout

    def small(self, *options):
        return self("trace", "--flat", self.file("small", SMALL), "--regs", "rsp=0x8000", *options)

    def binary(self, name, image):
        self("trace", "--flat", self.file(name, image), "--regs", "rsp=0x8000", "-o", name + ".trvt")
        return name + ".trvt"


CASES = []


def case(f):
    CASES.append(f)
    return f


def squeezed(text):
    return [" ".join(line.split()) for line in text.splitlines()]


@case
def text(r):
    want = """\
0 0020:0000000000001000 b903000000 mov ecx, 3 ; rcx=3
1 0020:0000000000001005 51 push rcx ; rsp=7ff8 w[7ff8]=0x3
2 0020:0000000000001006 58 pop rax ; rax=3 rsp=8000 r[7ff8]=0x3
3 0020:0000000000001007 01c8 add eax, ecx ; rax=6 fl=6
4 0020:0000000000001009 8905f10f0000 mov dword ptr [rip + 0xff1], eax ; w[2000]=0x6
5 0020:000000000000100f e680 out 0x80, al
# out port 0x80 size 1 = 0x6
6 0020:0000000000001011 f4 hlt""".splitlines()
    need(squeezed(r.small()) == want, "lines")
    need(squeezed(r.small("--format", "text", "-o", "small.txt")) == [] and
         squeezed(r.read("small.txt")) == want, "in a file")
    need("movl %eax, 0xff1(%rip)" in " ".join(squeezed(r.small("--att"))), "AT&T")
    named = squeezed(r("trace", "--flat", r.file("calls", CALLS), "--regs", "rsp=0x8000", "--syms",
                       r.file("names", NAMES), "--stop", "count:6"))
    need([x for x in named if x.endswith(":")] == ["outer:", "mid:", "leaf<int>:"], "names")
    need(len([x for x in named if ":00" in x]) == 6, "six instructions")


@case
def vectors(r):
    """--vectors: XMM and YMM registers that changed, highest byte first; not without it"""
    # mov eax, 3f800000h; movd xmm1, eax; vinsertf128 ymm2, ymm1, xmm1, 1; movd xmm1, eax; hlt
    code = bytes.fromhex("b80000803f 660f6ec8 c4e37518d101 660f6ec8 f4")
    low = "3f800000".rjust(32, "0")
    plain = squeezed(r("trace", "--flat", r.file("vec", code)))
    need(not [x for x in plain if "mm1=" in x], "asked for nothing")
    out = squeezed(r("trace", "--flat", r.file("vec", code), "--vectors"))
    need(out[1].endswith("movd xmm1, eax ; xmm1=" + low), "xmm1")
    need(out[2].endswith("ymm2=" + low + low), "ymm2")
    need(out[3].endswith("movd xmm1, eax"), "the same value again")
    lines = [json.loads(x) for x in r("trace", "--flat", r.file("vec", code), "--vectors",
                                      "--format", "jsonl").splitlines()]
    need(lines[1]["regs"] == {"xmm1": "0x" + low}, "json")
    need(lines[2]["regs"] == {"ymm2": "0x" + low + low}, "json, both halves")
    r("trace", "--vectors=1", "--flat", r.file("vec", code), status=2)


@case
def registers(r):
    """--regs, each way to name one, in each mode"""
    for mode, names in ((16, "ax=1,ECX=2,rbx=0x3"), (32, "eax=1,cx=2,ebx=3"), (64, "rax=1,r15=9")):
        out = r("trace", "--flat", r.file("halt", b"\x90\xf4"), "--mode", str(mode), "--org", "0x800",
                "--regs", names, "--format", "jsonl")
        first = json.loads(out.splitlines()[0])
        need(first["bits"] == mode and first["rip"] == "0x800", "mode, place")
        need(first["regs"]["rax"] == "0x1", "rax")
        need(first["regs"]["r15"] == "0x9" if mode == 64 else first["regs"]["rbx"] == "0x3", "other")
    out = r("trace", "--flat", r.file("halt", b"\x0f\x0b\xf4"), "--regs", "rip=0x1002")
    need(squeezed(out) == ["0 0020:0000000000001002 f4 hlt"], "rip")
    for bad in ("rax", "xyz=1", "rax=q"):
        r("trace", "--flat", r.file("halt", b"\xf4"), "--regs", bad, status=2)
    r("trace", "--regs", "rax=1", status=2)


@case
def jsonl(r):
    lines = [json.loads(x) for x in r.small("--format", "jsonl").splitlines()]
    insns = [x for x in lines if "insn" in x]
    need([x["count"] for x in insns] == list(range(7)), "counts")
    need(len(insns[0]["regs"]) == 16 + 6 + 1 and insns[0]["regs"]["rcx"] == "0x3", "all at first")
    need(insns[1]["write"] == [{"addr": "0x7ff8", "bytes": "0300000000000000"}], "write")
    need(insns[2]["read"] == insns[1]["write"] and "write" not in insns[2], "read")
    need(insns[3]["regs"] == {"rax": "0x6", "rflags": "0x6"}, "changes only")
    need(insns[4]["write"] == [{"addr": "0x2000", "bytes": "06000000"}], "operand")
    need(lines[6]["event"] == "out" and lines[6]["count"] == 5 and lines[6]["b"] == "0x6", "event")


@case
def tenet(r):
    """each line is a state: the registers that changed, where it goes on, memory touched on the way"""
    lines = r.small("--format", "tenet").splitlines()
    need(len(lines[0].split(",")) == 17 and ",rsp=0x8000," in lines[0] and
         lines[0].endswith(",rip=0x1000"), "the first has all")
    need(lines[1:] == ["rcx=0x3,rip=0x1005", "rsp=0x7ff8,rip=0x1006,mw=0x7ff8:0300000000000000",
                       "rax=0x3,rsp=0x8000,rip=0x1007,mr=0x7ff8:0300000000000000",
                       "rax=0x6,rip=0x1009", "rip=0x100f,mw=0x2000:06000000", "rip=0x1011",
                       "rip=0x1012"], "lines")
    # applied one by one they give the state in the end
    state = {}
    form = re.compile(r"((r\w+|e\w\w)=0x[0-9a-f]+,)*[re]ip=0x[0-9a-f]+"
                      r"(,m[rw]=0x[0-9a-f]+:([0-9a-f]{2})+)*$")
    out = r("trace", "--flat", r.file("calls", CALLS), "--regs", "rsp=0x8000", "--format", "tenet")
    for line in out.splitlines():
        need(form.match(line), line)
        state.update(x.split("=") for x in line.split(",") if x[0] != "m")
    need(state["rip"] == "0x100f" and state["rcx"] == "0x0" and state["rsp"] == "0x8000", "the end")


@case
def shown(r):
    """the binary trace read back says what the text trace said"""
    file = r.binary("small", SMALL)
    want = [x.split(" ;")[0] for x in squeezed(r.small())]
    need(squeezed(r("trace", "show", file)) == want, "all")
    need(squeezed(r("trace", "show", file, "--from", "2", "--count", "2")) == want[2:4], "a part")
    stat = r("trace", "stat", file)
    need(re.search(r"^instructions +7 ", stat, re.M) and re.search(r"^  out +1$", stat, re.M) and
         re.search(r"^  mov +2 ", stat, re.M) and re.search(r"^64-bit code +7 100", stat, re.M), stat)
    calls = r.binary("calls", CALLS)
    stat = r("trace", "stat", calls, "--syms", r.file("names", NAMES))
    need(re.search(r"^instructions +109002 ", stat, re.M) and "leaf<int>" in stat and
         re.search(r"^  dec +51000 ", stat, re.M), stat)


@case
def differences(r):
    a, b = r.binary("a", SMALL), r.binary("b", OTHER)
    out = r("trace", "diff", a, b, "--context", "2", status=1)
    need("part after 5 instructions: different code at the same address" in out, out)
    need(out.count("at 000000000000100f") == 2, "where")
    lines = squeezed(out)
    k = lines.index("the last 2 instructions of both")
    need(lines[k + 1].startswith("3 ") and lines[k + 2].startswith("4 ") and not lines[k + 3], "both")
    need("- 5 0020:000000000000100f e680 out 0x80, al" in lines, "minus")
    need("+ 5 0020:000000000000100f b002 mov al, 2" in lines, "plus")
    need("the same: 7 instructions" in r("trace", "diff", a, a), "same")
    # an immediate in the middle of a block
    loops = [r.binary("loop%d" % n, b"\xb8" + (5).to_bytes(4, "little") + b"\x83\xf9" + bytes([n]) +
                      b"\x74\x02\x90\x90\xf4") for n in (0, 1)]
    out = r("trace", "diff", *loops, status=1)
    need("part after 1 instructions" in out, out)
    # the same code with other values in an event: mov al, [0x2000]; out 0x80, al
    evs = []
    for v in (1, 2):
        code = bytes.fromhex("8a042500200000 e680 90 f4")
        image = code.ljust(0x1000, b"\0") + bytes([v])
        evs.append(r.binary("ev%d" % v, image))
    out = r("trace", "diff", *evs, status=1)
    need("part after 1 instructions: different events" in out, out)
    # one ends
    short = r("trace", "--flat", r.file("calls", CALLS), "--regs", "rsp=0x8000", "--stop", "count:50",
              "-o", "short.trvt")
    need(short == "", "quiet")
    long = r.binary("calls", CALLS)
    out = r("trace", "diff", "short.trvt", long, status=1)
    need("part after 50 instructions" in out and "short.trvt: ends" in out, out)
    r("trace", "diff", a, status=2)


def folded(r, *options):
    r("profile", "--flat", r.file("calls", CALLS), "--regs", "rsp=0x8000", "--syms",
      r.file("names", NAMES), "-o", "out.folded", *options)
    return {k: int(v) for k, v in (x.rsplit(" ", 1) for x in r.read("out.folded").splitlines())}


@case
def stacks(r):
    """exact stacks have the very counts; sampled ones come near, also of what is seldom"""
    exact = {"system;outer": 3002, "system;mid": 5000, "system;mid;leaf<int>": 101000}
    need(folded(r, "--exact") == exact, "exact")
    once = folded(r, "--every", "100")
    need(once == folded(r, "--every", "100"), "again the same")
    need(set(once) == set(exact), "each is seen: %r" % once)
    for k in exact:
        need(abs(once[k] - exact[k]) < 0.25 * exact[k], "%s: %d" % (k, once[k]))
    need(abs(sum(once.values()) - 109002) < 200, "sum")
    r("profile", "--flat", r.file("calls", CALLS), status=2)


@case
def picture(r):
    out = r("profile", "--flat", r.file("calls", CALLS), "--regs", "rsp=0x8000", "--syms",
            r.file("names", NAMES), "--exact", "-o", "out.svg")
    need(re.search(r"^ +leaf<int> +92\.7 %$", out, re.M), out)
    need(re.search(r"^  dec +51000 ", out, re.M), out)
    ns = "{http://www.w3.org/2000/svg}"
    boxes = {}
    for g in xml.parse(r.file("out.svg")).getroot().iter(ns + "g"):
        rect = g.find(ns + "rect")
        boxes[g.find(ns + "title").text] = [float(rect.get(k)) for k in ("x", "y", "width")]
    need(set(boxes) == {"leaf<int> 92.66% (101000)", "mid 97.25% (106000)", "outer 2.75% (3002)",
                        "system 100.00% (109002)"}, boxes)
    leaf, mid = boxes["leaf<int> 92.66% (101000)"], boxes["mid 97.25% (106000)"]
    base, outer = boxes["system 100.00% (109002)"], boxes["outer 2.75% (3002)"]
    need(leaf[1] < mid[1] < base[1] and outer[1] == mid[1], "callers below")
    need(mid[0] <= leaf[0] and leaf[0] + leaf[2] <= mid[0] + mid[2] + 0.2, "inside its caller")
    need(abs(leaf[2] / base[2] - 101000 / 109002) < 0.001, "width")


@case
def a_whole_rom(r):
    """the demo ROM: interrupts, faults, three modes; the forms agree on how many ran"""
    def go(*options):
        p = subprocess.run([r.program, *options, "-rom", r.demo, "-m", "64", "-icount", "2"],
                           capture_output=True, text=True, timeout=200, cwd=r.work,
                           stdin=subprocess.DEVNULL)
        need(p.returncode in (0, 1) and "runtime error" not in p.stderr and
             "Sanitizer" not in p.stderr, p.stderr)
        return p.stdout
    go("trace", "-o", "demo.trvt", "--stop", "count:100000")
    n = int(re.search(r"^instructions +(\d+)", r("trace", "stat", "demo.trvt"), re.M)[1])
    need(n == 100000, "count %d" % n)
    shown_lines = r("trace", "show", "demo.trvt").splitlines()
    for style in ("text", "jsonl", "tenet"):
        out = go("trace", "--format", style, "--stop", "count:20000").splitlines()
        need(len(out) > 19000, "%s: %d lines" % (style, len(out)))
        if style == "jsonl":
            for line in out:
                json.loads(line)
    need(len(shown_lines) >= n - 100, "%d lines shown" % len(shown_lines))
    go("profile", "-o", "demo.svg")
    xml.parse(r.file("demo.svg"))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--program", required=True)
    p.add_argument("--demo", required=True)
    p.add_argument("cases", nargs="*")
    a = p.parse_args()
    failed = 0
    for f in CASES:
        if a.cases and f.__name__ not in a.cases:
            continue
        with tempfile.TemporaryDirectory(prefix="trivisor-test-") as work:
            try:
                f(Run(os.path.abspath(a.program), os.path.abspath(a.demo), work))
                print("ok", f.__name__)
            except (Wrong, OSError, ValueError, KeyError, IndexError, xml.ParseError) as e:
                failed += 1
                print("FAIL %s: %s: %s" % (f.__name__, type(e).__name__, e))
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
