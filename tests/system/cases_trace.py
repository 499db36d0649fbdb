"""cases_trace - traces of a stock Linux kernel's start."""
import filecmp
import json
import os
import re
import subprocess
import xml.etree.ElementTree as xml

from run import case
from cases_linux import APPEND
import guests
import initramfs
import vm

INSNS = 100 * 1000 * 1000


def tool(c, *args, status=0, seconds=300):
    """Runs a subcommand of trivisor; its output."""
    if c.emu.name != "trivisor":
        raise guests.Missing("only Trivisor traces")
    r = subprocess.run([c.emu.program, *args], capture_output=True, text=True, timeout=seconds,
                       stdin=subprocess.DEVNULL)
    if r.returncode != status:
        raise vm.Failure("%s: status %d:\n%s%s" % (args, r.returncode, r.stdout[-2000:], r.stderr))
    return r.stdout


def linux(c, append):
    if not os.path.exists(c.path("initrd")):
        c.write("initrd", initramfs.make(c.guests, "amd64"))
    return ["-icount", "2", "-m", "256", "-kernel", guests.kernel(c.guests), "-initrd",
            c.path("initrd"), "-append", append]


@case
def linux_trace(c):
    """two traces of a kernel's start are one; another argument shows where it is read"""
    plain, other = APPEND + " quiet nokaslr", APPEND + " quiet nokaslX"
    for name, append in (("a", plain), ("b", plain), ("other", other)):
        tool(c, "trace", *linux(c, append), "--stop", "count:%d" % INSNS, "-o", c.path(name + ".trvt"))
    if not filecmp.cmp(c.path("a.trvt"), c.path("b.trvt"), shallow=False):
        raise vm.Failure("two runs, two traces")
    size = os.path.getsize(c.path("a.trvt"))
    if size > INSNS // 10:
        raise vm.Failure("%d bytes" % size)
    stat = tool(c, "trace", "stat", c.path("a.trvt"))
    n = re.search(r"^instructions +(\d+) ", stat, re.M)
    if not n or int(n[1]) != INSNS or not re.search(r"^  cr +\d+$", stat, re.M):
        raise vm.Failure("stat:\n" + stat)
    same = tool(c, "trace", "diff", c.path("a.trvt"), c.path("b.trvt"))
    if "the same: %d instructions" % INSNS not in same:
        raise vm.Failure("diff of the same: " + same)

    # Both run alike until the byte that differs has been looked at: it is read right before. (The
    # kernel's search for an option remembers what it compared, and branches one byte later.)
    out = tool(c, "trace", "diff", c.path("a.trvt"), c.path("other.trvt"), status=1)
    m = re.search(r"part after (\d+) instructions: different addresses", out)
    if not m:
        raise vm.Failure("diff:\n" + out)
    at = int(m[1])
    lines = tool(c, "trace", *linux(c, plain), "--format", "jsonl", "--stop",
                 "count:%d" % at, "--filter", "addr:0x100000-0x10000000").splitlines()
    read = []  # (count, address, byte) of the bytes read alone
    for line in lines:
        if '"read"' in line:
            d = json.loads(line)
            read += [(d["count"], int(x["addr"], 16), int(x["bytes"], 16)) for x in d["read"]
                     if len(x["bytes"]) == 2]
    if not read:
        raise vm.Failure("no bytes are read before instruction %d" % at)
    memory = {address: byte for _, address, byte in read}
    first = last = read[-1][1]
    while first - 1 in memory:
        first -= 1
    text = "".join(chr(memory[x]) for x in range(first, last + 1))
    if plain not in text:
        raise vm.Failure("read before: %r" % text[-80:])
    differs = first + text.rindex(plain) + plain.index("nokaslr") + len("nokasl")
    times = [n for n, address, _ in read if address == differs]
    if at - times[-1] > 32:
        raise vm.Failure("what differs is read at %r, they part at %d" % (times, at))


def symbols(c, append):
    """The guest's own list of its functions, written to a file."""
    with c.emu.start(*linux(c, append)) as v:
        v.expect("trivisor# ", 300, never="Kernel panic")
        _, text = v.command_output("grep -i ' t ' /proc/kallsyms | cut -c 1-80")
    found = re.findall(r"^([0-9a-f]{16} [tT] \S+)\s*$", text, re.M)
    if len(found) < 20000 or not any(x.endswith(" start_kernel") for x in found):
        raise vm.Failure("%d symbols" % len(found))
    return c.write("kallsyms", ("\n".join(found) + "\n").encode())


@case
def linux_profile(c):
    """a profile of a kernel's start: the flame graph's frames are the kernel's own functions"""
    append = APPEND + " quiet nokaslr"
    names = symbols(c, append)
    with open(names) as f:
        known = {line.split()[2] for line in f}
    out = tool(c, "profile", *linux(c, append), "--start", "sym:start_kernel", "--stop",
               "count:5000000000", "--syms", names, "-o", c.path("boot.svg"))
    boxes = {}
    for g in xml.parse(c.path("boot.svg")).getroot().iter("{http://www.w3.org/2000/svg}g"):
        m = re.match(r"(\S+) [\d.]+% \((\d+)\)$", g.find("{http://www.w3.org/2000/svg}title").text)
        boxes[m[1]] = boxes.get(m[1], 0) + int(m[2])
    frames = {x for x in boxes if x[0] != "[" and x != "system"}
    if len(frames) < 100 or len(frames & known) < 0.95 * len(frames):
        raise vm.Failure("%d frames, unknown: %r" % (len(frames), sorted(frames - known)[:10]))
    top = re.findall(r"^  (\w+) +[\d.]+ %$", out.split("top blocks")[0], re.M)
    if len(set(top) & known) < 8:
        raise vm.Failure("top functions:\n" + out)
