#!/usr/bin/env python3
"""make - the vectors of this folder, computed here from the manuals and from nothing of ours.

  make.py [--out DIR]

A model of a few instructions (Intel SDM vol. 2, each one's "Operation" and "Flags affected";
vol. 1, appendix A for which flags are defined), run over boundary values. The files are for the
tests of `trivisor check`, of its readers and of its reports; silicon's own answers are in the
public suites and in what `trivisor record` writes. docs/vector-format.md has the formats.
"""
import argparse
import gzip
import json
import os
import struct

CF, PF, AF, ZF, SF, OF = 1, 4, 16, 64, 128, 2048
NAMES16 = "ax bx cx dx cs ss ds es sp bp si di ip flags".split()
NAMES32 = ("cr0 cr3 eax ebx ecx edx esi edi ebp esp cs ds es fs gs ss eip eflags dr6 dr7").split()
REG = "ax cx dx bx sp bp si di".split()


# ---- the model ---------------------------------------------------------------------------------

def szp(r, bits):
    return ((ZF if r == 0 else 0) | (SF if r >> (bits - 1) else 0) |
            (PF if bin(r & 255).count("1") % 2 == 0 else 0))


def add(a, b, c, bits):
    m = (1 << bits) - 1
    r = (a + b + c) & m
    f = szp(r, bits) | (CF if a + b + c > m else 0) | ((a ^ b ^ r) & AF)
    return r, f | (OF if (~(a ^ b) & (a ^ r)) >> (bits - 1) & 1 else 0)


def sub(a, b, c, bits):
    m = (1 << bits) - 1
    r = (a - b - c) & m
    f = szp(r, bits) | (CF if a < b + c else 0) | ((a ^ b ^ r) & AF)
    return r, f | (OF if ((a ^ b) & (a ^ r)) >> (bits - 1) & 1 else 0)


# opcode of "op r/m, r" for words: result (None: dropped), flags, flags that are undefined
ALU = {
    "add": (0x01, lambda a, b, c, n: add(a, b, 0, n), 0),
    "or": (0x09, lambda a, b, c, n: (a | b, szp(a | b, n)), AF),
    "adc": (0x11, lambda a, b, c, n: add(a, b, c, n), 0),
    "sbb": (0x19, lambda a, b, c, n: sub(a, b, c, n), 0),
    "and": (0x21, lambda a, b, c, n: (a & b, szp(a & b, n)), AF),
    "sub": (0x29, lambda a, b, c, n: sub(a, b, 0, n), 0),
    "xor": (0x31, lambda a, b, c, n: (a ^ b, szp(a ^ b, n)), AF),
    "cmp": (0x39, lambda a, b, c, n: (None, sub(a, b, 0, n)[1]), 0),
    "test": (0x85, lambda a, b, c, n: (None, szp(a & b, n)), AF),
}
COND = {"o": lambda f: f & OF, "b": lambda f: f & CF, "z": lambda f: f & ZF,
        "be": lambda f: f & (CF | ZF), "s": lambda f: f & SF, "p": lambda f: f & PF,
        "l": lambda f: bool(f & SF) != bool(f & OF),
        "le": lambda f: f & ZF or bool(f & SF) != bool(f & OF)}
STATUS = CF | PF | AF | ZF | SF | OF
EDGES = {16: (0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff),
         32: (0, 1, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff)}


# ---- tests: name, bytes, initial and final registers and memory, mask of FLAGS ------------------

def start(bits, n):
    """Registers before a test; n makes them differ."""
    wide = 0x11110000 if bits == 32 else 0
    r = {k: (0x1111 * (j + 1) + n) & 0xffff | wide for j, k in enumerate(REG)}
    r.update(cs=0x2000, ss=0x3000, ds=0x4000, es=0x5000, sp=0x100, ip=0x200 + n % 16, flags=0x02)
    if bits == 32:
        r.update(fs=0x6000, gs=0x7000, cr0=0x10, cr3=0, dr6=0xffff0ff0, dr7=0)
    return r


class Suite:
    def __init__(self, bits):
        self.bits, self.tests = bits, []

    def add(self, name, code, init, final, ram=(), after=(), mask=0xffff):
        init = dict(init)
        at = (init["cs"] << 4) + init["ip"]
        cells = {at + k: b for k, b in enumerate(bytes(code) + b"\xf4")}
        cells.update(ram)
        # it ends behind the HLT, wherever that is
        final = {k: v for k, v in final.items() if init[k] != v}
        self.tests.append((name, bytes(code), init, sorted(cells.items()), final,
                           sorted(dict(after).items()), mask))

    def alu(self):
        pre = [0x66] if self.bits == 32 else []
        e = "e" if self.bits == 32 else ""
        n = 0
        for op, (code, run, undefined) in ALU.items():
            for a in EDGES[self.bits]:
                for b in EDGES[self.bits][n % 3::3]:
                    n += 1
                    i = start(self.bits, n)
                    carry = n & 1
                    i.update(ax=a, cx=b, flags=0x02 | carry)
                    r, f = run(a, b, carry, self.bits)
                    o = dict(i, flags=0x02 | f, ip=i["ip"] + len(pre) + 3)
                    if r is not None:
                        o["ax"] = r
                    self.add("%s %sax, %scx" % (op, e, e), pre + [code, 0xc8], i, o,
                             mask=0xffff & ~undefined)

    def memory(self):
        for n, (a, b) in enumerate(((1, 2), (0xffff, 1), (0x8000, 0x8000), (0x7fff, 1))):
            i = start(self.bits, n)
            i.update(bx=0x10 + n, ax=b)
            at = (i["ds"] << 4) + i["bx"]
            r, f = add(a, b, 0, 16)
            self.add("add [bx], ax", [0x01, 0x07], i, dict(i, flags=2 | f, ip=i["ip"] + 3),
                     ((at, a & 255), (at + 1, a >> 8)), ((at, r & 255), (at + 1, r >> 8)))
            i = start(self.bits, n)
            i["sp"] = 0x80 + 2 * n
            at = (i["ss"] << 4) + i["sp"] - 2
            v = i["bx"] & 0xffff
            self.add("push bx", [0x53], i, dict(i, sp=i["sp"] - 2, ip=i["ip"] + 2), (),
                     ((at, v & 255), (at + 1, v >> 8)))
            at += 2
            self.add("pop dx", [0x5a], i,
                     dict(i, sp=i["sp"] + 2, dx=i["dx"] & ~0xffff | a, ip=i["ip"] + 2),
                     ((at, a & 255), (at + 1, a >> 8)))

    def jumps(self):
        for k, cc in enumerate("o b z be s p l le".split()):
            for n, f in enumerate((0, STATUS, OF, CF | SF, ZF, SF | OF, PF)):
                i = start(self.bits, n)
                i["flags"] = f | 2
                code = 0x70 + {"o": 0, "b": 2, "z": 4, "be": 6, "s": 8, "p": 10, "l": 12,
                               "le": 14}[cc]
                taken = bool(COND[cc](f))
                there = i["ip"] + 2 + 0x20
                self.add("j%s +20h" % cc, [code, 0x20], i,
                         dict(i, ip=there + 1 if taken else i["ip"] + 3),
                         (((i["cs"] << 4) + there, 0xf4),))

    def divide_error(self):
        """The 80286 and later save the address of the division; flags are undefined."""
        i = start(self.bits, 0)
        i.update(ax=1, dx=0, cx=0, flags=0x246)
        top = (i["ss"] << 4) + i["sp"]
        ivt = ((0, 0x34), (1, 0x12), (2, 0x00), (3, 0x08), (0x8000 + 0x1234, 0xf4))
        frame = ((top - 2, 0x46), (top - 1, 0x02), (top - 4, 0x00), (top - 3, 0x20),
                 (top - 6, i["ip"] & 255), (top - 5, i["ip"] >> 8))
        self.add("div cx", [0xf7, 0xf1], i,
                 dict(i, sp=i["sp"] - 6, cs=0x800, ip=0x1235, flags=0x46),
                 ivt, frame, mask=0xffff & ~STATUS)
        self.tests[-1] += ((0, top - 2),)


    def put(self, name, code, before, after, ram=(), then=(), mask=0xffff, exception=None):
        """One test in short: what differs from start(16, 0) before, and from that after."""
        i = dict(start(16, 0), **before)
        after = dict(after)
        after.setdefault("ip", i["ip"] + len(code) + self.halts)
        cells = []
        for seg, off, v in ram:
            cells += [((i[seg] << 4) + off, v & 255)] + (
                [((i[seg] << 4) + (off + 1 & 0xffff), v >> 8)] if v > 255 else [])
        self.add(name, code, i, dict(i, **after), cells, then, mask)
        if exception is not None:
            self.tests[-1] += (exception,)

    def interrupt(self, name, code, before, vector, after=(), saved=None, push=0, mask=0xffff):
        """An exception of an 80286 or 8086: a handler at 0800:1234, a frame at SS:SP."""
        i = dict(start(16, 0), **before)
        sp = i["sp"] + push & 0xffff
        top = (i["ss"] << 4) + sp
        ip = i["ip"] if saved is None else saved
        flags = i["flags"] | (0 if self.halts else 0xf000)
        frame = []
        for n, v in ((2, flags), (4, i["cs"]), (6, ip)):
            frame += [(top - n, v & 255), (top - n + 1, v >> 8)]
        cells = [(4 * vector + k, v) for k, v in enumerate((0x34, 0x12, 0x00, 0x08))]
        cells.append((0x8000 + 0x1234, 0xf4))
        o = dict(i, sp=sp - 6, cs=0x800, ip=0x1234 + self.halts, **dict(after))
        self.add(name, code, i, o, cells, frame, mask)
        if self.halts:
            self.tests[-1] += ((vector, top - 2),)


def old_8086():
    """User's manual (1981), 2-39 to 2-51 and table 4-12; the rest is in the suites' READMEs."""
    s = Suite(16)
    s.halts = 0
    for op in range(0x60, 0x70): # conditional jumps, with OF CF ZF SF PF clear
        s.put("j%02X 10h" % op, [op, 0x10], {"flags": 0xf002},
              {"ip": 0x212 if op & 1 else 0x202})
    s.put("ret", [0xc1], {}, {"sp": 0x102, "ip": 0x4321}, [("ss", 0x100, 0x4321)])
    s.put("ret 4", [0xc0, 4, 0], {}, {"sp": 0x106, "ip": 0x4321}, [("ss", 0x100, 0x4321)])
    s.put("retf", [0xc9], {}, {"sp": 0x104, "ip": 0x4321, "cs": 0x1357},
          [("ss", 0x100, 0x4321), ("ss", 0x102, 0x1357)])
    s.put("retf 2", [0xc8, 2, 0], {}, {"sp": 0x106, "ip": 0x4321, "cs": 0x1357},
          [("ss", 0x100, 0x4321), ("ss", 0x102, 0x1357)])
    s.put("pop cs", [0x0f], {}, {"sp": 0x102, "cs": 0x1357}, [("ss", 0x100, 0x1357)])
    s.put("mov cs, bx", [0x8e, 0xcb], {"bx": 0x2001}, {"cs": 0x2001})
    s.put("mov ds, bx", [0x8e, 0xfb], {"bx": 0x2001}, {"ds": 0x2001})
    s.put("mov bx, ss", [0x8c, 0xf3], {}, {"bx": 0x3000})
    s.put("mov bx, 1234h", [0xc7, 0xfb, 0x34, 0x12], {}, {"bx": 0x1234})
    s.put("pop bx", [0x8f, 0xfb], {}, {"bx": 0x1234, "sp": 0x102}, [("ss", 0x100, 0x1234)])
    s.put("push bx", [0xff, 0xfb], {"bx": 0xabcd}, {"sp": 0xfe}, (),
          ((0x300fe, 0xcd), (0x300ff, 0xab)))
    s.put("push sp", [0x54], {}, {"sp": 0xfe}, (), ((0x300fe, 0xfe), (0x300ff, 0)))
    s.put("setmo bl", [0xd0, 0xf3], {}, {"bx": 0x44ff}, mask=0xffff & ~STATUS)
    s.put("setmoc bx", [0xd3, 0xf3], {"cx": 1}, {"bx": 0xffff}, mask=0xffff & ~STATUS)
    s.put("setmoc bx", [0xd3, 0xf3], {"cx": 0}, {})
    s.put("shl bx, cl", [0xd3, 0xe3], {"cx": 32, "bx": 0xffff, "flags": 0xf002},
          {"bx": 0, "flags": 0xf002 | ZF | PF}, mask=0xffff & ~(OF | AF))
    s.put("mov bx, [0FFFFh]", [0x8b, 0x1e, 0xff, 0xff], {}, {"bx": 0x5566},
          [("ds", 0xffff, 0x5566)])
    # the same page, so that its translation is at hand when the next one wraps inside it
    s.put("mov bx, es:[10h]", [0x26, 0x8b, 0x1e, 0x10, 0], {}, {"bx": 0x5566},
          [("es", 0x10, 0x5566)])
    s.put("mov bx, [0FFFFh]", [0x8b, 0x1e, 0xff, 0xff], {"ds": 0x4001}, {"bx": 0x5566},
          [("ds", 0xffff, 0x5566)])
    s.put("lock lock mov bx, [5678h]", [0xf0, 0xf1, 0x8b, 0x1e, 0x78, 0x56], {}, {"bx": 0x5566},
          [("ds", 0x5678, 0x5566)])
    s.put("fnstcw [10h]", [0xd9, 0x3e, 0x10, 0], {}, {}, [("ds", 0x10, 0x5566)])
    idiv = {"flags": 0xf002}
    s.put("rep idiv cl", [0xf3, 0xf6, 0xf9], dict(idiv, ax=7, cx=2), {"ax": 0x1fd},
          mask=0xffff & ~STATUS)
    s.interrupt("idiv cl", [0xf6, 0xf9], {"ax": 0xff80, "cx": 1, "flags": 2}, 0, saved=0x202,
                mask=0xffff & ~STATUS)
    s.interrupt("aam 0", [0xd4, 0], {"ax": 5, "flags": 2}, 0, saved=0x202, mask=0xffff & ~STATUS)
    # at the end of the segment: mov ax, 1234h over FFFFh, and one that ends there
    i = start(16, 0)
    s.add("mov ax, 1234h", [0xb8], dict(i, ip=0xffff), dict(i, ip=2, ax=0x1234),
          ((0x20000, 0x34), (0x20001, 0x12)))
    s.add("mov al, 12h", [0xb0, 0x12], dict(i, ip=0xfffe), dict(i, ip=0, ax=0x1112))
    for t in s.tests:
        t[2]["flags"] |= 0xf000
        if "flags" in t[4]:
            t[4]["flags"] |= 0xf000
    return s


def old_286():
    """Programmer's Reference Manual (1985), 9.6 and appendix B."""
    s = Suite(16)
    s.halts = 1
    for n, disp in enumerate((0x1234, 0x5678)): # the same encoding but for the displacement
        s.put("lock mov bx, [%Xh]" % disp, [0xf0, 0x8b, 0x1e, disp & 255, disp >> 8], {},
              {"bx": 0x5566 + n}, [("ds", disp, 0x5566 + n)])
    s.put("lock 10 bytes", [0xf0, 0x26, 0x26, 0x26, 0x81, 0x06, 0x10, 0, 1, 0], {"flags": 2},
          {"flags": 2}, [("es", 0x10, 1)], ((0x50010, 2),))
    s.interrupt("11 bytes", [0x26] * 5 + [0x81, 0x06, 0x10, 0, 1, 0], {}, 13)
    s.interrupt("mov bx, [0FFFFh]", [0x8b, 0x1e, 0xff, 0xff], {}, 13)
    s.interrupt("mov bx, ss:[0FFFFh]", [0x36, 0x8b, 0x1e, 0xff, 0xff], {}, 13)
    s.interrupt("lodsw", [0xad], {"si": 0xffff}, 13, {"si": 1})
    s.interrupt("rep stosw", [0xf3, 0xab], {"di": 0xffff, "cx": 9}, 13, {"di": 1, "cx": 7})
    s.interrupt("rep movsw", [0xf3, 0xa5], {"si": 0xffff, "cx": 9}, 13, {"si": 1, "cx": 8})
    s.interrupt("movsw", [0xa5], {"di": 0xffff, "si": 4}, 13, {"di": 1, "si": 6})
    s.interrupt("cmpsw", [0xa7], {"di": 0xffff, "si": 4}, 13, {"di": 1})
    s.interrupt("pop [0FFFFh]", [0x8f, 0x06, 0xff, 0xff], {}, 13, push=2)
    s.interrupt("pop ax", [0x58], {"sp": 0xffff}, 13)
    s.interrupt("mov cs, bx", [0x8e, 0xcb], {}, 6)
    s.put("push sp", [0x54], {}, {"sp": 0xfe}, (), ((0x300fe, 0), (0x300ff, 1)))
    s.put("shl bx, cl", [0xd3, 0xe3], {"cx": 33, "bx": 0x4008, "flags": 2},
          {"bx": 0x8010, "flags": 2 | SF | AF | OF})
    s.put("mul cx", [0xf7, 0xe1], {"ax": 0x100, "cx": 0x100, "flags": 2},
          {"ax": 0, "dx": 1, "flags": 2 | CF | OF | AF})
    s.put("div cl", [0xf6, 0xf1], {"ax": 9, "cx": 2, "flags": 2},
          {"ax": 0x104, "flags": 2 | AF | CF | OF})
    s.put("idiv cl", [0xf6, 0xf9], {"ax": 8, "cx": 2, "flags": 2},
          {"ax": 4, "flags": 2 | AF | ZF | PF | CF | OF})
    s.put("aaa", [0x37], {"ax": 0x7b, "flags": 2},
          {"ax": 0x101, "flags": 2 | SF | PF | CF | AF | OF})
    s.put("aad", [0xd5, 10], {"ax": 0x1999, "flags": 2},
          {"ax": 0x93, "flags": 2 | SF | PF | AF | CF | OF})
    s.put("esc", [0xd9, 0x3e, 0x10, 0], {}, {}, [("ds", 0x10, 0x5566)])
    s.put("F1 mov bx, cx", [0xf1, 0x8b, 0xd9], {"cx": 7}, {"bx": 7})
    # LOADALL, and then, by the bases it gave: mov [bx], al; hlt
    words = [0] * 3 + [0xfff0] + [0] * 7 + [0, 0x0046, 0x300, 0, 0x1111, 0x2222, 0x3333, 0x4444]
    words += [7, 6, 5, 0x104, 3, 2, 1, 0x5a]
    image = struct.pack("<27H", *words)
    for base, limit in ((0x60000, 0xffff), (0x50000, 0xffff), (0x30000, 0xffff), (0x70100, 0xffff),
                        (0, 0), (0, 0), (0, 0x3ff), (0, 0)): # ES CS SS DS GDT LDT IDT TSS
        image += struct.pack("<IH", base | 0x93000000, limit)
    i = dict(start(16, 0), ip=0x200)
    s.add("loadall", [0x0f, 0x05], i,
          dict(ds=0x1111, ss=0x2222, cs=0x3333, es=0x4444, di=7, si=6, bp=5, sp=0x104, bx=3, dx=2,
               cx=1, ax=0x5a, ip=0x303, flags=0x46),
          [(0x800 + k, v) for k, v in enumerate(image)] +
          [(0x50300, 0x88), (0x50301, 0x07), (0x50302, 0xf4)], ((0x70103, 0x5a),))
    return s


# ---- files -------------------------------------------------------------------------------------

def chunk(tag, data):
    return tag.encode() + struct.pack("<I", len(data)) + data


def regs(tag, names, values, size):
    short = {n: n[1:] if n[0] == "e" and n[1:] in REG + ["ip", "flags"] else n for n in names}
    have = [k for k, n in enumerate(names) if short[n] in values]
    fmt = "<H" if size == 2 else "<I"
    data = struct.pack(fmt, sum(1 << k for k in have))
    for k in have:
        data += struct.pack(fmt, values[short[names[k]]])
    return chunk(tag, data)


def moo(suite, cpu, cpu_type):
    wide = suite.bits == 32
    tag, names, size = ("RG32", NAMES32, 4) if wide else ("REGS", NAMES16, 2)
    out = chunk("MOO ", struct.pack("<BBHI4s", 1, 1, 0, len(suite.tests), cpu.encode()))
    out += chunk("META", struct.pack("<BBBI8sIQB3x", 1, 0, cpu_type, 0xffffffff, b"various ",
                                     len(suite.tests), 0, 0))

    def ram(cells):
        return chunk("RAM ", struct.pack("<I", len(cells)) +
                     b"".join(struct.pack("<IB", a, v) for a, v in cells))

    for n, t in enumerate(suite.tests):
        name, code, init, cells, final, after, mask = t[:7]
        d = struct.pack("<I", n)
        d += chunk("NAME", struct.pack("<I", len(name)) + name.encode())
        d += chunk("BYTS", struct.pack("<I", len(code)) + code)
        d += chunk("INIT", regs(tag, names, init, size) + ram(cells))
        fina = regs(tag, names, final, size) + ram(after)
        if mask != 0xffff:
            fina += regs("RM32" if wide else "RMSK", names, {"flags": mask}, size)
        d += chunk("FINA", fina)
        if len(t) > 7:
            d += chunk("EXCP", struct.pack("<BI", *t[7]))
        out += chunk("TEST", d)
    return out


def user(name, bits, code, init, final, ram=(), after=(), exception=None):
    """A test of the user process (frontends/record/layout.h): code, data, read-only, stack."""
    names = "rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15 rip rflags".split()
    if bits == 32:
        names = ["e" + n[1:] for n in names[:8]] + ["eip", "eflags"]
    r = {n: 0x1000 + k for k, n in enumerate(names)}
    r[names[4]], r[names[-2]], r[names[-1]] = 0x10030800, 0x10000100, 0x202
    r.update(init)
    t = {"idx": 0, "name": name, "cpu": "X64 ", "mode": bits, "env": "user", "bytes": list(code),
         "initial": {"regs": r, "ram": [[0x10000100 + k, b] for k, b in enumerate(code)] +
                     [list(c) for c in ram]},
         "final": {"regs": final, "ram": [list(c) for c in after]}}
    if exception:
        t["exception"] = exception
    for s in (t["initial"], t["final"]):
        s["regs"] = {k: v if v < 1 << 53 else hex(v) for k, v in s["regs"].items()}
    return t


def user_tests():
    top = 1 << 63
    t = [
        user("add rax, rbx", 64, [0x48, 0x01, 0xd8], {"rax": top, "rbx": top},
             {"rax": 0, "rip": 0x10000103, "rflags": 0x202 | OF | ZF | PF | CF}),
        user("mov rcx, [rdi]", 64, [0x48, 0x8b, 0x0f], {"rdi": 0x10010ff8},
             {"rcx": 0x0807060504030201, "rip": 0x10000103},
             [(0x10010ff8 + k, k + 1) for k in range(8)]),
        user("mov [rdi], al", 64, [0x88, 0x07], {"rdi": 0x10011fff, "rax": 0x5a},
             {"rip": 0x10000102}, (), [(0x10011fff, 0x5a)]),
        user("push r9", 64, [0x41, 0x51], {"r9": 0x11223344, "rsp": 0x10031000},
             {"rsp": 0x10030ff8, "rip": 0x10000102}, (),
             [(0x10030ff8 + k, 0x44 - 0x11 * k) for k in range(4)]),
        # SDM vol. 3, 4.7: error code 6 is a write by user code to a page that is not there, 7 is
        # one to a page that may only be read
        user("mov [rdi], al", 64, [0x88, 0x07], {"rdi": 0x10012000}, {},
             exception={"number": 14, "error": 6, "fault_address": 0x10012000}),
        user("mov [rdi], al", 64, [0x88, 0x07], {"rdi": 0x10020010}, {},
             exception={"number": 14, "error": 7, "fault_address": 0x10020010}),
        user("mov al, [rdi]", 64, [0x8a, 0x07], {"rdi": top}, {},
             exception={"number": 13, "error": 0}),
        user("div ecx", 64, [0xf7, 0xf1], {"rax": 1, "rdx": 0, "rcx": 0}, {},
             exception={"number": 0}),
        user("ud2", 64, [0x0f, 0x0b], {}, {}, exception={"number": 6}),
        user("inc eax", 32, [0x40], {"eax": 0x7fffffff},
             {"eax": 0x80000000, "eip": 0x10000101, "eflags": 0x202 | OF | SF | AF | PF}),
        user("mov eax, [ebx]", 32, [0x8b, 0x03], {"ebx": 0x10010000},
             {"eax": 0xddccbbaa, "eip": 0x10000102},
             [(0x10010000 + k, 0xaa + 0x11 * k) for k in range(4)]),
    ]
    for k, one in enumerate(t):
        one["idx"] = k
    return t


def files():
    small, wide = Suite(16), Suite(32)
    for s in small, wide:
        s.alu()
        s.memory()
        s.jumps()
        s.divide_error()
    text = "[\n" + ",\n".join(json.dumps(t) for t in user_tests()) + "\n]\n"
    old = old_286()
    small.tests += old.tests
    return {"8086.MOO.gz": gzip.compress(moo(old_8086(), "8086", 2), 9, mtime=0),
            "286.MOO.gz": gzip.compress(moo(small, "C286", 6), 9, mtime=0),
            "386.MOO.gz": gzip.compress(moo(wide, "386E", 7), 9, mtime=0),
            "user.json": text.encode()}


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--out", default=os.path.dirname(os.path.abspath(__file__)))
    a = ap.parse_args()
    for name, data in files().items():
        with open(os.path.join(a.out, name), "wb") as f:
            f.write(data)


if __name__ == "__main__":
    main()
