#!/usr/bin/env python3
"""protocol - the gdb server packet by packet, on guests of a few bytes; hostile clients too.

  protocol.py --program build/frontends/trivisor [--seconds N] [NAME...]

Last line: N passed, N failed, N skipped.
"""
import argparse
import os
import random
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from rsp import TIMEOUT, Client, Failure, Machine, check, equal, escape, frame  # noqa: E402


def out(port, value):
    return b"\xba" + port.to_bytes(2, "little") + b"\xb0" + bytes([value]) + b"\xee"


EXIT = out(0x501, 2) + b"\xfa\xf4\xeb\xfd"  # ends the run with status 5
# CX = 5; loop: inc byte [1234h]; dec cx; jnz loop; say x; end.
COUNT = b"\xb9\x05\x00\xfe\x06\x34\x12\x49\x75\xf9" + out(0xe9, ord("x")) + EXIT
LOOP, DEC, JNZ = 0xffff0003, 0xffff0007, 0xffff0008  # the reset vector's far jump leads to F000:
LOW = 0xf0000 - 0xffff0000                           # 0, base F0000h
# Runs until [2000h] is not zero.
SPIN = b"\x80\x3e\x00\x20\x00\x74\xf9" + EXIT
# Waits for an interrupt that never comes.
HALT = b"\xfa\xf4\xeb\xfd"

TESTS = []


def test(f):
    TESTS.append(f)
    return f


@test
def handshake(run):
    with run(COUNT) as m:
        c = m.connect()
        features = c.ask("qSupported:multiprocess+;swbreak+;hwbreak+;xmlRegisters=i386")
        for f in ("PacketSize=4000", "qXfer:features:read+", "QStartNoAckMode+", "swbreak+",
                  "hwbreak+"):
            check(f in features.split(";"), "no", f, "in", features)
        c.no_acks()
        for ask, want in (("?", "T05thread:01;"), ("qC", "QC1"), ("qfThreadInfo", "m1"),
                          ("qsThreadInfo", "l"), ("qAttached", "1"), ("T1", "OK"), ("T2", "E22"),
                          ("Hg0", "OK"), ("Hc-1", "OK"), ("Hg7", "E22"),
                          ("vCont?", "vCont;c;C;s;S;t"), ("vMustReplyEmpty", ""), ("!", ""),
                          ("qThreadExtraInfo,1", b"CPU 0 [running]".hex()), ("", "")):
            equal(c.ask(ask), want, ask)
    with run(COUNT) as m:
        c = m.connect()
        check("swbreak" not in c.ask("qSupported"), "swbreak was not asked for")


@test
def descriptions(run):
    both = ["org.gnu.gdb.i386.core", "org.trivisor.system"]
    sse = both[:1] + ["org.gnu.gdb.i386.sse"]
    for cpu, option, arch, features, pc, last in (
            ("x86-64", "", "i386:x86-64", sse + ["org.gnu.gdb.i386.segments"] + both[1:], "rip",
             "efer"),
            ("x86-64-v3", "", "i386:x86-64",
             sse + ["org.gnu.gdb.i386.avx", "org.gnu.gdb.i386.segments"] + both[1:], "rip", "efer"),
            ("x86-64", ",arch=i386", "i386", sse + both[1:], "eip", "cr4"),
            ("486", "", "i386", both, "eip", "cr4"), ("486", ",arch=i8086", "i8086", both, "eip",
                                                     "cr4")):
        with run(COUNT, "-cpu", cpu, gdb=option) as m:
            c = m.connect()
            regs = c.description()
            equal(c.arch, arch, cpu)
            equal(c.features, features, cpu)
            equal(len(c.ask("g")), 2 * sum(size for _, size in regs), "g")
            check(pc in dict(regs), cpu, "has no", pc)
            equal(regs[-1][0], last, "last register")
            equal(c.read(pc), 0xfff0, pc)
            equal(c.read("cs_base"), 0xffff0000, "cs_base")


@test
def registers(run):
    with run(COUNT, "-cpu", "x86-64-v3") as m:
        c = m.connect()
        c.no_acks()
        regs = c.description()
        before = c.ask("g")
        equal(c.ask("G" + before), "OK", "G")
        equal(c.ask("g"), before, "g after G")
        fixed = ("k_gs_base", "gdt_base", "idt_base", "cr0", "cr4", "efer", "eflags", "mxcsr",
                 "ftag", "cr8", "cr3", "fctrl")
        for name, size in regs:
            if name in fixed:
                continue
            value = random.Random(name).getrandbits(8 * size)
            if name in ("cs", "ss", "ds", "es", "fs", "gs", "fstat", "fiseg", "foseg", "fctrl"):
                value &= 0xffff
            if name == "fop":
                value &= 0x7ff
            equal(c.write(name, value), "OK", name)
            equal(c.read(name), value, name)
        equal(c.write("eflags", 0x8d7), "OK", "eflags")
        equal(c.read("eflags"), 0x8d7, "eflags")
        equal(c.write("ftag", 0xfffc), "OK", "ftag")
        check(c.read("ftag") & 3 != 3 and c.read("ftag") >> 2 == 0x3fff, "ftag %x" % c.read("ftag"))
        equal(c.ask("P%x=00" % len(regs)), "E22", "P beyond")
        equal(c.ask("P0=00"), "E22", "P too short")
        equal(c.ask("p%x" % len(regs)), "E22", "p beyond")
        equal(c.ask("pffffffffffffffff"), "E22", "p far beyond")
        equal(c.ask("G00"), "E22", "G too short")


@test
def breakpoints(run):
    with run(COUNT) as m:
        c = m.connect()
        c.ask("qSupported:swbreak+;hwbreak+")
        c.no_acks()
        c.description()
        for kind, at in (("0", LOOP), ("1", DEC), ("0", JNZ)):
            low = at + LOW
            equal(c.ask("Z%s,%x,1" % (kind, low)), "OK", "Z")
        seen = []
        for _ in range(15):
            equal(c.ask("vCont;c:1;s:2" if len(seen) % 2 else "c"), "T05thread:01;", "stop")
            seen.append((c.read("rip"), c.read("rcx")))
        want = [(r, n - (r == 8)) for n in (5, 4, 3, 2, 1) for r in (3, 7, 8)]
        equal(seen, want, "stops")
        for kind, at in (("0", LOOP), ("1", DEC), ("0", JNZ), ("0", JNZ)):
            equal(c.ask("z%s,%x,1" % (kind, at + LOW)), "OK", "z")
        equal(c.ask("c"), "W05", "the end")
        m.wait(5)
        check("x" in m.text().replace("target", "").split(m.socket)[-1], "x was not printed")


@test
def reset_vector(run):
    with run(COUNT) as m:
        c = m.connect()
        c.description()
        equal(c.ask("Z1,fffffff0,1"), "OK", "Z1")
        equal(c.ask("s"), "T05thread:01;", "step over it")
        equal((c.read("rip"), c.read("cs_base")), (0, 0xf0000), "behind the jump")
        equal(c.monitor("reset")[1], "OK", "reset")
        equal(c.read("rip"), 0xfff0, "after a reset")
        equal(c.ask("c"), "T05thread:01;", "met")
        equal((c.read("rip"), c.read("cs_base")), (0xfff0, 0xffff0000), "at the reset vector")


@test
def same_address_as_pc_says_what_it_was(run):
    # jmp 0:0600h, where a NOP and HLT are put by the debugger
    with run(b"\xea\x00\x06\x00\x00") as m:
        c = m.connect()
        c.ask("qSupported:swbreak+;hwbreak+")
        c.description()
        equal(c.ask("M600,4:9090ebfe"), "OK", "M")
        equal(c.ask("Z0,600,1"), "OK", "Z0")
        equal(c.ask("Z1,601,1"), "OK", "Z1")
        equal(c.ask("c"), "T05thread:01;swbreak:;", "software")
        equal(c.ask("c"), "T05thread:01;hwbreak:;", "hardware")


@test
def stepping(run):
    with run(COUNT) as m:
        c = m.connect()
        c.no_acks()
        c.description()
        for want in (0, 3, 7, 8, 3):
            equal(c.ask("vCont;s:1;c"), "T05thread:01;", "s")
            equal(c.read("rip"), want, "rip")
        equal(c.ask("sa"), "T05thread:01;", "s from elsewhere")
        equal(c.read("rip"), 0xd, "rip")


@test
def watchpoints(run):
    for kind, word in ((2, "watch"), (3, "rwatch"), (4, "awatch")):
        with run(COUNT) as m:
            c = m.connect()
            c.no_acks()
            c.description()
            equal(c.ask("Z%d,1230,8" % kind), "OK", "Z")
            for n in range(5):
                equal(c.ask("c"), "T05thread:01;%s:1234;" % word, "stop")
                equal(c.read("rip"), 7, "rip")
                equal(c.ask("m1234,1"), "%02x" % (n + 1), "value")
            equal(c.ask("z%d,1230,8" % kind), "OK", "z")
            equal(c.ask("c"), "W05", "end")


@test
def interrupt(run):
    for code in (SPIN, HALT):
        with run(code) as m:
            c = m.connect()
            c.no_acks()
            c.description()
            for _ in range(5):
                c.raw(frame(b"c"))
                time.sleep(0.02)
                c.raw(b"\x03")
                equal(c.reply(), b"T02thread:01;", "interrupt")
            c.raw(frame(b"c") + b"\x03")
            equal(c.reply(), b"T02thread:01;", "interrupt in the same breath")
            # a question to a running machine is answered, and it runs on
            c.raw(frame(b"c"))
            time.sleep(0.02)
            equal(c.ask("qC"), "QC1", "qC while running")
            c.raw(b"\x03")
            equal(c.reply(), b"T02thread:01;", "interrupt")
            if code == HALT:
                def halted():
                    """Also where nobody has let it run so far."""
                    if c.ask("qThreadExtraInfo,1") == b"CPU 0 [halted]".hex():
                        return True
                    c.raw(frame(b"c"))
                    time.sleep(0.05)
                    c.raw(b"\x03")
                    equal(c.reply(), b"T02thread:01;", "interrupt")
                    return False
                m.until(halted, "halt")
                c.raw(frame(b"s"))  # sleeps; nothing wakes it
                time.sleep(0.05)
                c.raw(b"\x03")
                equal(c.reply(), b"T02thread:01;", "interrupt of a step")
                continue
            equal(c.ask("M2000,1:01"), "OK", "M")
            equal(c.ask("c"), "W05", "end")
            m.wait(5)


@test
def memory(run):
    with run(COUNT) as m:
        c = m.connect()
        c.no_acks()
        data = bytes(range(256)) * 8
        equal(c.ask(b"X3000,%x:" % len(data) + escape(data)), "OK", "X")
        equal(c.ask(b"X3000,0:"), "OK", "X of nothing")
        equal(bytes.fromhex(c.ask("m3000,800")), data, "m")
        equal(c.ask("mfffffff0,100"), "ea000000f0" + "f4" * 11, "m up to the end")
        equal(c.ask("m10000000000,1"), "E14", "m beyond")
        equal(c.ask("mffffffffffffffff,ffffffffffffffff"), "E14", "m of everything")
        equal(len(c.ask("m0,ffffffff")), 16384, "m of more than fits")
        equal(c.ask("Mfffffff0,1:00"), "E14", "M to ROM")
        for bad in ("m", "m,", "m1", "m1,", "mg,1", "m1,1x", "m11111111111111111,1", "M0,1:", "M0,1:0",
                    "M0,2:00", "M0,ffffffffffffffff:00", "X0,5:abc", "X0,ffffffffffffffff:a", "X"):
            check(c.ask(bad).startswith("E"), bad, "was taken")


@test
def physical(run):
    with run(COUNT) as m:
        c = m.connect()
        c.no_acks()
        c.description()
        equal(c.ask("qqemu.PhyMemMode"), "0", "mode")
        equal(c.ask("Qqemu.PhyMemMode:1"), "OK", "set")
        equal(c.ask("qqemu.PhyMemMode"), "1", "mode")
        equal(c.ask("Qqemu.PhyMemMode:2"), "E22", "set 2")
        equal(c.ask("mf0003,4"), COUNT[3:7].hex(), "m")
        equal(c.ask("m10000000000,1"), "ff", "m where nothing is")
        equal(c.ask("Z0,f0007,1"), "OK", "Z0")
        equal(c.ask("Z2,1234,1"), "E22", "watches are linear")
        equal(c.monitor("physical off"), ("memory addresses are linear\n", "OK"), "monitor")
        equal(c.ask("c"), "T05thread:01;", "stop")
        equal(c.read("rip"), 7, "rip")
        equal(c.ask("z0,f0007,1"), "OK", "z0")
        equal(c.ask("c"), "W05", "end")


@test
def monitor(run):
    with run(COUNT) as m:
        c = m.connect()
        check("info registers" in c.monitor("help")[0], "help")
        check("RIP=000000000000fff0" in c.monitor("info registers")[0], "info")
        check("fee00" in c.monitor("msr 1b")[0], c.monitor("msr 1b"))
        check("no such register" in c.monitor("msr ffffffff")[0], "msr")
        equal(c.monitor("translate 12345")[0], "12345 -> 12345\n", "translate")
        check("not mapped" in c.monitor("translate ffff888000000000")[0], "translate")
        check("no such command" in c.monitor("frobnicate")[0], "junk")
        check("no command" in c.monitor("x" * 300)[0], "long junk")
        equal(c.ask("qRcmd,zz"), "E22", "no hex")
        equal(c.ask("qRcmd,0"), "E22", "half a byte")
        c.monitor("quit")
        m.wait(0)


@test
def detach_and_come_again(run):
    with run(SPIN) as m:
        c = m.connect()
        c.description()
        c.ask("Z0,f0000,1")
        equal(c.ask("c"), "T05thread:01;", "c")
        equal(c.read("rip"), 0, "at the loop")  # the next client may come before it moves again
        equal(c.ask("D"), "OK", "D")
        c.close()
        for _ in range(3):
            c = m.connect()  # finds it running, and stops it
            c.description()
            equal(c.ask("?"), "T05thread:01;", "?")
            rip = c.read("rip")
            check(rip in (0, 5), "rip %x" % rip)
            equal(c.ask("Z0,f0000,1"), "OK", "Z0")
            c.close()  # no good-bye: breakpoints go, the machine runs
        c = m.connect()
        equal(c.ask("M2000,1:01"), "OK", "M")
        equal(c.ask("D;1"), "OK", "D")
        m.wait(5)


@test
def two_at_a_time(run):
    with run(SPIN) as m:
        a = m.connect()
        equal(a.ask("qC"), "QC1", "first")
        b = m.connect()
        b.raw(frame(b"qC"))
        equal(a.ask("qC"), "QC1", "first again")
        a.close()
        equal(b.reply(), b"QC1", "the second waited")


@test
def kill(run):
    for ask in ("k", "vKill;1"):
        with run(SPIN) as m:
            c = m.connect()
            c.raw(frame(ask.encode()))
            m.wait(0)


@test
def without_a_client(run):
    with run(COUNT, hold=False) as m:
        m.wait(5)


@test
def signals_end_it_while_it_stands(run):
    for connect in (False, True):
        with run(COUNT) as m:
            if connect:
                c = m.connect()  # kept: a client that goes lets the machine run
                equal(c.ask("qC"), "QC1", "qC")
            else:
                m.listens()
            m.process.terminate()
            m.wait(10)


@test
def tcp(run):
    with run(COUNT, "-gdb", "tcp::0") as m:
        port = int(m.until(lambda: re.search(r"remote 127.0.0.1:(\d+)\n", m.text()), "port")[1])
        c = Client(("127.0.0.1", port))
        equal(c.ask("?"), "T05thread:01;", "?")
        equal(c.ask("c"), "W05", "end")


@test
def bad_packets(run):
    with run(SPIN) as m:
        c = m.connect()
        c.raw(b"$qC#00")
        equal(c.byte(), b"-", "bad checksum")
        c.raw(b"$qC#zz")
        equal(c.byte(), b"-", "no checksum")
        c.raw(b"z")
        c.raw(b"junk between packets}}##\x04\x80")
        equal(c.ask("qC"), "QC1", "after junk")
        c.raw(b"$qfThre")
        equal(c.ask("qC"), "QC1", "after half a packet")
        c.raw(frame(b"A" * 20000))
        equal(c.byte() if not c.data.startswith(b"$") else b"", b"-", "too long")
        c.raw(b"-")
        equal(c.reply(), b"QC1", "again, please")
        equal(c.ask("Z0,100,1" + "A" * 16000), "E22", "long and wrong")
        for n in range(256):
            equal(c.ask("Z0,%x,1" % (0x500 + n)), "OK", "Z0 number %d" % n)
        equal(c.ask("Z0,700,1"), "E28", "one too many")
        for bad in ("Z0", "Z0,", "Z0,1", "Z2,0,0", "Z2,0,9", "Z3,0,ffffffffffffffff", "z2,0,9",
                    "vCont", "vCont;", "vCont;x", "vCont;C", "vCont;c:zz", "H", "Hgzz", "T",
                    "qThreadExtraInfo,", "qThreadExtraInfo,0", "qXfer:features:read:other.xml:0,1",
                    "qXfer:features:read:target.xml:", "qXfer:features:read:target.xml:0,1x",
                    "P", "P0", "P=", "p", "Gzz", "C", "S"):
            check(c.ask(bad).startswith("E"), bad, "was taken")
        equal(c.ask("Z9,0,1"), "", "a type that is not there")
        equal(c.ask("qXfer:features:read:target.xml:ffffffffffffffff,ffffffffffffffff"), "l", "qXfer")


SEEDS = [b"qSupported:swbreak+", b"?", b"g", b"m0,40", b"M600,2:9090", b"X600,2:ab", b"p10",
         b"P0=0102030405060708", b"Z0,7c00,1", b"Z2,1234,4", b"z0,7c00,1", b"vCont;s:1", b"s", b"c",
         b"vCont;c", b"H g0", b"T1", b"qRcmd,68656c70", b"qXfer:features:read:target.xml:0,fff",
         b"qThreadExtraInfo,1", b"Qqemu.PhyMemMode:1", b"vCont;t", b"D", b"QStartNoAckMode", b"\x03",
         b"qRcmd,696e666f20726567697374657273", b"qRcmd,7265736574", b"Z4,ffffffffffffffff,8"]


def hostile_bytes(r):
    kind = r.randrange(6)
    if kind == 0:
        return bytes(r.getrandbits(8) for _ in range(r.randrange(1, 300)))
    payload = bytearray(r.choice(SEEDS))
    for _ in range(r.randrange(3)):
        at = r.randrange(len(payload) + 1)
        what = r.randrange(3)
        if what == 0 and payload:
            payload[at % len(payload)] = r.choice(b"0123456789abcdef,;:=#$}*\x03-+" + bytes([r.getrandbits(8)]))
        elif what == 1:
            payload[at:at] = bytes([r.choice(b"f0,;:\xff")]) * r.choice((1, 2, 17, 4000))
        else:
            del payload[at:at + r.randrange(1, 5)]
    if kind == 1:
        return b"$" + bytes(payload) + b"#%02x" % r.getrandbits(8)
    if kind == 2:
        return b"$" + bytes(payload)
    return frame(bytes(payload))


def bother(c, r):
    """Sends junk on one connection, reads some of the answers, hangs up."""
    c.s.setblocking(False)
    for _ in range(r.randrange(1, 40)):
        try:
            c.s.send(hostile_bytes(r))
        except BlockingIOError:
            pass
        except (BrokenPipeError, ConnectionResetError):
            break
        try:
            while r.randrange(3) and c.s.recv(65536):
                pass
        except (BlockingIOError, ConnectionResetError):
            pass
    c.close()


@test
def hostile(run):
    r = random.Random(int(os.environ.get("SEED", 1)))
    limit = time.monotonic() + SECONDS
    while time.monotonic() < limit:
        with run(SPIN) as m:
            def alive():
                return m.process.poll() is None
            try:
                while time.monotonic() < limit and alive():
                    bother(Client(m.socket, alive), r)
                # whatever its registers are by now, it must listen to us
                c = Client(m.socket, alive)
                equal(c.ask("qC"), "QC1", "after all that")
                c.raw(frame(b"k"))
                m.wait(0)
            except (Failure, OSError):
                # killed, at its end, or gone astray: a client may do all that
                try:
                    status = m.process.wait(TIMEOUT)
                except subprocess.TimeoutExpired:
                    raise Failure("stays, and does not answer")
                check(status in (0, 5, 6, 8), "status", status, m.text())


def main():
    global SECONDS
    p = argparse.ArgumentParser()
    p.add_argument("--program", required=True)
    p.add_argument("--seconds", type=float, default=5, help="how long to be hostile")
    p.add_argument("names", nargs="*")
    a = p.parse_args()
    SECONDS = a.seconds

    def run(code, *options, **more):
        return Machine(a.program, code, *options, **more)

    passed = failed = 0
    for t in TESTS:
        if a.names and t.__name__ not in a.names:
            continue
        try:
            t(run)
            passed += 1
            print("ok", t.__name__, flush=True)
        except (Failure, OSError, ValueError) as e:
            failed += 1
            print("FAIL %s: %s" % (t.__name__, e), flush=True)
    print("%d passed, %d failed, 0 skipped" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
